"""The outermost layer: it reads each body whole, and notes what was asked and answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfchat_base.local.http.answers import Mishap
from hfchat_base.local.records import RecordedRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hfchat_base.local.state import ServerState

__all__ = ["Recorder"]

_DISCARDED_BYTES = 64 * 1_048_576
"""So much of a body that is too large is still read, so that its sender hears why it is refused."""


class Recorder:
    """Wraps an app and keeps records of its requests.

    Reading the body first also means that a request is never refused while it is still being
    sent, which clients would see as a broken connection.

    Args:
        app: The app.
        state: The server, with its records and the size of the largest body.
    """

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._records = state.records
        self._most_bytes = state.limits.body_bytes
        self._too_large = 413 if state.generation == "current" else 500

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, whole = await self._body(receive)
        request = RecordedRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=body,
        )
        key = self._records.add_request(request)
        if not whole and len(body) <= self._most_bytes:
            return
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                if len(body) > self._most_bytes:
                    raise Mishap("the body is too large", status=self._too_large)
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def note(message: Message) -> None:
            nonlocal request
            if message["type"] == "http.response.start":
                request = replace(request, status=message["status"])
                if not whole:
                    headers = [*message["headers"], (b"connection", b"close")]
                    message = {**message, "headers": headers}
            else:
                sent = request.sent_bytes + len(message.get("body", b""))
                request = replace(request, sent_bytes=sent)
            self._records.update_request(key, request)
            await send(message)

        await self._app(scope, replay, note)

    async def _body(self, receive: Receive) -> tuple[bytes, bool]:
        """Read a body; of one that is too large no more is kept than shows that it is.

        Returns:
            What is kept of the body, and whether it was read to its end. It was not if the client
            left before, or went on and on.
        """
        kept, received = bytearray(), 0
        while received <= self._most_bytes + _DISCARDED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(kept), False
            chunk = message.get("body", b"")
            received += len(chunk)
            kept += chunk[: self._most_bytes + 1 - len(kept)]
            if not message.get("more_body", False):
                return bytes(kept), True
        return bytes(kept), False
