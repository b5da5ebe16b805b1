"""Connections that are lost in the middle of an answer, for tests of what becomes of it then.

Only streams of an answer are cut, never short answers. What a run does once its reader has gone is
its own business (`hfchat_base/local/generation/run.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Cutter"]

_STREAM_TYPES = (b"application/jsonl", b"text/event-stream")
_PIECE = b'{"type":"stream"'


class Cutter:
    """Wraps an app, and cuts streams off.

    Args:
        app: The app.
        cuts: For each of the next streams, how many pieces of text it passes on; taken from here.
    """

    def __init__(self, app: ASGIApp, cuts: deque[int]) -> None:
        self._app = app
        self._cuts = cuts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        pieces_left: int | None = None

        async def pass_on(message: Message) -> None:
            nonlocal pieces_left
            if message["type"] == "http.response.start":
                if self._cuts and _is_stream(message):
                    pieces_left = self._cuts.popleft()
            elif pieces_left is not None:
                body = message.get("body", b"")
                kept = _beginning(body, pieces_left)
                if len(kept) < len(body):
                    await send({**message, "body": kept, "more_body": True})
                    raise ConnectionResetError  # as if the reader had gone
                pieces_left -= body.count(_PIECE)
            await send(message)

        await self._app(scope, receive, pass_on)


def _is_stream(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(_STREAM_TYPES)
        for name, value in start["headers"]
    )


def _beginning(body: bytes, pieces: int) -> bytes:
    """What comes before the line of a piece that is one too many."""
    lines = body.splitlines(keepends=True)
    for index, line in enumerate(lines):
        pieces -= _PIECE in line
        if pieces < 0:
            return b"".join(lines[:index])
    return body
