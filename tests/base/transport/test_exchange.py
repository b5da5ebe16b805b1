"""What both drivers make of sockets: heads, bodies, cookies, deadlines, failures, and leaving.

Each test runs with the synchronous and with the asynchronous driver.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    ProtocolError,
    ProxyError,
    SessionExpired,
    Timeouts,
    TLSError,
    TransportError,
)
from hfchat_base.protocol.flow import Chunk, Request, Response, TimedOut
from hfchat_base.transport.exchange import deadline
from tests.support.replay import RawRequest, RawServer, Wire, chunk, head, wait_until, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Handler = Callable[[RawRequest, Wire], None]


SECRET = {"hf-chat": "secret"}


class Driver:
    """Either driver behind one synchronous face."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        self._loop = asyncio.new_event_loop() if is_async else None
        self._clients: list[Any] = []

    def transport(
        self,
        base_url: str,
        *,
        cookies: Mapping[str, str] | None = SECRET,
        timeout: float = 5.0,
        **settings: Any,
    ) -> Any:
        """Make a transport, as a client has it."""
        kind = AsyncHuggingChat if self._is_async else HuggingChat
        timeouts = Timeouts(response=timeout, first_event=timeout)
        client = kind(base_url, cookies=cookies, timeouts=timeouts, **settings)
        self._clients.append(client)
        return client._transport

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method, and wait for it if need be."""
        if self._loop is None:
            return function(*arguments)

        async def call() -> Any:
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result

        return self._loop.run_until_complete(call())

    def send(self, base_url: str, request: Request, **settings: Any) -> Response:
        """Send one request."""
        response: Response = self.do(self.transport(base_url, **settings).send, request)
        return response

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            self.do(client.close)
        if self._loop is not None:
            self._loop.close()


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Each driver in turn."""
    driver = Driver(is_async=request.param == "async")
    yield driver
    driver.close()


GET = Request("GET", "/x", {"accept": "application/json"})


def holds(_: RawRequest, wire: Wire) -> None:
    """Take a request and say nothing."""
    wire.closed_within(3)


def says(*pieces: bytes) -> Handler:
    """Answer everything with these bytes."""
    return lambda _, wire: wire.send(*pieces)


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
    with pytest.raises(InvalidRequestError, match=r"impersonate|no browser"):
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
        time.sleep(0.05)
        assert driver.do(transport.send, GET).body == b"{}"


def open_stream(driver: Driver, server: RawServer, **settings: Any) -> Any:
    """Open a stream."""
    transport = driver.transport(server.base_url, **settings)
    stream, response = driver.do(transport.open, GET)
    assert response.status == 200
    return stream


def test_stream_is_read_as_it_comes(driver: Driver) -> None:
    """A piece of a stream is there before the next one is sent."""
    said: list[str] = []

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head())
        wire.send(b"one\n")
        assert wait_until(lambda: said == ["one"])
        wire.send(b"two\n")

    with RawServer(handle) as server:
        stream = open_stream(driver, server)
        assert driver.do(stream.read, deadline(5)).data == b"one\n"
        said.append("one")
        assert driver.do(stream.read, deadline(5)).data == b"two\n"
        assert driver.do(stream.read, deadline(5)) is None


