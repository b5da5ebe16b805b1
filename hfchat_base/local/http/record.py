"""The outermost layer: it reads each body whole, and notes what was asked and answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfchat_base.local.records import RecordedRequest, Records

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Recorder"]


class Recorder:
    """Wraps an app and keeps records of its requests.

    Reading the body first also means that a request is never refused while it is still being
    sent, which clients would see as a broken connection.

    Args:
        app: The app.
        records: Where to keep them.
    """

    def __init__(self, app: ASGIApp, records: Records) -> None:
        self._app = app
        self._records = records

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
        body = await _whole_body(receive)
        request = RecordedRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=body,
        )
        key = self._records.add_request(request)
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def note(message: Message) -> None:
            nonlocal request
            if message["type"] == "http.response.start":
                request = replace(request, status=message["status"])
            else:
                sent = request.sent_bytes + len(message.get("body", b""))
                request = replace(request, sent_bytes=sent)
            self._records.update_request(key, request)
            await send(message)

        await self._app(scope, replay, note)


async def _whole_body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
