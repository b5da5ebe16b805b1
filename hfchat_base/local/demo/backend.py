"""How the demo's engine is asked. Not here: what it is asked by default (`model.py`).

It is an OpenAI-compatible endpoint, yet with needs of its own: see `DemoBackend`.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx

from hfchat_base.local.backends.base import (
    ChatRequest,
    Finish,
    Piece,
    Reasoning,
    Text,
    UpstreamError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.demo.engine import DemoEngine
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["DemoBackend"]

_CONNECT_SECONDS: Final = 10.0
_DATA: Final = b"data:"
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares reading the certificates, which takes longer than the first token."""


class DemoBackend:
    """Streams from the engine.

    Unlike `OpenAIBackend` it asks the engine to report on its reading of the prompt: without, the
    engine does not notice during all of that time (17 s for 3000 tokens) that nobody waits for the
    answer any more. It never goes through a proxy. And each request has a connection of its own:
    the engine closes one after a stream without a word, so that one in four requests that reused it
    would fail.

    Args:
        engine: The engine, which must be running. It is kept alive by this object.
        system_prompt: System message for conversations that have none; if None, the model's own
            template decides.
        max_tokens: Where answers are cut off; small models like to go round in circles.
    """

    def __init__(self, engine: DemoEngine, *, system_prompt: str | None, max_tokens: int) -> None:
        self._engine = engine
        self._system_prompt = system_prompt
        self._max_tokens = max_tokens

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Ask the engine, and pass its pieces on.

        Args:
            request: What is asked. Tools are not offered to the model.

        Yields:
            Text, reasoning, and why it stopped.

        Raises:
            UpstreamError: The engine refused, or has ended.
        """
        try:
            async with (
                httpx.AsyncClient(
                    trust_env=False,
                    verify=_NO_TLS,
                    timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                ) as client,
                client.stream(
                    "POST",
                    f"{self._engine.base_url}/chat/completions",
                    json=self._body(request),
                    headers={
                        "authorization": f"Bearer {self._engine.api_key}",
                        "connection": "close",
                    },
                ) as response,
            ):
                if response.is_error:
                    raise _refusal(await response.aread(), response.status_code)
                async for line in _lines(response):
                    for piece in _pieces(line):
                        yield piece
        except (httpx.HTTPError, RuntimeError) as error:
            raise UpstreamError(f"the demo engine does not answer: {error}") from error

    def _body(self, request: ChatRequest) -> JsonObject:
        messages = request.messages
        has_own = bool(messages) and messages[0]["role"] == "system"
        if self._system_prompt is not None and not has_own:
            messages = [{"role": "system", "content": self._system_prompt}, *messages]
        return {
            "messages": messages,
            "temperature": 0 if request.temperature is None else request.temperature,
            "max_tokens": self._max_tokens,
            "stream": True,
            "return_progress": True,
        }


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Split at line feeds only; httpx would split at U+2028 within an answer as well."""
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


def _pieces(line: bytes) -> list[Piece]:
    """Read one line of the event stream; reports and pings hold no piece."""
    data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else b""
    if not data or data == b"[DONE]":
        return []
    event = json.loads(data)
    if "error" in event:
        raise _refusal(data, None)
    choice: dict[str, Any] = (event.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    pieces: list[Piece] = []
    if delta.get("reasoning_content"):
        pieces.append(Reasoning(delta["reasoning_content"]))
    if delta.get("content"):
        pieces.append(Text(delta["content"]))
    if choice.get("finish_reason") in ("stop", "length"):
        pieces.append(Finish(choice["finish_reason"]))
    return pieces


def _refusal(body: bytes, status: int | None) -> UpstreamError:
    try:
        reason = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = body.decode("utf-8", "replace")
    return UpstreamError(reason, status=status)
