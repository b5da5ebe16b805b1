"""Cookies: what one is, and how it is read from whatever somebody has.

What lives here:

* `Cookie`, and the rule of what a cookie may hold. It is decided here once: there is no `Cookie`
  that could not be sent and saved.
* `read_cookies`, for what callers have: a dict, a ``Cookie`` header, a JSON object, a list of
  objects as browser extensions export them, a `http.cookiejar`, a Netscape or JSON file or its
  text.
* `parse_set_cookie`, for what servers set, as RFC 6265bis reads it (section 5.6). It is written out
  because no library that could be depended on reads it so: `http.cookies` takes flags for cookies
  and decodes octal escapes, `http.cookiejar` (and with it requests and httpx) follows older rules,
  and libcurl's engine would keep the cookies to itself.

Nothing is kept here; saved sessions are in `store.py`.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Union
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    # At run time it is looked for only where it is used: it brings urllib and email with it.
    from http.cookiejar import CookieJar

CookieInput = Union[Mapping[str, str], str, "os.PathLike[str]", "CookieJar"]
"""A dict, a ``Cookie`` header, JSON or Netscape text, a path to a file, or a cookie jar."""

MAX_COOKIES: Final = 64
"""About as many as browsers keep for one server; a server that sets more need not be obeyed."""

_MAX_BYTES: Final = 4096
"""Of name and value together (RFC 6265bis, section 5.6)."""

_FORBIDDEN: Final = re.compile("[\0-\x1f\x7f-\x9f;]")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie. Whatever it was read from, it can be sent and saved as it is.

    Attributes:
        name: Its name.
        value: Its value, as it goes over the wire: quotes and backslashes are part of it. Bytes
            that are not UTF-8 are kept as Python's ``surrogateescape`` does.
        domain: The host that it is for; with a leading dot also for all hosts below it. Empty for
            the host that it is used with, where only name and value were given.
        path: The path that it is for, with everything below.
        expires: When it expires, in seconds since 1970; None if that is not known.
        secure: Whether it is only sent over TLS, and to this machine itself.

    Raises:
        InvalidRequestError: Name or value holds what no cookie can: a control character, a
            semicolon, in a name an equals sign; or they are empty or too long.
    """

    name: str
    value: str = field(repr=False)
    domain: str = ""
    path: str = "/"
    expires: float | None = None
    secure: bool = False

    def __post_init__(self) -> None:
        # Servers ignore these around names and values, and send them back without.
        name, value = self.name.strip(" \t"), self.value.strip(" \t")
        try:
            size = len((name + value).encode("utf-8", "surrogateescape"))
            can_be_sent = bool(name) and "=" not in name and not _FORBIDDEN.search(name + value)
        except UnicodeEncodeError:
            size, can_be_sent = 0, False
        if not can_be_sent:
            msg = f"The cookie {name[:100]!r} holds a character that cookies cannot hold."
            raise InvalidRequestError(msg)
        if size > _MAX_BYTES:
            msg = f"The cookie {name[:100]!r} is too long (at most {_MAX_BYTES} bytes)."
            raise InvalidRequestError(msg)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "domain", self.domain.lower())
        object.__setattr__(self, "path", self.path if self.path.startswith("/") else "/")

    @property
    def has_expired(self) -> bool:
        """Whether it has expired."""
        return self.expires is not None and self.expires <= time.time()

    def is_sent(self, endpoint: Endpoint, path: str) -> bool:
        """Whether it is sent with a request.

        Args:
            endpoint: The server.
            path: The path of the request, including that of the base URL, without a query.
        """
        return (
            not self.has_expired
            and _is_for_host(self.domain, endpoint.host)
            and _is_for_path(self.path, path)
            and (not self.secure or is_secure(endpoint))
        )

    def is_replaced_by(self, other: Cookie) -> bool:
        """Whether both are one cookie; where only the name of one is known, the name decides."""
        if self.name != other.name:
            return False
        if not self.domain or not other.domain:
            return True
        return (self.domain, self.path) == (other.domain, other.path)


