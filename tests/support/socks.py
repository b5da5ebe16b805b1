"""A SOCKS5 proxy with a password, as small as can be (RFC 1928 and 1929)."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class SocksProxy:
    """Lets one user through to IPv4 addresses.

    Args:
        user: The name.
        password: The password.

    Attributes:
        address: Where it listens, as ``host:port``.
        passed: To which ports somebody was let through.
    """

    def __init__(self, user: str, password: str) -> None:
        self._credentials = (user.encode(), password.encode())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.passed: list[int] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            file = client.makefile("rb")
            file.read(file.read(2)[1])
            client.sendall(b"\x05\x02")
            file.read(1)
            user = file.read(file.read(1)[0])
            password = file.read(file.read(1)[0])
            is_known = (user, password) == self._credentials
            client.sendall(b"\x01\x00" if is_known else b"\x01\x01")
            if not is_known:
                return
            file.read(4)
            host = socket.inet_ntoa(file.read(4))
            port = int.from_bytes(file.read(2), "big")
            self.passed.append(port)
            with socket.create_connection((host, port)) as server:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                _pump(client, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
