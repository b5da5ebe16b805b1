"""What both drivers make of sockets that fail, and whether the request may have arrived.

The same at the level of whole answers is in `tests/faults`.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    ProtocolError,
    Timeouts,
    TransportError,
)
from hfchat_base._protocol.http import Request
from hfchat_base._transport.curl import deadline
from hfchat_base.errors import ProxyError, TLSError
from tests.support.replay import RawRequest, RawServer, Wire, chunk, head, says, whole
from tests.support.transports import GET, Driver


def holds(_: RawRequest, wire: Wire) -> None:
    """Take a request and say nothing."""
    wire.closed_within(60)


def test_nobody_listens(driver: Driver) -> None:
    """A refused connection is known not to have arrived."""
    with RawServer(says()) as server:
        address = server.base_url
    with pytest.raises(TransportError, match="refused") as caught:
        driver.send(address, GET)
    assert not caught.value.may_have_arrived


def test_name_that_is_none(driver: Driver) -> None:
    """A name that does not resolve is known not to have arrived."""
    with pytest.raises(TransportError, match="cannot be resolved") as caught:
        driver.send("http://no-such-host.invalid", GET)
    assert not caught.value.may_have_arrived


def test_closed_without_an_answer(driver: Driver) -> None:
    """A connection that is closed after the request may have brought it."""
    with RawServer(says()) as server, pytest.raises(TransportError) as caught:
        driver.send(server.base_url, Request("POST", "/x", {}, b"x"))
    assert caught.value.may_have_arrived
    assert len(server.requests) == 1


def test_reset_in_the_middle(driver: Driver) -> None:
    """A reset is a lost connection; what had come before it was delivered."""
    read = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(headers={"transfer-encoding": "chunked"}), chunk(b"one"))
        assert read.wait(60)
        wire.reset()

    with RawServer(handle) as server:
        stream = driver.open(server.base_url)
        assert driver.do(stream.read, deadline(60)).data == b"one"
        read.set()
        with pytest.raises(TransportError, match="was lost"):
            driver.do(stream.read, deadline(60))
        driver.do(stream.close)


def test_chunked_body_without_an_end(driver: Driver) -> None:
    """A chunked body that just ends is a lost connection, not a whole body."""
    pieces = head(headers={"transfer-encoding": "chunked"}), chunk(b"one")
    with RawServer(says(*pieces)) as server, pytest.raises(TransportError, match="was lost"):
        driver.send(server.base_url, GET)


def test_answer_that_never_comes(driver: Driver) -> None:
    """A server that takes a request and says nothing is given up at our own deadline."""
    with (
        RawServer(holds) as server,
        pytest.raises(TransportError, match=r"not answered within 0\.2 s"),
    ):
        driver.send(server.base_url, GET, timeout=0.2)


def test_body_that_never_ends(driver: Driver) -> None:
    """The deadline of a short request holds for its body too."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(200, "application/json"), b"{")
        wire.closed_within(60)

    with RawServer(handle) as server, pytest.raises(TransportError, match="not answered within"):
        driver.send(server.base_url, GET, timeout=0.3)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 banana\r\n\r\n", b"\x16\x03\x01\x02\x00garbage\r\n"])
def test_no_http(driver: Driver, answer: bytes) -> None:
    """What is not HTTP is a protocol error, or a lost connection."""
    with RawServer(says(answer)) as server, pytest.raises((ProtocolError, TransportError)):
        driver.send(server.base_url, GET)


def test_tls_that_is_none(driver: Driver) -> None:
    """A TLS handshake with a server that speaks none fails as TLS."""
    with RawServer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        # The handshake is not a request, so the server's answer has to come without one.
        address = server.base_url.replace("http://", "https://")
        with pytest.raises((TLSError, TransportError)) as caught:
            driver.send(address, GET, timeout=0.3)
    assert "127.0.0.1" in str(caught.value) or "not answered" in str(caught.value)


def test_proxy_that_is_not_there(driver: Driver) -> None:
    """A proxy that cannot be reached is distinguished from the server, without its password."""
    with RawServer(says()) as server:
        proxy = server.base_url.replace("http://", "http://user:hunter2@")
    with pytest.raises(TransportError) as caught:
        driver.send("http://server.invalid", GET, proxy=proxy)
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


def test_proxy_that_refuses(driver: Driver) -> None:
    """A proxy that refuses the way to the server is a proxy error, without its password."""
    refusal = whole("no", status=407, headers={"proxy-authenticate": "Basic"})
    with RawServer(says(refusal)) as server:
        proxy = server.base_url.replace("http://", "http://user:hunter2@")
        with pytest.raises(ProxyError, match="through the proxy") as caught:
            driver.send("https://server.invalid", GET, proxy=proxy)
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)
    assert not caught.value.may_have_arrived


def test_closed_transport(driver: Driver) -> None:
    """A transport that was closed is used no more."""
    with RawServer(says(whole("{}"))) as server:
        transport = driver.transport(server.base_url)
        driver.do(transport.close)
        with pytest.raises(HuggingChatError, match="client is closed"):
            driver.do(transport.send, GET)
    assert server.requests == []


def test_deadlines_of_a_client() -> None:
    """Both clients take their deadlines from `Timeouts`."""
    with RawServer(holds) as server:
        timeouts = Timeouts(response=0.2)
        with (
            HuggingChat(server.base_url, timeouts=timeouts) as client,
            pytest.raises(TransportError, match=r"within 0\.2 s"),
        ):
            client.create_conversation("echo/base")

        async def run() -> None:
            async with AsyncHuggingChat(server.base_url, timeouts=timeouts) as client:
                with pytest.raises(TransportError, match=r"within 0\.2 s"):
                    await client.create_conversation("echo/base")

        asyncio.run(run())
