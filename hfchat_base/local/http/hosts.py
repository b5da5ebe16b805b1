"""Which hosts and origins the server answers to: its own, and nobody else's.

Every web page that a user opens can reach a server on the user's loopback addresses. It can send
forms and other simple requests; and if it makes its own host name point to 127.0.0.1 (DNS
rebinding), the browser takes the server for a part of the page. But the browser tells the server
which host a request is for and which page it comes from, and the page cannot change that. So both
must be the server's own, on every route.

Not here: the forms that chat-ui itself refuses, and logins (`gate.py`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers

from hfchat_base.local.http.answers import terse_answer, text_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostGuard", "is_host", "is_host_name"]

_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FOREIGN_SITES: Final = ("cross-site", "same-site")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class _Host(NamedTuple):
    """A host as a URL names it: name or address in lower case, and the port if it is told."""

    name: str
    port: int | None

    @classmethod
    def parsed(cls, text: str) -> _Host | None:
        """Read ``name``, ``name:port``, or an IPv6 address in brackets; None if it is no host."""
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
    """Tell whether a text is a host, with or without a port.

    Args:
        text: Such as ``chat.example``, ``192.0.2.7:8090`` or ``[2001:db8::7]``.
    """
    return _Host.parsed(text) is not None


def is_host_name(text: str) -> bool:
    """Tell whether a text is a host's name: neither an address nor one with a port.

    Args:
        text: Such as ``chat.example``.
    """
    host = _Host.parsed(text)
    return host is not None and host.port is None and _address(host.name.strip("[]")) is None


class HostGuard:
    """Wraps an app, and refuses what is not sent to one of its hosts, or comes from elsewhere.

    Its own hosts are ``localhost``, all loopback addresses, and the address that a connection came
    in at, each with the port that it came in at.

    Args:
        app: The app.
        hosts: Further hosts; one without a port stands for all ports.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._named = {host for text in hosts if (host := _Host.parsed(text)) is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Tell why a request may not pass; None if it may."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not path.startswith(b"/") or not _is_well_formed(path):
            return text_answer("Malformed URI", status=400)
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = _Host.parsed(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return text_answer("Exactly one host must be named", status=400)
        if not self._is_own(host, scope):
            return text_answer(
                "This server does not answer to that host. Name further ones with"
                " LocalServer(hosts=[...]) or hfchat serve --host-name.",
                status=403,
            )
        if not _is_same_origin(headers.getlist("origin"), host):
            return terse_answer(headers, 403, f"Invalid referer for {scope['method']} request")
        if _is_foreign_fetch(scope["method"], headers):
            return terse_answer(headers, 403, "Requests of other sites are refused")
        return None

    def _is_own(self, host: _Host, scope: Scope) -> bool:
        if host in self._named or _Host(host.name, None) in self._named:
            return True
        address, port = scope.get("server") or ("", None)
        told = host.port or _DEFAULT_PORTS[scope.get("scheme", "http")]
        if told != port:
            return False
        if host.name == "localhost":
            return True
        named = _address(host.name.strip("[]"))
        return named is not None and (named.is_loopback or named == _address(address))


def _is_same_origin(origins: list[str], host: _Host) -> bool:
    """Tell whether a request comes from a page of the host that it is sent to, or from no page."""
    origins = [origin for origin in origins if origin]
    if not origins:
        return True
    scheme, separator, rest = origins[0].partition("://")
    page = _Host.parsed(rest)
    default = _DEFAULT_PORTS.get(scheme)
    if len(origins) > 1 or not separator or page is None or default is None:
        return False
    return (page.name, page.port or default) == (host.name, host.port or default)


def _is_foreign_fetch(method: str, headers: Headers) -> bool:
    """Tell whether a page elsewhere fetches something; a link that somebody follows is allowed."""
    if headers.get("sec-fetch-site") not in _FOREIGN_SITES:
        return False
    follows_link = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return not follows_link


def _is_well_formed(path: bytes) -> bool:
    """Tell whether ``decodeURI`` would take a path."""
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
