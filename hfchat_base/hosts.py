"""Where a server on this machine listens, and which hosts and origins it answers to: its own.

Every web page that a user opens can reach a server on the user's loopback addresses. It can send
forms and other simple requests; and if it makes its own host name point to 127.0.0.1 (DNS
rebinding), the browser takes the server for a part of the page. But the browser tells the server
which host a request is for and which page it comes from, and the page cannot change that. So both
must be the server's own, on every route.

`HostGuard` decides what passes; what is answered is up to the server that asks it. It reads an ASGI
scope and needs no framework.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = [
    "Host",
    "HostGuard",
    "Rejection",
    "is_host",
    "is_host_name",
    "is_loopback",
    "listening_socket",
]

Rejection = Literal["malformed_path", "no_host", "foreign_host", "foreign_origin", "foreign_fetch"]
"""Why a request is refused: its path is malformed, it does not name exactly one host, it is meant
for another host, it was sent by a page of another origin, or a page elsewhere fetches it."""

_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.IGNORECASE | re.ASCII,
)
_BACKLOG: Final = 1024
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FOREIGN_SITES: Final = ("cross-site", "same-site")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Host(NamedTuple):
    """A host as a URL names it: name or address in lower case, and the port if it is named."""

    name: str
    port: int | None

    @classmethod
    def parsed(cls, text: str) -> Host | None:
        """Read ``name``, ``name:port``, or an IPv6 address in brackets; None for any other text."""
        found = _HOST.fullmatch(text)
        if found is None:
            return None
        name = found["name"].lower()
        if name.startswith("["):
            address = _address(name[1:-1])
            if address is None:
                return None
            name = f"[{address.compressed}]"
        return cls(name, int(found["port"]) if found["port"] else None)


def is_host(text: str) -> bool:
    """Return whether a text is a host, with or without a port.

    Args:
        text: Such as ``chat.example``, ``192.0.2.7:8090`` or ``[2001:db8::7]``.
    """
    return Host.parsed(text) is not None


def is_host_name(text: str) -> bool:
    """Return whether a text is a host's name: neither an address nor one with a port.

    Args:
        text: Such as ``chat.example``.
    """
    host = Host.parsed(text)
    return host is not None and host.port is None and _address(host.name.strip("[]")) is None


def is_loopback(text: str) -> bool:
    """Return whether an address, or ``localhost``, is this machine's own and nobody else's."""
    address = _address(text)
    return text.lower() == "localhost" or (address is not None and address.is_loopback)


def listening_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    The protocol is given explicitly, because asyncio disables Nagle's algorithm only then; with it,
    every response of two writes takes 40 ms.

    Args:
        host: Address to listen on.
        port: Port to listen on, or 0 for a free one.

    Raises:
        OSError: The port is in use or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class HostGuard:
    """Decides whether a request is sent to one of the server's hosts, and by one of its pages.

    Its own hosts are ``localhost``, all loopback addresses, and the address that a connection came
    in at, each with the port that it came in at.

    Args:
        hosts: Further hosts; one without a port stands for all ports.
        origins: Further origins whose pages may send requests, such as ``https://chat.example``.
    """

    def __init__(self, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        self._named = {host for text in hosts if (host := Host.parsed(text)) is not None}
        self._origins = frozenset(origins)

    def check(self, scope: Mapping[str, Any]) -> Rejection | None:
        """Return why a request may not pass; None if it may.

        Args:
            scope: Its ASGI scope.
        """
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not path.startswith(b"/") or not _is_well_formed(path):
            return "malformed_path"
        hosts = _values(scope, b"host")
        host = Host.parsed(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return "no_host"
        if not self._is_own(host, scope):
            return "foreign_host"
        origins = [origin for origin in _values(scope, b"origin") if origin]
        if len(origins) == 1 and origins[0] in self._origins:
            return None
        if not _is_same_origin(origins, host):
            return "foreign_origin"
        return "foreign_fetch" if _is_foreign_fetch(scope) else None

    def _is_own(self, host: Host, scope: Mapping[str, Any]) -> bool:
        if host in self._named or Host(host.name, None) in self._named:
            return True
        address, port = scope.get("server") or ("", None)
        host_port = host.port or _DEFAULT_PORTS[scope.get("scheme", "http")]
        if host_port != port:
            return False
        if host.name == "localhost":
            return True
        named = _address(host.name.strip("[]"))
        return named is not None and (named.is_loopback or named == _address(address))


def _values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_same_origin(origins: Sequence[str], host: Host) -> bool:
    """Return whether a request comes from a page of the host that it goes to, or from no page."""
    if not origins:
        return True
    scheme, separator, rest = origins[0].partition("://")
    page = Host.parsed(rest)
    default = _DEFAULT_PORTS.get(scheme)
    if len(origins) > 1 or not separator or page is None or default is None:
        return False
    return (page.name, page.port or default) == (host.name, host.port or default)


def _is_foreign_fetch(scope: Mapping[str, Any]) -> bool:
    """Return whether another site's page fetches something; following a link is allowed."""
    if _values(scope, b"sec-fetch-site")[:1] not in [[site] for site in _FOREIGN_SITES]:
        return False
    follows_link = (
        scope["method"] in ("GET", "HEAD")
        and _values(scope, b"sec-fetch-mode") == ["navigate"]
        and _values(scope, b"sec-fetch-dest") == ["document"]
    )
    return not follows_link


def _is_well_formed(path: bytes) -> bool:
    """Return whether ``decodeURI`` would take a path."""
    if _BAD_ESCAPE.search(path):
        return False
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an IP address; IPv4 inside of IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
