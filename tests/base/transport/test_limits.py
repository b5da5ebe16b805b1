"""How much of a response is read: counted after decompression, and while it arrives."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import ProtocolError
from hfchat_base._protocol import http
from hfchat_base._protocol.http import Request
from hfchat_base._transport.curl import deadline
from tests.support.replay import RawRequest, RawServer, Wire, chunk, head, says, whole
from tests.support.transports import Driver

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[RawRequest, Wire], None]

LIMIT = 128 * 1024
SMALL = Request("GET", "/x", {"accept": "application/json"}, max_bytes=LIMIT)

BOMB_BYTES = 200 * 1024 * 1024

GZIP_BOMB = "gzip", gzip.compress(bytes(BOMB_BYTES))
"""200 KB on the wire."""


def _zstd_bomb() -> bytes:
    """Zeros in a frame of run-length blocks (RFC 8878, 3.1.1): 4 bytes encode 128 KiB."""
    size = 128 * 1024
    blocks = b""
    count = BOMB_BYTES // size
    for number in range(1, count + 1):
        blocks += (size << 3 | 0b10 | (number == count)).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd" + b"\x00\x38" + blocks


ZSTD_BOMB = "zstd", _zstd_bomb()
"""6 KB on the wire, so that all of it arrives at once."""

BOMBS = pytest.mark.parametrize("bomb", [GZIP_BOMB, ZSTD_BOMB], ids=["gzip", "zstd"])

FAR_TOO_MUCH = 64 * 1024 * 1024

CHUNKED = {"transfer-encoding": "chunked"}


def endless(beginning: bytes, piece: bytes) -> Handler:
    """Say the same thing again and again, until the client has left or has taken far too much."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(beginning)
        for _piece in range(FAR_TOO_MUCH // len(piece)):
            wire.send(piece)

    return handle


def packed(bomb: tuple[str, bytes], status: int = 200) -> bytes:
    """A response with a compressed body."""
    encoding, body = bomb
    return whole(body, status=status, headers={"content-encoding": encoding})


def peak_of(call: Callable[[], Any]) -> int:
    """The most that Python has allocated at once during a call, in bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_body_of_just_the_limit_is_taken(driver: Driver, zipped: bool) -> None:
    """A body may be as large as its limit."""
    body = bytes(LIMIT)
    headers = {"content-encoding": "gzip"} if zipped else {}
    answer = whole(gzip.compress(body) if zipped else body, headers=headers)
    with RawServer(says(answer)) as server:
        assert driver.send(server.base_url, SMALL).body == body


@pytest.mark.parametrize(
    "answer",
    [
        whole(bytes(LIMIT + 1)),
        head(200, "application/json") + bytes(LIMIT + 1),
        head(200, "application/json", CHUNKED) + chunk(bytes(LIMIT + 1)) + chunk(b""),
        whole(gzip.compress(bytes(LIMIT + 1)), headers={"content-encoding": "gzip"}),
    ],
    ids=["with its length", "until the close", "chunked", "gzip"],
)
def test_body_over_the_limit_is_refused(driver: Driver, answer: bytes) -> None:
    """One byte more is an error that names the request and the limit."""
    with (
        RawServer(says(answer)) as server,
        pytest.raises(ProtocolError, match=r"GET /x was answered with more than 128 KiB"),
    ):
        driver.send(server.base_url, SMALL)


def test_endless_body_is_left_at_the_limit(driver: Driver) -> None:
    """A body without an end is given up at its limit, however long the deadline."""
    endless_body = endless(head(200, "application/json"), bytes(4096))
    with RawServer(endless_body) as server, pytest.raises(ProtocolError, match="128 KiB"):
        driver.send(server.base_url, SMALL, timeout=600.0)


@BOMBS
def test_bomb_stays_small(driver: Driver, bomb: tuple[str, bytes]) -> None:
    """What a small compressed body would become is never in memory."""

    def explode() -> None:
        with pytest.raises(ProtocolError, match="more than 128 KiB"):
            driver.send(server.base_url, SMALL)

    with RawServer(says(packed(bomb))) as server:
        assert peak_of(explode) < 4 * 1024 * 1024


def test_next_request_after_one_that_was_refused(driver: Driver) -> None:
    """The client continues with another connection."""
    answers = iter([whole(bytes(LIMIT + 1)), whole("{}")])

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(next(answers))

    with RawServer(handle) as server:
        transport = driver.transport(server.base_url)
        with pytest.raises(ProtocolError):
            driver.do(transport.send, SMALL)
        assert driver.do(transport.send, SMALL).body == b"{}"


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 404, 500])
def test_long_error_is_cut(driver: Driver, status: int) -> None:
    """Of the page of an error as much is read as its message needs; its status is what counts."""
    page = b"<title>Gone</title>" + bytes(1024 * 1024)
    with RawServer(says(whole(page, status=status, content_type="text/html"))) as server:
        response = driver.send(server.base_url, SMALL)
    assert response.status == status
    assert response.body.startswith(b"<title>Gone</title>")
    assert len(response.body) <= http.ERROR_BYTES


@BOMBS
def test_bomb_in_an_error_stays_small(driver: Driver, bomb: tuple[str, bytes]) -> None:
    """The body of an error is bounded after decompression too."""

    def explode() -> None:
        assert driver.send(server.base_url, SMALL).status == 500

    with RawServer(says(packed(bomb, status=500))) as server:
        assert peak_of(explode) < 4 * 1024 * 1024


# --- heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 1000),
        (b"HTTP/1.1 200 ", b"b" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (head(200, "", CHUNKED) + chunk(b"{}") + b"0\r\n", b"x-a: b\r\n" * 100),
        (head(200, "", CHUNKED) + chunk(b"{}") + b"0\r\nx-a: ", b"b" * 1000),
    ],
    ids=[
        *("many headers", "a long header", "a long status line", "interim heads with headers"),
        *("interim heads without", "many trailers", "a long trailer"),
    ],
)
def test_endless_head_is_refused(driver: Driver, beginning: bytes, piece: bytes) -> None:
    """Headers, interim heads and trailers without an end are given up, whatever the deadline."""
    with (
        RawServer(endless(beginning, piece)) as server,
        pytest.raises(ProtocolError, match="more than 256 KiB of headers"),
    ):
        driver.send(server.base_url, SMALL, timeout=600.0)


def test_trailers_mean_nothing(driver: Driver) -> None:
    """What comes after a chunked body changes neither status, nor headers, nor the session."""
    trailers = b"content-type: text/html\r\nset-cookie: hf-chat=stranger\r\n"
    answer = head(200, "application/json", CHUNKED) + chunk(b"{}") + b"0\r\n" + trailers + b"\r\n"
    with RawServer(says(answer)) as server:
        response = driver.send(server.base_url, SMALL)
    assert (response.status, response.content_type) == (200, "application/json")
    assert response.body == b"{}"


# --- streams --------------------------------------------------------------------------------------


def read_all(driver: Driver, stream: Any) -> int:
    """Read a stream to its end, and count its bytes."""
    size = 0
    while (piece := driver.do(stream.read, deadline(60))) is not None:
        size += len(piece.data)
    return size


def test_stream_over_its_limit(driver: Driver) -> None:
    """A stream is bounded as a whole, however slowly it is read."""
    with RawServer(endless(head(), bytes(4096))) as server:
        stream, _ = driver.do(driver.transport(server.base_url).open, SMALL)
        with pytest.raises(ProtocolError, match="more than 128 KiB"):
            read_all(driver, stream)
        driver.do(stream.close)


def test_bomb_in_a_stream_stays_small(driver: Driver) -> None:
    """A stream that was compressed unasked cannot fill the memory between two reads."""
    request = Request("GET", "/x", max_bytes=http.STREAM_BYTES)

    def explode() -> None:
        stream, _ = driver.do(driver.transport(server.base_url).open, request)
        with pytest.raises(ProtocolError, match="more than 32 MiB at once"):
            read_all(driver, stream)
        driver.do(stream.close)

    with RawServer(says(packed(ZSTD_BOMB))) as server:
        assert peak_of(explode) < 3 * http.BURST_BYTES
