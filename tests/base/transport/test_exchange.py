"""What both drivers make of sockets: heads, bodies, cookies, streams, and leaving."""

from __future__ import annotations

import contextlib
import gzip
import threading
from typing import TYPE_CHECKING

import pytest

from hfchat_base import InvalidRequestError, SessionExpired, __version__
from hfchat_base._flows.commands import Chunk, TimedOut
from hfchat_base._protocol.http import Request
from hfchat_base._transport.curl import deadline
from tests.support.replay import RawRequest, RawServer, Wire, chunk, head, says, whole
from tests.support.transports import GET, Driver
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "length"),
    [
        (GET, None),
        (Request("POST", "/x", {"content-type": "application/json"}, b"{}"), "2"),
        (Request("POST", "/x"), "0"),
        (Request("DELETE", "/x"), None),
        (Request("PATCH", "/x", {}, b"body"), "4"),
        (Request("POST", "/x", {}, b"x" * 3_000_000), "3000000"),
    ],
)
def test_method_path_and_body(driver: Driver, request_: Request, length: str | None) -> None:
    """Each method arrives with its path below the base path, its body, and its length."""
    with RawServer(says(whole("{}"))) as server:
        assert driver.send(server.base_url + "/chat", request_).status == 200
    (got,) = server.requests
    assert (got.method, got.path, got.body) == (request_.method, "/chat/x", request_.body)
    assert got.headers.get("content-length") == length
    assert "expect" not in got.headers


@pytest.mark.parametrize("impersonate", ["chrome", None])
def test_headers(driver: Driver, impersonate: str | None) -> None:
    """Our own headers win over the browser's, of which only those of a script are sent."""
    with RawServer(says(whole("{}"))) as server:
        driver.send(server.base_url, GET, impersonate=impersonate, headers={"X-Gateway": "key"})
    headers = server.requests[0].headers
    assert headers["accept"] == "application/json"
    assert headers["x-gateway"] == "key"
    assert headers["cookie"] == "hf-chat=secret"
    assert "upgrade-insecure-requests" not in headers
    assert headers.get("sec-fetch-mode", "cors") == "cors"
    assert ("Chrome" in headers["user-agent"]) is (impersonate is not None)
    if impersonate is None:
        assert headers["user-agent"] == f"hfchat/{__version__}"


def test_form_without_a_body_has_no_type(driver: Driver) -> None:
    """An empty POST is sent without a content type of curl's own."""
    with RawServer(says(whole("{}"))) as server:
        driver.send(server.base_url, Request("POST", "/x", {"origin": server.base_url}))
    assert "content-type" not in server.requests[0].headers


def test_line_break_in_a_header(driver: Driver) -> None:
    """A header cannot smuggle another one in."""
    with RawServer(says(whole("{}"))) as server, pytest.raises(InvalidRequestError, match="break"):
        driver.send(server.base_url, GET, headers={"X-Gateway": "key\r\nX-Other: 1"})


def test_unknown_browser(driver: Driver) -> None:
    """A browser that curl_cffi does not know is refused."""
    with pytest.raises(InvalidRequestError, match=r"does not support the browser"):
        driver.send("http://127.0.0.1:9", GET, impersonate="netscape4")


# --- responses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [whole('{"a":1}')],
        [bytes([byte]) for byte in whole('{"a":1}')],
        [head(200, "application/json"), b'{"a":1}'],
        [
            head(200, "application/json", {"transfer-encoding": "chunked"}),
            chunk(b'{"a"'),
            chunk(b":1}"),
            chunk(b""),
        ],
        [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", whole('{"a":1}')],
        [
            whole(
                gzip.compress(b'{"a":1}'),
                content_type="application/json",
                headers={"content-encoding": "gzip"},
            )
        ],
    ],
    ids=["at once", "byte by byte", "until the close", "chunked", "interim head", "gzip"],
)
def test_response(driver: Driver, pieces: list[bytes]) -> None:
    """Status, type and body of a response, however it is framed."""
    with RawServer(says(*pieces)) as server:
        response = driver.send(server.base_url, GET)
    assert response.status == 200
    assert response.content_type == "application/json"
    assert response.body == b'{"a":1}'


def test_connection_is_used_again(driver: Driver) -> None:
    """A connection that the server keeps open carries the next request."""
    kept = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(kept)
        assert wire._connection.recv(65536).startswith(b"GET")
        wire.send(kept)

    with RawServer(handle) as server:
        transport = driver.transport(server.base_url)
        assert driver.do(transport.send, GET).body == b"{}"
        assert driver.do(transport.send, GET).body == b"{}"
    assert server.connections == 1


