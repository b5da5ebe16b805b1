"""`HuggingChatLLM` compared with LlamaIndex's own part of the work, and with `OpenAILike`.

All get the same tokens, as fast as they take them: one line a chunk in chat-ui's protocol, one
server-sent event a chunk in OpenAI's.
"""

from __future__ import annotations

import gc
from contextlib import ExitStack

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.llms.llm import LLM
from llama_index.llms.openai_like import OpenAILike

from benchmarks.measuring import StandingLoop, Subject
from benchmarks.report import Bars, Table
from benchmarks.servers import FLOOD_MODEL, Writing, canned_server
from benchmarks.settings import Settings
from benchmarks.ways import Ways, verdict, verdict_on_speed
from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index_floor import MadeResponses, ReadyResponses

_READY = "floor: responses that are ready"
_MADE = "floor: responses made one by one"
_OURS = "HuggingChatLLM"
_OPENAI = "OpenAILike"


def measure(settings: Settings) -> Table:
    """Measure streaming and whole answers, sync and async."""
    writing = Writing(settings.pick(3_000, 500))
    with ExitStack() as stack:
        url = stack.enter_context(canned_server(writing))
        subjects = _subjects(stack, url, writing)
        ways = Ways.measure(
            subjects, settings, name="llama_index", before=gc.collect, units=writing.tokens
        )
        notes = _verdicts(ways)
        if settings.profile:
            notes += ways.shares(_OURS, gc.collect)
    return Table(
        name="llama_index",
        title="LlamaIndex: µs of CPU a token",
        compares=(
            "HuggingChatLLM compared with a CustomLLM that only yields prepared responses"
            " (what LlamaIndex itself costs), one that creates its responses, and OpenAILike"
            " with the same tokens. HuggingChat always streams; OpenAILike.chat gets one"
            " JSON document."
        ),
        aim=(
            "stream_chat within 1.4 times the floor that creates its responses, and more"
            " than four times as fast as OpenAILike; chat at least fifteen times as fast as"
            " OpenAILike streams."
        ),
        columns=("Way", "Model", "µs a token", "of ready", "of made", "of OpenAILike"),
        rows=ways.rows(_READY, _MADE, _OPENAI),
        notes=tuple(notes),
        chart=Bars("µs a token", "Model", "µs of CPU a token", panel="Way", ours=(_OURS,)),
        packages=("llama-index-core", "llama-index-llms-openai-like", "openai", "curl_cffi"),
    )


def _verdicts(ways: Ways) -> list[str]:
    notes = []
    for whole, way in (("chat", "stream_chat"), ("achat", "astream_chat")):
        ours, openai = (way, _OURS), (way, _OPENAI)
        notes += [
            verdict(
                f"{way}, of the floor that makes responses", ways.times(ours, (way, _MADE)), 1.4
            ),
            verdict_on_speed(f"{way}, than OpenAILike", ways.times(ours, openai), 4),
            verdict_on_speed(
                f"{whole}, than OpenAILike's {way}", ways.times((whole, _OURS), openai), 15
            ),
        ]
    return notes


def _subjects(stack: ExitStack, url: str, writing: Writing) -> dict[str, dict[str, Subject]]:
    messages = [ChatMessage(role=MessageRole.USER, content=f"flood {writing.tokens}")]
    loop = stack.enter_context(StandingLoop())
    ours = HuggingChatLLM(FLOOD_MODEL, base_url=url)
    openai = OpenAILike(model=FLOOD_MODEL, api_base=f"{url}/v1", api_key="none", is_chat_model=True)

    def streamed(model: LLM) -> Subject:
        return lambda: sum(1 for response in model.stream_chat(messages) if response.delta)

    def astreamed(model: LLM) -> Subject:
        async def run() -> int:
            responses = await model.astream_chat(messages)
            return sum([1 async for response in responses if response.delta])

        return loop.subject(run)

    def chatted(model: LLM) -> Subject:
        return lambda: (model.chat(messages).message.content or "").count(" ")

    def achatted(model: LLM) -> Subject:
        async def run() -> int:
            return ((await model.achat(messages)).message.content or "").count(" ")

        return loop.subject(run)

    streaming: dict[str, LLM] = {
        _READY: ReadyResponses(writing.tokens),
        _MADE: MadeResponses(writing.tokens),
        _OURS: ours,
        _OPENAI: openai,
    }
    whole: dict[str, LLM] = {_OURS: ours, _OPENAI: openai}
    return {
        "stream_chat": {name: streamed(model) for name, model in streaming.items()},
        "astream_chat": {name: astreamed(model) for name, model in streaming.items()},
        "chat": {name: chatted(model) for name, model in whole.items()},
        "achat": {name: achatted(model) for name, model in whole.items()},
    }
