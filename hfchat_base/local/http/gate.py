"""The gate in front of chat-ui's routes: sessions, cookies, login, and foreign forms.

It does what chat-ui's request hook does, in its order. Not here: the login itself (`login.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.http.answers import Mishap, mishap_answer, text_answer
from hfchat_base.local.http.asker import note_session, route_path
from hfchat_base.local.http.cookies import session_cookie
from hfchat_base.local.http.login import redirect_to_login

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hfchat_base.local.http.login import Logins
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.sessions import Session

__all__ = ["Gate"]

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
        answer, refreshed = self._judge(Request(scope))
        await (answer or self._app)(scope, receive, self._dressed(send, refreshed))

    def _judge(self, request: Request) -> tuple[Response | None, Session | None]:
        """Find the session of a request, and decide whether it may pass.

        Returns:
            What to answer in place of the app, or None; and the session whose cookie to set, or
            None. Like the real hook, refusals of its own set no cookie, but a redirect does.
        """
        path = route_path(request.scope)
        cookie = request.cookies.get(SESSION_COOKIE)
        current = self._state.generation == "current"
        if current and cookie is None and path.startswith("/api/") and _has_token(request):
            # The real server asks huggingface.co about a token, which would know none of ours.
            return mishap_answer(request, Mishap("unknown token")), None
        session = self._state.sessions.resolve(cookie, adopt=not self._state.login_required)
        note_session(request.scope, session)
        stranger = self._state.login_required and session.user is None
        if stranger and current and path != "/" and not path.startswith(_OPEN_TO_GUESTS):
            return redirect_to_login(request, self._logins, session), session
        refusal = _foreign_form(request)
        if refusal is None and stranger and request.method not in _SAFE_METHODS:
            open_to_all = path.startswith(("/login", "/settings"))
            refusal = None if open_to_all else _terse(request, 401, "You have to be logged in.")
        if refusal is not None:
            return refusal, None
        refreshed = request.method == "POST" or path.startswith("/login")
        return None, session if refreshed else None

    def _dressed(self, send: Send, session: Session | None) -> Send:
        """Add to every answer what the hook adds; a session to refresh comes first."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if self._state.generation == "current":
                    varied = [value for name, value in headers if name == b"vary"]
                    headers = [(name, value) for name, value in headers if name != b"vary"]
                    headers.append((b"vary", b", ".join([*varied, b"Accept-Encoding"])))
                if session is not None:
                    cookie = session_cookie(session.secret).encode()
                    headers.insert(0, (b"set-cookie", cookie))
                message = {**message, "headers": headers}
            await send(message)

        return dressed


def _has_token(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("Bearer ")


def _foreign_form(request: Request) -> Response | None:
    """Refuse what a form on somebody else's page could send (R: ``bad_requests``)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or (media and media not in _FORM_TYPES):
        return None
    origin = request.headers.get("origin")
    if not origin:
        return _terse(request, 403, "Non-JSON form requests need to have an origin")
    if urlsplit(origin).netloc != request.headers.get("host"):
        return _terse(request, 403, "Invalid referer for POST request")
    return None


def _terse(request: Request, status: int, message: str) -> Response:
    """Refuse in text, or in JSON if the client speaks of JSON anywhere."""
    spoken = request.headers.get("accept", "") + request.headers.get("content-type", "")
    if "application/json" in spoken:
        return text_answer(json_text({"error": message}), status=status, media="application/json")
    return text_answer(message, status=status)
