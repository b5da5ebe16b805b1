"""`FaultServer`: takes connections, one request each, and lets chosen requests meet chosen faults.

A thread a connection: nothing here is timed, so tests wait for nothing but the bytes. The faults
are in `kinds.py`, the origins of unbroken responses (a server behind, or bytes of a test) in
`origins.py`, the little HTTP that all of this needs in `wire.py`. Nothing in this folder uses the
code under test.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.support.faults.http1 import read_request
from tests.support.faults.kinds import Fault, Nothing
from tests.support.faults.origins import Behind, ClientLeft

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self

    from tests.support.faults.http1 import Asked
    from tests.support.faults.origins import Origin

SEND: Final = r"POST \S*/conversation/[0-9a-f]{24}$"
RESUME: Final = r"GET \S*/conversation/[0-9a-f]{24}/stream\?"
READ: Final = r"GET \S*/conversations?/[0-9a-f]{24}(?:$|/__data.json|\?)"
CREATE: Final = r"POST \S*/conversation$"
MODELS: Final = r"GET \S*/api/v2/models"
TOOL_SERVERS: Final = r"GET \S*/api/mcp/servers"
STOP: Final = r"POST \S*/stop-generating$"
REPLY: Final = r"POST \S*/elicitation$"
ANY: Final = r""

_NOTHING: Final = Nothing()


class FaultServer:
    """A server of faults, or a proxy of them.

    Args:
        origin: Where unbroken responses come from: an `Origin`, or the address of a server.
        tls: Makes it speak TLS.
    """

    def __init__(self, origin: Origin | str, *, tls: ssl.SSLContext | None = None) -> None:
        self._origin: Origin = Behind(origin) if isinstance(origin, str) else origin
        self._tls = tls
        self._rules: list[tuple[re.Pattern[str], list[Fault], bool]] = []
        self._refusals = 0
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """Method and path of every request so far."""
        with self._lock:
            return [asked.name for asked in self._asked]

    @property
    def requests(self) -> list[Asked]:
        """Every request so far."""
        with self._lock:
            return list(self._asked)

    @property
    def open_connections(self) -> int:
        """How many connections of clients are open."""
        with self._lock:
            return len(self._open)

    def count(self, route: str) -> int:
        """Count the requests so far that match a route."""
        return sum(1 for name in self.asked if re.match(route, name))

    def on(self, route: str, *faults: Fault, always: bool = False) -> Self:
        """Let the next requests of a route meet these faults, one each; those after them none.

        Args:
            route: A pattern for method, a space, and path with query.
            faults: The faults.
            always: Whether the last of them is met by all further requests too.
        """
        with self._lock:
            self._rules.append((re.compile(route), list(faults), always))
        return self

    def refuse(self, connections: int) -> None:
        """Reset the next connections before anything is read from them."""
        with self._lock:
            self._refusals += connections

    def reset(self) -> None:
        """Forget all faults and requests."""
        with self._lock:
            self._rules.clear()
            self._asked.clear()
            self._refusals = 0

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
            threads = list(self._threads)
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            with self._lock:
                self._open.add(client)
                self._threads.add(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        connection = client
        try:
            with suppress(OSError, ClientLeft):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(client, server_side=True)
                self._answer(connection)
        finally:
            connection.close()
            client.close()
            with self._lock:
                self._open.discard(client)
                self._threads.discard(threading.current_thread())

    def _answer(self, client: socket.socket) -> None:
        with self._lock:
            refused = self._refusals > 0
            self._refusals -= refused
        if refused:
            return
        asked = read_request(client)
        if asked is None:
            return
        fault = self._next_fault(asked)
        fault.meet(client, lambda: self._origin.answer(asked, client))

    def _next_fault(self, asked: Asked) -> Fault:
        with self._lock:
            self._asked.append(asked)
            for route, faults, always in self._rules:
                if faults and route.match(asked.name):
                    return faults[0] if always and len(faults) == 1 else faults.pop(0)
        return _NOTHING
