"""What clients do to connections: leave at any moment, pipeline, wait for 100, send for ever."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support.abandoning import assert_stopped_once, stops
from tests.support.api_server import KEY, ApiServer
from tests.support.waiting import until, until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from hfchat_base.local import ChatRequest

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
PATHS = pytest.mark.parametrize("path", [CHAT, RESPONSES])
MAX_BODY: Final = 100_000
HOST: Final = "api.test"


class Patient:
    """A model that says a word, waits until it may end, and counts its runs.

    Args:
        first: What it says before it waits; None for nothing.
    """

    def __init__(self, first: str | None) -> None:
        self._first = first
        self.begun = 0
        self.ended = 0
        self.may_end = threading.Event()

    async def __call__(self, _request: ChatRequest) -> AsyncIterator[str]:
        """Answer."""
        self.begun += 1
        try:
            if self._first is not None:
                yield self._first
            await until_async(self.may_end.is_set)
            yield "the end"
        finally:
            self.ended += 1


@pytest.fixture
def silent() -> Patient:
    """A model that says nothing until it may end."""
    return Patient(None)


@pytest.fixture
def talking() -> Patient:
    """A model that says a word and then waits until it may end."""
    return Patient("word")


@pytest.fixture
def server(silent: Patient, talking: Patient) -> Iterator[LocalServer]:
    """A server with these models, and one that answers at once."""

    async def hasty(_request: ChatRequest) -> AsyncIterator[str]:
        yield "done"

    models: dict[str, Callable[[ChatRequest], AsyncIterator[str]]] = {
        "silent": silent,
        "talking": talking,
        "hasty": hasty,
    }
    with LocalServer(
        models=[LocalModel(name, FunctionBackend(model)) for name, model in models.items()]
    ) as server:
        yield server


def served(server: LocalServer) -> ApiServer:
    """The API in front of a server."""
    return ApiServer(server.base_url, hosts=[HOST], max_body_bytes=MAX_BODY)


@pytest.fixture
def api(server: LocalServer) -> Iterator[ApiServer]:
    """The API in front of it."""
    with served(server) as api:
        yield api


def head(path: str = CHAT, method: str = "POST", **headers: str) -> bytes:
    """The head of a request with the key."""
    fields = {"host": HOST, "authorization": f"Bearer {KEY}", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    return "\r\n".join([*lines, "", ""]).encode()


def body(model: str = "hasty", *, stream: bool = False) -> bytes:
    """A body that both APIs take."""
    asked: dict[str, Any] = {"model": model, "stream": stream, "input": "Hello"}
    return json.dumps({**asked, "messages": [{"role": "user", "content": "Hello"}]}).encode()


def request(path: str, model: str = "hasty", *, stream: bool = False) -> bytes:
    """A whole request."""
    content = body(model, stream=stream)
    return head(path, **{"content-length": str(len(content))}) + content


@contextmanager
def connected(api: ApiServer) -> Iterator[socket.socket]:
    """A connection to the API."""
    host, _, port = api.address.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=60)) as connection:
        yield connection


def read_until(connection: socket.socket, end: bytes, times: int = 1) -> bytes:
    """Read until something has come so many times; what came with it is read, too."""
    received = b""
    while received.count(end) < times:
        piece = connection.recv(65_536)
        assert piece, f"the connection was closed after {received!r}"
        received += piece
    return received


def close(connection: socket.socket) -> None:
    """Close it properly."""
    connection.close()


def reset(connection: socket.socket) -> None:
    """Break it off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_half(connection: socket.socket) -> None:
    """Say that nothing more will be sent, which to a server is the same as leaving."""
    connection.shutdown(socket.SHUT_WR)
    until(lambda: not connection.recv(65_536))


WAYS: Final = [close, reset, close_half]


@PATHS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("leave", WAYS)
def test_leaving_before_the_answer_stops_the_run(
    server: LocalServer,
    silent: Patient,
    path: str,
    stream: bool,
    leave: Callable[[socket.socket], None],
) -> None:
    """While not even the headers have come, the run is stopped, once, and it was begun once."""
    with served(server) as api:
        with connected(api) as connection:
            connection.sendall(request(path, "silent", stream=stream))
            until(lambda: silent.begun > 0)
            leave(connection)
        until(lambda: silent.ended > 0)
        assert_stopped_once(server)
    assert stops(server) == silent.begun == 1


@PATHS
@pytest.mark.parametrize("read", [1, 200], ids=["in the head", "in a chunk"])
@pytest.mark.parametrize("leave", WAYS)
def test_leaving_within_the_answer_stops_the_run(
    server: LocalServer,
    talking: Patient,
    path: str,
    read: int,
    leave: Callable[[socket.socket], None],
) -> None:
    """Wherever the client stops reading, the run is stopped, once."""
    with served(server) as api:
        with connected(api) as connection:
            connection.sendall(request(path, "talking", stream=True))
            assert connection.recv(read)
            leave(connection)
        until(lambda: talking.ended > 0)
        assert_stopped_once(server)
    assert stops(server) == talking.begun == 1


