"""Cookies in the forms that people have them in → names and values.

A dict, a `Cookie` header, a JSON object, a list of objects as browser extensions export them, a
`http.cookiejar`, a Netscape or JSON file. Only reading; nothing is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from hfchat_base.errors import InvalidRequestError, MissingAuthError
from hfchat_base.protocol.facts import SESSION_COOKIE

if TYPE_CHECKING:
    # At run time it is looked for only where it is used: it brings urllib and email with it.
    from http.cookiejar import CookieJar

CookieInput = Union[Mapping[str, str], str, "CookieJar"]
"""A dict, a `Cookie` header or JSON text, or a cookie jar."""


def parse_cookies(source: CookieInput, host: str) -> dict[str, str]:
    """Read cookies out of what a caller has.

    Args:
        source: See `CookieInput`.
        host: The server's host; of a jar or an export only its cookies are taken.

    Raises:
        InvalidRequestError: It is none of these forms, or holds no cookie for the host.
        MissingAuthError: It is an access token, with which nobody can chat.
    """
    if isinstance(source, str):
        found = _parse_text(source.strip(), host)
    elif isinstance(source, Mapping):
        found = {str(name): str(value) for name, value in source.items()}
    else:
        found = {c.name: c.value for c in source if c.value and _is_for(c.domain, host)}
    for name, value in found.items():
        if any(c in name + value for c in "\r\n\0;"):
            msg = f"The cookie {name!r} holds a character that no cookie can."
            raise InvalidRequestError(msg)
    if not found:
        msg = f"There is no cookie for {host}."
        raise InvalidRequestError(msg)
    return found


def read_cookie_file(path: str | Path, host: str) -> dict[str, str]:
    """Read cookies out of a Netscape or JSON file.

    Raises:
        InvalidRequestError: It cannot be read, is neither, or holds no cookie for the host.
    """
    from http.cookiejar import LoadError, MozillaCookieJar  # noqa: PLC0415 - see above

    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith(("{", "[")):
            return parse_cookies(text, host)
        jar = MozillaCookieJar()
        jar.load(str(path), ignore_discard=True, ignore_expires=True)
    except (OSError, UnicodeDecodeError, LoadError) as error:
        reason = getattr(error, "strerror", None) or "it is no Netscape or JSON cookie file"
        msg = f"The cookie file {str(path)!r} cannot be read: {reason}."
        # The cause may quote the file's content.
        raise InvalidRequestError(msg) from None
    return parse_cookies(jar, host)


def _parse_text(text: str, host: str) -> dict[str, str]:
    if text.startswith("hf_"):
        msg = (
            "This is an access token. HuggingChat answers chats only to a browser's session: pass"
            f" its cookies {SESSION_COOKIE!r} and 'token'."
        )
        raise MissingAuthError(msg)
    if text.startswith(("{", "[")):
        try:
            parsed = json.loads(text)
        except ValueError:
            msg = "The cookies look like JSON, but are not."
            raise InvalidRequestError(msg) from None
        return _parse_export(parsed, host)
    pairs = [part.strip() for part in text.removeprefix("Cookie:").split(";") if part.strip()]
    if not all("=" in pair for pair in pairs):
        msg = f"Cookies as text are written 'name=value; …', such as '{SESSION_COOKIE}=…; token=…'."
        raise InvalidRequestError(msg)
    return {name.strip(): value.strip() for name, _, value in (p.partition("=") for p in pairs)}


def _parse_export(parsed: Any, host: str) -> dict[str, str]:
    if isinstance(parsed, dict):
        if isinstance(parsed.get("cookies"), list):
            return _parse_export(parsed["cookies"], host)
        return {name: value for name, value in parsed.items() if isinstance(value, str)}
    return {
        cookie["name"]: cookie["value"]
        for cookie in (parsed if isinstance(parsed, list) else [])
        if isinstance(cookie, dict)
        and isinstance(cookie.get("name"), str)
        and isinstance(cookie.get("value"), str)
        and _is_for(str(cookie.get("domain") or host), host)
    }


def _is_for(domain: str, host: str) -> bool:
    domain = domain.lstrip(".").lower().removesuffix(".local")
    return not domain or host == domain or host.endswith(f".{domain}")
