"""The gate in front of chat-ui's routes: sessions, cookies, login, and forms without an origin.

It does what chat-ui's request hook does, in its order. Not here: foreign hosts and origins, which
do not get this far (`hosts.py`), and the login itself (`login.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.local.http.answers import Mishap, mishap_answer, terse_answer
from hfchat_base.local.http.asker import note_session, route_path
from hfchat_base.local.http.cookies import read_cookies, session_cookie
from hfchat_base.local.http.login import redirect_to_login

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hfchat_base.local.http.login import Logins
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.sessions import Session

__all__ = ["Gate", "VaryOnEncoding"]

_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain")
_OPEN_TO_GUESTS = ("/login", "/healthcheck", "/r/", "/conversation/", "/models/", "/api")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Gate:
    """Lets requests through to an app, with a session, or turns them away.

    Args:
        app: The app behind the gate.
        state: The server.
        logins: Logins under way.
    """

    def __init__(self, app: ASGIApp, state: ServerState, logins: Logins) -> None:
        self._app = app
        self._state = state
        self._logins = logins

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
        answer, refreshed = self._judge(Request(scope))
        await (answer or self._app)(scope, receive, self._with_cookie(send, refreshed))

    def _judge(self, request: Request) -> tuple[Response | None, Session | None]:
        """Find the session of a request, and decide whether it may pass.

        Returns:
            What to answer in place of the app, or None; and the session whose cookie to set, or
            None. Like the real hook, refusals of its own set no cookie, but a redirect does.
        """
        path = route_path(request.scope)
        cookie = read_cookies(request).get(SESSION_COOKIE)
        current = self._state.generation == "current"
        if current and cookie is None and path.startswith("/api/") and _has_token(request):
            # The real server asks huggingface.co about a token, which would know none of ours.
            return mishap_answer(request, Mishap("unknown token")), None
        session = self._state.sessions.resolve(cookie, adopt=not self._state.login_required)
        note_session(request.scope, session)
        stranger = self._state.login_required and session.user is None
        if stranger and current and path != "/" and not path.startswith(_OPEN_TO_GUESTS):
            return redirect_to_login(request, self._logins, session), session
        refusal = _form_without_origin(request)
        if refusal is None and stranger and request.method not in _SAFE_METHODS:
            open_to_all = path.startswith(("/login", "/settings"))
            refusal = (
                None
                if open_to_all
                else terse_answer(request.headers, 401, "You have to be logged in.")
            )
        if refusal is not None:
            return refusal, None
        refreshed = request.method == "POST" or path.startswith("/login")
        return None, session if refreshed else None

    @staticmethod
    def _with_cookie(send: Send, session: Session | None) -> Send:
        """Add the cookie of a session to refresh to the answer, before any other."""

        async def dressed(message: Message) -> None:
            if session is not None and message["type"] == "http.response.start":
                cookie = session_cookie(session.secret).encode()
                headers = [(b"set-cookie", cookie), *message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        return dressed


class VaryOnEncoding:
    """Wraps an app, and says of every answer that it depends on the encodings asked for (current).

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """

        async def varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                others = [value for name, value in headers if name == b"vary"]
                headers = [(name, value) for name, value in headers if name != b"vary"]
                headers.append((b"vary", b", ".join([*others, b"Accept-Encoding"])))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, varied)


def _has_token(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("Bearer ")


def _form_without_origin(request: Request) -> Response | None:
    """Refuse a form that does not tell whose page it is on (R: ``bad_requests``)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or (media and media not in _FORM_TYPES):
        return None
    if request.headers.get("origin"):
        return None
    return terse_answer(request.headers, 403, "Non-JSON form requests need to have an origin")
