"""Where an unbroken response comes from: another server, or bytes that a test gives."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults.http1 import Asked


class ClientLeft(Exception):  # noqa: N818 - says what happened
    """The client has closed its connection."""


class Source(Protocol):
    """A response that is read as it comes."""

    def read(self) -> bytes:
        """Read the next bytes; empty at the end.

        Raises:
            ClientLeft: There is nobody to read them for.
        """
        ...

    def drain(self) -> None:
        """Read to the end, whether or not there is somebody to read for."""
        ...

    def close(self) -> None:
        """Let go of the response, whole or not."""
        ...


class Origin(Protocol):
    """Something that answers requests."""

    def answer(self, asked: Asked, client: socket.socket) -> Source:
        """Begin to answer a request."""
        ...


class Behind:
    """Another server: requests are passed on to it.

    Args:
        base_url: Its address; only host and port are used, so paths are the same before and behind.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._host = parts.netloc

    def answer(self, asked: Asked, client: socket.socket) -> Source:
        """Pass a request on."""
        behind = socket.create_connection(self._address)
        behind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        behind.sendall(asked.forwarded(self._host))
        return _SocketSource(behind, client)


class Taping:
    """Another server, of which every byte is kept.

    Args:
        base_url: Its address.

    Attributes:
        tape: Requests with their whole responses, in the order in which they ended.
    """

    def __init__(self, base_url: str) -> None:
        self._behind = Behind(base_url)
        self.tape: list[tuple[Asked, bytes]] = []

    def answer(self, asked: Asked, client: socket.socket) -> Source:
        """Pass a request on, and keep what comes."""
        source = self._behind.answer(asked, client)
        data = b""
        while piece := source.read():
            data += piece
        source.close()
        self.tape.append((asked, data))
        return BytesSource(data)


class Scripted:
    """Bytes that a test has at hand.

    Args:
        script: Gives the whole response, head included, to a request.
    """

    def __init__(self, script: Callable[[Asked], bytes]) -> None:
        self._script = script

    def answer(self, asked: Asked, client: socket.socket) -> Source:  # noqa: ARG002 - see `Origin`
        """Look a response up."""
        return BytesSource(self._script(asked))


class BytesSource:
    """A response that is all there.

    Args:
        data: The response.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self) -> bytes:
        """Read all of it at once."""
        data, self._data = self._data, b""
        return data

    def drain(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """There is nothing to release."""


class _SocketSource:
    def __init__(self, behind: socket.socket, client: socket.socket) -> None:
        self._behind = behind
        self._client = client

    def read(self) -> bytes:
        ready, _, _ = select.select([self._behind, self._client], [], [])
        if self._behind in ready:
            return self._behind.recv(65536)
        if has_left(self._client):
            raise ClientLeft
        return self._behind.recv(65536)

    def drain(self) -> None:
        while self._behind.recv(65536):
            pass

    def close(self) -> None:
        self._behind.close()


def has_left(client: socket.socket) -> bool:
    """Return whether a client that has something to read has closed its connection."""
    try:
        # Below TLS, if there is any: a TLS socket cannot peek.
        with socket.socket(fileno=os.dup(client.fileno())) as plain:
            return not plain.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
