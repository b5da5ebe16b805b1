"""Web addresses: read once, and written again from the parts.

Python and libcurl read unusual addresses differently: which part is the host, which name or number
a spelling stands for. Whatever is checked about the one reading may then not hold for the other. So
an address is read here only, everything unusual is refused, and whoever connects is given `url`,
never the text that came in.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

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
        host: A name in ASCII and lower case without a dot at its end, or an IP address; one of
            version 6 without brackets.
        port: The port, also where the address did not name it.
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
            what: Whose address it is, as the beginning of an error's sentence.

        Raises:
            InvalidRequestError: It does not begin with ``http://`` or ``https://``, names a user,
                or has a host or port that could be read in more than one way.
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
        # `urlsplit` drops line breaks and tabs in silence; others end the host at a backslash.
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
    """Spell a host in the one way that everybody reads alike; None if there is none."""
    try:
        if match["ipv6"]:
            return str(ipaddress.IPv6Address(match["ipv6"]))
        name = match["name"]
        if len(name) > _MAX_NAME_CHARACTERS + 1:
            return None
        if not name.isascii():
            import idna  # noqa: PLC0415 - hardly any host needs it

            # As browsers and libcurl do (UTS 46, not transitional). Python's own codec knows the
            # older standard only, in which some names are others: faß is fass there.
            name = idna.encode(name, uts46=True, std3_rules=True).decode()
        name = name.lower().removesuffix(".")
        labels = name.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            # 127.1, 0x7f.1 and 2130706433 are the same address to some readers and names to others.
            return str(ipaddress.IPv4Address(name))
    except ValueError:  # of `ipaddress` and of `idna`
        return None
    is_name = len(name) <= _MAX_NAME_CHARACTERS and all(map(_LABEL.fullmatch, labels))
    return name if is_name else None


def _ascii(text: str) -> str:
    """Percent-encode what is not ASCII, and leave everything else as it is."""
    return text if text.isascii() else quote(text, safe=_ASCII)


_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
