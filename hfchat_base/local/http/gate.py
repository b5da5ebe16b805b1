"""The gate in front of chat-ui's routes: sessions, cookies, login, and foreign forms.

It does what chat-ui's request hook does, in its order. Not here: the login itself (`login.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.http.answers import Mishap, mishap_answer, text_answer
from hfchat_base.local.http.asker import note_session, route_path
from hfchat_base.local.http.cookies import session_cookie
from hfchat_base.local.http.login import redirect_to_login
from hfchat_base.protocol.facts import SESSION_COOKIE

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
        request = Request(scope)
        path = route_path(scope)
        cookie = request.cookies.get(SESSION_COOKIE)
        current = self._state.generation == "current"
        if current and cookie is None and path.startswith("/api/") and _bearer(request):
            # A bearer token is checked with huggingface.co, which knows none of ours.
            answer = mishap_answer(request, Mishap("unknown token"))
            await answer(scope, receive, self._dressed(send, None))
            return
        session = self._state.sessions.resolve(cookie, adopt=not self._state.login_required)
        note_session(scope, session)
        stranger = self._state.login_required and session.user is None
        refreshed = request.method == "POST" or path.startswith("/login")
        if stranger and current and path != "/" and not path.startswith(_OPEN_TO_GUESTS):
            answer = redirect_to_login(request, self._logins, session)
            await answer(scope, receive, self._dressed(send, session))
            return
        refusal = _foreign_form(request)
        if refusal is not None:
            await refusal(scope, receive, self._dressed(send, None))
            return
        if (
            stranger
            and request.method not in _SAFE_METHODS
            and not path.startswith(("/login", "/settings"))
        ):
            answer = _terse(request, 401, "You have to be logged in.")
            await answer(scope, receive, self._dressed(send, None))
            return
        await self._app(scope, receive, self._dressed(send, session if refreshed else None))

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


def _bearer(request: Request) -> bool:
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
