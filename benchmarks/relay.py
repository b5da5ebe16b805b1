"""A relay on loopback that counts the bytes of what it passes on.

They are those of whole requests and answers, heads included, as they stand on the wire.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from typing_extensions import Self


class Relay:
    """Passes connections on to a server, and counts.

    Args:
        url: The server's address; its path is of no matter.

    Attributes:
        sent: Bytes that clients have sent so far.
        received: Bytes that they were sent so far.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._behind = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._lock = threading.Lock()
        self.sent = self.received = 0
        relay = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                relay._pass_on(self.request)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(self._behind) as behind:
            for end in (client, behind):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pump, args=(behind, client, False), daemon=True)
            back.start()
            self._pump(client, behind, True)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, is_sent: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    if is_sent:
                        self.sent += len(data)
                    else:
                        self.received += len(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
