"""Four times as much comes, and four times as much is done: no work grows faster than its input.

What is counted is the same on any machine: characters that are copied, and Python's instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, SupportsIndex

import pytest
from langchain_core.language_models.chat_models import generate_from_stream

from hfchat_base._protocol.accumulator import Accumulator
from hfchat_base._protocol.artifacts import NOTHING, ArtifactSplitter
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base._protocol.thinking import ThinkSplitter
from hfchat_base.events import (
    File,
    FinalAnswer,
    Status,
    TextDelta,
    ToolCall,
    ToolProgress,
    ToolResult,
)
from hfchat_base.types import Message
from langchain_huggingchat._convert import ChunkMaker, gathered
from tests.support.instructions import count_instructions

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfchat_base import Event

MOST = 6
"""Four times as much may take so many times the work; what is quadratic takes sixteen times."""


class Measured(str):
    """A text that counts the characters which are copied out of it, and out of its copies."""

    __slots__ = ()
    copied: ClassVar[int] = 0

    @classmethod
    def _copy(cls, text: str) -> Measured:
        Measured.copied += len(text)
        return cls(text)

    def __add__(self, other: str) -> Measured:
        return self._copy(str.__add__(self, other))

    def __radd__(self, other: str) -> Measured:
        return self._copy(str.__add__(other, str(self)))

    def __getitem__(self, index: SupportsIndex | slice) -> Measured:
        return self._copy(str.__getitem__(self, index))


def copied(tokens: list[str]) -> int:
    """Count the characters that are copied while some tokens are split."""
    Measured.copied = 0
    splitter = ThinkSplitter()
    for token in tokens:
        splitter.feed(Measured(token))
    splitter.end_of_segment()
    return Measured.copied


def split_artifacts(tokens: list[str]) -> None:
    """Take artifacts out of a text that comes in tokens."""
    splitter = ArtifactSplitter(lambda _count: "", NOTHING)
    for token in tokens:
        splitter.feed(Measured(token))
    splitter.end()


@pytest.mark.parametrize(
    "tokens",
    [
        lambda count: ["<"] * count,
        lambda count: ["<artifact", *[" title"] * count],
        lambda count: ["a <artif\n" * count],
        lambda count: ['<artifact id="a">x</artifact>\n'] * count,
        lambda count: ['<artifact id="a">', *["\n"] * count],
        lambda count: ['<artifact id="a">\n', *[" "] * count],
        lambda count: ['<artifact id="a">\n', *["`"] * count],
        lambda count: ['<artifact id="a">\n', *["ab </"] * count],
        lambda count: ['<artifact id="a" type="update">', *["<old_str>a</old_str>"] * count],
    ],
    ids=[
        "brackets",
        "an endless tag",
        "halves of tags",
        "artifacts",
        "newlines",
        "spaces",
        "backticks",
        "halves of closing tags",
        "an update",
    ],
)
def test_artifacts_are_taken_out_in_linear_time(tokens: Callable[[int], list[str]]) -> None:
    """However they come, each character is looked at a fixed number of times."""

    def work(count: int) -> int:
        Measured.copied = 0
        instructions = count_instructions(lambda: split_artifacts(tokens(count)))
        return Measured.copied + instructions

    assert work(1600) <= MOST * work(400)


@pytest.mark.parametrize(
    "tokens",
    [
        lambda count: [" "] * count,
        lambda count: ["\n"] * count,
        lambda count: ["a line\n" * count],
        lambda count: ["<think>a</think>\n" * count],
        lambda count: ["<think>", *["ab <"] * count],
        lambda count: ["one <thin\n <th" * count],
    ],
    ids=["spaces", "newlines", "one long text", "thoughts", "one thought", "halves of tags"],
)
def test_thinking_is_split_in_linear_time(tokens: Callable[[int], list[str]]) -> None:
    """However the text comes, each character is looked at a fixed number of times."""
    assert copied(tokens(400)) <= MOST * max(copied(tokens(100)), 1)


def tool_events(count: int) -> list[Event]:
    """An answer that says a word, runs a tool, and so on."""
    events: list[Event] = []
    for number in range(count):
        uuid = str(number)
        page = {"text": f"URL: https://example.com/{number}"}
        events += [
            TextDelta("word "),
            ToolCall(uuid, "search", {}),
            ToolProgress(uuid, 1, 2, "half"),
            ToolResult(uuid, "search", {}, "found", (page,)),
        ]
    return events


def take_all(events: list[Event]) -> Accumulator:
    """Add events up."""
    transcript = Accumulator()
    for event in events:
        transcript.take(event)
    return transcript


def test_text_is_not_put_together_at_each_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text so far is put together at the end, however many tools have run."""
    characters = 0
    whole = vars(Accumulator)["streamed_text"].fget

    def counting(self: Accumulator) -> str:
        nonlocal characters
        text: str = whole(self)
        characters += len(text)
        return text

    monkeypatch.setattr(Accumulator, "streamed_text", property(counting))
    transcript = take_all(tool_events(1000))
    answer = transcript.answer()
    assert len(answer.tool_runs) == len(answer.sources) == 1000
    assert characters == len(answer.text) == 5000