def test_stale_connection_is_replaced(driver: Driver) -> None:
    """A kept connection that the server has closed meanwhile costs nothing but a new one."""
    kept = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with RawServer(says(kept)) as server:
        transport = driver.transport(server.base_url)
        assert driver.do(transport.send, GET).body == b"{}"
        server.wait_until_closed()
        assert driver.do(transport.send, GET).body == b"{}"


# --- streams --------------------------------------------------------------------------------------


def test_stream_is_read_as_it_comes(driver: Driver) -> None:
    """A piece of a stream is there before the next one is sent."""
    said: list[str] = []

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head())
        wire.send(b"one\n")
        until(lambda: said == ["one"])
        wire.send(b"two\n")

    with RawServer(handle) as server:
        stream = driver.open(server.base_url)
        assert driver.do(stream.read, deadline(60)).data == b"one\n"
        said.append("one")
        assert driver.do(stream.read, deadline(60)).data == b"two\n"
        assert driver.do(stream.read, deadline(60)) is None


@pytest.mark.parametrize("impersonate", ["chrome", None])
def test_stream_is_not_compressed(driver: Driver, impersonate: str | None) -> None:
    """A stream is asked for uncompressed, so that nobody holds it back, and read if it is not."""
    packed = gzip.compress(b"one\n")
    with RawServer(says(whole(packed, headers={"content-encoding": "gzip"}))) as server:
        stream = driver.open(server.base_url, impersonate=impersonate)
        assert driver.do(stream.read, deadline(60)).data == b"one\n"
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_read_keeps_its_deadline(driver: Driver) -> None:
    """A read that gets nothing ends at its deadline, and the stream can be read on."""
    timed_out = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head())
        assert timed_out.wait(60)
        wire.send(b"late")

    with RawServer(handle) as server:
        stream = driver.open(server.base_url)
        assert isinstance(driver.do(stream.read, deadline(0.1)), TimedOut)
        timed_out.set()
        assert isinstance(driver.do(stream.read, deadline(60)), Chunk)
        driver.do(stream.close)


def test_leaving_closes_the_socket_at_once(driver: Driver) -> None:
    """Closing a stream in the middle closes its connection without waiting for the server."""
    seen: list[bool] = []

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(), b"one\n")
        seen.append(wire.closed_within(60))

    with RawServer(handle) as server:
        stream = driver.open(server.base_url)
        driver.do(stream.read, deadline(60))
        driver.do(stream.close)
        until(lambda: seen)
    assert seen == [True]


def test_slow_reader_holds_the_server_up(driver: Driver) -> None:
    """What nobody reads is not gathered in memory: the server has to wait."""
    sent = 0
    held_up = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        nonlocal sent
        wire.send(head())
        wire._connection.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sent < 64:
                wire.send(bytes(1_000_000))
                sent += 1
        held_up.set()

    with RawServer(handle) as server:
        stream = driver.open(server.base_url)
        driver.do(stream.read, deadline(60))
        assert driver.do(held_up.wait, 60)
        driver.do(stream.close)
    assert sent < 40


# --- the session ----------------------------------------------------------------------------------


def set_cookie(value: str) -> Mapping[str, str]:
    """The header that sets the session cookie."""
    return {"set-cookie": f"hf-chat={value}; Path=/; HttpOnly; SameSite=Lax"}


def test_same_cookie_is_a_refresh(driver: Driver) -> None:
    """The same session cookie again changes nothing."""
    with RawServer(says(whole("{}", headers=set_cookie("secret")))) as server:
        assert driver.send(server.base_url, GET).status == 200


def test_other_cookie_is_the_end_of_the_session(driver: Driver) -> None:
    """Another session cookie means that the server invalidated ours."""
    with (
        RawServer(says(whole("{}", headers=set_cookie("stranger")))) as server,
        pytest.raises(SessionExpired, match="Log in again"),
    ):
        driver.send(server.base_url, GET)


def test_guest_takes_the_servers_cookie(driver: Driver) -> None:
    """A guest continues with the session that the server has given."""
    with RawServer(says(whole("{}", headers=set_cookie("minted")))) as server:
        transport = driver.transport(server.base_url, cookies=None)
        driver.do(transport.send, GET)
        driver.do(transport.send, GET)
    assert server.requests[1].headers["cookie"] == "hf-chat=minted"
