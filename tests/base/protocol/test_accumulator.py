"""Events, added up to an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import (
    Event,
    File,
    FinalAnswer,
    ReasoningDelta,
    RouterMetadata,
    Source,
    Sources,
    TextDelta,
    Title,
    ToolCall,
    ToolError,
    ToolResult,
    ToolRun,
    Unknown,
)
from hfchat_base._protocol.accumulator import Accumulator, utf16_units


def add_up(*events: Event) -> tuple[Accumulator, list[Event]]:
    """Take events, and return what a caller sees of them."""
    transcript = Accumulator(model="m", conversation_id="c", generation_id="g")
    seen = [shown for event in events for shown in transcript.take(event)]
    return transcript, seen + transcript.end()


def said(events: list[Event]) -> str:
    """The text that was streamed."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("streamed", "final", "interrupted", "text"),
    [
        (["Hel", "lo"], "Hello", False, "Hello"),
        (["Hel"], "Hello", False, "Hello"),
        ([], "Hello", False, "Hello"),
        (["Hello "], "Hello", False, "Hello"),
        (["Help"], "Hello", False, "Hello"),
        (["Hello"], "Hel", True, "Hello"),
        (["Hello"], "Hel", False, "Hel"),
        (["Hel"], "Hello", True, "Hello"),
        (["<think>a</think>b"], "<think>a</think>b", False, "b"),
        ([], "<think>a</think>b", False, "b"),
    ],
)
def test_final_text(streamed: list[str], final: str, text: str, *, interrupted: bool) -> None:
    """The final text wins, but where it is the beginning of what was streamed before a stop."""
    transcript, _ = add_up(*map(TextDelta, streamed), FinalAnswer(final, interrupted))
    assert transcript.answer().text == text


def test_rest_of_the_final_text_is_streamed() -> None:
    """What of the final text was not streamed comes as a piece before it."""
    _, seen = add_up(TextDelta("Hel"), FinalAnswer("Hello"))
    assert seen == [TextDelta("Hel"), TextDelta("lo"), FinalAnswer("Hello")]


def test_thinking_of_the_final_text_is_streamed() -> None:
    """Thinking that is in the final text alone comes as a piece before it."""
    transcript, seen = add_up(FinalAnswer("<think>a</think>b"))
    assert seen == [ReasoningDelta("a"), TextDelta("b"), FinalAnswer("b")]
    assert transcript.answer().reasoning == "a"


def test_thinking_is_not_told_twice() -> None:
    """Thinking that was streamed is not taken from the final text again."""
    transcript, _ = add_up(TextDelta("<think>a</think>b"), FinalAnswer("<think>a</think>b"))
    assert transcript.answer().reasoning == "a"


CALL = ToolCall("u", "search", {"q": 1})
RESULT = ToolResult("u", "search", {"q": 1}, "found")


@pytest.mark.parametrize(
    ("after", "final", "text"),
    [
        (["It is 42."], "It is 42.", "Let me check. It is 42."),
        (["It is"], "It is 42.", "Let me check. It is 42."),
        ([], "It is 42.", "Let me check. It is 42."),
        (["It is 42. "], "It is 42.", "Let me check. It is 42. "),
        (["It is 41."], "It is 42.", "Let me check. It is 42."),
    ],
)
def test_final_text_with_tools(after: list[str], final: str, text: str) -> None:
    """With tools, what was said before the call stays in front of the final text."""
    transcript, _ = add_up(
        TextDelta("Let me check. "), CALL, RESULT, *map(TextDelta, after), FinalAnswer(final)
    )
    assert transcript.answer().text == text


def test_tool_that_succeeds() -> None:
    """A tool run has its arguments and what it said."""
    transcript, _ = add_up(CALL, RESULT)
    assert transcript.answer().tool_runs == (
        ToolRun(uuid="u", name="search", arguments={"q": 1}, output="found"),
    )


def test_tool_that_fails() -> None:
    """A tool run that failed has its error and no output."""
    transcript, _ = add_up(CALL, ToolError("u", "no"))
    assert transcript.answer().tool_runs == (
        ToolRun(uuid="u", name="search", arguments={"q": 1}, output=None, error="no"),
    )


def test_result_without_names() -> None:
    """What a result leaves out is known from its call."""
    transcript, _ = add_up(CALL, ToolResult("u", "", {}, "found"))
    assert transcript.answer().tool_runs == (
        ToolRun(uuid="u", name="search", arguments={"q": 1}, output="found"),
    )


def test_sources_of_a_tool_come_as_an_event() -> None:
    """Pages in a tool's result are reported right after it, each once."""
    found = ToolResult("u", "search", {}, "", ({"text": "Title: T\nURL: https://a.b"},))
    again = ToolResult("v", "search", {}, "", ({"text": "URL: https://a.b"},))
    transcript, seen = add_up(found, again)
    assert seen == [found, Sources((Source("https://a.b", "T"),)), again]
    assert transcript.answer().sources == (Source("https://a.b", "T"),)


def test_what_goes_with_an_answer() -> None:
    """Title, files, sources and router are kept; a title after the final answer as well."""
    transcript, seen = add_up(
        TextDelta("x"),
        File("n", "s", "image/png"),
        Sources((Source("https://a.b"),)),
        RouterMetadata("r", "m"),
        RouterMetadata(provider="p"),
        FinalAnswer("x"),
        Unknown({"type": "brandNew"}),
        Title("T"),
    )
    answer = transcript.answer("stop")
    assert answer.title == "T"
    assert [(f.name, f.sha, f.mime, f.conversation_id) for f in answer.files] == [
        ("n", "s", "image/png", "c")
    ]
    assert answer.sources == (Source("https://a.b"),)
    assert answer.router == {"route": "r", "model": "m", "provider": "p"}
    assert (answer.model, answer.conversation_id, answer.generation_id) == ("m", "c", "g")
    assert answer.finish_reason == "stop"
    assert Unknown({"type": "brandNew"}) in seen


def test_text_that_is_held_back_is_not_lost() -> None:
    """The beginning of a tag at the very end is text after all."""
    transcript, seen = add_up(TextDelta("a\n<thin"))
    assert said(seen) == transcript.answer().text == "a\n<thin"


@given(st.lists(st.text(max_size=5), max_size=8), st.text(max_size=12), st.booleans())
def test_answer_is_what_was_streamed_or_the_final_text(
    tokens: list[str], final: str, interrupted: bool
) -> None:
    """Without tools and tags the answer is one of the two, and never a mix of them."""
    transcript, seen = add_up(*map(TextDelta, tokens), FinalAnswer(final, interrupted))
    if "<" not in final + "".join(tokens):
        told = final if final.strip() else ""  # white space alone is not text
        assert transcript.answer().text in {told, final, "".join(tokens), said(seen)}


@pytest.mark.parametrize(
    ("text", "units"), [("", 0), ("abc", 3), ("é世", 2), ("🌍", 2), ("\ud83d", 1), ("a🌍b", 4)]
)
def test_utf16_units(text: str, units: int) -> None:
    """Text is measured as JavaScript measures it."""
    assert utf16_units(text) == units


def test_streamed_units_count_what_the_server_counts() -> None:
    """What was seen is counted with its tags, because the server stops by its own text."""
    transcript, _ = add_up(TextDelta("<think>a</think>"), TextDelta("🌍"))
    assert transcript.streamed_units == 16 + 2
