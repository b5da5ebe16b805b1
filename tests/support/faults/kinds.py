"""The faults: each is given a client and the unbroken response, and passes on what it pleases.

Positions are in bytes of the raw response, its head included, unless something else is said.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults.origins import Source

How = Literal["close", "reset", "half"]
"""``close``: an ordinary end of the connection. ``reset``: a TCP reset, which may also take back
bytes that were sent and not read yet. ``half``: only the sending side is closed."""

_BABBLE_SECONDS: Final = 0.003
_LONGEST_HOLD: Final = 60.0


class Fault(Protocol):
    """What becomes of one response."""

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Answer a client.

        Args:
            client: Its connection, closed by the caller afterwards.
            ask: Passes the request on and begins to read the response.
        """
        ...


@dataclass(frozen=True)
class Nothing:
    """No fault: the response as it is."""

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Pass everything on."""
        _pass_on(client, ask(), None)


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes.

    Attributes:
        after: How many bytes of the response are passed on.
        of_body: Whether they are counted from the beginning of the body.
        how: How it ends.
        keeps_behind: Whether the server behind is read to the end, as by a proxy that does not
            report that its client has gone.
    """

    after: int
    of_body: bool = False
    how: How = "close"
    keeps_behind: bool = False

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Pass the beginning on."""
        source = ask()
        try:
            _pass_on(client, source, self.after, of_body=self.of_body, closes=False)
            end(client, self.how)
            if self.keeps_behind:
                source.drain()
        finally:
            source.close()


@dataclass(frozen=True)
class CutAt:
    """The connection ends right before some bytes of the response would be passed on.

    Attributes:
        text: The bytes.
        how: How it ends.
        keeps_behind: See `Cut`.
    """

    text: bytes
    how: How = "close"
    keeps_behind: bool = False

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Pass on what comes before the bytes."""
        source = ask()
        held = b""
        try:
            while piece := source.read():
                held += piece
                found = held.find(self.text)
                if found >= 0:
                    client.sendall(held[:found])
                    break
                safe = len(held) - len(self.text) + 1
                if safe > 0:
                    client.sendall(held[:safe])
                    held = held[safe:]
            end(client, self.how)
            if self.keeps_behind:
                source.drain()
        finally:
            source.close()


@dataclass(frozen=True)
class Stall:
    """After so many bytes nothing more comes, but the connection stays open.

    Attributes:
        after: How many bytes are passed on.
    """

    after: int

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Pass the beginning on, then wait until the client leaves."""
        source = ask()
        try:
            _pass_on(client, source, self.after, closes=False)
            while client.recv(65536):
                pass
        finally:
            source.close()


@dataclass(frozen=True)
class Hold:
    """Nothing is passed on, in either direction, until the test releases it.

    Attributes:
        released: Set by the test.
    """

    released: threading.Event

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Wait, then pass everything on."""
        assert self.released.wait(_LONGEST_HOLD)
        _pass_on(client, ask(), None)


@dataclass(frozen=True)
class Drip:
    """The response comes a few bytes at a time, each in a packet of its own.

    Attributes:
        step: How many bytes.
    """

    step: int = 1

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Pass everything on, slowly."""
        source = ask()
        try:
            while piece := source.read():
                for start in range(0, len(piece), self.step):
                    client.sendall(piece[start : start + self.step])
        finally:
            source.close()


@dataclass(frozen=True)
class Instead:
    """Other bytes come in place of the response.

    Attributes:
        raw: The bytes.
        passes_on: Whether the server behind gets the request all the same, and is read to the end.
        how: How the connection ends.
        repeat: How many times they are sent; 0 until the client leaves.
    """

    raw: bytes = field(repr=False)
    passes_on: bool = False
    how: How = "close"
    repeat: int = 1

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Send the other bytes."""
        if self.passes_on:
            source = ask()
            source.drain()
            source.close()
        sent = 0
        while self.repeat == 0 or sent < self.repeat:
            client.sendall(self.raw)
            sent += 1
        end(client, self.how)


@dataclass(frozen=True)
class Babble:
    """Some bytes, then the same few again and again until the client leaves.

    Attributes:
        first: What is sent first, the response's head included.
        again: What is sent ever after, a few hundred times a second; empty for silence.
    """

    first: bytes
    again: bytes = b""

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:  # noqa: ARG002
        """Send until nobody takes it."""
        client.sendall(self.first)
        while not select.select([client], [], [], _BABBLE_SECONDS)[0]:
            client.sendall(self.again)


def end(client: socket.socket, how: How) -> None:
    """End a connection."""
    with suppress(OSError):
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        elif how == "half":
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        else:
            client.shutdown(socket.SHUT_RDWR)
            client.close()


def _pass_on(
    client: socket.socket,
    source: Source,
    most: int | None,
    *,
    of_body: bool = False,
    closes: bool = True,
) -> None:
    """Pass on at most so many bytes."""
    sent = 0
    head = b""
    in_body = not of_body
    try:
        while most is None or sent < most or not in_body:
            piece = source.read()
            if not piece:
                return
            if not in_body:
                head += piece
                before, separator, piece = head.partition(b"\r\n\r\n")
                if not separator:
                    continue
                in_body = True
                client.sendall(before + separator)
            if most is not None:
                piece = piece[: most - sent]
            client.sendall(piece)
            sent += len(piece)
    finally:
        if closes:
            source.close()
