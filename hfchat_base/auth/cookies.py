"""Cookies in the forms that people have them in → the ones for a server.

A dict, a `Cookie` header, a JSON object, a list of objects as browser extensions export them, a
`http.cookiejar`, a Netscape or JSON file or its text. Only reading; nothing is kept. What a server
sets is read in `set_cookie.py`.

What a cookie may hold is decided here once: there is no `Cookie` that could not be sent and kept.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Union
from urllib.parse import urlsplit

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    # At run time it is looked for only where it is used: it brings urllib and email with it.
    from http.cookiejar import CookieJar

CookieInput = Union[Mapping[str, str], str, "os.PathLike[str]", "CookieJar"]
"""A dict, a ``Cookie`` header, JSON or Netscape text, a path to a file, or a cookie jar."""

MAX_COOKIES: Final = 64
"""About as many as browsers keep for one server; a server that sets more is not obliged."""

_MAX_BYTES: Final = 4096
"""Of name and value together (RFC 6265bis, section 5.6)."""

_FORBIDDEN: Final = re.compile("[\0-\x1f\x7f-\x9f;]")
_HEADER_NAME: Final = re.compile(r"^cookie:", re.IGNORECASE)
_NETSCAPE_FIELDS: Final = 7
_HTTP_ONLY: Final = "#HttpOnly_"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie. Whatever it was read from, it is one that can be sent and kept as it is.

    Attributes:
        name: Its name.
        value: Its value, as it goes over the wire: quotes and backslashes are part of it. Bytes
            that are no UTF-8 are kept as Python's ``surrogateescape`` does.
        domain: The host that it is for; with a dot in front also for all hosts below it. Empty for
            whichever it is used with, where somebody has given name and value alone.
        path: The path that it is for, with all that is below.
        expires: Until when it is good, in seconds since 1970; None if that is not known.
        secure: Whether it is sent over TLS only, and to this machine itself.

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
            msg = f"The cookie {name[:100]!r} holds a character that no cookie can."
            raise InvalidRequestError(msg)
        if size > _MAX_BYTES:
            msg = f"The cookie {name[:100]!r} is longer than a cookie can be ({_MAX_BYTES} bytes)."
            raise InvalidRequestError(msg)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "domain", self.domain.lower())
        object.__setattr__(self, "path", self.path if self.path.startswith("/") else "/")

    @property
    def has_expired(self) -> bool:
        """Whether its time has run out."""
        return self.expires is not None and self.expires <= time.time()

    def is_sent(self, endpoint: Endpoint, path: str) -> bool:
        """Tell whether it goes along with a request.

        Args:
            endpoint: The server.
            path: The path of the request, that of the base URL included, without a query.
        """
        return (
            not self.has_expired
            and is_for_host(self.domain, endpoint.host)
            and _is_for_path(self.path, path)
            and (not self.secure or is_secure(endpoint))
        )

    def is_replaced_by(self, other: Cookie) -> bool:
        """Tell whether both are one cookie; where only the name of one is known, it counts."""
        if self.name != other.name:
            return False
        if not self.domain or not other.domain:
            return True
        return (self.domain, self.path) == (other.domain, other.path)


def merge(known: Iterable[Cookie], changes: Iterable[Cookie]) -> tuple[Cookie, ...]:
    """Take over what a server has set; what has expired is deleted.

    Returns:
        The cookies in the order in which they are sent: the longest path first. Where there are
        as many as browsers keep for a server, no further one is taken.
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


def is_access_token(source: object) -> bool:
    """Tell whether somebody has an access token of huggingface.co, and no cookies."""
    return isinstance(source, str) and source.strip().startswith("hf_") and "=" not in source


