"""`ChatHuggingChat` compared with LangChain's own part of the work, and with `ChatOpenAI`.

All get the same tokens, as fast as they take them: one line a chunk in chat-ui's protocol, one
server-sent event a chunk in OpenAI's.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from benchmarks.measuring import StandingLoop, Subject
from benchmarks.report import Bars, Table
from benchmarks.servers import FLOOD_MODEL, Writing, canned_server
from benchmarks.settings import Settings
from benchmarks.ways import Ways, verdict, verdict_on_speed
from hfchat_base import AsyncHuggingChat, HuggingChat, TextDelta
from langchain_huggingchat import ChatHuggingChat
from tests.support.langchain_floor import MadeChunks, ReadyChunks, new_chunk

_READY = "floor: chunks that are ready"
_MADE = "floor: chunks made one by one"
_WRAPPED = "least wrapper over the base client"
_BASE = "base client alone"
_OURS = "ChatHuggingChat"
_OPENAI = "ChatOpenAI"
_OPENAI_STREAMING = "ChatOpenAI, streaming=True"


class _Wrapped(MadeChunks):
    """Makes a chunk of each piece of text of the base client, and knows nothing else."""

    _sync: HuggingChat = PrivateAttr()
    _async: AsyncHuggingChat = PrivateAttr()

    def __init__(self, client: HuggingChat, async_client: AsyncHuggingChat) -> None:
        super().__init__(tokens=0)
        self._sync, self._async = client, async_client

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        with self._sync.stream_chat(messages[0].text) as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    yield new_chunk(event.text)

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with self._async.stream_chat(messages[0].text) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    yield new_chunk(event.text)


def measure(settings: Settings) -> Table:
    """Measure streaming and whole answers, sync and async."""
    writing = Writing(settings.pick(4_000, 500))
    with ExitStack() as stack:
        url = stack.enter_context(canned_server(writing))
        ready = ReadyChunks(tokens=writing.tokens)

        def before() -> None:
            ready.prepare()
            gc.collect()

        subjects = _subjects(stack, url, writing, ready)
        ways = Ways.measure(
            subjects, settings, name="langchain", before=before, units=writing.tokens
        )
        notes = _verdicts(ways)
        if settings.profile:
            notes += ways.shares(_OURS, before)
    return Table(
        name="langchain",
        title="LangChain: µs of CPU a token",
        compares=(
            "ChatHuggingChat compared with a BaseChatModel that only yields prepared chunks"
            " (what LangChain itself costs), one that creates its chunks, the smallest"
            " possible wrapper around the base client, and ChatOpenAI with the same tokens."
            " HuggingChat always streams; ChatOpenAI's invoke gets one JSON document unless"
            " it has streaming=True."
        ),
        aim=(
            "stream within 1.4 times the floor with prepared chunks, and more than four"
            " times as fast as ChatOpenAI; invoke at least fifteen times as fast as"
            " ChatOpenAI streams."
        ),
        columns=("Way", "Model", "µs a token", "of ready", "of made", "of ChatOpenAI"),
        rows=ways.rows(_READY, _MADE, _OPENAI),
        notes=tuple(notes),
        chart=Bars("µs a token", "Model", "µs of CPU a token", panel="Way", ours=(_OURS,)),
        packages=("langchain-core", "langchain-openai", "openai", "curl_cffi"),
    )


def _verdicts(ways: Ways) -> list[str]:
    notes = []
    for way in ("stream", "astream"):
        ours = (way, _OURS)
        notes += [
            verdict(f"{way}, of the floor that is ready", ways.times(ours, (way, _READY)), 1.4),
            verdict(f"{way}, of the floor that makes chunks", ways.times(ours, (way, _MADE)), 1.4),
            verdict_on_speed(f"{way}, than ChatOpenAI", ways.times(ours, (way, _OPENAI)), 4),
        ]
    for way, streaming in (("invoke", "stream"), ("ainvoke", "astream")):
        times = ways.times((way, _OURS), (streaming, _OPENAI))
        notes.append(verdict_on_speed(f"{way}, than ChatOpenAI's {streaming}", times, 15))
    return notes


def _subjects(
    stack: ExitStack, url: str, writing: Writing, ready: ReadyChunks
) -> dict[str, dict[str, Subject]]:
    question = f"flood {writing.tokens}"
    loop = stack.enter_context(StandingLoop())
    client = stack.enter_context(HuggingChat(url, model=FLOOD_MODEL))
    async_client = client.to_async()
    ours = ChatHuggingChat(base_url=url, model=FLOOD_MODEL)
    openai, streaming = _open_ai(url), _open_ai(url, streaming=True)
    wrapped = _Wrapped(client, async_client)
    stack.callback(ours.close)
    stack.callback(lambda: loop.run(async_client.close()))
    stack.callback(lambda: loop.run(ours.aclose()))

    def streamed(model: BaseChatModel) -> Subject:
        return lambda: sum(1 for chunk in model.stream(question) if chunk.content)

    def astreamed(model: BaseChatModel) -> Subject:
        async def run() -> int:
            return sum([1 async for chunk in model.astream(question) if chunk.content])

        return loop.subject(run)

    def invoked(model: BaseChatModel) -> Subject:
        return lambda: model.invoke(question).text.count(" ")

    def ainvoked(model: BaseChatModel) -> Subject:
        async def run() -> int:
            return (await model.ainvoke(question)).text.count(" ")

        return loop.subject(run)

    def base() -> int:
        with client.stream_chat(question) as stream:
            return sum(isinstance(event, TextDelta) for event in stream)

    async def abase() -> int:
        async with async_client.stream_chat(question) as stream:
            return sum([isinstance(event, TextDelta) async for event in stream])

    made = MadeChunks(tokens=writing.tokens)
    stream_models = {_READY: ready, _MADE: made, _WRAPPED: wrapped, _OURS: ours, _OPENAI: openai}
    invoke_models = {_OURS: ours, _OPENAI: openai, _OPENAI_STREAMING: streaming}
    return {
        "stream": {_BASE: base, **{name: streamed(m) for name, m in stream_models.items()}},
        "astream": {
            _BASE: loop.subject(abase),
            **{name: astreamed(m) for name, m in stream_models.items()},
        },
        "invoke": {name: invoked(m) for name, m in invoke_models.items()},
        "ainvoke": {name: ainvoked(m) for name, m in invoke_models.items()},
    }


def _open_ai(url: str, **settings: Any) -> ChatOpenAI:
    key = SecretStr("none")
    return ChatOpenAI(base_url=f"{url}/v1", model=FLOOD_MODEL, api_key=key, **settings)
