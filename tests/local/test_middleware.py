"""Which hosts and origins the server accepts, and connections that break on request."""

from __future__ import annotations

import itertools
import json
import re
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from hfchat_base.local import LocalServer, create_app
from tests.support.local_chat import Chat, Event, events_of, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfchat_base._protocol.constants import Generation


JSON = "application/json"


def status(server: LocalServer, lines: Iterable[str], body: str = "") -> int:
    """Send a request as it is written, and return the status of the answer."""
    url = httpx.URL(server.base_url)
    assert url.port is not None
    head = "\r\n".join([*lines, "connection: close", f"content-length: {len(body)}", "", body])
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(head.replace("PORT", str(url.port)).encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:PORT", 200),
        ("localhost:PORT", 200),
        ("LOCALHOST:PORT", 200),
        ("127.0.0.2:PORT", 200),
        ("[::1]:PORT", 200),
        ("[0:0:0:0:0:0:0:1]:PORT", 200),
        ("127.0.0.1", 403),
        ("127.0.0.1:80", 403),
        ("localhost", 403),
        ("evil.example:PORT", 403),
        ("localhost.evil.example:PORT", 403),
        ("evil.localhost:PORT", 403),
        ("127.0.0.1.evil.example:PORT", 403),
        ("192.0.2.7:PORT", 403),
        ("0.0.0.0:PORT", 403),
        ("[::]:PORT", 403),
        ("[2001:db8::7]:PORT", 403),
        ("2130706433:PORT", 403),
        ("127.1:PORT", 403),
        ("0x7f.0.0.1:PORT", 403),
        ("", 400),
        ("localhost.:PORT", 400),
        ("127.0.0.1.:PORT", 400),
        ("127.0.0.1:PORT@evil.example", 400),
        ("evil.example@127.0.0.1:PORT", 400),
        ("127.0.0.1:0PORT", 400),
        ("127.0.0.1:+PORT", 400),
        ("127.0.0.1:", 400),
        ("[::1:PORT", 400),
        ("::1:PORT", 400),
        ("[::1%lo]:PORT", 400),
        ("[:]:PORT", 400),
        ("127.0.0.1:PORT, evil.example", 400),
        ("127.0.0.1:PORT/path", 400),
        ("löcalhost:PORT", 400),
    ],
)
def test_host_header(server: LocalServer, host: str, expected: int) -> None:
    """The server answers to loopback names and addresses with its port, spelled plainly."""
    assert status(server, ["GET /api/models HTTP/1.1", f"host: {host}"]) == expected


def test_host_is_named_once(server: LocalServer) -> None:
    """A request has one host: none, two, or another one in the request line are rejected."""
    host = "host: 127.0.0.1:PORT"
    assert status(server, ["GET /api/models HTTP/1.1"]) == 400
    assert status(server, ["GET /api/models HTTP/1.0"]) == 400
    assert status(server, ["GET /api/models HTTP/1.1", host, host]) == 400
    assert status(server, ["GET /api/models HTTP/1.1", host, "host: evil.example"]) == 400
    assert status(server, ["GET http://evil.example/api/models HTTP/1.1", host]) == 400
    assert status(server, ["GET http://127.0.0.1:PORT/api/models HTTP/1.1", host]) == 400
    assert status(server, ["OPTIONS * HTTP/1.1", host]) == 400
    assert status(server, ["CONNECT 127.0.0.1:PORT HTTP/1.1", host]) == 400


