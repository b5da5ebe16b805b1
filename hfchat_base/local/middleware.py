"""The ASGI middleware around the routes.

From the outside in: `RecordingMiddleware` reads and records requests, `VaryMiddleware` adds a
header, `HostMiddleware` rejects foreign hosts and origins, `DisconnectMiddleware` breaks
connections for tests, and `AuthMiddleware` finds the session and requires a login.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import Request

from hfchat_base.local.routes.http import (
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
from hfchat_base.local.routes.login import redirect_to_login
from hfchat_base.local.state import RecordedRequest

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hfchat_base.local.routes.login import PendingLogins
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store import Session

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


_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FOREIGN_SITES: Final = ("cross-site", "same-site")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class _Host(NamedTuple):
    """A host as in a URL: name or address in lower case, and the port, if there is one."""

    name: str
    port: int | None

    @classmethod
    def parsed(cls, text: str) -> _Host | None:
        """Parse ``name``, ``name:port`` or an IPv6 address in brackets; None otherwise."""
        found = _HOST.fullmatch(text)
        if found is None:
            return None
        name = found["name"].lower()
        if name.startswith("["):
            address = _address(name[1:-1])
            if address is None:
                return None
            name = f"[{address.compressed}]"
        return cls(name, int(found["port"]) if found["port"] else None)


def is_host(text: str) -> bool:
    """Return whether a text is a host, such as ``chat.example`` or ``192.0.2.7:8090``."""
    return _Host.parsed(text) is not None


def is_host_name(text: str) -> bool:
    """Return whether a text is the name of a host, and neither an address nor has a port."""
    host = _Host.parsed(text)
    return host is not None and host.port is None and _address(host.name.strip("[]")) is None


class HostMiddleware:
    """Rejects requests for other hosts than the server's own, and from pages of other origins.

    Every web page that a user opens can send requests to the user's loopback addresses: forms and
    other simple requests; and if its host name resolves to 127.0.0.1 (DNS rebinding), the browser
    treats the server as a part of the page. But the browser names the host that a request is for,
    and the page that it comes from, and the page cannot change that. So both must be the server's
    own, on every route.

    The server's own hosts are ``localhost``, all loopback addresses, and the address that the
    connection was made to, each with the port that it was made to.

    Args:
        app: The app.
        hosts: Further hosts; one without a port matches any port.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._further_hosts = {host for text in hosts if (host := _Host.parsed(text)) is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        error = self._rejection(scope) if scope["type"] == "http" else None
        await (error or self._app)(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        """Return the response that rejects a request, or None."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not path.startswith(b"/") or not _is_well_formed(path):
            return text_response("Malformed URI", status=400)
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = _Host.parsed(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return text_response("Exactly one Host header is required", status=400)
        if not self._is_own(host, scope):
            return text_response(
                "This server does not accept requests for this host. Add the host with"
                " LocalServer(hosts=[...]) or hfchat serve --host-name.",
                status=403,
            )
        if not _is_same_origin(headers.getlist("origin"), host):
            return plain_error_response(
                headers, 403, f"Invalid referer for {scope['method']} request"
            )
        if _is_foreign_fetch(scope["method"], headers):
            return plain_error_response(headers, 403, "Requests from other sites are rejected")
        return None

    def _is_own(self, host: _Host, scope: Scope) -> bool:
        if host in self._further_hosts or _Host(host.name, None) in self._further_hosts:
            return True
        address, port = scope.get("server") or ("", None)
        host_port = host.port or _DEFAULT_PORTS[scope.get("scheme", "http")]
        if host_port != port:
            return False
        if host.name == "localhost":
            return True
        named = _address(host.name.strip("[]"))
        return named is not None and (named.is_loopback or named == _address(address))


def _is_same_origin(origins: list[str], host: _Host) -> bool:
    """Return whether a request comes from a page of the host that it is for, or from no page."""
    origins = [origin for origin in origins if origin]
    if not origins:
        return True
    scheme, separator, rest = origins[0].partition("://")
    page = _Host.parsed(rest)
    default = _DEFAULT_PORTS.get(scheme)
    if len(origins) > 1 or not separator or page is None or default is None:
        return False
    return (page.name, page.port or default) == (host.name, host.port or default)


def _is_foreign_fetch(method: str, headers: Headers) -> bool:
    """Return whether a page of another site sends the request; following a link is allowed."""
    if headers.get("sec-fetch-site") not in _FOREIGN_SITES:
        return False
    follows_link = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return not follows_link


def _is_well_formed(path: bytes) -> bool:
    """Return whether ``decodeURI`` accepts a path."""
    if _BAD_ESCAPE.search(path):
        return False
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address; an IPv4 address mapped to IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


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