def merge(known: Iterable[Cookie], changes: Iterable[Cookie]) -> tuple[Cookie, ...]:
    """Apply what a server has set; an expired cookie deletes the one that it replaces.

    Returns:
        The cookies in the order in which they are sent: the longest path first. Once there are as
        many as browsers keep for one server, no further one is added.
    """
    kept = list(known)
    for change in changes:
        kept = [cookie for cookie in kept if not cookie.is_replaced_by(change)]
        if not change.has_expired and len(kept) < MAX_COOKIES:
            kept.append(change)
    return tuple(sorted(kept, key=lambda cookie: -len(cookie.path)))


def by_name(cookies: Iterable[Cookie]) -> dict[str, str]:
    """The values by name; of several with one name the first, as servers do."""
    found: dict[str, str] = {}
    for cookie in cookies:
        found.setdefault(cookie.name, cookie.value)
    return found


def select(cookies: Iterable[Cookie], endpoint: Endpoint) -> list[Cookie]:
    """The cookies for a server, at its base URL or below; the most specific first.

    Expired ones are left out.
    """
    base = urlsplit(endpoint.base_url).path or "/"
    fitting = {
        (cookie.name, cookie.domain, cookie.path): cookie
        for cookie in cookies
        if cookie.is_sent(endpoint, base)
        or (_is_for_path(base, cookie.path) and cookie.is_sent(endpoint, cookie.path))
    }
    return sorted(
        fitting.values(),
        key=lambda cookie: (len(cookie.path), len(cookie.domain.lstrip("."))),
        reverse=True,
    )


def is_secure(endpoint: Endpoint) -> bool:
    """Whether a server is sent secure cookies: over TLS, or on this machine, as in browsers."""
    host = endpoint.host
    if endpoint.origin.startswith("https:") or host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_for_host(domain: str, host: str) -> bool:
    """Whether a cookie's domain includes a host (RFC 6265, section 5.1.3).

    Public suffixes do not matter: a cookie goes to one server and no other.
    """
    domain = domain.lower()
    if not domain or domain.lstrip(".") == host:
        return True
    return domain.startswith(".") and host.endswith(domain) and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_for_path(cookie_path: str, path: str) -> bool:
    """Whether a cookie's path includes another one (RFC 6265, section 5.1.4)."""
    if path == cookie_path:
        return True
    return path.startswith(cookie_path if cookie_path.endswith("/") else f"{cookie_path}/")


# --- what callers, files and browsers have --------------------------------------------------------

_HEADER_NAME: Final = re.compile(r"^cookie:", re.IGNORECASE)
_NETSCAPE_FIELDS: Final = 7
_HTTP_ONLY: Final = "#HttpOnly_"


def is_access_token(source: object) -> bool:
    """Whether this is an access token of huggingface.co, and not cookies."""
    return isinstance(source, str) and source.strip().startswith("hf_") and "=" not in source