def test_foreign_hosts_get_nothing(generation: Generation) -> None:
    """Another host is rejected on every route and for every method, before anything else."""
    methods = ("GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "PUT")
    paths = ("/", "/api/models", "/conversation", "/login", "/_idp/authorize", "/no/where")
    with LocalServer(generation=generation, require_login=True) as server:
        for method, path in itertools.product(methods, paths):
            lines = [f"{method} {path} HTTP/1.1", "host: evil.example:PORT"]
            assert status(server, [*lines, "origin: http://evil.example:PORT"]) == 403


FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://127.0.0.1:9",
    "http://localhost:PORT",
    "http://127.0.0.1",
    "null",
    "http://[",
    "file://",
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@evil.example",
    "http://evil.example#127.0.0.1:PORT",
    "127.0.0.1:PORT",
    "ws://127.0.0.1:PORT",
    "http://127.0.0.1:PORT, http://evil.example",
    "http://127.0.0.1:PORT http://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_foreign_origins(either_chat: Chat, origin: str) -> None:
    """Pages of other origins are rejected, whatever they send."""
    host = "host: 127.0.0.1:PORT"
    for first, media in (
        ("GET /api/models HTTP/1.1", JSON),
        ("POST /conversation HTTP/1.1", JSON),
        ("POST /conversation HTTP/1.1", "text/plain"),
        ("DELETE /api/v2/conversations HTTP/1.1", JSON),
        ("GET /_idp/authorize HTTP/1.1", JSON),
        ("POST /_idp/authorize HTTP/1.1", "application/x-www-form-urlencoded"),
    ):
        lines = [first, host, f"origin: {origin}", f"content-type: {media}"]
        assert status(either_chat.server, lines, '{"model": "echo/base"}') == 403
    assert either_chat.http.get("/api/conversations").json() == []
    assert either_chat.server.prompts == []


def test_second_origin_is_rejected(server: LocalServer) -> None:
    """Nobody has two origins."""
    lines = ["GET /api/models HTTP/1.1", "host: 127.0.0.1:PORT", "origin: http://127.0.0.1:PORT"]
    assert status(server, lines) == 200
    assert status(server, [*lines, "origin: https://evil.example"]) == 403


def test_own_pages_may_ask(either_chat: Chat) -> None:
    """The server's own origin is the host that a request is sent to, in any case."""
    for host in ("127.0.0.1:PORT", "localhost:PORT", "[::1]:PORT"):
        lines = [f"host: {host}", f"origin: http://{host}", f"content-type: {JSON}"]
        body = json.dumps({"model": "echo/base"})
        lines.insert(0, "POST /conversation HTTP/1.1")
        assert status(either_chat.server, lines, body) == 200


def test_foreign_origin_keeps_the_words_of_chat_ui(either_chat: Chat) -> None:
    """The error is chat-ui's: text, or JSON for clients that mention JSON; and no CORS header."""
    path, origin = "/conversation", {"origin": "https://evil.example"}
    as_text = either_chat.http.post(path, headers={**origin, "content-type": "text/plain"})
    assert (as_text.text, as_text.headers["content-type"]) == (
        "Invalid referer for POST request",
        "text/plain",
    )
    as_json = either_chat.http.post(path, headers=origin, json={"model": "echo/base"})
    assert as_json.json() == {"error": "Invalid referer for POST request"}
    assert not any(name.startswith("access-control") for name in as_json.headers)


def test_preflight_is_rejected(either_chat: Chat) -> None:
    """A preflight request of a foreign page is rejected."""
    headers = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
        "access-control-request-private-network": "true",
    }
    refused = either_chat.http.options("/conversation", headers=headers)
    assert refused.status_code == 403
    assert not any(name.startswith("access-control") for name in refused.headers)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "method", "expected"),
    [
        ("cross-site", "no-cors", "image", "GET", 403),
        ("same-site", "no-cors", "script", "GET", 403),
        ("cross-site", "cors", "empty", "GET", 403),
        ("cross-site", "navigate", "iframe", "GET", 403),
        ("cross-site", "navigate", "document", "POST", 403),
        ("cross-site", "navigate", "document", "GET", 200),
        ("none", "navigate", "document", "GET", 200),
        ("same-origin", "cors", "empty", "GET", 200),
    ],
)
def test_what_browsers_tell_of_a_fetch(
    either_chat: Chat, site: str, mode: str, dest: str, method: str, expected: int
) -> None:
    """A fetch by another site is rejected even without an origin; its links may be followed."""
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    answer = either_chat.http.request(method, "/api/models", headers=headers)
    assert answer.status_code == expected


def test_rejected_requests_are_recorded(server: LocalServer) -> None:
    """Rejected requests are recorded."""
    status(server, ["GET /api/models HTTP/1.1", "host: evil.example"])
    assert [(one.path, one.status) for one in server.requests] == [("/api/models", 403)]


@pytest.mark.parametrize(
    ("named", "host", "expected"),
    [
        ("chat.example", "chat.example:PORT", 200),
        ("chat.example", "Chat.Example", 200),
        ("chat.example", "chat.example:9", 200),
        ("chat.example:9", "chat.example:9", 200),
        ("chat.example:9", "chat.example:PORT", 403),
        ("chat.example", "www.chat.example", 403),
        ("127.0.0.1:9", "127.0.0.1:9", 200),
        ("[2001:DB8:0::7]", "[2001:db8::7]:9", 200),
    ],
)
def test_further_hosts_can_be_named(named: str, host: str, expected: int) -> None:
    """What a proxy calls the server has to be named; a name without a port is for all ports."""
    with LocalServer(hosts=[named]) as server:
        lines = ["GET /api/models HTTP/1.1", f"host: {host}", f"origin: https://{host}"]
        assert status(server, lines) == expected


