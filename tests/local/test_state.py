"""Limits and retention: what the server rejects, and how much it keeps."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from hfchat_base.local import FunctionBackend, Limits, LocalModel, LocalServer, Retention
from hfchat_base.local.answers import RunRequest
from hfchat_base.local.runs import Run
from hfchat_base.local.state import ServerState
from tests.support.local_chat import Chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local import ChatRequest


def test_every_attempt_counts() -> None:
    """A message that is rejected for its length counts against the limit per minute."""
    limits = Limits(messages_per_minute=1, message_length=2)
    with LocalServer(limits=limits) as server, Chat(server) as chat:
        conversation = chat.create()
        assert chat.post(conversation, "too long").status_code == 400
        assert chat.post(conversation, "ok").status_code == 429


def test_minute_is_counted_by_address_too() -> None:
    """A second session from the same address does not help."""
    limits = Limits(messages_per_minute=1)
    with LocalServer(limits=limits) as server:
        with Chat(server) as chat:
            assert chat.post(chat.create(), "one").status_code == 200
        with Chat(server, server.cookies()) as chat:
            assert chat.post(chat.create(), "two").status_code == 429


def test_length_counts_utf16_units() -> None:
    """The length of a message is JavaScript's."""
    with LocalServer(limits=Limits(message_length=2)) as server, Chat(server) as chat:
        assert chat.post(chat.create(), "🙂").status_code == 200
        assert chat.post(chat.create(), "🙂!").json() == {"message": "Message too long."}


def test_deleting_makes_room() -> None:
    """Conversations are counted as they are, not as they were."""
    with LocalServer(limits=Limits(conversations=0)) as server, Chat(server) as chat:
        first = chat.create()
        assert chat.http.post("/conversation", json={"model": "echo/base"}).status_code == 429
        chat.http.delete(f"/conversation/{first}")
        chat.create()


@pytest.mark.parametrize(("size", "expected"), [(100, 200), (101, 413)])
def test_size_of_a_file(size: int, expected: int) -> None:
    """A file of the largest size is taken, one byte more is not."""
    files = (("a.txt", "text/plain", b"x" * size),)
    with LocalServer(limits=Limits(file_bytes=100)) as server, Chat(server) as chat:
        assert chat.post(chat.create(), "hi", files=files).status_code == expected


def test_size_of_a_body(generation: Generation) -> None:
    """A body that is too large is a 413 of the current and a 500 of the legacy generation."""
    limits = Limits(body_bytes=1000)
    server = LocalServer(limits=limits, generation=generation)
    with server, Chat(server) as chat:
        refused = chat.post(chat.create(), "x" * 2000)
        assert refused.status_code == (413 if generation == "current" else 500)
        assert set(refused.json()) == {"message", "errorId"}


def test_requests_and_prompts_are_bounded() -> None:
    """The lists that tests look at hold the newest entries, in order."""
    with LocalServer(retention=Retention(requests=3, prompts=2)) as server, Chat(server) as chat:
        for text in ("one", "two", "three"):
            chat.ask(text)
        assert [request.method for request in server.requests] == ["POST", "GET", "POST"]
        assert [prompt.messages[-1]["content"] for prompt in server.prompts] == ["two", "three"]


def test_requests_are_bounded_in_size() -> None:
    """Large bodies push older requests out."""
    with LocalServer(retention=Retention(total_bytes=1000)) as server, Chat(server) as chat:
        for letter in "abc":
            chat.http.post("/conversation", json={"model": letter * 400})
        assert [request.json["model"][0] for request in server.requests] == ["b", "c"]


@pytest.mark.parametrize("retention", [Retention(conversations=2), Retention(total_bytes=2200)])
def test_conversations_are_bounded(generation: Generation, retention: Retention) -> None:
    """The conversation that was unchanged for longest is evicted as if deleted, with its answer."""
    with LocalServer(generation=generation, retention=retention) as server, Chat(server) as chat:
        first, second = chat.create(preprompt="x" * 300), chat.create(preprompt="x" * 300)
        chat.send(first, "hi", parent=chat.messages(first)[0]["id"])
        third = chat.create(preprompt="x" * 300)
        listed = [entry["id"] for entry in chat.http.get("/api/conversations").json()]
        assert listed == [third, first]
        assert chat.http.delete(f"/conversation/{second}").status_code == 404
        assert chat.post(second, "hi", parent=second).status_code == 404


def test_conversation_forgotten_in_the_middle_of_its_answer(generation: Generation) -> None:
    """An answer whose conversation is forgotten meanwhile still comes whole."""
    retention = Retention(conversations=1)
    server = LocalServer(generation=generation, retention=retention, token_delay=0.01)
    with server, Chat(server) as chat:
        answer = chat.under_way(chat.create("slow/drip"), "go")
        answer.wait_for("tok1 ")
        kept = chat.create()
        assert sum(event["type"] == "stream" for event in answer.finish()) == 40
        assert [entry["id"] for entry in chat.http.get("/api/conversations").json()] == [kept]


def test_files_are_bounded() -> None:
    """The oldest file is evicted; the conversation stays."""
    with LocalServer(retention=Retention(files=1)) as server, Chat(server) as chat:
        conversation = chat.create("echo/vision")
        for text in (b"one", b"two"):
            chat.send(conversation, "hi", files=(("a.txt", "text/plain", text),))
        shas = [m["files"][0]["value"] for m in chat.messages(conversation) if m.get("files")]
        statuses = [
            chat.http.get(f"/conversation/{conversation}/output/{sha}").status_code for sha in shas
        ]
        assert statuses == [404, 200]