def test_position_of_a_tool_is_known_after_the_text_was_settled() -> None:
    """What was said before the last tool is put in front of the final text, however it was kept."""
    words = [TextDelta("word ") for _ in range(3000)]
    alive = Status("keepAlive")
    call, result = ToolCall("u", "search", {}), ToolResult("u", "search", {}, "found", ())
    transcript = take_all([*words, alive, call, *words, alive, call, alive, result])
    transcript.take(TextDelta("done"))
    transcript.take(FinalAnswer("Done."))
    assert transcript.answer().text == "word " * 6000 + "Done."


@pytest.mark.parametrize(
    "events",
    [tool_events, lambda count: [File(str(n), f"{n:064x}", "image/png") for n in range(count)]],
    ids=["tools", "files"],
)
def test_transcript_is_linear(events: Callable[[int], list[Event]]) -> None:
    """Events are added up with the same work each."""

    def work(count: int) -> int:
        given = events(count)
        return count_instructions(lambda: take_all(given).answer())

    assert work(400) <= MOST * work(100)


def chain(count: int) -> StoredConversation:
    """A conversation of so many messages, one after the other."""
    messages = tuple(
        Message(
            id=str(number),
            role="user",
            content="x",
            parent_id=str(number - 1) if number else None,
        )
        for number in range(count)
    )
    return StoredConversation("c", "", "", "", "0", messages)


def test_path_in_a_conversation_is_linear() -> None:
    """The way from the root to a message is found by going it once."""

    def work(count: int) -> int:
        stored = chain(count)
        return count_instructions(lambda: stored.path_to(str(count - 1)))

    assert work(400) <= MOST * work(100)


@pytest.mark.parametrize("how", [iter, gathered], ids=["streamed", "whole"])
def test_langchain_adds_chunks_up_in_linear_time(how: Callable[..., Any]) -> None:
    """Neither core's sum of a stream nor `invoke` looks through all tool runs at each."""

    def work(count: int) -> int:
        maker = ChunkMaker()
        chunks = [c for event in tool_events(count) if (c := maker.make(event)) is not None]
        return count_instructions(lambda: generate_from_stream(how(chunks)))

    assert work(80) <= MOST * work(20)


def test_gathered_chunks_add_up_to_the_same_message() -> None:
    """What `invoke` returns is what the chunks of a stream add up to."""
    maker = ChunkMaker()
    chunks = [c for event in tool_events(20) if (c := maker.make(event)) is not None]
    chunks.append(maker.last({"finish_reason": "stop"}))
    streamed = generate_from_stream(iter(chunks)).generations[0].message
    whole = generate_from_stream(gathered(chunks)).generations[0].message
    assert whole == streamed
    assert len(whole.additional_kwargs["server_tools"]) == 40
