"""The cookies that a browser on this machine has for a server.

Read with rookie-cookies (MIT), which decrypts what each platform encrypts. Only the rows of the
server's own host are asked for, nothing is written, no browser is started and nobody is asked for a
password, unless the caller says that somebody is there to answer.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import Cookie, select
from hfchat_base.errors import InvalidRequestError, MissingRequirementsError

BROWSERS_VARIABLE: Final = "HUGGINGCHAT_BROWSERS"

BROWSERS: Final = {
    "chrome": "Chrome",
    "chromium": "Chromium",
    "edge": "Edge",
    "brave": "Brave",
    "vivaldi": "Vivaldi",
    "opera": "Opera",
    "firefox": "Firefox",
}
"""The browsers that can be read, by name."""

_SECONDS: Final = 3.0
"""How long one browser may take; measured: 5 ms."""

_ASKING_SECONDS: Final = 120.0

_NOT_ENCRYPTED: Final = ("firefox",)
_WITHOUT_INJECTION: Final = (3, 11)
"""The library's releases for older Pythons inject into the browser's process on Windows."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a browser's profile has for a server.

    Attributes:
        browser: The browser's name, as people write it.
        cookies: All for the server, or none.
        problem: Why there are none.
        is_there: Whether there is such a browser.
    """

    browser: str
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)
    problem: str = ""
    is_there: bool = True


def browsers_to_read() -> tuple[str, ...]:
    """The browsers to look into: what ``HUGGINGCHAT_BROWSERS`` lists, or all; none for ``none``.

    Raises:
        InvalidRequestError: It names one that cannot be read.
    """
    text = os.environ.get(BROWSERS_VARIABLE, "").strip().lower()
    if not text:
        return tuple(BROWSERS)
    names = tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))
    for name in names:
        check_browser(name)
    return names


def check_browser(name: str) -> str:
    """Pass a browser's name on.

    Raises:
        InvalidRequestError: It is none that can be read.
    """
    if name not in BROWSERS:
        msg = f"{name!r} is no browser that can be read: choose among {', '.join(BROWSERS)}."
        raise InvalidRequestError(msg)
    return name


def read_profiles(
    names: Sequence[str], endpoint: Endpoint, *, may_ask: bool = False
) -> Iterator[Profile]:
    """Look into browsers, one after the other.

    Args:
        names: Keys of `BROWSERS`.
        endpoint: The server.
        may_ask: Whether the platform may ask somebody for a password, as macOS does.

    Raises:
        MissingRequirementsError: The extra ``browser`` is not installed.
    """
    library = _library()
    for name in names:
        if problem := _hindrance(name, may_ask=may_ask):
            yield Profile(BROWSERS[name], problem=problem)
            continue
        options: dict[str, Any] = {}
        if sys.version_info >= _WITHOUT_INJECTION:
            # Chrome's newest encryption on Windows opens only to code inside of its own process.
            options = {
                "app_bound": "disabled",
                "timeout": _ASKING_SECONDS if may_ask else _SECONDS,
            }
        try:
            report = library.browser_report(name, None, [endpoint.host], **options)
        except Exception as error:  # noqa: BLE001 - of a library that is not ours, by contract any
            yield Profile(BROWSERS[name], problem=f"cannot be read ({type(error).__name__})")
        else:
            yield _profile(BROWSERS[name], report, endpoint)


def _profile(browser: str, report: dict[str, Any], endpoint: Endpoint) -> Profile:
    """The first profile of a browser that holds a session; its default one comes first."""
    if report["status"] == "no_sources":
        return Profile(browser, problem="it is not on this machine", is_there=False)
    problems: list[str] = []
    has_others = False
    for profile in report["profiles"]:
        for source in profile["sources"]:
            found = select(browser_cookies(source.get("cookies") or ()), endpoint)
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


def browser_cookies(rows: Iterable[dict[str, Any]]) -> Iterator[Cookie]:
    """The cookies that a browser gave; what cannot be one is passed over.

    Args:
        rows: Each with name, value, domain, path, and perhaps expires and secure.
    """
    for raw in rows:
        expires = raw.get("expires")
        with contextlib.suppress(InvalidRequestError):
            yield Cookie(
                str(raw["name"]),
                str(raw["value"]),
                str(raw["domain"]),
                str(raw["path"]),
                float(expires) if expires and expires > 0 else None,
                raw.get("secure") is True,
            )


def _hindrance(name: str, *, may_ask: bool) -> str:
    if name in _NOT_ENCRYPTED:
        return ""
    if sys.platform == "darwin" and not may_ask:
        return f"macOS would ask for your password; hfchat login --from-browser {name} may"
    if sys.platform == "win32" and sys.version_info < _WITHOUT_INJECTION:
        return "reading it needs Python 3.11 or newer"
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


def read_firefox_file(path: Path, endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server out of a profile's ``cookies.sqlite``; none if it is not there.

    Raises:
        MissingRequirementsError: The extra ``browser`` is not installed.
    """
    library = _library()
    # Its older releases know the same by another name.
    read = getattr(library, "extract_from_path", None) or library.firefox_based
    try:
        rows = read(str(path), domains=[endpoint.host])
    except (RuntimeError, ValueError):
        # It does not exist yet, or is being written.
        return []
    return select(browser_cookies(rows), endpoint)
