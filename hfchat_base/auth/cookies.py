"""Cookies in the forms that people have them in → the ones for a server.

A dict, a `Cookie` header, a JSON object, a list of objects as browser extensions export them, a
`http.cookiejar`, a Netscape or JSON file or its text. Only reading; nothing is kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Union
from urllib.parse import urlsplit

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import InvalidRequestError

if TYPE_CHECKING:
    # At run time it is looked for only where it is used: it brings urllib and email with it.
    from http.cookiejar import CookieJar

CookieInput = Union[Mapping[str, str], str, "os.PathLike[str]", "CookieJar"]
"""A dict, a ``Cookie`` header, JSON or Netscape text, a path to a file, or a cookie jar."""

_NETSCAPE_FIELDS: Final = 7
_HTTP_ONLY: Final = "#HttpOnly_"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie.

    Attributes:
        name: Its name.
        value: Its value.
        domain: The host that it is for; empty for whichever it is used with.
        path: The path that it is for.
        expires: Until when it is good, in seconds since 1970; None if that is not known.
    """

    name: str
    value: str = field(repr=False)
    domain: str = ""
    path: str = "/"
    expires: float | None = None

    @property
    def has_expired(self) -> bool:
        """Whether its time has run out."""
        return self.expires is not None and self.expires <= time.time()


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
        found = [Cookie(str(name), str(value)) for name, value in source.items()]
    elif isinstance(source, os.PathLike):
        found = _read_file(Path(source))
    else:
        found = [
            Cookie(c.name, c.value, c.domain, c.path or "/", c.expires) for c in source if c.value
        ]
    return _required(found, endpoint)


def read_cookie_file(path: str | os.PathLike[str], endpoint: Endpoint) -> list[Cookie]:
    """Read the cookies for a server out of a Netscape or JSON file.

    Raises:
        InvalidRequestError: It cannot be read, is neither, or holds no cookie for the server.
    """
    return _required(_read_file(Path(path)), endpoint)


def select(cookies: Iterable[Cookie], endpoint: Endpoint) -> list[Cookie]:
    """Pick the cookies that go to a server, one a name: the one that is meant most exactly.

    Those that have run out are left out.
    """
    path = urlsplit(endpoint.base_url).path or "/"
    fitting = [
        cookie
        for cookie in cookies
        if not cookie.has_expired
        and _is_for_host(cookie.domain, endpoint.host)
        and _is_for_path(cookie.path, path)
    ]
    fitting.sort(key=lambda cookie: (len(cookie.path), len(cookie.domain.lstrip("."))))
    return list({cookie.name: cookie for cookie in fitting}.values())


def _required(found: list[Cookie], endpoint: Endpoint) -> list[Cookie]:
    for cookie in found:
        if any(c in cookie.name + cookie.value for c in "\r\n\0;"):
            msg = f"The cookie {cookie.name!r} holds a character that no cookie can."
            raise InvalidRequestError(msg)
    chosen = select(found, endpoint)
    if chosen:
        return chosen
    if any(cookie.has_expired for cookie in found):
        msg = f"The cookies for {endpoint.host} have run out. Log in again and export them afresh."
        raise InvalidRequestError(msg)
    msg = f"There is no cookie for {endpoint.host}."
    raise InvalidRequestError(msg)


def _read_file(path: Path) -> list[Cookie]:
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


def _parse_text(text: str) -> list[Cookie]:
    text = text.strip()
    if text.startswith(("{", "[")):
        return _parse_json(text)
    if (found := _parse_netscape(text)) is not None:
        return found
    pairs = [part.strip() for part in text.removeprefix("Cookie:").split(";") if part.strip()]
    if pairs and all("=" in pair for pair in pairs):
        split = (pair.partition("=") for pair in pairs)
        return [Cookie(name.strip(), value.strip()) for name, _, value in split]
    if "=" not in text and "\n" not in text and Path(text).expanduser().is_file():
        return _read_file(Path(text))
    msg = (
        f"Cookies as text are written 'name=value; …', such as '{SESSION_COOKIE}=…; token=…'; or"
        " give the path of a cookie file."
    )
    raise InvalidRequestError(msg)


def _parse_json(text: str) -> list[Cookie]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        msg = "The cookies look like JSON, but are not."
        # The cause would quote them.
        raise InvalidRequestError(msg) from None
    return _parse_export(parsed)


def _parse_export(parsed: Any) -> list[Cookie]:
    if isinstance(parsed, dict):
        if isinstance(parsed.get("cookies"), list):
            return _parse_export(parsed["cookies"])
        return [Cookie(name, value) for name, value in parsed.items() if isinstance(value, str)]
    return [
        Cookie(
            raw["name"],
            raw["value"],
            str(raw.get("domain") or raw.get("host") or ""),
            str(raw.get("path") or "/"),
            _seconds(raw.get("expires", raw.get("expirationDate"))),
        )
        for raw in (parsed if isinstance(parsed, list) else [])
        if isinstance(raw, dict)
        and isinstance(raw.get("name"), str)
        and isinstance(raw.get("value"), str)
    ]


def _parse_netscape(text: str) -> list[Cookie] | None:
    """Read lines of domain, subdomains, path, secure, expires, name, value; None if it is none."""
    found: list[Cookie] = []
    for line in text.splitlines():
        if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
            continue
        fields = line.removeprefix(_HTTP_ONLY).rstrip("\n").split("\t")
        if len(fields) != _NETSCAPE_FIELDS:
            return None
        domain, _, path, _, expires, name, value = fields
        found.append(Cookie(name, value, domain, path, _seconds(expires)))
    return found if found or "Cookie File" in text else None


def _seconds(raw: Any) -> float | None:
    """Until when, in seconds since 1970; 0 and -1 stand for the end of the browser's session."""
    try:
        seconds = float(raw)
    except (TypeError, ValueError):
        return None
    return seconds if seconds > 0 else None


def _is_for_host(domain: str, host: str) -> bool:
    domain = domain.lstrip(".").lower().removesuffix(".local")
    return not domain or host == domain or host.endswith(f".{domain}")


def _is_for_path(cookie_path: str, path: str) -> bool:
    prefix = cookie_path.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/") or not prefix
