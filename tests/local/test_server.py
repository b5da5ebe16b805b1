"""Starting, stopping, and what the server notes of its visitors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from hfchat_base.local import LocalServer, create_app
from tests.support.local_chat import Chat

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation


def test_base_url_needs_a_running_server() -> None:
    """A server that is not running says how to start it."""
    server = LocalServer()
    with pytest.raises(RuntimeError, match="start"):
        _ = server.base_url


def test_nothing_is_left_after_stop() -> None:
    """After a stop the server's thread has ended, and nothing listens on its port."""
    before = set(threading.enumerate())
    with LocalServer() as server:
        url = server.base_url
        assert httpx.get(f"{url}/healthcheck").text == "OK"
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_start_and_stop_may_be_repeated() -> None:
    """A notebook may start and stop twice, and the conversations are still there."""
    server = LocalServer()
    cookies = server.cookies()
    with Chat(server.start().start(), cookies) as chat:
        conversation = chat.create()
    server.stop()
    server.stop()
    with Chat(server.start(), cookies) as chat:
        assert chat.messages(conversation)
    server.stop()


async def test_async_with() -> None:
    """The server is an async context manager too."""
    async with LocalServer() as server, httpx.AsyncClient(base_url=server.base_url) as client:
        assert (await client.get("/api/v2/user")).json() == {"json": None}


def test_stop_does_not_wait_for_runs(generation: Generation) -> None:
    """A run under way is abandoned, and its stream ends."""
    with LocalServer(generation=generation, token_delay=5) as server, Chat(server) as chat:
        answer = chat.under_way(chat.create("slow/drip"), "go")
        answer.wait_for("tok0")
        server.stop()
        assert answer.finish()[-1]["type"] == "stream"


def test_stop_does_not_wait_for_readers() -> None:
    """Whoever reads a resume log is cut off."""
    with LocalServer(token_delay=5) as server, Chat(server) as chat:
        conversation = chat.create("slow/drip")
        answer = chat.under_way(conversation, "go")
        answer.wait_for("tok0")

        reading = threading.Event()

        def read() -> None:
            path = f"/conversation/{conversation}/stream"
            with (
                contextlib.suppress(httpx.RemoteProtocolError),
                chat.http.stream("GET", path) as log,
            ):
                reading.set()
                log.read()

        reader = threading.Thread(target=read)
        reader.start()
        assert reading.wait(timeout=10)
        server.stop()
        answer.finish()
        reader.join(timeout=60)
        assert not reader.is_alive()


def test_port_can_be_chosen() -> None:
    """A port that was free once can be asked for; one in use is an OSError."""
    with LocalServer() as first:
        port = httpx.URL(first.base_url).port
        assert port is not None
        with pytest.raises(OSError, match=r"in use|bind|only one usage"):
            LocalServer(port=port).start()


def test_requests_are_recorded(server: LocalServer, chat: Chat) -> None:
    """What was asked, and how much was answered, is on record until it is cleared."""
    chat.http.post("/conversation?x=1", json={"model": "no/such"}, headers={"X-Test": "yes"})
    seen = server.requests[-1]
    assert (seen.method, seen.path, seen.query, seen.status) == (
        "POST",
        "/conversation",
        "x=1",
        400,
    )
    assert seen.headers["x-test"] == "yes"
    assert b"no/such" in seen.body
    assert seen.sent_bytes == len('{"message":"Invalid request"}')
    server.clear_requests()
    assert server.requests == []


def test_records_as_json(server: LocalServer, chat: Chat) -> None:
    """A record gives its body as JSON: a message's, whatever is attached to it, and others'."""
    conversation = chat.create(preprompt="Be good.")
    chat.send(conversation, "grüezi\r\n", files=(("a.txt", "text/plain", b"data"),))
    created, message = (r.json for r in server.requests if r.method == "POST")
    assert created == {"model": "echo/base", "preprompt": "Be good."}
    assert message["inputs"] == "grüezi\r\n"
    reading = next(r for r in server.requests if r.method == "GET")
    assert reading.json is None


def test_record_of_a_stream_grows(server: LocalServer, chat: Chat) -> None:
    """The bytes sent can be watched while a stream is open."""
    answer = chat.under_way(chat.create("slow/drip"), "go")
    answer.wait_for("tok1 ")
    early = server.requests[-1].sent_bytes
    answer.finish()
    assert 0 < early < server.requests[-1].sent_bytes


def test_records_keep_cookies_out_of_repr(server: LocalServer, chat: Chat) -> None:
    """Printing a record shows no cookie."""
    chat.create()
    chat.create()
    assert "cookie" in server.requests[-1].headers
    assert "hf-chat" not in repr(server.requests)


def test_base_path() -> None:
    """Below a base path everything is there, and above it nothing."""
    with LocalServer(base_path="/chat/") as server:
        assert server.base_url.endswith("/chat")
        assert httpx.get(f"{server.base_url}/api/v2/models").status_code == 200
        assert httpx.get(server.base_url.removesuffix("/chat") + "/api/v2/models").is_client_error


def test_app_can_be_mounted() -> None:
    """The app works below any path of another app, and its pages name the whole path."""
    app = create_app(base_path="/chat", hosts=["testserver"])
    outer = Starlette(routes=[Mount("/outer", app=app)])
    with TestClient(outer) as client:
        assert client.get("/outer/chat/api/v2/user").json() == {"json": None}
        assert 'data-url="/outer/chat/api/v2/models"' in client.get("/outer/chat/").text


def test_unknown_path_is_a_page(either_chat: Chat, generation: Generation) -> None:
    """A path that leads nowhere is answered with a page; the legacy generation's looks fine."""
    nowhere = either_chat.http.get("/no/where", headers={"accept": "application/json"})
    assert nowhere.headers["content-type"] == "text/html"
    assert nowhere.status_code == (404 if generation == "current" else 200)


async def test_many_streams_at_once() -> None:
    """Fifty answers at once all come whole, and other requests go through meanwhile."""

    async def answer(client: httpx.AsyncClient, origin: str) -> int:
        made = (await client.post("/conversation", json={"model": "slow/drip"})).json()
        root = json.loads(made["conversation"])["json"]["rootMessageId"]
        response = await client.post(
            f"/conversation/{made['conversationId']}",
            files={"data": (None, json.dumps({"inputs": "go", "id": root}))},
            headers={"origin": origin},
        )
        return response.text.count('"type":"stream"')

    async with LocalServer(token_delay=0.01) as server:
        options = {"base_url": server.base_url, "cookies": server.cookies(), "timeout": 60}
        async with httpx.AsyncClient(**options) as client:  # type: ignore[arg-type]
            runs = [answer(client, server.base_url) for _ in range(50)]
            assert set(await asyncio.gather(*runs)) == {40}
