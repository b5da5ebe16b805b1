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
"""So much of a body that is too large is still read, so that its sender hears why it is refused."""


class RecordingMiddleware:
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
        """Serve one connection."""
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
                    raise InternalError("the body is too large", status=self._too_large)
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


_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FOREIGN_SITES: Final = ("cross-site", "same-site")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class _Host(NamedTuple):
    """A host as a URL names it: name or address in lower case, and the port if it is told."""

    name: str
    port: int | None

    @classmethod
    def parsed(cls, text: str) -> _Host | None:
        """Read ``name``, ``name:port``, or an IPv6 address in brackets; None if it is no host."""
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
    """Tell whether a text is a host, with or without a port.

    Args:
        text: Such as ``chat.example``, ``192.0.2.7:8090`` or ``[2001:db8::7]``.
    """
    return _Host.parsed(text) is not None


def is_host_name(text: str) -> bool:
    """Tell whether a text is a host's name: neither an address nor one with a port.

    Args:
        text: Such as ``chat.example``.
    """
    host = _Host.parsed(text)
    return host is not None and host.port is None and _address(host.name.strip("[]")) is None


class HostMiddleware:
    """Wraps an app, and refuses what is not sent to one of its hosts, or comes from elsewhere.

    Its own hosts are ``localhost``, all loopback addresses, and the address that a connection came
    in at, each with the port that it came in at.

    Args:
        app: The app.
        hosts: Further hosts; one without a port stands for all ports.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._named = {host for text in hosts if (host := _Host.parsed(text)) is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        error = self._rejection(scope) if scope["type"] == "http" else None
        await (error or self._app)(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        """Tell why a request may not pass; None if it may."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not path.startswith(b"/") or not _is_well_formed(path):
            return text_response("Malformed URI", status=400)
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = _Host.parsed(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return text_response("Exactly one host must be named", status=400)
        if not self._is_own(host, scope):
            return text_response(
                "This server does not answer to that host. Name further ones with"
                " LocalServer(hosts=[...]) or hfchat serve --host-name.",
                status=403,
            )
        if not _is_same_origin(headers.getlist("origin"), host):
            return plain_error_response(
                headers, 403, f"Invalid referer for {scope['method']} request"
            )
        if _is_foreign_fetch(scope["method"], headers):
            return plain_error_response(headers, 403, "Requests of other sites are refused")
        return None

    def _is_own(self, host: _Host, scope: Scope) -> bool:
        if host in self._named or _Host(host.name, None) in self._named:
            return True
        address, port = scope.get("server") or ("", None)
        told = host.port or _DEFAULT_PORTS[scope.get("scheme", "http")]
        if told != port:
            return False
        if host.name == "localhost":
            return True
        named = _address(host.name.strip("[]"))
        return named is not None and (named.is_loopback or named == _address(address))


def _is_same_origin(origins: list[str], host: _Host) -> bool:
    """Tell whether a request comes from a page of the host that it is sent to, or from no page."""
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
    """Tell whether a page elsewhere fetches something; a link that somebody follows is allowed."""
    if headers.get("sec-fetch-site") not in _FOREIGN_SITES:
        return False
    follows_link = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return not follows_link


def _is_well_formed(path: bytes) -> bool:
    """Tell whether ``decodeURI`` would take a path."""
    if _BAD_ESCAPE.search(path):
        return False
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an IP address; IPv4 inside of IPv6 counts as IPv4."""
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
    """Lets requests through to an app, with a session, or turns them away.

    Args:
        app: The app behind the gate.
        state: The server.
        logins: Logins under way.
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
        answer, refreshed = self._authorize(Request(scope))
        await (answer or self._app)(scope, receive, self._with_cookie(send, refreshed))

    def _authorize(self, request: Request) -> tuple[Response | None, Session | None]:
        """Find the session of a request, and decide whether it may pass.

        Returns:
            What to answer in place of the app, or None; and the session whose cookie to set, or
            None. Like the real hook, refusals of its own set no cookie, but a redirect does.
        """
        path = path_below_base(request.scope)
        cookie = read_cookies(request).get(SESSION_COOKIE)
        current = self._state.generation == "current"
        if current and cookie is None and path.startswith("/api/") and _has_token(request):
            # The real server asks huggingface.co about a token, which would know none of ours.
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
            open_to_all = path.startswith(("/login", "/settings"))
            error = (
                None
                if open_to_all
                else plain_error_response(request.headers, 401, "You have to be logged in.")
            )
        if error is not None:
            return error, None
        refreshed = request.method == "POST" or path.startswith("/login")
        return None, session if refreshed else None

    @staticmethod
    def _with_cookie(send: Send, session: Session | None) -> Send:
        """Add the cookie of a session to refresh to the answer, before any other."""

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
    """Refuse a form that does not tell whose page it is on (R: ``bad_requests``)."""
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
    """Wraps an app, and cuts streams off.

    Args:
        app: The app.
        cuts: For each of the next streams, how many pieces of text it passes on; taken from here.
    """

    def __init__(self, app: ASGIApp, cuts: deque[int]) -> None:
        self._app = app
        self._cuts = cuts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
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