@PATHS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("leave", WAYS)
def test_leaving_at_the_end_stops_nothing(
    server: LocalServer, path: str, stream: bool, leave: Callable[[socket.socket], None]
) -> None:
    """Once the answer has ended, its run has, too, and the conversation goes on from it."""
    last = {CHAT: b'"finish_reason":"stop"', RESPONSES: b'"status":"completed"'}[path]
    with served(server) as api:
        for _ in range(2):
            with connected(api) as connection:
                connection.sendall(request(path, stream=stream))
                read_until(connection, last)
                leave(connection)
    assert stops(server) == 0
    assert len(server.prompts) == 2


def test_nothing_of_clients_that_left_stays(
    server: LocalServer, api: ApiServer, silent: Patient, talking: Patient
) -> None:
    """Neither tasks nor descriptors."""

    def has_begun(runs: int) -> bool:
        return silent.begun == runs

    def leave_in_all_ways() -> None:
        for leave in WAYS:
            for path in (CHAT, RESPONSES):
                for stream in (False, True):
                    runs = silent.begun + 1
                    with connected(api) as connection:
                        connection.sendall(request(path, "silent", stream=stream))
                        until(partial(has_begun, runs))
                        leave(connection)
                with connected(api) as connection:
                    connection.sendall(request(path, "talking", stream=True))
                    assert connection.recv(1)
                    leave(connection)
        runs = silent.begun + talking.begun
        until(lambda: silent.ended + talking.ended == runs)
        until(lambda: stops(server) == runs)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("descriptors can be counted on Linux only")
    with connected(api) as connection:  # the client has a task of its own from then on
        connection.sendall(request(CHAT))
        read_until(connection, b'"usage":null')
    tasks = api.tasks()
    leave_in_all_ways()
    until(lambda: api.tasks() <= tasks)
    before = descriptors()
    leave_in_all_ways()
    until(lambda: api.tasks() <= tasks)
    until(lambda: descriptors() <= before)


@PATHS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_pipelined_requests_are_answered_in_order(
    server: LocalServer, api: ApiServer, path: str, stream: bool
) -> None:
    """Requests that are sent together wait for their turn, and each is made once."""
    health = head("/health", "GET")
    with connected(api) as connection:
        connection.sendall(request(path, stream=stream) + request(path, stream=stream) + health)
        received = read_until(connection, b'{"status":"ok"}')
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.rindex(b"done") < received.index(b'{"status":"ok"}')
    assert len(server.prompts) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("leave", WAYS)
def test_leaving_with_a_request_in_the_pipeline(
    server: LocalServer, silent: Patient, stream: bool, leave: Callable[[socket.socket], None]
) -> None:
    """The run of the first request is stopped, and the second one is not made."""
    with served(server) as api:
        with connected(api) as connection:
            connection.sendall(2 * request(CHAT, "silent", stream=stream))
            until(lambda: silent.begun > 0)
            leave(connection)
        assert_stopped_once(server)
    assert stops(server) == silent.begun == 1


@PATHS
def test_a_body_that_waits_to_be_asked_for(api: ApiServer, path: str) -> None:
    """Clients may ask with `Expect: 100-continue` whether to send their body."""
    content = body()
    with connected(api) as connection:
        length = str(len(content))
        connection.sendall(head(path, **{"content-length": length, "expect": "100-continue"}))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        assert b"HTTP/1.1 200 OK" in read_until(connection, b'"done"')


def test_a_body_that_is_not_wanted(api: ApiServer) -> None:
    """With a wrong key, such a client hears so before it sends anything."""
    wrong = {"authorization": "Bearer wrong", "content-length": "9", "expect": "100-continue"}
    with connected(api) as connection:
        connection.sendall(head(**wrong))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 401 ")


@PATHS
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_in_chunks(server: LocalServer, api: ApiServer, path: str, size: int) -> None:
    """However it is cut, it is one request."""
    content = body(stream=True)
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    with connected(api) as connection:
        connection.sendall(head(path, **{"transfer-encoding": "chunked"}))
        for piece in pieces:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert b"done" in read_until(connection, b"\r\n0\r\n\r\n")
    assert len(server.prompts) == 1


def test_a_body_without_an_end(server: LocalServer, api: ApiServer) -> None:
    """It is refused with 413, and the connection is closed in place of being read on and on."""
    chunk = b"%x\r\n%b\r\n" % (MAX_BODY, b"x" * MAX_BODY)
    with connected(api) as connection:
        connection.sendall(head(**{"transfer-encoding": "chunked"}))
        for _ in range(5):
            connection.sendall(chunk)
        assert read_until(connection, b"request_too_large").startswith(b"HTTP/1.1 413 ")
        with pytest.raises(ConnectionError):
            connection.sendall(1000 * chunk)
    assert not server.prompts


def test_headers_that_come_slowly(api: ApiServer) -> None:
    """Others are answered meanwhile, and so is this client in the end."""
    whole = request(CHAT)
    with connected(api) as slow:
        for at in range(40):
            slow.sendall(whole[at : at + 1])
        with connected(api) as other:
            other.sendall(request(CHAT, stream=True))
            read_until(other, b"[DONE]")
        slow.sendall(whole[40:])
        assert b"done" in read_until(slow, b'"usage":null')
