"""Scripted models and tool servers: they do the same every time, for tests and demonstrations.

`default_models` and `scripted_tool_servers` list them. Those that appear in the recordings answer
exactly as recorded.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hfchat_base.local.backends import (
    ChatRequest,
    Finish,
    FunctionBackend,
    OutputFile,
    Piece,
    Reasoning,
    Routed,
    Text,
    ToolCall,
    UpstreamError,
    words,
)
from hfchat_base.local.local_model import Generation, LocalModel
from hfchat_base.local.tool_servers import ElicitationField, LocalTool, ToolContext, ToolServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

DRIP_SECONDS: Final = 0.15
"""Seconds between two tokens of ``slow/drip`` (R: ``stop_generating``)."""

_DRIP_TOKENS = 40
_FLOOD_TOKENS = 2000
_FLOOD_BURST = 64
_SCRIPT = re.compile(r"SCRIPT:\s*(\[.*\])", re.DOTALL)


def default_models(
    generation: Generation = "current",
    *,
    extra: bool = True,
    token_delay: float | None = None,
) -> list[LocalModel]:
    """List the scripted models.

    * ``echo/base`` repeats the message. ``echo/vision`` also lists the images that it gets.
    * ``think/reasoner`` sends its reasoning separately, ``think/tags`` in ``<think>`` tags;
      ``think/effort`` is marked as one that can reason.
    * ``tools/agent`` calls the first tool with ``{"query": <the last user text>}``, then repeats
      the output of the tool.
    * ``slow/drip`` sends ``tok0`` to ``tok39``, slowly. ``long/flood`` sends ``tok0`` … as fast as
      it can, as many as the message asks for ("flood 10000").
    * ``script/agent`` answers word for word from a JSON list of replies after ``SCRIPT:`` in a
      message; the first answer after that message is the first reply, and the last one is
      repeated. Without a script it echoes.
    * ``broken/…`` fail: ``http500`` and ``http429`` before the first token, ``empty`` sends
      nothing, ``midstream`` breaks off, ``filtered`` is stopped by a content filter.
    * ``image/painter`` makes a small picture. ``router/omni`` reports which model it chose.

    Args:
        generation: Which list; the legacy recordings have fewer models.
        extra: Whether to append the models that are in no recording.
        token_delay: Seconds between two tokens of ``slow/drip``; as recorded if None.

    Returns:
        The models, in the order of the recordings.
    """
    drip = DRIP_SECONDS if token_delay is None else token_delay
    models = {
        model.id: model
        for model in (
            _scripted("echo/base", _echo),
            replace(_scripted("echo/vision", _echo), multimodal=True),
            replace(_scripted("think/reasoner", _reason), legacy_reasoning=True),
            replace(_scripted("tools/agent", _agent), supports_tools=True),
            _scripted("slow/drip", _drip_every(drip)),
            _scripted("long/flood", _flood),
            _scripted("script/agent", _follow_script),
            _scripted("broken/http500", _fail_with(500, "500 upstream exploded")),
            _scripted("broken/http429", _fail_with(429, "429 slow down")),
            _scripted("broken/empty", _empty),
            _scripted("broken/midstream", _stop_midstream),
        )
    }
    absent = (
        {"long/flood", "script/agent", "broken/http429", "broken/midstream"}
        if generation == "legacy"
        else set()
    )
    listed = [model for model in models.values() if model.id not in absent]
    if not extra:
        return listed
    return [
        *listed,
        *(models[model_id] for model_id in models if model_id in absent),
        replace(_scripted("think/tags", _reason_in_tags), legacy_reasoning=True),
        _scripted("broken/filtered", _filtered),
        _scripted("image/painter", _paint),
        replace(_scripted("router/omni", _route), is_router=True),
        replace(_scripted("think/effort", _reason), supports_reasoning=True),
    ]


def _scripted(model_id: str, function: Callable[[ChatRequest], Any]) -> LocalModel:
    return LocalModel(model_id, FunctionBackend(function), title=_recorded_title)


def _recorded_title(prompt: str, generation: Generation) -> str:
    return "Test title" if generation == "current" else f"💬 You said: {prompt}"


def _images(request: ChatRequest) -> list[tuple[str, int]]:
    """List media type and size in bytes of all images in the request."""
    found = []
    for message in request.messages:
        parts = message["content"] if isinstance(message["content"], list) else []
        for part in parts:
            if part["type"] == "image_url":
                head, _, data = part["image_url"]["url"].partition(",")
                mime = head.removeprefix("data:").removesuffix(";base64")
                found.append((mime, len(base64.b64decode(data))))
    return found


async def _echo(request: ChatRequest) -> str:
    images = _images(request)
    prefix = f"I see {images}. " if images else ""
    return f"{prefix}You said: {request.last_user_text}"


async def _reason(request: ChatRequest) -> AsyncIterator[Piece]:
    for word in words(f"Let me think about it. The user wrote: {request.last_user_text} "):
        yield Reasoning(word)
    for word in words("After thinking, the answer is 42."):
        yield Text(word)


async def _reason_in_tags(request: ChatRequest) -> AsyncIterator[str]:
    yield "<think>"
    for word in words(f"Let me see. The user wrote: {request.last_user_text} "):
        yield word
    yield "</think>"
    for word in words("After thinking, the answer is 42."):
        yield word


async def _agent(request: ChatRequest) -> AsyncIterator[Piece]:
    last = request.messages[-1]
    if last["role"] != "tool" and request.tools:
        for word in words("Let me check. "):
            yield Text(word)
        yield ToolCall(
            name=request.tools[0]["function"]["name"],
            arguments=json.dumps({"query": request.last_user_text}, ensure_ascii=False),
            id=f"call_{secrets.token_hex(4)}",
        )
        return
    output = last["content"] if last["role"] == "tool" else "nothing offered"
    for word in words(f"The tool said: {output}"):
        yield Text(word)


def _drip_every(seconds: float) -> Callable[[ChatRequest], AsyncIterator[str]]:
    async def drip(_request: ChatRequest) -> AsyncIterator[str]:
        for number in range(_DRIP_TOKENS):
            yield f"tok{number} "
            await asyncio.sleep(seconds)

    return drip


async def _flood(request: ChatRequest) -> AsyncIterator[str]:
    wanted = re.search(r"\d+", request.last_user_text)
    for number in range(int(wanted[0]) if wanted else _FLOOD_TOKENS):
        yield f"tok{number} "
        if number % _FLOOD_BURST == 0:
            await asyncio.sleep(0)


async def _follow_script(request: ChatRequest) -> str:
    answered = 0
    for message in reversed(request.messages):
        if message["role"] == "assistant":
            answered += 1
        script = _SCRIPT.search(str(message["content"])) if message["role"] == "user" else None
        if script:
            replies = json.loads(script[1])
            return str(replies[min(answered, len(replies) - 1)])
    return await _echo(request)


def _fail_with(status: int, message: str) -> Callable[[ChatRequest], str]:
    def fail(_request: ChatRequest) -> str:
        raise UpstreamError(message, status=status)

    return fail


def _empty(_request: ChatRequest) -> str:
    return ""


def _stop_midstream(_request: ChatRequest) -> Iterator[str]:
    yield from words("This answer will be cut off ")
    raise UpstreamError("terminated")


async def _filtered(_request: ChatRequest) -> AsyncIterator[Piece]:
    for word in words("This answer meets a "):
        yield Text(word)
    yield Finish("content_filter")


async def _paint(request: ChatRequest) -> AsyncIterator[Piece]:
    yield OutputFile("picture.png", "image/png", _png(request.last_user_text))
    for word in words("Here is your picture."):
        yield Text(word)


async def _route(request: ChatRequest) -> AsyncIterator[Piece]:
    yield Routed(route="casual_conversation", model="echo/base", provider="local")
    for word in words(await _echo(request)):
        yield Text(word)


def _png(text: str) -> bytes:
    """Draw an 8 by 8 PNG in a colour that depends on the text."""
    colour = zlib.crc32(text.encode("utf-8", "surrogatepass")).to_bytes(4, "big")[:3]
    rows = (b"\0" + colour * 8) * 8
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


WEB_SEARCH_SERVER: Final = "Web Search (Exa)"
"""The MCP server that HuggingChat searches the web with (S)."""

_STEPS: Final = 3
_STEP_SECONDS: Final = 0.01

SEARCH_RESULTS: Final = (
    ("https://example.com/first", "The first result", "The first result says that it is so."),
    ("https://example.org/second", "The second result", "The second result says why it is so."),
    ("https://example.net/third", "The third result", "The third result has its doubts."),
)
"""The results of every web search: link, title and text."""


def scripted_tool_servers() -> list[ToolServer]:
    """List the tool servers of the recordings, and the web search.

    * ``http://127.0.0.1:9200/mcp``: ``magic_number`` reports progress and returns 42.
    * ``http://127.0.0.1:9201/mcp``: ``book_table`` asks the user for a day.
    * ``http://127.0.0.1:9202/mcp``: ``always_fails`` fails.
    * the web search, one of the server's own, finds `SEARCH_RESULTS`.
    """
    return [
        ToolServer("local", "http://127.0.0.1:9200/mcp", [LocalTool("magic_number", _magic)]),
        ToolServer("asking", "http://127.0.0.1:9201/mcp", [LocalTool("book_table", _book)]),
        ToolServer("failing", "http://127.0.0.1:9202/mcp", [LocalTool("always_fails", _fail)]),
        ToolServer(
            WEB_SEARCH_SERVER,
            "https://mcp.exa.ai/mcp",
            [LocalTool("web_search_exa", _search, "Searches the web.")],
            base=True,
        ),
    ]


async def _magic(query: str, ctx: ToolContext) -> str:
    for step in range(1, _STEPS + 1):
        await ctx.progress(step, _STEPS, f"step {step}")
        await asyncio.sleep(_STEP_SECONDS)
    return f"42 for {query}"


async def _book(query: str, ctx: ToolContext) -> str:  # noqa: ARG001 - the model passes it
    answer = await ctx.elicit(
        "Which day?",
        [
            ElicitationField(
                "string", "date", "Date", description="The day, YYYY-MM-DD", required=True
            ),
            ElicitationField(
                "number", "people", "People", integer=True, minimum=1, maximum=20, default=2
            ),
        ],
    )
    if answer.action != "accept":
        return f"not booked ({answer.action})"
    return f"booked for {answer.content.get('people', 2)} on {answer.content['date']}"


def _fail(query: str) -> str:  # noqa: ARG001 - the model passes it
    raise RuntimeError("tool exploded")


def _search(query: str) -> str:
    return "\n\n".join(
        f"Title: {title}\nURL: {link}\nText: {text} You searched for {query}."
        for link, title, text in SEARCH_RESULTS
    )
