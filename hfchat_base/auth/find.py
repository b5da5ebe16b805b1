"""Where a session comes from, in order: the argument, the environment, a guest session.

The saved session, the user's browser and a login in it come between the environment and the guest.
"""

from __future__ import annotations

import logging
import os
from typing import Final

from hfchat_base.auth.cookies import CookieInput, parse_cookies, read_cookie_file
from hfchat_base.auth.session import Session

COOKIES_VARIABLE: Final = "HUGGINGCHAT_COOKIES"
COOKIE_FILE_VARIABLE: Final = "HUGGINGCHAT_COOKIE_FILE"

_log = logging.getLogger("hfchat")


def find_session(cookies: CookieInput | None, host: str) -> Session:
    """Find a session for a server; INFO tells which one was taken.

    Args:
        cookies: What the caller passed, or None.
        host: The server's host.

    Raises:
        InvalidRequestError: What was passed, or what the environment names, cannot be read.
        MissingAuthError: It is an access token.
    """
    session = _find(cookies, host)
    _log.info("session for %s: %r", host, session)
    return session


def _find(cookies: CookieInput | None, host: str) -> Session:
    if cookies is not None:
        return Session(parse_cookies(cookies, host), source="argument")
    if text := os.environ.get(COOKIES_VARIABLE, "").strip():
        return Session(parse_cookies(text, host), source="environment")
    if path := os.environ.get(COOKIE_FILE_VARIABLE, "").strip():
        return Session(read_cookie_file(path, host), source="environment")
    return Session.guest()
