"""The cookies that the server gets and sets."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.local.encoding.values import now

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["dropped_cookie", "lasting_cookie", "read_cookies", "session_cookie"]

_PLAIN_IN_VALUES = "!'()*-._~"
_SESSION_LIFE = timedelta(weeks=2)


def read_cookies(request: HTTPConnection) -> dict[str, str]:
    """Read the cookies of a request as chat-ui does: percent-encoded, and the first of a name.

    Starlette follows Python's `http.cookies`, in which an octal escape may stand for a line break.

    Args:
        request: The request.
    """
    cookies: dict[str, str] = {}
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            name, separator, value = part.strip().partition("=")
            if separator:
                cookies.setdefault(name, unquote(value.strip('"')))
    return cookies


def lasting_cookie(name: str, value: str, life: timedelta) -> str:
    """Write a ``Set-Cookie`` header.

    Args:
        name: The cookie's name.
        value: Its value.
        life: How long it lasts.
    """
    expires = format_datetime(now() + life, usegmt=True)
    value = quote(value, safe=_PLAIN_IN_VALUES)
    return f"{name}={value}; Path=/; Expires={expires}; HttpOnly; SameSite=Lax"


def session_cookie(secret: str) -> str:
    """Write the header that sets, or refreshes, the session's cookie (R: ``plain_answer``).

    Args:
        secret: The session's secret.
    """
    return lasting_cookie(SESSION_COOKIE, secret, _SESSION_LIFE)


def dropped_cookie(name: str, *, secure: bool = False) -> str:
    """Write the header that deletes a cookie.

    Args:
        name: The cookie's name.
        secure: Whether to mark it so (R: ``login_required``).
    """
    return f"{name}=; Max-Age=0; Path=/; HttpOnly; {'Secure; ' if secure else ''}SameSite=Lax"
