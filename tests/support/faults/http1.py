"""The little HTTP/1.1 that a server of faults needs: reading a request, writing a response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_LENGTH: Final = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_TOKEN_HEADERS: Final = re.compile(rb"\r\n(?:connection|expect):[^\r]*", re.IGNORECASE)

_HOST: Final = re.compile(rb"(\r\nhost:\s*)[^\r]*", re.IGNORECASE)
_ORIGIN: Final = re.compile(rb"(\r\norigin:\s*)[^\r]*", re.IGNORECASE)
_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True)
class Asked:
    """A request as it came.

    Attributes:
        method: Such as ``GET``.
        target: Path and query.
        head: Request line and headers, without the empty line at the end.
        body: The whole body.
    """

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def name(self) -> str:
        """Method, a space, and path with query: what routes are matched with."""
        return f"{self.method} {self.target}"

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        found = re.search(
            rb"\r\n" + re.escape(name.encode()) + rb":\s*([^\r]*)", self.head, re.IGNORECASE
        )
        return found[1].decode("latin-1") if found else None

    def forwarded(self, host: str) -> bytes:
        """The request to pass on; the connection is closed after its response.

        Args:
            host: Host and port of the server behind, which then is also the origin of whatever the
                client's own pages send.
        """
        head = _TOKEN_HEADERS.sub(b"", self.head)
        head = _HOST.sub(rb"\g<1>" + host.encode(), head)
        if self.header("origin") in {f"{scheme}://{self.header('host')}" for scheme in _SCHEMES}:
            head = _ORIGIN.sub(rb"\g<1>http://" + host.encode(), head)
        return head + b"\r\nconnection: close\r\n\r\n" + self.body


def is_whole(request: bytes) -> bool:
    """Return whether a request has come to its end."""
    head, separator, body = request.partition(b"\r\n\r\n")
    length = int(found[1]) if (found := _LENGTH.search(head)) else 0
    return bool(separator) and len(body) >= length


def read_request(client: socket.socket) -> Asked | None:
    """Read one request; None if the client leaves before it is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(found[1]) if (found := _LENGTH.search(head)) else 0
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            return None
        body += piece
    method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    return Asked(method, target, head, body)


def response(
    body: bytes,
    *,
    status: str = "200 OK",
    content_type: str = "application/jsonl",
    headers: Mapping[str, str] | None = None,
    chunk_bytes: int | None = None,
    length: int | None = None,
    until_close: bool = False,
) -> bytes:
    """Write a response.

    Args:
        body: Its body.
        status: Code and reason.
        content_type: Its content type.
        headers: More headers.
        chunk_bytes: Size of the chunks to cut it into; without it the length is announced.
        length: A length to announce that is not the body's.
        until_close: Whether the body simply lasts until the connection is closed.
    """
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if chunk_bytes is not None:
        lines.append("transfer-encoding: chunked")
        body = chunked(body, chunk_bytes)
    elif not until_close:
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body: bytes, chunk_bytes: int) -> bytes:
    """Put a body into chunks of a size, and end it properly."""
    pieces = [body[start : start + chunk_bytes] for start in range(0, len(body), chunk_bytes)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def unchunked(raw: bytes) -> bytes:
    """Take the body out of a whole response, chunked or not."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            return body
        body, rest = body + rest[:count], rest[count + 2 :]
