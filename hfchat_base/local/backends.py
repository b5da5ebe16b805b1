"""The backends of models: a backend streams pieces of an answer for a chat request.

Here: the request, the pieces, `ModelBackend` (the protocol), `FunctionBackend` and `OpenAIBackend`.
Not here: how a conversation becomes a request (`model_input.py`), and the scripted models
(`scripted.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import httpx
from starlette.concurrency import iterate_in_threadpool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.wire import JsonObject


__all__ = [
    "ChatRequest",
    "Finish",
    "FunctionBackend",
    "ModelBackend",
    "OpenAIBackend",
    "OutputFile",
    "Piece",
    "Reasoning",
    "Routed",
    "Text",
    "ToolCall",
    "UpstreamError",
]

_INSTRUCTIONS = re.compile(
    r"\A(?:# Tools\n|Answer with one JSON object ).*?\n\nMy query:\n\n", re.DOTALL
)
"""What `hfchat_base.tools` writes before the user's first words."""


@dataclass(frozen=True)
class ChatRequest:
    """A request to a model, in the terms of OpenAI's chat completions.

    Attributes:
        model: The model's id.
        messages: Chat messages, each with ``role`` and ``content``; the content is a text or a
            list of parts, images being ``image_url`` parts with data URLs.
        tools: Function tools that it may call, in OpenAI's form.
        temperature: Sampling temperature, or None for the model's own.
        reasoning_effort: How long it may think (``low``, ``medium`` or ``high``), or None for the
            model's own.
    """

    model: str
    messages: list[JsonObject]
    tools: list[JsonObject] = field(default_factory=list)
    temperature: float | None = None
    reasoning_effort: str | None = None

    @property
    def last_user_text(self) -> str:
        """The text of the last user message, without its images.

        Nor does it hold the instructions about tools and JSON that the wrappers and the OpenAI
        endpoint put before the user's first words; `messages` does.
        """
        for message in reversed(self.messages):
            if message["role"] == "user":
                content = message["content"]
                if not isinstance(content, str):
                    content = "".join(part["text"] for part in content if part["type"] == "text")
                return _INSTRUCTIONS.sub("", content)
        return ""


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's reasoning, separate from the answer (``reasoning_content``)."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call of one of the request's tools.

    Attributes:
        name: The tool's name.
        arguments: JSON text of an object.
        id: The model's id of this call.
    """

    name: str
    arguments: str
    id: str


@dataclass(frozen=True)
class Finish:
    """Why the model stopped; a stream that just ends counts as ``stop``."""

    reason: Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Routed:
    """The choice of a router.

    Attributes:
        route: The name of the route.
        model: The id of the model that it chose.
        provider: The provider of that model, or None.
    """

    route: str
    model: str
    provider: str | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file that the model made.

    Attributes:
        name: File name to show.
        mime: Media type.
        data: The bytes.
    """

    name: str
    mime: str
    data: bytes


Piece: TypeAlias = Text | Reasoning | ToolCall | Finish | Routed | OutputFile


class UpstreamError(Exception):
    """The model failed. The server reports it as an event of the stream.

    Attributes:
        status: HTTP status of the model's endpoint, or None.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ModelBackend(Protocol):
    """Anything that streams the answer to a chat request."""

    def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Answer a request.

        Returns:
            The pieces. The iterator may raise `UpstreamError` at any point, and is closed early
            when the answer is stopped.
        """
        ...


_PieceOrText: TypeAlias = str | Piece
_Reply: TypeAlias = str | Iterable[_PieceOrText] | AsyncIterable[_PieceOrText]
ReplyFunction: TypeAlias = Callable[[ChatRequest], _Reply | Awaitable[_Reply]]

_WORD = re.compile(r"\s+|\S+\s*")


def words(text: str) -> list[str]:
    """Split a text into words, each with the space after it."""
    return _WORD.findall(text)


class FunctionBackend:
    """Answers with whatever a function returns or yields.

    The function gets the `ChatRequest`. It returns a text, which is streamed word by word, or
    yields texts (or pieces such as `ToolCall`), and may be sync or async.

    Args:
        function: The function.

    Example:
        >>> backend = FunctionBackend(lambda request: request.last_user_text.upper())
    """

    def __init__(self, function: ReplyFunction) -> None:
        self._function = function

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Call the function and yield its pieces.

        Yields:
            The pieces.
        """
        reply: object
        function = self._function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            reply = function(request)
        else:
            reply = await asyncio.to_thread(function, request)
        if inspect.isawaitable(reply):
            reply = await reply
        if isinstance(reply, str):
            for word in words(reply):
                yield Text(word)
        elif isinstance(reply, AsyncIterable):
            async for piece in reply:
                yield Text(piece) if isinstance(piece, str) else piece
        elif isinstance(reply, Iterable):
            async for piece in iterate_in_threadpool(reply):
                yield Text(piece) if isinstance(piece, str) else piece
        else:
            raise TypeError(f"a model function must return or yield text, not {type(reply)}")


CONNECT_SECONDS = 10.0
_REASONING_KEYS = ("reasoning", "reasoning_content", "reasoning_text")
_DATA = b"data:"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Saves loading the certificates, which takes longer than a small model's first token."""


class OpenAIBackend:
    """Streams from an OpenAI-compatible endpoint.

    Args:
        base_url: URL up to and with the version, such as ``http://127.0.0.1:11434/v1``.
        model: The model's id there.
        api_key: Key to send, or None.
        extra_body: Further fields for each request; they override those of this class.
        trust_env: Whether to use the proxies that the environment names.
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
        # Some servers close a connection after a stream without notice. A request that reused it
        # would fail.
        self._headers = {**bearer_headers(api_key), "connection": "close"}
        self._extra_body = extra_body or {}
        self._trust_env = trust_env

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Send the request to the endpoint, and yield its pieces.

        Yields:
            Text, reasoning, whole tool calls, and why it stopped.

        Raises:
            UpstreamError: The endpoint rejects the request, breaks off, or cannot be reached.
        """
        body: JsonObject = {"model": self._model, "messages": request.messages, "stream": True}
        if request.tools:
            body |= {"tools": request.tools, "tool_choice": "auto"}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.reasoning_effort is not None:
            body["reasoning_effort"] = request.reasoning_effort
        body |= self._extra_body
        calls: dict[int, dict[str, str]] = {}
        try:
            async with (
                httpx.AsyncClient(
                    timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
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


def bearer_headers(api_key: str | None) -> dict[str, str]:
    """Return the headers that carry an API key; none without a key."""
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _reason(body: bytes) -> str:
    """Return the message in an error's body, whatever its form."""
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
    """Parse one line of the event stream; parts of tool calls are collected in ``calls``."""
    data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else b""
    if not data or data == b"[DONE]":
        return []
    event = json.loads(data)
    if "error" in event:
        raise UpstreamError(_reason(data))
    choice: dict[str, Any] = (event.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    reasoning = next((delta[key] for key in _REASONING_KEYS if delta.get(key)), None)
    pieces: list[Piece] = [Reasoning(reasoning)] if reasoning else []
    if delta.get("content"):
        pieces.append(Text(delta["content"]))
    for part in delta.get("tool_calls") or []:
        _collect(part, calls)
    if choice.get("finish_reason") in ("stop", "length", "content_filter"):
        pieces.append(Finish(choice["finish_reason"]))
    return pieces


def _collect(part: JsonObject, calls: dict[int, dict[str, str]]) -> None:
    call = calls.setdefault(part.get("index", 0), {"name": "", "arguments": "", "id": ""})
    function = part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["name"] = function.get("name") or call["name"]
    call["arguments"] += function.get("arguments") or ""
