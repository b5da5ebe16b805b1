"""`CuttingProxy`: passes bytes on, and cuts one exchange after so many of them, both ways counted.

Unlike `FaultServer` it keeps connections, so that a request can be cut on one that was used before,
and it cuts requests as well as responses.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.faults.http1 import is_whole
from tests.support.faults.kinds import end

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from tests.support.faults.kinds import How


@dataclass
class Exchanged:
    """A request and its response, as far as they were passed on.

    Attributes:
        is_first: Whether it was the first of its connection.
        request: What the server behind got.
        response: What the client got.
    """

    is_first: bool
    request: bytes = b""
    response: bytes = b""


@dataclass
class _Cut:
    after: int
    how: How


class CuttingProxy:
    """A proxy before a server, one thread a connection.

    Args:
        base_url: The server's address.
        keeps: Whether clients may use their connections again.

    Attributes:
        exchanges: Every exchange so far.
    """

    def __init__(self, base_url: str, *, keeps: bool) -> None:
        parts = urlsplit(base_url)
        self._behind = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._keeps = keeps
        self._lock = threading.Lock()
        self._cut: _Cut | None = None
        self._threads: list[threading.Thread] = []
        self._clients: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.exchanges: list[Exchanged] = []

    def cut_next(self, after: int, how: How) -> None:
        """Cut the next exchange that begins.

        Args:
            after: How many bytes are passed on: of the request first, then of the response. A
                whole request is answered by the server behind, whatever the client gets of it.
            how: How the client's connection ends.
        """
        self._cut = _Cut(after, how)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError), socket.create_connection(self._behind) as behind:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                behind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                is_first = True
                while self._exchange(client, behind, is_first=is_first):
                    is_first = False
        finally:
            client.close()
            with self._lock:
                self._clients.discard(client)

    def _exchange(self, client: socket.socket, behind: socket.socket, *, is_first: bool) -> bool:
        """Pass one request and its response on; return whether another one may follow."""
        if not client.recv(1, socket.MSG_PEEK):
            return False
        exchange = Exchanged(is_first)
        with self._lock:
            cut, self._cut = self._cut, None
            self.exchanges.append(exchange)
        exchange.request = request = _read(client, cut.after if cut else None)
        is_last = cut is not None or not self._keeps
        if is_last and is_whole(request):
            request = request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        behind.sendall(request)
        if cut is None:
            return self._answer(client, behind, exchange)
        if is_whole(request):
            _answer_some(client, behind, exchange, cut.after - len(exchange.request))
        end(client, cut.how)
        if is_whole(request):
            # As a proxy does that does not report that its client has gone.
            while behind.recv(65536):
                pass
        return False

    def _answer(self, client: socket.socket, behind: socket.socket, exchange: Exchanged) -> bool:
        while True:
            ready, _, _ = select.select([behind, client], [], [])
            if behind not in ready:
                return True  # the client has something to say, or leaves
            piece = behind.recv(65536)
            if not piece:
                return False
            exchange.response += piece
            client.sendall(piece)


def _read(client: socket.socket, most: int | None) -> bytes:
    """Read a request, or so many bytes of it."""
    request = b""
    while not is_whole(request) and (most is None or len(request) < most):
        piece = client.recv(65536 if most is None else most - len(request))
        if not piece:
            break
        request += piece
    return request


def _answer_some(
    client: socket.socket, behind: socket.socket, exchange: Exchanged, most: int
) -> None:
    """Pass so many bytes of a response on, once the first ones are there."""
    while piece := behind.recv(65536):
        piece = piece[: most - len(exchange.response)]
        exchange.response += piece
        client.sendall(piece)
        if len(exchange.response) >= most:
            return
