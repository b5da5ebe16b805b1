"""Where a session comes from: every source, in the order in which they are tried.

The argument, the environment, the saved session, a browser on this machine, a guest's session. The
first one that has a session is used. The attempts before it, and why they failed, are kept with it,
logged at INFO, and shown by ``hfchat doctor``.

The argument and the environment are read at once, so that a mistake in them is reported at once.
The other sources are tried when the first request is sent. A new one is a generator of `Attempt` in
`_SOURCES`.

Browsers are read with rookie-cookies (MIT), which decrypts what each platform encrypts. It is asked
for the server's own host only, writes nothing, starts no browser, and asks nobody for a password
unless the caller says that somebody is there to answer.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Union

from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE, SITE_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base.auth.cookies import (
    Cookie,
    CookieInput,
    is_access_token,
    read_cookie_file,
    read_cookies,
    read_rows,
    select,
)
from hfchat_base.auth.session import FoundSession, Session
from hfchat_base.auth.store import SessionStore
from hfchat_base.errors import HuggingChatError, InvalidRequestError, MissingRequirementsError

BASE_URL_VARIABLE: Final = "HUGGINGCHAT_BASE_URL"
COOKIES_VARIABLE: Final = "HUGGINGCHAT_COOKIES"
COOKIE_FILE_VARIABLE: Final = "HUGGINGCHAT_COOKIE_FILE"
ACCOUNT_VARIABLE: Final = "HUGGINGCHAT_ACCOUNT"
BROWSERS_VARIABLE: Final = "HUGGINGCHAT_BROWSERS"

Attempt = Union[FoundSession, str]
"""A session, or why a source has none, as it is shown to the user."""

_log = logging.getLogger("hfchat")


def resolve_endpoint(base_url: str | None) -> Endpoint:
    """The server that is meant: by an address, by ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself.

    Raises:
        InvalidRequestError: The address is not a web address.
    """
    return Endpoint.parse(base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)


def find_session(
    cookies: CookieInput | Session | None, endpoint: Endpoint, account: str | None = None
) -> Session:
    """Find a session for a server; INFO shows which one is used and why earlier ones are not.

    Args:
        cookies: What the caller passed, or None; a `Session` is shared with whoever has it.
        endpoint: The server.
        account: Which of several saved sessions to use; by default ``HUGGINGCHAT_ACCOUNT``, or the
            newest login.

    Raises:
        InvalidRequestError: What was passed, or what the environment names, cannot be read, or the
            session is for another server.
    """
    if isinstance(cookies, Session):
        cookies.check_server(endpoint)
        return cookies
    attempts: list[str] = []
    found = _given(cookies, endpoint, attempts)
    if found is not None:
        _report(endpoint, found)
        return Session(found, endpoint.base_url)
    wanted = account or os.environ.get(ACCOUNT_VARIABLE, "").strip() or None
    return Session(lambda: _find(endpoint, wanted, attempts), endpoint.base_url)


def _find(endpoint: Endpoint, account: str | None, attempts: Sequence[str]) -> FoundSession:
    tried = [*attempts]
    for attempt in (attempt for source in _SOURCES for attempt in source(endpoint, account)):
        if isinstance(attempt, FoundSession):
            found = replace(attempt, attempts=tuple(tried))
            _report(endpoint, found)
            return found
        tried.append(attempt)
    raise AssertionError  # the last source always has one


def _report(endpoint: Endpoint, found: FoundSession) -> None:
    attempts = "; ".join(found.attempts)
    _log.info("session for %s: from %s (%s)", endpoint.base_url, found.source, attempts)


def _warn_about_half(cookies: Sequence[Cookie], endpoint: Endpoint) -> None:
    """Warn about half a session: on huggingface.co it is two cookies (S)."""
    names = {cookie.name for cookie in cookies}
    if endpoint.base_url == DEFAULT_BASE_URL and len(names & {SESSION_COOKIE, SITE_COOKIE}) == 1:
        missing = SITE_COOKIE if SESSION_COOKIE in names else SESSION_COOKIE
        _log.warning(
            "the session for %s lacks the cookie %r; the server accepts the two only together",
            endpoint.host,
            missing,
        )


# --- the argument and the environment -------------------------------------------------------------


def _given(
    cookies: CookieInput | None, endpoint: Endpoint, attempts: list[str]
) -> FoundSession | None:
    """What the caller or the environment gives; None if they give nothing."""
    if cookies is not None:
        return _explicit("argument", cookies, endpoint, attempts)
    attempts.append("argument: no cookies were passed")
    if text := os.environ.get(COOKIES_VARIABLE, "").strip():
        return _explicit("environment", text, endpoint, attempts)
    if path := os.environ.get(COOKIE_FILE_VARIABLE, "").strip():
        found = tuple(read_cookie_file(path, endpoint))
        _warn_about_half(found, endpoint)
        attempts.append(f"environment: used, from {COOKIE_FILE_VARIABLE}")
        return FoundSession("environment", found, attempts=tuple(attempts))
    attempts.append(f"environment: neither {COOKIES_VARIABLE} nor {COOKIE_FILE_VARIABLE} is set")
    return None


def _explicit(
    source: str, cookies: CookieInput, endpoint: Endpoint, attempts: Sequence[str]
) -> FoundSession:
    tried = (*attempts, f"{source}: used")
    if is_access_token(cookies):
        return FoundSession(source, token=str(cookies).strip(), attempts=tried)
    found = tuple(read_cookies(cookies, endpoint))
    _warn_about_half(found, endpoint)
    return FoundSession(source, found, attempts=tried)


# --- the saved session ----------------------------------------------------------------------------


def _saved(endpoint: Endpoint, account: str | None) -> Iterator[Attempt]:
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
        yield f"saved session: the server invalidated the session of {saved.account} ({when})"
    elif not saved.is_usable:
        yield f"saved session: the session of {saved.account} has expired"
    else:
        cookies = tuple(cookie for cookie in saved.cookies if not cookie.has_expired)
        yield f"saved session: used, the session of {saved.account}"
        yield FoundSession("saved", cookies, account=saved.account, saved=saved)


# --- the browsers on this machine -----------------------------------------------------------------

BROWSERS: Final = {
    "chrome": "Chrome",
    "chromium": "Chromium",
    "edge": "Edge",
    "brave": "Brave",
    "vivaldi": "Vivaldi",
    "opera": "Opera",
    "firefox": "Firefox",
}
"""The browsers whose cookies can be read, by name."""

_SECONDS: Final = 3.0
"""How long reading one browser may take; measured: 5 ms."""

_PASSWORD_SECONDS: Final = 120.0
"""How long it may take where somebody has to type a password."""

_NOT_ENCRYPTED: Final = ("firefox",)
_WITHOUT_INJECTION: Final = (3, 11)
"""The library's releases for older Pythons inject code into the browser's process on Windows."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a browser has for a server.

    Attributes:
        browser: The browser's name, as people write it.
        cookies: All for the server, or none.
        problem: Why there are none.
        exists: Whether the browser is on this machine.
    """

    browser: str
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)
    problem: str = ""
    exists: bool = True


def _browsers(endpoint: Endpoint, _account: str | None) -> Iterator[Attempt]:
    try:
        names = _chosen_browsers()
        if not names:
            yield f"browsers: disabled by {BROWSERS_VARIABLE}"
        has_any = False
        for profile in read_profiles(names, endpoint) if names else ():
            if profile.cookies:
                _warn_about_half(profile.cookies, endpoint)
                yield f"{profile.browser}: used"
                yield FoundSession("browser", profile.cookies)
                return
            if profile.exists:
                has_any = True
                yield f"{profile.browser}: {profile.problem}"
        if names and not has_any:
            yield "browsers: there is no supported browser on this machine"
    except HuggingChatError as error:
        yield f"browsers: {error}"


def _chosen_browsers() -> tuple[str, ...]:
    """What ``HUGGINGCHAT_BROWSERS`` lists; by default all, and none for ``none``.

    Raises:
        InvalidRequestError: It lists one that is not supported.
    """
    text = os.environ.get(BROWSERS_VARIABLE, "").strip().lower()
    if not text:
        return tuple(BROWSERS)
    names = (name.strip() for name in text.split(","))
    return tuple(check_browser(name) for name in names if name not in ("", "none"))


def check_browser(name: str) -> str:
    """Return a browser's name if its cookies can be read.

    Raises:
        InvalidRequestError: They cannot.
    """
    if name not in BROWSERS:
        msg = f"{name!r} is not a supported browser; choose one of {', '.join(BROWSERS)}."
        raise InvalidRequestError(msg)
    return name


def read_profiles(
    names: Sequence[str], endpoint: Endpoint, *, may_ask: bool = False
) -> Iterator[Profile]:
    """Read the cookies of browsers, one browser after the other.

    Args:
        names: Keys of `BROWSERS`.
        endpoint: The server.
        may_ask: Whether the platform may ask for a password, as macOS does.

    Raises:
        MissingRequirementsError: The extra ``browser`` is not installed.
    """
    library = _library()
    for name in names:
        if problem := _obstacle(name, may_ask=may_ask):
            yield Profile(BROWSERS[name], problem=problem)
            continue
        options: dict[str, Any] = {}
        if sys.version_info >= _WITHOUT_INJECTION:
            # On Windows, only code inside of Chrome's own process can read its newest encryption.
            options = {
                "app_bound": "disabled",
                "timeout": _PASSWORD_SECONDS if may_ask else _SECONDS,
            }
        try:
            report = library.browser_report(name, None, [endpoint.host], **options)
        except Exception as error:  # noqa: BLE001 - the library may raise anything
            yield Profile(BROWSERS[name], problem=f"cannot be read ({type(error).__name__})")
        else:
            yield _profile(BROWSERS[name], report, endpoint)


def _profile(browser: str, report: dict[str, Any], endpoint: Endpoint) -> Profile:
    """The first profile of a browser that holds a session; its default profile comes first."""
    if report["status"] == "no_sources":
        return Profile(browser, problem="it is not on this machine", exists=False)
    problems: list[str] = []
    has_others = False
    for profile in report["profiles"]:
        for source in profile["sources"]:
            found = select(read_rows(source.get("cookies")), endpoint)
            if any(cookie.name == SESSION_COOKIE for cookie in found):
                return Profile(browser, cookies=tuple(found))
            has_others = has_others or bool(found)
            problems += [issue["code"] for issue in source.get("issues") or ()]
    problems += [
        issue["code"] for issue in report.get("issues") or () if issue.get("severity") != "info"
    ]
    if problems:
        codes = ", ".join(sorted(set(problems)))
        return Profile(browser, problem=f"its cookies are locked or encrypted ({codes})")
    if has_others:
        return Profile(browser, problem=f"it has cookies for {endpoint.host}, but no chat session")
    return Profile(browser, problem=f"nobody has logged in to {endpoint.host} with it")


def read_firefox_file(path: Path, endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server from a profile's ``cookies.sqlite``; none if it is missing.

    Raises:
        MissingRequirementsError: The extra ``browser`` is not installed.
    """
    library = _library()
    # Its older releases have the same function under another name.
    read = getattr(library, "extract_from_path", None) or library.firefox_based
    try:
        rows = read(str(path), domains=[endpoint.host])
    except (RuntimeError, ValueError):
        # The file does not exist yet, or is being written.
        return []
    return select(read_rows(rows), endpoint)


def _obstacle(name: str, *, may_ask: bool) -> str:
    """Why a browser's cookies are not read here; empty if they are."""
    if name in _NOT_ENCRYPTED:
        return ""
    if sys.platform == "darwin" and not may_ask:
        return f"macOS would ask for your password; to allow it: hfchat login --from-browser {name}"
    if sys.platform == "win32" and sys.version_info < _WITHOUT_INJECTION:
        return "reading its cookies needs Python 3.11 or newer"
    return ""


def _library() -> ModuleType:
    try:
        import rookie_cookies  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise MissingRequirementsError.for_extra(
            "browser", what="Reading cookies from your browsers"
        ) from None
    module: ModuleType = rookie_cookies
    return module


# --- a guest --------------------------------------------------------------------------------------


def _guest(endpoint: Endpoint, _account: str | None) -> Iterator[Attempt]:
    command = login_command(endpoint.base_url)
    yield f"guest: used; if the server needs a login, log in once: {command}"
    yield FoundSession.guest()


_SOURCES: Final[Sequence[Callable[[Endpoint, str | None], Iterator[Attempt]]]] = (
    _saved,
    _browsers,
    _guest,
)
"""The sources that are tried when the first request is sent, in order."""
