"""Where a session comes from, in order.

The argument, the environment, the saved session, a browser on this machine, a guest's session. The
first that is there is taken; what was tried before it, and why it was not taken, is kept with it,
logged at INFO, and shown by ``hfchat doctor``.

What the caller or the environment gives is read at once, so that a mistake in it is told at once.
The saved session and the browsers are looked into when the first request is sent.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Final, Union

from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE, SITE_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base.auth.browsers import BROWSERS_VARIABLE, browsers_to_read, read_profiles
from hfchat_base.auth.cookies import (
    Cookie,
    CookieInput,
    is_access_token,
    read_cookie_file,
    read_cookies,
)
from hfchat_base.auth.session import Found, Session, SessionSource
from hfchat_base.auth.store import SessionStore
from hfchat_base.errors import HuggingChatError

COOKIES_VARIABLE: Final = "HUGGINGCHAT_COOKIES"
COOKIE_FILE_VARIABLE: Final = "HUGGINGCHAT_COOKIE_FILE"
ACCOUNT_VARIABLE: Final = "HUGGINGCHAT_ACCOUNT"

_log = logging.getLogger("hfchat")


def find_session(
    cookies: CookieInput | Session | None, endpoint: Endpoint, account: str | None = None
) -> Session:
    """Find a session for a server; INFO tells which one was taken, and why not the earlier ones.

    Args:
        cookies: What the caller passed, or None; a `Session` is shared with whoever has it.
        endpoint: The server.
        account: Which of several saved sessions to take; by default ``HUGGINGCHAT_ACCOUNT``, or the
            newest login.

    Raises:
        InvalidRequestError: What was passed, or what the environment names, cannot be read, or the
            session is for another server.
    """
    if isinstance(cookies, Session):
        cookies.check_server(endpoint)
        return cookies
    considered: list[str] = []
    found = _given(cookies, endpoint, considered)
    if found is not None:
        _tell(endpoint, found)
        return Session(found, endpoint.base_url)
    wanted = account or os.environ.get(ACCOUNT_VARIABLE, "").strip() or None
    return Session(lambda: _look_for(endpoint, wanted, considered), endpoint.base_url)


def _given(cookies: CookieInput | None, endpoint: Endpoint, considered: list[str]) -> Found | None:
    if cookies is not None:
        return _explicit("argument", cookies, endpoint, considered)
    considered.append("argument: no cookies were passed")
    if text := os.environ.get(COOKIES_VARIABLE, "").strip():
        return _explicit("environment", text, endpoint, considered)
    if path := os.environ.get(COOKIE_FILE_VARIABLE, "").strip():
        found = tuple(read_cookie_file(path, endpoint))
        _check_pair(found, endpoint)
        considered.append(f"environment: taken from {COOKIE_FILE_VARIABLE}")
        return Found("environment", found, considered=tuple(considered))
    considered.append(f"environment: neither {COOKIES_VARIABLE} nor {COOKIE_FILE_VARIABLE} is set")
    return None


def _explicit(
    source: SessionSource, cookies: CookieInput, endpoint: Endpoint, considered: list[str]
) -> Found:
    considered.append(f"{source}: taken")
    if is_access_token(cookies):
        token = str(cookies).strip()
        return Found(source, token=token, considered=tuple(considered))
    found = tuple(read_cookies(cookies, endpoint))
    _check_pair(found, endpoint)
    return Found(source, found, considered=tuple(considered))


Outcome = Union[Found, str]
"""A session, or what came of looking for one."""


def _look_for(endpoint: Endpoint, account: str | None, considered: list[str]) -> Found:
    tried = [*considered]
    for outcome in chain(_saved(endpoint, account), _browsers(endpoint)):
        if isinstance(outcome, Found):
            found = outcome
            break
        tried.append(outcome)
    else:
        command = login_command(endpoint.base_url)
        tried.append(f"guest: taken; where the server wants a login, log in once: {command}")
        found = Found.guest()
    found = replace(found, considered=tuple(tried))
    _tell(endpoint, found)
    return found


def _saved(endpoint: Endpoint, account: str | None) -> Iterator[Outcome]:
    store = SessionStore()
    try:
        saved = store.find(endpoint.base_url, account)
    except HuggingChatError as error:
        yield f"saved session: {error}"
        return
    yield from (f"saved session: {problem}" for problem in store.problems)
    if saved is None:
        whose = f" of {account}" if account else ""
        yield f"saved session: there is none{whose} for {endpoint.base_url}"
    elif saved.ended_at is not None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(saved.ended_at))
        yield f"saved session: the server has thrown that of {saved.account} away ({when})"
    elif not saved.is_usable:
        yield f"saved session: that of {saved.account} has run out"
    else:
        cookies = tuple(cookie for cookie in saved.cookies if not cookie.has_expired)
        yield f"saved session: taken, that of {saved.account}"
        yield Found("saved", cookies, account=saved.account, saved=saved)


def _browsers(endpoint: Endpoint) -> Iterator[Outcome]:
    try:
        names = browsers_to_read()
        if not names:
            yield f"browsers: switched off with {BROWSERS_VARIABLE}"
        has_any = False
        for profile in read_profiles(names, endpoint) if names else ():
            if profile.cookies:
                _check_pair(profile.cookies, endpoint)
                yield f"{profile.browser}: taken"
                yield Found("browser", profile.cookies)
                return
            if profile.is_there:
                has_any = True
                yield f"{profile.browser}: {profile.problem}"
        if names and not has_any:
            yield "browsers: none that can be read is on this machine"
    except HuggingChatError as error:
        yield f"browsers: {error}"


def _check_pair(cookies: tuple[Cookie, ...], endpoint: Endpoint) -> None:
    """Warn of half of a session: on huggingface.co it is two cookies (WIRE.md, rule 4)."""
    names = {cookie.name for cookie in cookies}
    if endpoint.base_url == DEFAULT_BASE_URL and len(names & {SESSION_COOKIE, SITE_COOKIE}) == 1:
        missing = SITE_COOKIE if SESSION_COOKIE in names else SESSION_COOKIE
        _log.warning(
            "the session for %s lacks its cookie %r; the server takes the two only together",
            endpoint.host,
            missing,
        )


def _tell(endpoint: Endpoint, found: Found) -> None:
    _log.info(
        "session for %s: from %s (%s)",
        endpoint.base_url,
        found.source,
        "; ".join(found.considered),
    )
