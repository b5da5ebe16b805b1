"""Clients whose answers come out of memory: all of hfchat but the sockets.

They show what an answer costs beside the network, the same each time. That the real transports do
what these stand in for is shown over sockets, everywhere else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hfchat_base import AsyncHuggingChat, HuggingChat
from hfchat_base._flows.commands import Chunk, TimedOut
from hfchat_base._protocol.http import Request, Response
from hfchat_base._transport.aio import AsyncStream, AsyncTransport
from hfchat_base._transport.sync import SyncStream, SyncTransport
from hfchat_base.local.generation.wire import wire_line
from tests.support.flows import json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfchat_base._transport.curl import Connection
    from hfchat_base.types import Timeouts

MODEL = "echo/base"
_CONVERSATION = "0" * 24
_HEAD = Response(200, {"content-type": "application/jsonl"})
_STORED = {
    "messages": [{"id": "root", "from": "system", "content": "", "ancestors": [], "children": []}],
    "title": "",
    "model": MODEL,
    "preprompt": "",
    "rootMessageId": "root",
}


def answer_chunks(tokens: int, *, lines_a_chunk: int = 1) -> list[bytes]:
    """The bytes of an answer.

    Args:
        tokens: How many tokens it has, one a line.
        lines_a_chunk: How many lines arrive at a time.
    """
    words = [f"tok{number} " for number in range(tokens)]
    lines = [
        wire_line({"type": "status", "status": "started"}),
        *(wire_line({"type": "stream", "token": word}) for word in words),
        wire_line({"type": "finalAnswer", "text": "".join(words), "interrupted": False}),
        wire_line({"type": "status", "status": "finished"}),
    ]
    starts = range(0, len(lines), lines_a_chunk)
    return [b"".join(lines[start : start + lines_a_chunk]) for start in starts]


class MemoryClient(HuggingChat):
    """A client that gets the same answer whatever it asks.

    Args:
        chunks: The answer, as it arrives.
    """

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        super().__init__("http://memory.invalid", {"hf-chat": "memory"}, model=MODEL)

    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        self._transport = _Transport(
            connection,
            self._session,
            response_timeout=timeouts.response,
            head_timeout=timeouts.first_event,
        )
        self._transport.chunks = self._chunks


class AsyncMemoryClient(AsyncHuggingChat):
    """The same, asynchronous.

    Args:
        chunks: The answer, as it arrives.
    """

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        super().__init__("http://memory.invalid", {"hf-chat": "memory"}, model=MODEL)

    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        self._transport = _AsyncTransport(
            connection,
            self._session,
            response_timeout=timeouts.response,
            head_timeout=timeouts.first_event,
        )
        self._transport.chunks = self._chunks


class _Transport(SyncTransport):
    chunks: Sequence[bytes]

    def send(self, request: Request, **_: object) -> Response:
        return _respond(request)

    def open(self, _request: Request) -> tuple[SyncStream, Response]:
        return _Stream(self.chunks), _HEAD


class _AsyncTransport(AsyncTransport):
    chunks: Sequence[bytes]

    async def send(self, request: Request, **_: object) -> Response:
        return _respond(request)

    async def open(self, _request: Request) -> tuple[AsyncStream, Response]:
        return _AsyncStream(self.chunks), _HEAD


class _Stream(SyncStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._coming = iter(chunks)

    def read(self, _until: float | None) -> Chunk | TimedOut | None:
        data = next(self._coming, None)
        return None if data is None else Chunk(data, 0.0)

    def close(self) -> None:
        pass


class _AsyncStream(AsyncStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._coming = iter(chunks)

    async def read(self, _until: float | None) -> Chunk | TimedOut | None:
        data = next(self._coming, None)
        return None if data is None else Chunk(data, 0.0)

    def close(self) -> None:
        pass


def _respond(request: Request) -> Response:
    content: dict[str, Any] = {"json": _STORED}
    if request.method == "POST":
        content = {"conversationId": _CONVERSATION, "conversation": json.dumps(content)}
    return json_response(content)
