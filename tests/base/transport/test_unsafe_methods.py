"""What may change something is sent once, and whether it may have arrived is reported correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import HuggingChatError, ProtocolError, TransportError
from hfchat_base._protocol.http import Request
from hfchat_base.errors import ProxyError
from tests.support.replay import RawRequest, RawServer, Wire, says, whole
from tests.support.transports import GET, Driver

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

MESSAGE = Request("POST", "/x", {}, b"hello")

CHANGING = [
    MESSAGE,
    Request("POST", "/x", {}, b"hello" * 100_000),
    Request("POST", "/x"),
    Request("PATCH", "/x", {}, b"hello"),
    Request("DELETE", "/x"),
]


def dies_at_the_second(end: Callable[[Wire], None]) -> Callable[[RawRequest, Wire], None]:
    """Answer the first request of the first connection; end it when a second one has come whole."""
    connections = 0

    def handle(_: RawRequest, wire: Wire) -> None:
        nonlocal connections
        connections += 1
        wire.send(KEPT)
        if connections == 1 and wire.next_request() is not None:
            end(wire)

    return handle


def lost(driver: Driver, transport: Any, request: Request) -> TransportError:
    """Send a request that is lost, and return the error."""
    with pytest.raises(TransportError) as caught:
        driver.do(transport.send, request)
    return caught.value


ENDS = pytest.mark.parametrize("end", [lambda _: None, Wire.reset], ids=["closed", "reset"])


@ENDS
@pytest.mark.parametrize("request_", CHANGING, ids=lambda r: f"{r.method} {len(r.body)}")
def test_lost_on_a_used_connection(
    driver: Driver, request_: Request, end: Callable[[Wire], None]
) -> None:
    """What was sent on a connection that was used before, and is lost with it, may have arrived."""
    with RawServer(dies_at_the_second(end)) as server:
        transport = driver.transport(server.base_url)
        driver.do(transport.send, GET)
        assert lost(driver, transport, request_).may_have_arrived
    assert [request.method for request in server.requests] == ["GET", request_.method]


@ENDS
def test_reading_is_repeated(driver: Driver, end: Callable[[Wire], None]) -> None:
    """A GET that is lost with a connection that was used before is sent again on another one."""
    with RawServer(dies_at_the_second(end)) as server:
        transport = driver.transport(server.base_url)
        driver.do(transport.send, GET)
        assert driver.do(transport.send, GET).body == b"{}"
    assert len(server.requests) == 3


def test_lost_with_the_whole_server(driver: Driver) -> None:
    """A message may have arrived although nobody takes connections by the time that it is lost."""
    server = RawServer(dies_at_the_second(lambda _: server.stop_listening()))
    with server:
        transport = driver.transport(server.base_url)
        driver.do(transport.send, GET)
        assert lost(driver, transport, MESSAGE).may_have_arrived
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"H",
        b"HTTP/1.1 200 OK\r",
        b"HTTP/1.1 200 OK\r\nx: ",
        b"HTTP/1.1 000\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Below\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 20",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 400_000 + b"\r\n\r\n",
        b"hello, this is HTTP/0.9\r\n",
        b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=lambda answer: repr(answer[:30]),
)
def test_answer_that_is_no_head(driver: Driver, answer: bytes) -> None:
    """Whatever is answered in place of a head, the request has been sent and may have arrived."""
    with RawServer(says(answer)) as server, pytest.raises(HuggingChatError) as caught:
        driver.send(server.base_url, MESSAGE)
    assert len(server.requests) == 1
    assert isinstance(caught.value, (TransportError, ProtocolError))
    assert getattr(caught.value, "may_have_arrived", True)


@pytest.mark.parametrize("first", [b"HTTP/1.1\t200 OK", b"http/1.1 200 OK", b"HTTP/1.0 200"])
def test_head_that_libcurl_takes(driver: Driver, first: bytes) -> None:
    """A status line that libcurl reads is read alike, so that no whole response counts as lost."""
    with RawServer(says(first + b"\r\ncontent-length: 2\r\n\r\n{}")) as server:
        response = driver.send(server.base_url, MESSAGE)
    assert (response.status, response.body) == (200, b"{}")


def test_trailers_are_no_head(driver: Driver) -> None:
    """Fields after a chunked body (trailers) change neither the headers nor the session."""
    pieces = (
        b"HTTP/1.1 200 OK\r\nx-one: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"2\r\n{}\r\n0\r\nset-cookie: hf-chat=stranger\r\nx-one: 2\r\n\r\n",
    )
    with RawServer(says(*pieces)) as server:
        response = driver.send(server.base_url, GET)
    assert (response.headers["x-one"], response.body) == ("1", b"{}")


def test_lost_behind_a_proxy(driver: Driver) -> None:
    """What a proxy has taken and then lost may have reached the server."""
    with RawServer(lambda _, wire: wire.reset()) as proxy:
        transport = driver.transport("http://server.invalid", proxy=proxy.base_url)
        error = lost(driver, transport, MESSAGE)
    assert len(proxy.requests) == 1
    assert error.may_have_arrived
    assert not isinstance(error, ProxyError)


@pytest.mark.parametrize("impersonate", ["chrome", "firefox", "safari", None])
def test_no_upgrade_is_asked_for(driver: Driver, impersonate: str | None) -> None:
    """Plain HTTP is HTTP/1.1, without the offer of HTTP/2 that some servers fail at."""
    with RawServer(says(whole("{}"))) as server:
        driver.send(server.base_url, MESSAGE, impersonate=impersonate)
    headers = server.requests[0].headers
    assert not {"upgrade", "http2-settings"} & headers.keys()
    assert "upgrade" not in headers.get("connection", "").lower()


def test_lost_before_anything_is_sent(driver: Driver) -> None:
    """A connection that is lost in the TLS handshake has brought nothing."""
    with RawServer(says(), hangs_up=True) as server:
        transport = driver.transport(server.base_url.replace("http:", "https:"))
        assert not lost(driver, transport, MESSAGE).may_have_arrived
