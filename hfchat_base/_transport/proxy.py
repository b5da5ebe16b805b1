"""The address of a proxy, taken apart as libcurl does it, for those who do not use libcurl."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from hfchat_base.errors import InvalidRequestError

_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where a proxy is, and who one is there.

    Attributes:
        scheme: Such as ``http`` or ``socks5h``.
        host: A name or an address, one of version 6 in brackets.
        port: Its port, or None for the scheme's own.
        username: The user's name, decoded; empty for none.
        password: The password, decoded.
    """

    scheme: str
    host: str
    port: int | None = None
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> ProxyAddress:
        """Read an address; without a scheme it is an HTTP proxy's.

        Raises:
            InvalidRequestError: It is none. The message does not quote it: it may hold a password.
        """
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError:
            scheme, host, port = "", "", None
        if scheme not in _SCHEMES or not host:
            msg = "The proxy should be an address such as http://host:3128 or socks5://host:1080."
            raise InvalidRequestError(msg)
        return cls(
            scheme,
            f"[{host}]" if ":" in host else host,
            port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