def read_cookies(source: CookieInput, endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server from what a caller has.

    Args:
        source: See `CookieInput`.
        endpoint: The server; only its cookies are taken.

    Raises:
        InvalidRequestError: It is in none of these forms, holds no cookie for the server, or they
            have expired.
    """
    if isinstance(source, str):
        found = _parse_text(source)
    elif isinstance(source, Mapping):
        found = [_Row(name=str(name), value=str(value)) for name, value in source.items()]
    elif isinstance(source, os.PathLike):
        found = _read_file(Path(source))
    else:
        found = _read_jar(source, endpoint)
    return _required(found, endpoint)


def read_cookie_file(path: str | os.PathLike[str], endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server from a Netscape or JSON file.

    Raises:
        InvalidRequestError: It cannot be read, is neither, or holds no cookie for the server.
    """
    return _required(_read_file(Path(path)), endpoint)


def read_rows(rows: object) -> Iterator[Cookie]:
    """Read the cookies in what a browser or a library for browsers gives; the rest is skipped.

    Args:
        rows: A list of objects with name and value, and perhaps domain, path, expires, secure.
    """
    for row in _parse_rows(rows):
        with suppress(InvalidRequestError):
            yield row.cookie()


def _seconds(raw: Any) -> float | None:
    """When, in seconds since 1970; 0 and -1 stand for the end of the browser's session."""
    try:
        seconds = float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None


class _Row(BaseModel):
    """A cookie as some source describes it, before the rule is applied.

    The names are those of browsers and of their extensions. An export of a whole browser may hold
    anything, so only what makes it a cookie has to be right; keys that are not listed are ignored.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    value: str = Field(repr=False)
    domain: Annotated[str, PlainValidator(lambda raw: str(raw or ""))] = Field(
        default="", validation_alias=AliasChoices("domain", "host")
    )
    path: Annotated[str, PlainValidator(lambda raw: str(raw or "/"))] = "/"
    expires: Annotated[float | None, PlainValidator(_seconds)] = Field(
        default=None, validation_alias=AliasChoices("expires", "expirationDate")
    )
    secure: Annotated[bool, PlainValidator(lambda raw: raw is True)] = False
    is_host_only: Annotated[bool, PlainValidator(lambda raw: raw is not False)] = Field(
        default=True, validation_alias="hostOnly"
    )

    @property
    def scope(self) -> str:
        """The domain in the form of `Cookie.domain`."""
        if self.is_host_only or not self.domain:
            return self.domain
        return f".{self.domain.lstrip('.')}"

    def cookie(self) -> Cookie:
        """The cookie itself.

        Raises:
            InvalidRequestError: It holds what no cookie can.
        """
        return Cookie(self.name, self.value, self.scope, self.path, self.expires, self.secure)


def _parse_rows(rows: object) -> Iterator[_Row]:
    for raw in rows if isinstance(rows, (list, tuple)) else ():
        with suppress(ValidationError):
            yield _Row.model_validate(raw)


def _required(rows: list[_Row], endpoint: Endpoint) -> list[Cookie]:
    # An export of a whole browser may hold anything; only this server's rows have to be right.
    found = [row.cookie() for row in rows if _is_for_host(row.scope, endpoint.host)]
    chosen = select(found, endpoint)
    if chosen:
        return chosen
    if any(cookie.has_expired for cookie in found):
        msg = f"The cookies for {endpoint.host} have expired. Log in again and export them again."
        raise InvalidRequestError(msg)
    if found and all(cookie.secure for cookie in found) and not is_secure(endpoint):
        msg = f"The cookies for {endpoint.host} are sent over https:// only; base_url is http://."
        raise InvalidRequestError(msg)
    msg = f"There is no cookie for {endpoint.host}."
    raise InvalidRequestError(msg)


def _read_jar(jar: CookieJar, endpoint: Endpoint) -> list[_Row]:
    rows: list[_Row] = []
    for cookie in jar:
        domain = cookie.domain.lower()
        if domain.lstrip(".") == f"{endpoint.host}.local":
            # What the library makes of a host without a dot, such as localhost.
            domain = endpoint.host
        elif cookie.domain_specified and domain:
            domain = f".{domain.lstrip('.')}"
        if cookie.value:
            rows.append(
                _Row(
                    name=cookie.name,
                    value=cookie.value,
                    domain=domain,
                    path=cookie.path,
                    expires=cookie.expires,
                    secure=cookie.secure,
                )
            )
    return rows


def _read_file(path: Path) -> list[_Row]:
    path = path.expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "it is not text") from None
    if text.lstrip().startswith(("{", "[")):
        return _parse_json(text)
    if (found := _parse_netscape(text)) is None:
        raise _unreadable(path, "it is not a Netscape or JSON cookie file")
    return found


def _unreadable(path: Path, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"The cookie file {str(path)!r} cannot be read: {reason}.")


def _parse_text(text: str) -> list[_Row]:
    text = text.strip()
    if text.startswith(("{", "[")):
        return _parse_json(text)
    if (rows := _parse_netscape(text)) is not None:
        return rows
    pairs = [part for part in _HEADER_NAME.sub("", text).split(";") if part.strip()]
    if pairs and all("=" in pair for pair in pairs):
        found: dict[str, str] = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            # Browsers send the most specific one first, and servers read that one.
            found.setdefault(name.strip(), value)
        return [_Row(name=name, value=value) for name, value in found.items()]
    if "=" not in text and "\n" not in text and Path(text).expanduser().is_file():
        return _read_file(Path(text))
    msg = (
        f"Cookies as text are written 'name=value; …', such as '{SESSION_COOKIE}=…; token=…'; or"
        " give the path of a cookie file."
    )
    raise InvalidRequestError(msg)


def _parse_json(text: str) -> list[_Row]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        msg = "The cookies look like JSON, but are not."
        # The cause would quote them.
        raise InvalidRequestError(msg) from None
    if isinstance(parsed, dict) and isinstance(parsed.get("cookies"), list):
        parsed = parsed["cookies"]
    if isinstance(parsed, dict):
        parsed = [{"name": name, "value": value} for name, value in parsed.items()]
    return list(_parse_rows(parsed))


def _parse_netscape(text: str) -> list[_Row] | None:
    """Read lines of domain, subdomains, path, secure, expires, name, value; None for other text."""
    found: list[_Row] = []
    # Not `splitlines`, which also splits at characters that a value may hold.
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
            continue
        fields = line.removeprefix(_HTTP_ONLY).split("\t")
        if len(fields) != _NETSCAPE_FIELDS:
            return None
        domain, subdomains, path, secure, expires, name, value = fields
        found.append(
            _Row(
                name=name,
                value=value,
                domain=f".{domain.lstrip('.')}" if subdomains == "TRUE" else domain,
                path=path,
                expires=_seconds(expires),
                secure=secure == "TRUE",
            )
        )
    return found if found or "Cookie File" in text else None


# --- what servers set -----------------------------------------------------------------------------

_MAX_ATTRIBUTE_BYTES: Final = 1024
_MAX_AGE_SECONDS: Final = 400 * 86400
"""Longer lifetimes are shortened to this, as the standard asks."""

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


def parse_set_cookie(
    header: str, endpoint: Endpoint, path: str, *, date: str = ""
) -> Cookie | None:
    """Read the value of one `Set-Cookie` header.

    Args:
        header: The value, decoded as UTF-8 with ``surrogateescape``.
        endpoint: The server that sent it.
        path: The path of the request, including that of the base URL, without a query.
        date: The response's `Date` header, or an empty text.

    Returns:
        The cookie; an expired one if the server deletes it; None if the standard or `Cookie` says
        to ignore it, or it is for another host.
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
            _expires(attributes, date),
            "secure" in attributes,
        )
    except InvalidRequestError:
        return None
    is_taken = _is_for_host(cookie.domain, endpoint.host) and _fits_prefix(cookie, attributes)
    return cookie if is_taken else None


def _fits_prefix(cookie: Cookie, attributes: Mapping[str, str]) -> bool:
    """Whether a cookie is what the prefix of its name promises."""
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


def _expires(attributes: Mapping[str, str], date: str) -> float | None:
    """When a cookie expires on the clock here, in seconds since 1970; an age overrides a date.

    A date is on the server's clock, which the response's own date shows, as browsers read it: with
    a wrong clock here, a fresh session would otherwise count as expired.
    """
    age = attributes.get("max-age", "")
    if _AGE.fullmatch(age):
        seconds = min(int(age), _MAX_AGE_SECONDS)
        return time.time() + seconds if seconds > 0 else 0.0
    expires, sent = _date(attributes.get("expires", "")), _date(date)
    if expires is None or sent is None:
        return expires
    return max(0.0, time.time() + expires - sent)


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