def test_logs_are_bounded() -> None:
    """Nobody can come back to the oldest run; a current answer goes on without its log."""
    with LocalServer(retention=Retention(logs=1)) as server, Chat(server) as chat:
        first, second = chat.create(), chat.create()
        chat.send(first, "one")
        chat.send(second, "two")
        assert "gone" in chat.http.get(f"/conversation/{first}/stream").text
        assert "two" in chat.http.get(f"/conversation/{second}/stream").text


def test_sessions_are_bounded() -> None:
    """The session that was unused for longest is evicted; anonymous sessions evict no other."""
    server = LocalServer(require_login=True, retention=Retention(sessions=2))
    with server:
        alice, bob = server.new_session("alice"), server.new_session("bob")

        def who(cookies: dict[str, str]) -> object:
            user = httpx.get(f"{server.base_url}/api/v2/user", cookies=cookies).json()["json"]
            return user and user["username"]

        for _ in range(5):
            httpx.post(f"{server.base_url}/conversation", json={})
        assert (who(bob), who(alice)) == ("bob", "alice")
        carol = server.new_session("carol")
        assert (who(alice), who(bob), who(carol)) == ("alice", None, "carol")


def test_guests_are_kept_nowhere(either_chat: Chat) -> None:
    """Where guests are allowed, requests without a cookie store no session."""
    for _ in range(3):
        httpx.get(f"{either_chat.server.base_url}/api/conversations")
    sessions = either_chat.server._state.sessions
    assert len(sessions._sessions) == len(sessions._anonymous) == 0


@pytest.mark.parametrize("route", ["POST /conversation", "PATCH /conversation/{id}"])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_bounded(generation: Generation, route: str, *, chunked: bool) -> None:
    """A body that is too large is rejected on every route, and only its beginning is kept."""
    limits = Limits(body_bytes=1000)
    with LocalServer(generation=generation, limits=limits) as server, Chat(server) as chat:
        method, _, path = route.replace("{id}", chat.create()).partition(" ")
        body = b'{"model": "echo/base", "x": "' + b"x" * 5_000_000 + b'"}'
        content = iter([body[:3], body[3:]]) if chunked else body
        refused = chat.http.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
        assert refused.status_code == (413 if generation == "current" else 500)
        assert len(server.requests[-1].body) == 1001
        small = chat.http.post("/conversation", json={"model": "echo/base", "x": "x" * 900})
        assert small.status_code == 200


def test_body_without_an_end_is_rejected() -> None:
    """Whoever sends without an end is answered, and cut off."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with LocalServer(limits=Limits(body_bytes=1000)) as server, Chat(server) as chat:
        with suppress(httpx.TransportError):  # the answer may be lost where so much is under way
            refused = chat.http.post(
                "/conversation", content=endless(), headers={"content-type": "application/json"}
            )
            assert refused.status_code == 413
        assert server.requests[-1].status == 413


def test_headers_are_bounded(either_chat: Chat) -> None:
    """A request whose headers do not end is rejected without being recorded."""
    url = httpx.URL(either_chat.server.base_url)
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(b"GET /api/models HTTP/1.1\r\nhost: x\r\nx: " + b"x" * 100_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert either_chat.server.requests == []


def test_request_that_is_cut_short_is_not_answered(generation: Generation) -> None:
    """A client that disconnects during its message has sent none, but the attempt is recorded."""
    model = LocalModel("my/model", FunctionBackend(lambda request: request.last_user_text))
    with LocalServer(generation=generation, models=[model]) as server, Chat(server) as chat:
        conversation = chat.create("my/model")
        request = chat.request(conversation, "hi")
        body = request.read()
        head = [f"POST /conversation/{conversation} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in request.headers.items()]
        cut = "\r\n".join([*head, "", ""]).encode() + body[:-2]
        url = httpx.URL(server.base_url)
        with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
            connection.sendall(cut)
        while not (cut_off := [one for one in server.requests if one.body == body[:-2]]):
            chat.http.get("/healthcheck")
        assert (cut_off[0].status, server.prompts) == (None, [])
        assert len(chat.messages(conversation)) == 1


async def test_keep_alives_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does not read finds a bounded number of keepAlives, and the whole answer."""
    monkeypatch.setattr("hfchat_base.local.runs._KEEP_ALIVE_SECONDS", 0)

    async def patient(_request: ChatRequest) -> AsyncIterator[str]:
        for _ in range(2000):
            await asyncio.sleep(0)
        yield "done"

    model = LocalModel("my/model", FunctionBackend(patient))
    state = ServerState("current", [model])
    made = state.conversations.create(owner="me", model=model.id, preprompt="")
    conversation = made.copy()
    answer = conversation.add_child({"from": "assistant", "content": ""}, made.root_message_id)
    turn = RunRequest(state, model, made.id, conversation.path_to(answer)[:-1])
    run = Run(turn, conversation, answer, generation_id="x", id_from_client=True)
    run.start()
    await asyncio.gather(*state._tasks)
    lines = b"".join([data async for data in run.lines()])
    assert lines.count(b"keepAlive") <= 100
    assert b'"text":"done"' in lines
