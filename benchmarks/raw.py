"""The requests that hfchat makes, sent again over a raw socket: the least time that they can take.

What hfchat sends is taped once. To send it again, all that has to change is what the server gives
out anew: ids, which stand in its responses in the same order as on the tape.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import Asked
from tests.support.faults.origins import Taping

Tape = Sequence[tuple[Asked, bytes]]
"""Requests with their whole responses, heads included."""

_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24}")
_HOST = re.compile(rb"(\r\n(?:host: |origin: http://))[^\r]*", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


def tape(base_url: str, ask: Callable[[str], object]) -> Tape:
    """Tape the requests of a client.

    Args:
        base_url: The server.
        ask: Uses a client, given the address to use.
    """
    taping = Taping(base_url)
    with FaultServer(taping) as proxy:
        ask(proxy.url)
    return taping.tape


class RawSocket:
    """A connection that is kept between requests.

    Args:
        base_url: The server, without a path.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._address = parts.hostname or "", parts.port or 80
        self._name = parts.netloc.encode()
        self._ids: dict[bytes, bytes] = {}
        self._socket = socket.create_connection(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def repeat(self, tape: Tape, until: bytes | None = None) -> bytes:
        """Send the requests again, one after the other.

        Args:
            tape: What to send, and what to take the ids from.
            until: Bytes of the last response; it is only read as far as they come.

        Returns:
            What was read of the last response.
        """
        got = b""
        for number, (asked, response) in enumerate(tape, 1):
            head = _HOST.sub(rb"\g<1>" + self._name, asked.head)
            request = head + b"\r\n\r\n" + asked.body
            self._socket.sendall(_ID.sub(lambda found: self._ids.get(found[0], found[0]), request))
            if until is not None and number == len(tape):
                return self._read(lambda data: until in data)
            got = self._read(_is_whole)
            pairs = zip(_ID.findall(_body(response)), _ID.findall(_body(got)), strict=False)
            self._ids.update(pairs)
        return got

    def read_rest(self, got: bytes) -> None:
        """Read a response to its end of which a part was read."""
        if not _is_whole(got):
            self._read(lambda data: _is_whole(got + data))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self, is_enough: Callable[[bytes], bool]) -> bytes:
        data = b""
        while not is_enough(data):
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data


def _is_whole(response: bytes) -> bool:
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return False
    if length := _LENGTH.search(head):
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n")


def _body(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]