def read_cookies(source: CookieInput, endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server out of what a caller has.

    Args:
        source: See `CookieInput`.
        endpoint: The server; only its cookies are taken.

    Raises:
        InvalidRequestError: It is none of these forms, holds no cookie for the server, or they have
            run out.
    """
    if isinstance(source, str):
        found = _parse_text(source)
    elif isinstance(source, Mapping):
        found = [_Row(str(name), str(value)) for name, value in source.items()]
    elif isinstance(source, os.PathLike):
        found = _read_file(Path(source))
    else:
        found = _read_jar(source, endpoint)
    return _required(found, endpoint)


def read_cookie_file(path: str | os.PathLike[str], endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server out of a Netscape or JSON file.

    Raises:
        InvalidRequestError: It cannot be read, is neither, or holds no cookie for the server.
    """
    return _required(_read_file(Path(path)), endpoint)


def select(cookies: Iterable[Cookie], endpoint: Endpoint) -> list[Cookie]:
    """Pick the cookies of a server, for its base URL or some path below; the most exact first.

    Those that have expired are left out.
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


class _Row(NamedTuple):
    """What a source says of a cookie, before it is known whether it can be one."""

    name: str
    value: str
    domain: str = ""
    path: str = "/"
    expires: float | None = None
    secure: bool = False


def _required(rows: list[_Row], endpoint: Endpoint) -> list[Cookie]:
    # An export of a whole browser may hold anything; only this server's rows have to be right.
    found = [Cookie(*row) for row in rows if is_for_host(row.domain, endpoint.host)]
    chosen = select(found, endpoint)
    if chosen:
        return chosen
    if any(cookie.has_expired for cookie in found):
        msg = f"The cookies for {endpoint.host} have run out. Log in again and export them afresh."
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
            row = _Row(cookie.name, cookie.value, domain, cookie.path, _seconds(cookie.expires))
            rows.append(row._replace(secure=cookie.secure))
    return rows


def _read_file(path: Path) -> list[_Row]:
    path = path.expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "it is no text") from None
    if text.lstrip().startswith(("{", "[")):
        return _parse_json(text)
    if (found := _parse_netscape(text)) is None:
        raise _unreadable(path, "it is no Netscape or JSON cookie file")
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
            # Browsers send the most exact one first, and servers read that one.
            found.setdefault(name.strip(), value)
        return [_Row(name, value) for name, value in found.items()]
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
    return _parse_export(parsed)


def _parse_export(parsed: Any) -> list[_Row]:
    if isinstance(parsed, dict):
        if isinstance(parsed.get("cookies"), list):
            return _parse_export(parsed["cookies"])
        return [_Row(name, value) for name, value in parsed.items() if isinstance(value, str)]
    return [
        _Row(
            raw["name"],
            raw["value"],
            _domain(raw.get("domain") or raw.get("host"), is_host_only=raw.get("hostOnly")),
            str(raw.get("path") or "/"),
            _seconds(raw.get("expires", raw.get("expirationDate"))),
            raw.get("secure") is True,
        )
        for raw in (parsed if isinstance(parsed, list) else [])
        if isinstance(raw, dict)
        and isinstance(raw.get("name"), str)
        and isinstance(raw.get("value"), str)
    ]


def _parse_netscape(text: str) -> list[_Row] | None:
    """Read lines of domain, subdomains, path, secure, expires, name, value; None if it is none."""
    found: list[_Row] = []
    # Not `splitlines`, which also splits at characters that a value may hold.
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
            continue
        fields = line.removeprefix(_HTTP_ONLY).split("\t")
        if len(fields) != _NETSCAPE_FIELDS:
            return None
        domain, subdomains, path, secure, expires, name, value = fields
        domain = f".{domain.lstrip('.')}" if subdomains == "TRUE" else domain
        found.append(_Row(name, value, domain, path, _seconds(expires), secure == "TRUE"))
    return found if found or "Cookie File" in text else None


def _domain(raw: Any, *, is_host_only: Any) -> str:
    domain = str(raw or "")
    return f".{domain.lstrip('.')}" if domain and is_host_only is False else domain


def _seconds(raw: Any) -> float | None:
    """Until when, in seconds since 1970; 0 and -1 stand for the end of the browser's session."""
    try:
        seconds = float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None


def is_for_host(domain: str, host: str) -> bool:
    """Tell whether a cookie's domain takes in a host (RFC 6265, section 5.1.3).

    Nothing has to be known about public suffixes: a cookie goes to one server and no other.
    """
    domain = domain.lower()
    if not domain or domain.lstrip(".") == host:
        return True
    return domain.startswith(".") and host.endswith(domain) and not _is_address(host)


def is_secure(endpoint: Endpoint) -> bool:
    """Tell whether a server gets secure cookies: over TLS, or on this machine, as in browsers."""
    host = endpoint.host
    if endpoint.origin.startswith("https:") or host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_for_path(cookie_path: str, path: str) -> bool:
    """Tell whether a cookie's path takes in another one (RFC 6265, section 5.1.4)."""
    if path == cookie_path:
        return True
    return path.startswith(cookie_path if cookie_path.endswith("/") else f"{cookie_path}/")
