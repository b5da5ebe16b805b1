"""The ASGI middleware around the routes.

From the outside in: `RecordingMiddleware` reads and records requests, `VaryMiddleware` adds a
header, `HostMiddleware` rejects foreign hosts and origins, `DisconnectMiddleware` breaks
connections for tests, and `AuthMiddleware` finds the session and requires a login.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request

from hfchat_base.hosts import HostGuard
from hfchat_base.local.routes.common import (
    SESSION_COOKIE,
    InternalError,
    internal_error_response,
    path_below_base,
    plain_error_response,
    read_cookies,
    session_cookie,
    set_session,
    text_response,
)
from hfchat_base.local.routes.login_routes import redirect_to_login
from hfchat_base.local.state import RecordedRequest

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hfchat_base.local.database import Session
    from hfchat_base.local.routes.login_routes import PendingLogins
    from hfchat_base.local.state import ServerState

_DISCARDED_BYTES = 64 * 1_048_576
"""This much of a body that is too large is read all the same, so that its sender gets the error."""


class RecordingMiddleware:
    """Reads each body whole, and records the request and its response.

    As the body is read first, no request is rejected while the client is still sending it, which
    would look like a broken connection to the client.

    Args:
        app: The app.
        state: The server.
    """

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._records = state.records
        self._max_bytes = state.limits.body_bytes
        self._too_large = 413 if state.generation == "current" else 500

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, complete = await self._body(receive)
        request = RecordedRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=body,
        )
        key = self._records.add_request(request)
        if not complete and len(body) <= self._max_bytes:
            return
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                if len(body) > self._max_bytes:
                    raise InternalError("the body is too large", status=self._too_large)
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def record(message: Message) -> None:
            nonlocal request
            if message["type"] == "http.response.start":
                request = replace(request, status=message["status"])
                if not complete:
                    headers = [*message["headers"], (b"connection", b"close")]
                    message = {**message, "headers": headers}
            else:
                sent = request.sent_bytes + len(message.get("body", b""))
                request = replace(request, sent_bytes=sent)
            self._records.update_request(key, request)
            await send(message)

        await self._app(scope, replay, record)

    async def _body(self, receive: Receive) -> tuple[bytes, bool]:
        """Read a body. Of one that is too large, only enough is kept to show that it is.

        Returns:
            What was kept of the body, and whether it was read to its end: it was not if the client
            disconnected, or sent far too much.
        """
        kept, received = bytearray(), 0
        while received <= self._max_bytes + _DISCARDED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(kept), False
            chunk = message.get("body", b"")
            received += len(chunk)
            kept += chunk[: self._max_bytes + 1 - len(kept)]
            if not message.get("more_body", False):
                return bytes(kept), True
        return bytes(kept), False


class HostMiddleware:
    """Rejects requests for other hosts than the server's own, and from pages of other origins.

    `hfchat_base.hosts` says why.

    The server's own hosts are ``localhost``, all loopback addresses, and the address that the
    connection was made to, each with the port that it was made to.

    Args:
        app: The app.
        hosts: Further hosts; one without a port matches any port.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._guard = HostGuard(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        error = self._rejection(scope) if scope["type"] == "http" else None
        await (error or self._app)(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        """Return the response that rejects a request, or None."""
        rejection = self._guard.check(scope)
        headers = Headers(scope=scope)
        if rejection is None:
            return None
        if rejection == "malformed_path":
            return text_response("Malformed URI", status=400)
        if rejection == "no_host":
            return text_response("Exactly one Host header is required", status=400)
        if rejection == "foreign_host":
            return text_response(
                "This server does not accept requests for this host. Add the host with"
                " LocalServer(hosts=[...]) or hfchat serve --host-name.",
                status=403,
            )
        if rejection == "foreign_origin":
            return plain_error_response(
                headers, 403, f"Invalid referer for {scope['method']} request"
            )
        return plain_error_response(headers, 403, "Requests from other sites are rejected")


_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain")
_OPEN_TO_GUESTS = ("/login", "/healthcheck", "/r/", "/conversation/", "/models/", "/api")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class AuthMiddleware:
    """Finds the session of a request, and requires a login; in the order of chat-ui's request hook.

    Args:
        app: The app.
        state: The server.
        logins: The pending logins.
    """

    def __init__(self, app: ASGIApp, state: ServerState, logins: PendingLogins) -> None:
        self._app = app
        self._state = state
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response, refresh = self._authorize(Request(scope))
        await (response or self._app)(scope, receive, self._with_cookie(send, refresh))

    def _authorize(self, request: Request) -> tuple[Response | None, Session | None]:
        """Find the session of a request, and decide whether the request is allowed.

        Returns:
            A response to send instead of the app's, or None; and the session whose cookie to set,
            or None. As with the real hook, an error sets no cookie, but a redirect does.
        """
        path = path_below_base(request.scope)
        cookie = read_cookies(request).get(SESSION_COOKIE)
        current = self._state.generation == "current"
        if current and cookie is None and path.startswith("/api/") and _has_token(request):
            # The real server checks the token with huggingface.co, which would reject it.
            return internal_error_response(request, InternalError("unknown token")), None
        session = self._state.sessions.resolve(
            cookie, accept_unknown=not self._state.login_required
        )
        set_session(request.scope, session)
        anonymous = self._state.login_required and session.user is None
        if anonymous and current and path != "/" and not path.startswith(_OPEN_TO_GUESTS):
            return redirect_to_login(request, self._logins, session), session
        error = _form_without_origin(request)
        if error is None and anonymous and request.method not in _SAFE_METHODS:
            needs_no_login = path.startswith(("/login", "/settings"))
            error = (
                None
                if needs_no_login
                else plain_error_response(request.headers, 401, "You have to be logged in.")
            )
        if error is not None:
            return error, None
        refresh = request.method == "POST" or path.startswith("/login")
        return None, session if refresh else None

    @staticmethod
    def _with_cookie(send: Send, session: Session | None) -> Send:
        """Add the session's cookie to the response, before any other cookie."""

        async def send_with_cookie(message: Message) -> None:
            if session is not None and message["type"] == "http.response.start":
                cookie = session_cookie(session.secret).encode()
                headers = [(b"set-cookie", cookie), *message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        return send_with_cookie


class VaryMiddleware:
    """Adds to every response that it varies with the accepted encodings (current)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def send_with_vary(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                others = [value for name, value in headers if name == b"vary"]
                headers = [(name, value) for name, value in headers if name != b"vary"]
                headers.append((b"vary", b", ".join([*others, b"Accept-Encoding"])))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_vary)


def _has_token(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("Bearer ")


def _form_without_origin(request: Request) -> Response | None:
    """Return the error for a form without an origin, or None (R: ``bad_requests``)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or (media and media not in _FORM_TYPES):
        return None
    if request.headers.get("origin"):
        return None
    return plain_error_response(
        request.headers, 403, "Non-JSON form requests need to have an origin"
    )


_STREAM_TYPES = (b"application/jsonl", b"text/event-stream")
_PIECE = b'{"type":"stream"'


class DisconnectMiddleware:
    """Breaks the connection of answers, for tests of what a client does then.

    Only streams are affected, never short responses. What the run does is up to it (`runs.py`).

    Args:
        app: The app.
        cuts: After how many pieces of text to break each of the next streams; consumed.
    """

    def __init__(self, app: ASGIApp, cuts: deque[int]) -> None:
        self._app = app
        self._cuts = cuts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        pieces_left: int | None = None

        async def send_until_cut(message: Message) -> None:
            nonlocal pieces_left
            if message["type"] == "http.response.start":
                if self._cuts and _is_stream(message):
                    pieces_left = self._cuts.popleft()
            elif pieces_left is not None:
                body = message.get("body", b"")
                kept = _beginning(body, pieces_left)
                if len(kept) < len(body):
                    await send({**message, "body": kept, "more_body": True})
                    raise ConnectionResetError  # as if the client had disconnected
                pieces_left -= body.count(_PIECE)
            await send(message)

        await self._app(scope, receive, send_until_cut)


def _is_stream(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(_STREAM_TYPES)
        for name, value in start["headers"]
    )


def _beginning(body: bytes, pieces: int) -> bytes:
    """Return what precedes the first piece that is one too many."""
    lines = body.splitlines(keepends=True)
    for index, line in enumerate(lines):
        pieces -= _PIECE in line
        if pieces < 0:
            return b"".join(lines[:index])
    return body
