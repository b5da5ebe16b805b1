"""What a model behind the local server is: something that streams pieces for a chat request.

Here: the request, the pieces, the protocol, and the error an upstream model fails with. Not here:
any particular model (the sibling modules) and how a conversation becomes a request
(`hfchat_base/local/generation/prompt.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.encoding.values import JsonObject

__all__ = [
    "ChatRequest",
    "Finish",
    "ModelBackend",
    "OutputFile",
    "Piece",
    "Reasoning",
    "Routed",
    "Text",
    "ToolCall",
    "UpstreamError",
]


@dataclass(frozen=True)
class ChatRequest:
    """What the server asks of the model, in the terms of OpenAI's chat completions.

    Attributes:
        model: The model's id.
        messages: Chat messages, each with ``role`` and ``content``; the content is a text or a
            list of parts, images being ``image_url`` parts with data URLs.
        tools: Function tools on offer, in OpenAI's form.
        temperature: Sampling temperature, or None for the model's own.
    """

    model: str
    messages: list[JsonObject]
    tools: list[JsonObject] = field(default_factory=list)
    temperature: float | None = None

    @property
    def last_user_text(self) -> str:
        """The text of the last user message, without its images."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                content = message["content"]
                if isinstance(content, str):
                    return content
                return "".join(part["text"] for part in content if part["type"] == "text")
        return ""


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of what the model thinks, sent apart from the answer (``reasoning_content``)."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call of one of the tools on offer.

    Attributes:
        name: The tool's name.
        arguments: JSON text of an object.
        id: The model's name for this call.
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
    """A router tells which model it picked.

    Attributes:
        route: The name of the route.
        model: The id of the model behind it.
        provider: Who serves it, or None.
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
    """The model failed. The server passes the message on, inside its 200.

    Attributes:
        status: HTTP status of the model's endpoint, or None if there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ModelBackend(Protocol):
    """Anything that answers a chat request piece by piece."""

    def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Answer a request.

        Args:
            request: What is asked.

        Returns:
            The pieces, as they come. It may raise `UpstreamError` at any point, and it is closed
            early when the answer is stopped.
        """
        ...
