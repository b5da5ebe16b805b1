"""A server of bytes: it says what a test wants said, down to the single byte and its moment.

What lives here is a socket and as much HTTP as reading a request takes. It knows nothing of
chat-ui; `chat_of` makes it answer as a recording does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.recordings import body_of
from tests.support.waiting import LONGEST_WAIT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from typing_extensions import Self

    from tests.support.recordings import Recording


@dataclass(frozen=True)
class RawRequest:
    """A request as it arrived; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Wire:
    """The server's end of a connection, while it answers one request."""

    def __init__(self, connection: socket.socket, server: RawServer) -> None:
        self._connection = connection
        self._server = server

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a packet of its own as far as the system allows."""
        for piece in pieces:
            self._connection.sendall(piece)

    def next_request(self) -> RawRequest | None:
        """Wait for one more request on the same connection; None if the client closes it."""
        request = _read_request(self._connection)
        if request is not None:
            self._server.requests.append(request)
        return request

    def reset(self) -> None:
        """Drop the connection with a reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def closed_within(self, seconds: float) -> bool:
        """Wait until the client closes the connection; return whether it did."""
        self._connection.settimeout(seconds)
        try:
            return not self._connection.recv(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True


Handler = Callable[[RawRequest, Wire], None]


def says(*pieces: bytes) -> Handler:
    """Answer everything with these bytes."""
    return lambda _, wire: wire.send(*pieces)


class RawServer:
    """Answers each request by calling a function, one thread a connection.

    Args:
        handler: Gets the request and the wire; the connection is closed after it.
        hangs_up: Whether it closes each connection as soon as anything has come.
        address: Where to listen: host and port; 0 for any port.
        tls: Makes it speak TLS.

    Attributes:
        base_url: Its address.
        requests: What was asked so far.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        hangs_up: bool = False,
        address: tuple[str, int] = ("127.0.0.1", 0),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handler = handler
        self._hangs_up = hangs_up
        self._tls = tls
        self._listener = socket.create_server(address)
        self._threads: list[threading.Thread] = []
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://{address[0]}:{self._listener.getsockname()[1]}"
        self.requests: list[RawRequest] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def stop_listening(self) -> None:
        """Take no more connections."""
        # A close alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_until_closed(self) -> None:
        """Wait until the server has closed every connection that it has answered on."""
        for thread in self._threads[1:]:
            thread.join(LONGEST_WAIT)

    def __exit__(self, *_: object) -> None:
        self.stop_listening()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            closing.enter_context(connection)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                closing.enter_context(connection)
            if self._hangs_up:
                connection.recv(65536)
                return
            request = _read_request(connection)
            if request is not None:
                self.requests.append(request)
                self._handler(request, Wire(connection, self))


def _read_request(connection: socket.socket) -> RawRequest | None:
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return None
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return RawRequest(method, path, headers, body)


def whole(
    body: bytes | str,
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A whole response."""
    data = body.encode() if isinstance(body, str) else body
    return head(status, content_type, {"content-length": str(len(data)), **(headers or {})}) + data


def head(
    status: int = 200,
    content_type: str = "application/jsonl",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The head of a response; the body then ends with the connection."""
    lines = [f"HTTP/1.1 {status} Whatever", "connection: close"]
    if content_type:
        lines.append(f"content-type: {content_type}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """A chunk of a body in chunked coding; an empty one ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def chat_of(recording: Recording, *, cut_into: int | None = None) -> Handler:
    """Answer as a recording does, whatever ids are asked for.

    Args:
        recording: Its streams are sent one after the other; other requests get the last recorded
            response of their kind.
        cut_into: Size of the pieces of a stream, in bytes; as recorded if None.
    """
    streams = iter(recording.streams)

    def handle(request: RawRequest, wire: Wire) -> None:
        path = request.path.partition("?")[0]
        is_message = path.startswith("/conversation/") and path.count("/") == 2
        if request.method == "POST" and is_message:
            exchange = next(streams)
            body = body_of(exchange)
            wire.send(head(headers={"transfer-encoding": "chunked"}))
            pieces = (
                [body[i : i + cut_into] for i in range(0, len(body), cut_into)]
                if cut_into
                else [
                    text.replace("<4096 spaces>", " " * 4096).encode()
                    for _, text in exchange["response"]["chunks"]
                ]
            )
            wire.send(*(chunk(piece) for piece in pieces), chunk(b""))
        elif request.method == "POST" and path.endswith("/elicitation"):
            wire.send(whole('{"ok":true,"resume":false}'))
        elif request.method == "GET" and path.startswith("/api/v2/models"):
            if recording.generation == "current":
                wire.send(whole('{"json":[{"id":"echo/base"}]}'))
            else:
                wire.send(whole("<html></html>", content_type="text/html"))
        elif request.method == "GET" and path == "/api/models":
            wire.send(whole('[{"id":"echo/base"}]'))
        elif request.method == "GET":
            marker = "__data.json" if recording.generation == "legacy" else "/api/v2/conversations/"
            reads = [
                exchange
                for exchange in recording.exchanges
                if exchange["request"]["method"] == "GET"
                and marker in exchange["request"]["path"]
                and "rootMessageId" in exchange["response"].get("text", "")
            ]
            wire.send(whole(body_of(reads[-1])))
        else:
            wire.send(whole(json.dumps({"message": "not recorded"}), status=500))

    return handle
