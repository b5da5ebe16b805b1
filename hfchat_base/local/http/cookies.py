"""The cookies that the server sets, as headers."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.local.encoding.values import now

__all__ = ["dropped_cookie", "lasting_cookie", "session_cookie"]

_SESSION_LIFE = timedelta(weeks=2)


def lasting_cookie(name: str, value: str, life: timedelta) -> str:
    """Write a ``Set-Cookie`` header.

    Args:
        name: The cookie's name.
        value: Its value.
        life: How long it lasts.
    """
    expires = format_datetime(now() + life, usegmt=True)
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