def test_read_keeps_its_deadline(driver: Driver) -> None:
    """A read that gets nothing ends at its deadline, and the stream can be read on."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head())
        time.sleep(0.4)
        wire.send(b"late")

    with RawServer(handle) as server:
        stream = open_stream(driver, server)
        began = time.monotonic()
        assert isinstance(driver.do(stream.read, deadline(0.1)), TimedOut)
        assert 0.05 < time.monotonic() - began < 0.35
        assert isinstance(driver.do(stream.read, deadline(5)), Chunk)
        driver.do(stream.close)


def test_leaving_closes_the_socket_at_once(driver: Driver) -> None:
    """Closing a stream in the middle closes its connection without waiting for the server."""
    seen: list[bool] = []

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(), b"one\n")
        seen.append(wire.closed_within(3))

    with RawServer(handle) as server:
        stream = open_stream(driver, server)
        driver.do(stream.read, deadline(5))
        began = time.monotonic()
        driver.do(stream.close)
        assert wait_until(lambda: bool(seen))
        assert time.monotonic() - began < 1
    assert seen == [True]


def test_slow_reader_holds_the_server_up(driver: Driver) -> None:
    """What nobody reads is not gathered in memory: the server has to wait."""
    sent = 0

    def handle(_: RawRequest, wire: Wire) -> None:
        nonlocal sent
        wire.send(head())
        wire._connection.settimeout(1)
        while sent < 64:
            wire.send(bytes(1_000_000))
            sent += 1

    with RawServer(handle) as server:
        stream = open_stream(driver, server)
        driver.do(stream.read, deadline(5))
        driver.do(time.sleep, 1.2)
        driver.do(stream.close)
    assert sent < 40


# --- failures -------------------------------------------------------------------------------------


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

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(headers={"transfer-encoding": "chunked"}), chunk(b"one"))
        time.sleep(0.1)
        wire.reset()

    with RawServer(handle) as server:
        stream = open_stream(driver, server)
        assert driver.do(stream.read, deadline(5)).data == b"one"
        with pytest.raises(TransportError, match="was lost"):
            driver.do(stream.read, deadline(5))
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
        pytest.raises(TransportError, match=r"not answered within 0\.2 seconds"),
    ):
        driver.send(server.base_url, GET, timeout=0.2)


def test_body_that_never_ends(driver: Driver) -> None:
    """The deadline of a short request holds for its body too."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(200, "application/json"), b"{")
        wire.closed_within(3)

    with RawServer(handle) as server, pytest.raises(TransportError, match="not answered within"):
        driver.send(server.base_url, GET, timeout=0.3)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 banana\r\n\r\n", b"\x16\x03\x01\x02\x00garbage\r\n"])
def test_no_http(driver: Driver, answer: bytes) -> None:
    """What is no HTTP is a protocol error, or a lost connection."""
    with RawServer(says(answer)) as server, pytest.raises((ProtocolError, TransportError)):
        driver.send(server.base_url, GET)


def test_tls_that_is_none(driver: Driver) -> None:
    """A TLS handshake with a server that speaks none fails as TLS."""
    with RawServer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        # The handshake is no request, so the server's answer has to come without one.
        address = server.base_url.replace("http://", "https://")
        with pytest.raises((TLSError, TransportError)) as caught:
            driver.send(address, GET, timeout=2)
    assert "127.0.0.1" in str(caught.value) or "not answered" in str(caught.value)


def test_proxy_that_is_not_there(driver: Driver) -> None:
    """A proxy that cannot be reached is told apart from the server, without its password."""
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


# --- the session ----------------------------------------------------------------------------------


def set_cookie(value: str) -> Mapping[str, str]:
    """The header that sets the session cookie."""
    return {"set-cookie": f"hf-chat={value}; Path=/; HttpOnly; SameSite=Lax"}


def test_same_cookie_is_a_refresh(driver: Driver) -> None:
    """The same session cookie again changes nothing."""
    with RawServer(says(whole("{}", headers=set_cookie("secret")))) as server:
        assert driver.send(server.base_url, GET).status == 200


def test_other_cookie_is_the_end_of_the_session(driver: Driver) -> None:
    """Another session cookie means that ours was thrown away."""
    with (
        RawServer(says(whole("{}", headers=set_cookie("stranger")))) as server,
        pytest.raises(SessionExpired, match="Log in again"),
    ):
        driver.send(server.base_url, GET)


def test_guest_takes_the_servers_cookie(driver: Driver) -> None:
    """A guest goes on with the session that the server has given."""
    with RawServer(says(whole("{}", headers=set_cookie("minted")))) as server:
        transport = driver.transport(server.base_url, cookies=None)
        driver.do(transport.send, GET)
        driver.do(transport.send, GET)
    assert server.requests[1].headers["cookie"] == "hf-chat=minted"


def test_deadlines_of_a_client() -> None:
    """Both clients take their deadlines from `Timeouts`."""
    with RawServer(holds) as server:
        timeouts = Timeouts(response=0.2)
        with (
            HuggingChat(server.base_url, timeouts=timeouts) as client,
            pytest.raises(TransportError, match=r"within 0\.2 seconds"),
        ):
            client.create_conversation("echo/base")

        async def run() -> None:
            async with AsyncHuggingChat(server.base_url, timeouts=timeouts) as client:
                with pytest.raises(TransportError, match=r"within 0\.2 seconds"):
                    await client.create_conversation("echo/base")

        asyncio.run(run())
