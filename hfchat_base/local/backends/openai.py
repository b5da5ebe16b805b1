"""A real model behind any OpenAI-compatible URL: Ollama, llama.cpp, vLLM, or a provider.

Not here: how the pieces become tokens of a run (`hfchat_base/local/generation/answer.py`).
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import httpx

from hfchat_base.local.backends.base import (
    ChatRequest,
    Finish,
    Piece,
    Reasoning,
    Text,
    ToolCall,
    UpstreamError,
)
from hfchat_base.local.models import LocalModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["OpenAIBackend", "openai_models"]

_CONNECT_SECONDS = 10.0
_REASONING_KEYS = ("reasoning", "reasoning_content", "reasoning_text")
_DATA = b"data:"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares reading the certificates, which takes longer than a small model's first token."""


class OpenAIBackend:
    """Streams from an OpenAI-compatible endpoint.

    Args:
        base_url: URL up to and with the version, such as ``http://127.0.0.1:11434/v1``.
        model: The model's name there.
        api_key: Key to send, or None.
        extra_body: What else to put into each request, over what this class puts there.
        trust_env: Whether to go through the proxies that the environment names.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        extra_body: JsonObject | None = None,
        trust_env: bool = True,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        # Some servers close a connection after a stream without a word, so that a request which
        # reused it would fail.
        self._headers = {**_authorization(api_key), "connection": "close"}
        self._extra_body = extra_body or {}
        self._trust_env = trust_env

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Ask the endpoint, and pass its pieces on.

        Args:
            request: What is asked.

        Yields:
            Text, reasoning, whole tool calls, and why it stopped.

        Raises:
            UpstreamError: The endpoint refused, broke off, or cannot be reached.
        """
        body: JsonObject = {"model": self._model, "messages": request.messages, "stream": True}
        if request.tools:
            body |= {"tools": request.tools, "tool_choice": "auto"}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        body |= self._extra_body
        calls: dict[int, dict[str, str]] = {}
        try:
            async with (
                httpx.AsyncClient(
                    timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                    trust_env=self._trust_env,
                    verify=self._url.startswith("https:") or _NO_TLS,
                ) as client,
                client.stream("POST", self._url, json=body, headers=self._headers) as response,
            ):
                if response.is_error:
                    reason = _reason(await response.aread())
                    code = response.status_code
                    raise UpstreamError(f"{code} {reason}", status=code)
                async for line in _lines(response):
                    for piece in _pieces(line, calls):
                        yield piece
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UpstreamError(f"the endpoint does not answer: {reason}") from error
        for call in calls.values():
            yield ToolCall(**call)


def openai_models(
    base_url: str, api_key: str | None = None, *, supports_tools: bool = False
) -> list[LocalModel]:
    """Make a local model of everything that an OpenAI-compatible endpoint lists.

    Args:
        base_url: URL up to and with the version, such as ``http://127.0.0.1:11434/v1``.
        api_key: Key to send, or None.
        supports_tools: Whether to offer tools to the models; the list does not tell.

    Returns:
        The models, in the order of the list.

    Raises:
        httpx.HTTPError: The list cannot be had.
    """
    response = httpx.get(
        f"{base_url.rstrip('/')}/models",
        headers=_authorization(api_key),
        timeout=_CONNECT_SECONDS,
    )
    response.raise_for_status()
    return [
        LocalModel(
            entry["id"],
            OpenAIBackend(base_url, entry["id"], api_key),
            supports_tools=supports_tools,
        )
        for entry in response.json()["data"]
    ]


def _authorization(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _reason(body: bytes) -> str:
    """Find the words in an error's body, whatever its form."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Split at line feeds only; httpx would split at U+2028 within an answer as well."""
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


def _pieces(line: bytes, calls: dict[int, dict[str, str]]) -> list[Piece]:
    """Read one line of the event stream; parts of tool calls are gathered in ``calls``."""
    data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else b""
    if not data or data == b"[DONE]":
        return []
    event = json.loads(data)
    if "error" in event:
        raise UpstreamError(_reason(data))
    choice: dict[str, Any] = (event.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    thought = next((delta[key] for key in _REASONING_KEYS if delta.get(key)), None)
    pieces: list[Piece] = [Reasoning(thought)] if thought else []
    if delta.get("content"):
        pieces.append(Text(delta["content"]))
    for part in delta.get("tool_calls") or []:
        _gather(part, calls)
    if choice.get("finish_reason") in ("stop", "length", "content_filter"):
        pieces.append(Finish(choice["finish_reason"]))
    return pieces


def _gather(part: JsonObject, calls: dict[int, dict[str, str]]) -> None:
    call = calls.setdefault(part.get("index", 0), {"name": "", "arguments": "", "id": ""})
    function = part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["name"] = function.get("name") or call["name"]
    call["arguments"] += function.get("arguments") or ""
