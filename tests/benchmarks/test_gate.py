"""What an answer costs, in bytecode instructions: no token becomes dearer by accident.

Instructions are the same each time and on any machine, where seconds are not. Counts differ by
about a tenth between Python 3.10 and 3.13, so the highest of them stands here, and `SLACK` is what
may come on top: whoever makes a part a tenth heavier on the dearest version, or a fifth on any, is
told so. Who does it on purpose changes the number, and who makes a part cheaper lowers it.

The cost of a token is what an answer with so many more tokens costs more; what every answer costs
once is left out of it. C functions count as their call alone (`benchmarks` takes their time).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from llama_index.core.base.llms.types import ChatMessage as LlamaIndexMessage

from hfchat_base import Answer, ChatMessage
from hfchat_base._flows.index import History
from hfchat_base._flows.stream_reader import LineReader
from hfchat_base._protocol.framing import LineBuffer
from langchain_huggingchat import ChatHuggingChat
from llama_index_huggingchat import HuggingChatLLM
from tests.support.instructions import count_instructions
from tests.support.langchain_floor import ReadyChunks
from tests.support.llama_index_floor import ReadyResponses
from tests.support.memory import MODEL, AsyncMemoryClient, MemoryClient, answer_chunks

SLACK: Final = 1.08

LINEAR: Final = 10.5
"""How many times as much ten times the work may cost."""

CONSTANT: Final = 1.1
"""How many times as much the same work may cost beside a thousand times as many things."""

_TOKENS: Final = 50
_MANY_LINES: Final = 50
"""Answers differ in whole chunks."""

_QUESTION: Final = "hello"
_CHUNK_BYTES: Final = 16 * 1024


@dataclass(frozen=True)
class Work:
    """Something to count.

    Attributes:
        run: Does it.
        before: What has to be done before each time, and is not counted.
    """

    run: Callable[[], object]
    before: Callable[[], object] = lambda: None

    def count(self) -> int:
        """How many instructions it takes."""
        return count_instructions(self.run, before=self.before)


def a_token(work: Callable[[int], Work]) -> float:
    """What one more token costs, of work on an answer with so many."""
    return (work(2 * _TOKENS).count() - work(_TOKENS).count()) / _TOKENS


def decode(tokens: int, *, lines: int = _MANY_LINES) -> Work:
    """Bytes to events, without a flow."""
    chunks = answer_chunks(tokens, lines_a_chunk=lines)

    def run() -> None:
        reader = LineReader()
        for chunk in chunks:
            for _ in reader.feed(chunk):
                pass

    return Work(run)


def read(tokens: int, *, lines: int = _MANY_LINES) -> Work:
    """The whole synchronous client but its sockets."""
    client = MemoryClient(answer_chunks(tokens, lines_a_chunk=lines))

    def run() -> None:
        with client.stream_chat(_QUESTION) as stream:
            for _ in stream:
                pass

    return Work(run)


def read_async(tokens: int, *, lines: int = _MANY_LINES) -> Work:
    """The whole asynchronous client but its sockets."""
    client = AsyncMemoryClient(answer_chunks(tokens, lines_a_chunk=lines))

    async def run() -> None:
        async with client.stream_chat(_QUESTION) as stream:
            async for _ in stream:
                pass

    return Work(lambda: asyncio.run(run()))


def langchain_floor(tokens: int) -> Work:
    """What streaming costs LangChain itself."""
    model = ReadyChunks(tokens=tokens)
    return Work(lambda: list(model.stream(_QUESTION)), model.prepare)


def langchain_stream(tokens: int) -> Work:
    """`ChatHuggingChat.stream`, with LangChain's part and the client's."""
    model = langchain_model(tokens)
    return Work(lambda: list(model.stream(_QUESTION)))


def langchain_invoke(tokens: int) -> Work:
    """`ChatHuggingChat.invoke`, likewise."""
    model = langchain_model(tokens)
    return Work(lambda: model.invoke(_QUESTION))


def langchain_model(tokens: int) -> ChatHuggingChat:
    """A chat model whose answers come out of memory."""
    client = MemoryClient(answer_chunks(tokens, lines_a_chunk=_MANY_LINES))
    return ChatHuggingChat(client=client, model=MODEL)


def llama_index_floor(tokens: int) -> Work:
    """What streaming costs LlamaIndex itself."""
    llm = ReadyResponses(tokens)
    return Work(lambda: list(llm.stream_chat([LlamaIndexMessage(_QUESTION)])))


def llama_index_stream(tokens: int) -> Work:
    """`HuggingChatLLM.stream_chat`, with LlamaIndex's part and the client's."""
    llm = llama_index_model(tokens)
    return Work(lambda: list(llm.stream_chat([LlamaIndexMessage(_QUESTION)])))


def llama_index_chat(tokens: int) -> Work:
    """`HuggingChatLLM.chat`, likewise."""
    llm = llama_index_model(tokens)
    return Work(lambda: llm.chat([LlamaIndexMessage(_QUESTION)]))


def llama_index_model(tokens: int) -> HuggingChatLLM:
    """An LLM whose answers come out of memory."""
    client = MemoryClient(answer_chunks(tokens, lines_a_chunk=_MANY_LINES))
    return HuggingChatLLM(MODEL, client=client)


@pytest.mark.parametrize(
    ("work", "most"),
    [
        pytest.param(partial(decode, lines=1), 126, id="decoder, line by line"),
        pytest.param(decode, 51, id="decoder, many lines at a time"),
        pytest.param(partial(read, lines=1), 421, id="client, line by line"),
        pytest.param(read, 133, id="client, many lines at a time"),
        pytest.param(partial(read_async, lines=1), 431, id="async client, line by line"),
        pytest.param(read_async, 140, id="async client, many lines at a time"),
    ],
)
def test_a_token_costs_the_client_no_more_than_it_did(
    work: Callable[[int], Work], most: float
) -> None:
    """Bytes become events for as many instructions as before."""
    assert a_token(work) <= most * SLACK


@pytest.mark.parametrize(
    ("work", "floors", "most"),
    [
        pytest.param(langchain_stream, [read, langchain_floor], 243, id="LangChain, stream"),
        pytest.param(langchain_invoke, [read], 39, id="LangChain, invoke"),
        pytest.param(llama_index_stream, [read, llama_index_floor], 375, id="LlamaIndex, stream"),
        pytest.param(llama_index_chat, [read], 59, id="LlamaIndex, chat"),
    ],
)
def test_a_token_costs_the_wrappers_no_more_than_it_did(
    work: Callable[[int], Work], floors: list[Callable[[int], Work]], most: float
) -> None:
    """Beyond the client's and the framework's part, wrappers take as much as before."""
    assert a_token(work) - sum(map(a_token, floors)) <= most * SLACK


def test_planning_grows_with_the_history_alone() -> None:
    """Ten times the messages take ten times the instructions, not a hundred times."""

    def plan(messages: int) -> Work:
        history = History()
        turns = [ChatMessage("user", f"message {number}") for number in range(messages)]
        return Work(lambda: history.release(history.plan(MODEL, turns)))

    assert plan(1_000).count() <= LINEAR * plan(100).count()


def test_an_index_of_many_conversations_costs_no_more_to_look_into() -> None:
    """A history is found among ten thousand as fast as among ten."""

    def look_up(conversations: int) -> Work:
        history = History(max_entries=conversations)
        for number in range(conversations):
            plan = history.plan(MODEL, [ChatMessage("user", f"question {number}")])
            history.done(plan, f"c{number}", Answer(text="answer", message_id=f"m{number}"))
        turns = [
            ChatMessage("user", "question 3"),
            ChatMessage("assistant", "answer"),
            ChatMessage("user", "and then?"),
        ]

        def run() -> None:
            plan = history.plan(MODEL, turns)
            assert plan.conversation_id == "c3"
            history.release(plan)

        return Work(run)

    assert look_up(10_000).count() <= CONSTANT * look_up(10).count()


def test_a_long_line_costs_what_its_length_costs() -> None:
    """A line of ten times the bytes, in as many more chunks, takes ten times the instructions."""

    def cut(line_bytes: int) -> Work:
        line = b"x" * line_bytes + b"\n"
        starts = range(0, len(line), _CHUNK_BYTES)
        chunks = [line[start : start + _CHUNK_BYTES] for start in starts]

        def run() -> None:
            lines = LineBuffer()
            assert [whole for chunk in chunks for whole in lines.feed(chunk)]

        return Work(run)

    assert cut(1_000_000).count() <= LINEAR * cut(100_000).count()
