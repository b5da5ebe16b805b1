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

from hfchat_base.local.database import BoundedStore
from hfchat_base.local.routes.common import (
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
from hfchat_base.local.wire import json_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.database import Session
    from hfchat_base.local.state import ServerState

IDENTITY_PROVIDER: Final = "/_idp"
"""The path of the identity provider."""

_VERIFIER_COOKIE: Final = "hfChat-codeVerifier"
_RETRY_COOKIE: Final = "hfChat-loginRetry"
_CALLBACK: Final = "/login/callback"
_LOGIN_LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True)
class _PendingLogin:
    """A login that has begun: its session, the path to return to, and the PKCE challenge."""

    session_secret: str
    next_path: str
    challenge: str


class PendingLogins:
    """Logins that have begun, and codes that have not been used yet.

    Args:
        max_entries: How many of each are kept.
    """

    def __init__(self, max_entries: int) -> None:
        self._started: BoundedStore[str, _PendingLogin] = BoundedStore(max_entries)
        self._codes: BoundedStore[str, str] = BoundedStore(max_entries)

    def start(self, state: str, login: _PendingLogin) -> None:
        """Store a login under its state parameter."""
        self._started[state] = login

    def sign_in(self, username: str) -> str:
        """Sign a user in, and return a code that is valid once."""
        code = secrets.token_hex(16)
        self._codes[code] = username
        return code

    def finish(self, state: str, code: str, session: Session, verifier: str) -> tuple[str, str]:
        """Complete a login.

        Args:
            state: The state parameter.
            code: The code.
            session: The session that returned from the identity provider.
            verifier: The PKCE verifier of its cookie.

        Returns:
            The user name, and the path to return to.

        Raises:
            HTTPError: The arguments do not belong to one login.
        """
        login = self._started.pop(state)
        username = self._codes.pop(code)
        if (
            login is None
            or username is None
            or login.session_secret != session.secret
            or login.challenge != _challenge(verifier)
        ):
            raise HTTPError(403, "Invalid or expired CSRF token")
        return username, login.next_path


def redirect_to_login(request: Request, logins: PendingLogins, session: Session) -> Response:
    """Begin a login: redirect to the identity provider (R: ``login_required``).

    Args:
        request: The request; after the login, the user returns to its path.
        logins: The pending logins.
        session: The session of the request.
    """
    base = base_path_of(request.scope)
    path = quote(request.scope["path"])
    unsuitable = path.startswith((f"{base}/login", "//"))
    next_path = f"{base}/" if unsuitable else path
    callback = f"{origin(request)}{base}{_CALLBACK}"
    verifier = secrets.token_urlsafe(32)
    state = _signed_state(callback, next_path, session)
    logins.start(state, _PendingLogin(session.secret, next_path, _challenge(verifier)))
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
    cookie = set_cookie(_VERIFIER_COOKIE, verifier, _LOGIN_LIFE)
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
        logins: The pending logins.
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
        """Begin a login."""
        response = redirect_to_login(request, self._logins, get_session(request))
        response.headers["cache-control"] = "no-store"
        return response

    async def callback(self, request: Request) -> Response:
        """Complete a login with the code of the identity provider.

        Raises:
            HTTPError: The code does not belong to a pending login, and this was the second attempt.
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
            response = Response(
                status_code=302,
                headers={"location": f"{base}/login", "cache-control": "no-store"},
            )
            response.headers["set-cookie"] = set_cookie(_RETRY_COOKIE, "1", _LOGIN_LIFE)
            return response
        session = self._state.sessions.create(self._state.sessions.user(username))
        response = Response(
            status_code=302, headers={"location": next_path, "cache-control": "no-store"}
        )
        response.headers.append("set-cookie", session_cookie(session.secret))
        response.headers.append("set-cookie", delete_cookie(_RETRY_COOKIE, secure=True))
        return response

    async def logout(self, request: Request) -> Response:
        """End the session."""
        self._state.sessions.end(get_session(request).secret)
        base = base_path_of(request.scope)
        cookie = delete_cookie(SESSION_COOKIE)
        return Response(status_code=302, headers={"location": f"{base}/", "set-cookie": cookie})


class IdentityProvider:
    """A sign-in page: one field, one button, no password.

    Args:
        logins: The pending logins.
    """

    def __init__(self, logins: PendingLogins) -> None:
        self._logins = logins
        self.routes: list[BaseRoute] = [
            Route("/authorize", self.page, methods=["GET"]),
            Route("/authorize", self.sign_in, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the form."""
        parameters = {key: request.query_params.get(key, "") for key in ("redirect_uri", "state")}
        hidden = "".join(
            f'<input type="hidden" name="{key}" value="{html.escape(value)}" />\n'
            for key, value in parameters.items()
        )
        return html_response(
            "<!doctype html>\n<html><head><title>Sign in</title></head><body>\n"
            '<form id="sign-in-form" method="post">\n'
            '<label for="username">User name</label>\n'
            '<input id="username" name="username" autocomplete="username" autofocus required />\n'
            f'{hidden}<button id="sign-in" type="submit">Sign in</button>\n</form>\n</body></html>'
        )

    async def sign_in(self, request: Request) -> Response:
        """Sign the user in and redirect to the callback with a code.

        Raises:
            HTTPError: There is no user name, or the callback is not this server's.
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
    expiration = int((time.time() + _LOGIN_LIFE.total_seconds()) * 1000)
    data = {"expiration": expiration, "redirectUrl": callback, "next": next_path}
    signature = hashlib.sha256(f"{json_text(data)}##{session.secret}".encode()).hexdigest()
    return base64.b64encode(json_text({"data": data, "signature": signature}).encode()).decode()
