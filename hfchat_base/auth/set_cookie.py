"""What a server sets: a `Set-Cookie` header → a cookie, as RFC 6265bis reads it (section 5.6).

Written out here because no library that could be depended on reads it so: `http.cookies` takes
flags for cookies and decodes octal escapes, `http.cookiejar` (and with it requests and httpx) keeps
to older rules, and libcurl's engine would keep the cookies to itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.cookies import Cookie, is_for_host
from hfchat_base.errors import InvalidRequestError

_MAX_ATTRIBUTE_BYTES: Final = 1024
_MAX_AGE_SECONDS: Final = 400 * 86400
"""Longer lives are cut to this, as the standard asks."""

_WHITE_SPACE: Final = " \t"
_CONTROL: Final = re.compile("[\0-\x08\x0a-\x1f\x7f]")
_AGE: Final = re.compile(r"-?[0-9]+")

_DATE_DELIMITERS: Final = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_DAY: Final = re.compile(r"([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_YEAR: Final = re.compile(r"([0-9]{2,4})(?:[^0-9].*)?", re.DOTALL)
_MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_FIRST_YEAR: Final = 1601


def parse_set_cookie(header: str, endpoint: Endpoint, path: str) -> Cookie | None:
    """Read the value of one `Set-Cookie` header.

    Args:
        header: The value, decoded as UTF-8 with ``surrogateescape``.
        endpoint: The server that sent it.
        path: The path of the request, that of the base URL included, without a query.

    Returns:
        The cookie; one that has expired if the server deletes it; None if the standard or
        `Cookie` says to ignore it, or it is for another host.
    """
    if _CONTROL.search(header):
        return None
    pair, *rest = header.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        return None
    attributes = _attributes(rest)
    domain = attributes.get("domain", "").removeprefix(".").lower()
    cookie_path = attributes.get("path", "")
    if not cookie_path.startswith("/"):
        cookie_path = path[: path.rfind("/")] or "/"
    try:
        cookie = Cookie(
            name,
            value,
            f".{domain}" if domain else endpoint.host,
            cookie_path,
            _expires(attributes),
            "secure" in attributes,
        )
    except InvalidRequestError:
        return None
    is_taken = is_for_host(cookie.domain, endpoint.host) and _keeps_its_promise(cookie, attributes)
    return cookie if is_taken else None


def _keeps_its_promise(cookie: Cookie, attributes: Mapping[str, str]) -> bool:
    """Whether a cookie is what the prefix of its name says."""
    prefix = cookie.name.lower()
    if prefix.startswith("__host-"):
        return cookie.secure and not attributes.get("domain") and attributes.get("path") == "/"
    return cookie.secure or not prefix.startswith("__secure-")


def _attributes(pieces: list[str]) -> Mapping[str, str]:
    """The attributes by their names in lower case; of several with one name the last counts."""
    found: dict[str, str] = {}
    for piece in pieces:
        name, _, value = piece.partition("=")
        value = value.strip(_WHITE_SPACE)
        if len(value) <= _MAX_ATTRIBUTE_BYTES:
            found[name.strip(_WHITE_SPACE).lower()] = value
    return found


def _expires(attributes: Mapping[str, str]) -> float | None:
    """Until when, in seconds since 1970; an age counts more than a date."""
    age = attributes.get("max-age", "")
    if _AGE.fullmatch(age):
        seconds = min(int(age), _MAX_AGE_SECONDS)
        return time.time() + seconds if seconds > 0 else 0.0
    return _date(attributes.get("expires", ""))


def _date(text: str) -> float | None:
    """Read a date in any of the forms that servers write (RFC 6265, section 5.1.1)."""
    clock: re.Match[str] | None = None
    day = month = year = None
    for token in _DATE_DELIMITERS.split(text):
        if clock is None and (match := _TIME.fullmatch(token)):
            clock = match
        elif day is None and (match := _DAY.fullmatch(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.fullmatch(token)):
            year = int(match[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:  # noqa: PLR2004 - two digits
        year += 1900 if year >= 70 else 2000  # noqa: PLR2004 - as the standard has it
    if year < _FIRST_YEAR:
        return None
    hour, minute, second = (int(part) for part in clock.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment.timestamp()