@pytest.mark.parametrize("host", ["", "*", "http://chat.example", "chat.example/", "a b", "::1"])
def test_hosts_are_checked(host: str) -> None:
    """An invalid host raises an error at once."""
    with pytest.raises(ValueError, match=re.escape(repr(host))):
        LocalServer(hosts=[host])
    with pytest.raises(TypeError, match="list of hosts"):
        LocalServer(hosts="chat.example")


def test_all_addresses() -> None:
    """Listening on all addresses, the server answers to the one that was connected to."""
    with LocalServer(host="0.0.0.0") as server:  # noqa: S104 - that is what is tested
        assert httpx.URL(server.base_url).host == "127.0.0.1"
        assert httpx.get(f"{server.base_url}/api/models").status_code == 200
        lines = ["GET /api/models HTTP/1.1"]
        assert status(server, [*lines, "host: 192.0.2.7:PORT"]) == 403
        assert status(server, [*lines, "host: evil.example:PORT"]) == 403


def test_named_address_to_listen_at() -> None:
    """The name of the address to listen at is one of the server's own hosts."""
    with LocalServer(host="localhost") as server:
        assert httpx.get(f"{server.base_url}/api/models").status_code == 200


def test_mounted_app_is_guarded_too() -> None:
    """An app below another one answers to its own hosts only."""
    outer = Starlette(routes=[Mount("/", app=create_app())])
    with TestClient(outer) as client:
        assert client.get("/api/models").status_code == 403
    with TestClient(outer, base_url="http://127.0.0.1:80") as client:
        assert client.get("/api/models").status_code == 200


@pytest.mark.parametrize(
    "path", ["/%", "/%2", "/%zz", "/api/models%", "/conversation/%ff", "/%c3%28", "/%ed%a0%80"]
)
def test_malformed_paths(either_chat: Chat, path: str) -> None:
    """A path that JavaScript's decodeURI does not accept is rejected, as by chat-ui (S)."""
    assert status(either_chat.server, [f"GET {path} HTTP/1.1", "host: 127.0.0.1:PORT"]) == 400


@pytest.fixture
def own_server(generation: Generation) -> Iterator[LocalServer]:
    """A server of each generation in turn, which no other test uses."""
    with LocalServer(generation=generation, token_delay=0.01) as own_server:
        yield own_server


def arrived(chat: Chat, conversation: str, text: str) -> tuple[list[Event], bool]:
    """Send a message; return the events of the answer, and whether the connection was lost."""
    body = ""
    response = chat.http.send(chat.request(conversation, text), stream=True)
    try:
        for piece in response.iter_text():
            body += piece
    except httpx.RemoteProtocolError:
        return events_of(body), True
    return events_of(body), False


def tokens(events: list[Event]) -> list[str]:
    """The pieces of text in an answer."""
    return [event["token"] for event in events if event["type"] == "stream"]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_answer_is_cut(own_server: LocalServer, pieces: int) -> None:
    """As many pieces of text are sent as were asked for, then the connection is closed."""
    own_server.cut_answers(pieces)
    with Chat(own_server) as chat:
        events, lost = arrived(chat, chat.create(), "one two three")
    assert lost
    assert tokens(events) == ["You ", "said: ", "one "][:pieces]


def test_slow_answer_is_cut(own_server: LocalServer) -> None:
    """An answer that comes piece by piece is cut at the same place."""
    own_server.cut_answers(2)
    with Chat(own_server) as chat:
        events, lost = arrived(chat, chat.create("slow/drip"), "go")
    assert lost
    assert tokens(events) == ["tok0 ", "tok1 "]


def test_each_cut_is_for_one_answer(own_server: LocalServer) -> None:
    """The answer after the last cut is whole, and short answers in between are none of them."""
    own_server.cut_answers(1, 2)
    with Chat(own_server) as chat:
        for count in (1, 2):
            events, lost = arrived(chat, chat.create(), "hello")
            assert lost
            assert len(tokens(events)) == count
        assert final(chat.ask("hello")) == "You said: hello"


def test_short_answer_is_not_cut(own_server: LocalServer) -> None:
    """An answer with no more pieces than that keeps its connection."""
    own_server.cut_answers(10)
    with Chat(own_server) as chat:
        assert final(chat.ask("hello")) == "You said: hello"


def test_log_of_a_cut_run() -> None:
    """A current run goes on without its reader, and its log may be cut as well."""
    with LocalServer() as own_server, Chat(own_server) as chat:
        own_server.cut_answers(1, 0)
        conversation = chat.create()
        assert arrived(chat, conversation, "hello")[1]
        with pytest.raises(httpx.RemoteProtocolError):
            chat.http.get(f"/conversation/{conversation}/stream")
        log = chat.http.get(f"/conversation/{conversation}/stream").text
        assert '"token":"You said: hello"' in log
