"""Logging in: chat-ui's two redirects, and a small identity provider to redirect to.

The provider accepts any user name. It lives below ``/_idp`` on the same server; a real one would be
elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode

from starlette.responses import Response
from starlette.routing import Route

from hfchat_base.local.routes.http import (
    SESSION_COOKIE,
    HTTPError,
    base_path_of,
    delete_cookie,
    get_session,
    html_response,
    origin,
    read_cookies,
    session_cookie,
    set_cookie,
)
from hfchat_base.local.store import BoundedStore
from hfchat_base.local.wire import json_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.state import Retention, ServerState
    from hfchat_base.local.store import Session

IDENTITY_PROVIDER: Final = "/_idp"
"""The path that the identity provider is mounted at."""

_VERIFIER_COOKIE: Final = "hfChat-codeVerifier"
_RETRY_COOKIE: Final = "hfChat-loginRetry"
_CALLBACK: Final = "/login/callback"
_LOGIN_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class _Started:
    """A login that has begun: whose session, where to go afterwards, and the PKCE challenge."""

    session_secret: str
    next_path: str
    challenge: str


class PendingLogins:
    """Logins under way: started by a redirect, or signed in and about to come back.

    Args:
        retention: How many are kept.
    """

    def __init__(self, retention: Retention) -> None:
        self._started: BoundedStore[str, _Started] = BoundedStore(retention.sessions)
        self._codes: BoundedStore[str, str] = BoundedStore(retention.sessions)

    def start(self, state: str, started: _Started) -> None:
        """Remember a login.

        Args:
            state: The state parameter that names it.
            started: What it is.
        """
        self._started[state] = started

    def sign_in(self, username: str) -> str:
        """Let somebody in.

        Args:
            username: Who.

        Returns:
            A code, good for one use.
        """
        code = secrets.token_hex(16)
        self._codes[code] = username
        return code

    def finish(self, state: str, code: str, session: Session, verifier: str) -> tuple[str, str]:
        """End a login.

        Args:
            state: The state parameter.
            code: The code.
            session: The session that came back.
            verifier: The PKCE verifier that came with it.

        Returns:
            The user name, and the path to go to.

        Raises:
            HTTPError: The parts do not belong together.
        """
        started = self._started.pop(state)
        username = self._codes.pop(code)
        if (
            started is None
            or username is None
            or started.session_secret != session.secret
            or started.challenge != _challenge(verifier)
        ):
            raise HTTPError(403, "Invalid or expired CSRF token")
        return username, started.next_path


def redirect_to_login(request: Request, logins: PendingLogins, session: Session) -> Response:
    """Send somebody to the identity provider (R: ``login_required``).

    Args:
        request: What they asked for; they come back to it.
        logins: Where the login is remembered.
        session: Their session.
    """
    base = base_path_of(request.scope)
    path = quote(request.scope["path"])
    leads_elsewhere = path.startswith((f"{base}/login", "//"))
    next_path = f"{base}/" if leads_elsewhere else path
    callback = f"{origin(request)}{base}{_CALLBACK}"
    verifier = secrets.token_urlsafe(32)
    state = _signed_state(callback, next_path, session)
    logins.start(state, _Started(session.secret, next_path, _challenge(verifier)))
    query = urlencode(
        {
            "client_id": "chat-ui",
            "scope": "openid profile email",
            "response_type": "code",
            "redirect_uri": callback,
            "code_challenge_method": "S256",
            "code_challenge": _challenge(verifier),
            "state": state,
        },
        quote_via=quote,
        safe="",
    )
    cookie = set_cookie(_VERIFIER_COOKIE, verifier, _LOGIN_HOUR)
    return Response(
        status_code=302,
        headers={
            "location": f"{origin(request)}{base}{IDENTITY_PROVIDER}/authorize?{query}",
            "set-cookie": cookie,
        },
    )


class LoginRoutes:
    """``/login``, ``/login/callback`` and ``/logout``.

    Args:
        state: The server.
        logins: Logins under way.
    """

    def __init__(self, state: ServerState, logins: PendingLogins) -> None:
        self._state = state
        self._logins = logins
        self.routes: list[BaseRoute] = [
            Route("/login", self.login),
            Route(_CALLBACK, self.callback),
            Route("/logout", self.logout, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """Begin to log in."""
        answer = redirect_to_login(request, self._logins, get_session(request))
        answer.headers["cache-control"] = "no-store"
        return answer

    async def callback(self, request: Request) -> Response:
        """Come back from the identity provider with a code.

        Raises:
            HTTPError: The login did not begin here, and was already tried again once.
        """
        base = base_path_of(request.scope)
        cookies = read_cookies(request)
        try:
            username, next_path = self._logins.finish(
                request.query_params.get("state", ""),
                request.query_params.get("code", ""),
                get_session(request),
                cookies.get(_VERIFIER_COOKIE, ""),
            )
        except HTTPError:
            if _RETRY_COOKIE in cookies:
                raise
            again = Response(
                status_code=302,
                headers={"location": f"{base}/login", "cache-control": "no-store"},
            )
            again.headers["set-cookie"] = set_cookie(_RETRY_COOKIE, "1", _LOGIN_HOUR)
            return again
        session = self._state.sessions.create(self._state.sessions.user(username))
        answer = Response(
            status_code=302, headers={"location": next_path, "cache-control": "no-store"}
        )
        answer.headers.append("set-cookie", session_cookie(session.secret))
        answer.headers.append("set-cookie", delete_cookie(_RETRY_COOKIE, secure=True))
        return answer

    async def logout(self, request: Request) -> Response:
        """Throw the session away."""
        self._state.sessions.end(get_session(request).secret)
        base = base_path_of(request.scope)
        gone = delete_cookie(SESSION_COOKIE)
        return Response(status_code=302, headers={"location": f"{base}/", "set-cookie": gone})


class IdentityProvider:
    """A sign-in page: one field, one button, no password.

    Args:
        logins: Where a sign-in is remembered.
    """

    def __init__(self, logins: PendingLogins) -> None:
        self._logins = logins
        self.routes: list[BaseRoute] = [
            Route("/authorize", self.page, methods=["GET"]),
            Route("/authorize", self.sign_in, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the form."""
        wanted = {key: request.query_params.get(key, "") for key in ("redirect_uri", "state")}
        hidden = "".join(
            f'<input type="hidden" name="{key}" value="{html.escape(value)}" />\n'
            for key, value in wanted.items()
        )
        return html_response(
            "<!doctype html>\n<html><head><title>Sign in</title></head><body>\n"
            '<form id="sign-in-form" method="post">\n'
            '<label for="username">User name</label>\n'
            '<input id="username" name="username" autocomplete="username" autofocus required />\n'
            f'{hidden}<button id="sign-in" type="submit">Sign in</button>\n</form>\n</body></html>'
        )

    async def sign_in(self, request: Request) -> Response:
        """Take the form and send its sender back with a code.

        Raises:
            HTTPError: There is no user name, or the place to go back to is not this server's.
        """
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        username, redirect = (form.get(key, [""])[0] for key in ("username", "redirect_uri"))
        base = base_path_of(request.scope).removesuffix(IDENTITY_PROVIDER)
        if not username or redirect != f"{origin(request)}{base}{_CALLBACK}":
            raise HTTPError(400, "Invalid request")
        query = urlencode(
            {
                "code": self._logins.sign_in(username),
                "state": form.get("state", [""])[0],
                "iss": origin(request),
            }
        )
        return Response(status_code=302, headers={"location": f"{redirect}?{query}"})


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _signed_state(callback: str, next_path: str, session: Session) -> str:
    expiration = int((time.time() + _LOGIN_HOUR.total_seconds()) * 1000)
    data = {"expiration": expiration, "redirectUrl": callback, "next": next_path}
    signature = hashlib.sha256(f"{json_text(data)}##{session.secret}".encode()).hexdigest()
    return base64.b64encode(json_text({"data": data, "signature": signature}).encode()).decode()
