"""Addresses: of servers and files on the web, and of proxies.

Python and libcurl read unusual web addresses differently: which part is the host, which host a
spelling stands for. What is checked for one reading may then not hold for the other. So a web
address is only read here, everything unusual is refused, and whoever connects is given `url`, which
is written from the parts, and never the original text.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from hfchat_base.errors import InvalidRequestError

_NETLOC: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@%]+))(?::(?P<port>[0-9]{0,5}))?",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME_CHARACTERS: Final = 253
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A web address in one spelling.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in ASCII and lower case without a dot at its end, or an IP address (IPv6
            without brackets).
        port: The port, also where the address does not name it.
        path: The path, percent-encoded; empty if there is none.
        query: What follows the question mark, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @classmethod
    def parse(cls, text: str, *, what: str) -> WebAddress:
        """Read an address.

        Args:
            text: The address. A fragment is dropped.
            what: Whose address it is, as the subject of an error message.

        Raises:
            InvalidRequestError: It does not begin with ``http://`` or ``https://``, holds a user
                name, or has a host or port that could be read in more than one way.
        """
        text = text.strip(" \t\r\n")
        try:
            text.encode()
            parts = urlsplit(text)
        except ValueError:
            msg = f"{what} cannot be read as a web address."
            raise InvalidRequestError(msg) from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
            msg = f"{what} should be a web address that begins with https:// or http://."
            raise InvalidRequestError(msg)
        # `urlsplit` drops line breaks and tabs silently; others end the host at a backslash.
        if any(c <= " " or c in "\\\x7f" for c in text):
            msg = f"{what} holds a space, a backslash or a control character."
            raise InvalidRequestError(msg)
        if "@" in parts.netloc:
            msg = f"{what} should hold no user name."
            raise InvalidRequestError(msg)
        match = _NETLOC.fullmatch(parts.netloc)
        port = int((match and match["port"]) or _DEFAULT_PORTS[parts.scheme])
        host = _host(match) if match else None
        if host is None or not 0 < port <= _MAX_PORT:
            msg = f"{what} should be a web address with a plain host name or IP, and a valid port."
            raise InvalidRequestError(msg)
        return cls(parts.scheme, host, port, _ascii(parts.path), _ascii(parts.query))

    @property
    def origin(self) -> str:
        """Scheme, host and port, as browsers spell an origin: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{host}" + ("" if is_default else f":{self.port}")

    @property
    def url(self) -> str:
        """The address, in the one spelling that `parse` gives."""
        return self.origin + self.path + (f"?{self.query}" if self.query else "")


def _host(match: re.Match[str]) -> str | None:
    """Spell a host in the one way that every reader agrees on; None if there is none."""
    try:
        if match["ipv6"]:
            return str(ipaddress.IPv6Address(match["ipv6"]))
        name = match["name"]
        if len(name) > _MAX_NAME_CHARACTERS + 1:
            return None
        if not name.isascii():
            import idna  # noqa: PLC0415 - hardly any host needs it

            # As browsers and libcurl do (UTS 46, not transitional). Python's own codec only knows
            # the older standard, in which some names are others: faß is fass there.
            name = idna.encode(name, uts46=True, std3_rules=True).decode()
        name = name.lower().removesuffix(".")
        labels = name.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            # Some readers take 127.1, 0x7f.1 and 2130706433 for one address, others for names.
            return str(ipaddress.IPv4Address(name))
    except ValueError:  # of `ipaddress` and of `idna`
        return None
    is_name = len(name) <= _MAX_NAME_CHARACTERS and all(map(_LABEL.fullmatch, labels))
    return name if is_name else None


def _ascii(text: str) -> str:
    """Percent-encode what is not ASCII, and leave everything else as it is."""
    return text if text.isascii() else quote(text, safe=_ASCII)


_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


_PROXY_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """The address of a proxy, parsed as libcurl does it, for programs other than libcurl.

    Attributes:
        scheme: Such as ``http`` or ``socks5h``.
        host: A name or an IP address (IPv6 in brackets).
        port: The port, or None for the scheme's own.
        username: The user's name there, decoded; empty for none.
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
            InvalidRequestError: It cannot be read. The message does not quote it: it may hold a
                password.
        """
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError:
            scheme, host, port = "", "", None
        if scheme not in _PROXY_SCHEMES or not host:
            msg = "The proxy should be an address such as http://host:3128 or socks5://host:1080."
            raise InvalidRequestError(msg)
        return cls(
            scheme,
            f"[{host}]" if ":" in host else host,
            port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
