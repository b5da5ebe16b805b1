"""Runs: stopping, disconnecting, resuming, and two of them at once."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from tests.support.local_chat import Chat, final
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _new_id() -> str:
    return str(uuid.uuid4())


def test_stop_cuts_to_what_was_seen(chat: Chat) -> None:
    """The stored answer ends where the client that stopped it had stopped reading."""
    conversation, run = chat.create("slow/drip"), _new_id()
    answer = chat.under_way(conversation, "go", generationId=run)
    answer.wait_for("tok5 ")
    chat.stop(conversation, generationId=run, seenContentLength=7)
    events = answer.finish()
    assert final(events) == "tok0 to"
    assert events[-1] == {"type": "status", "status": "finished"}
    stored = chat.messages(conversation)[-1]
    assert (stored["content"], stored["interrupted"]) == ("tok0 to", True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"generationId": _new_id(), "seenContentLength": 1},
        {"generationId": 1, "seenContentLength": 1},
        {"seenContentLength": -1},
    ],
)
def test_stop_without_a_matching_point_cuts_nothing(chat: Chat, body: dict[str, object]) -> None:
    """A stop that names no point, or another run's, keeps all that was said."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go", generationId=_new_id())
    answer.wait_for("tok1 ")
    chat.stop(conversation, **body)
    assert final(answer.finish()).startswith("tok0 tok1 ")


def test_stop_needs_no_body(chat: Chat) -> None:
    """The body is a hint: even broken JSON stops the run."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok1 ")
    path = f"/conversation/{conversation}/stop-generating"
    json = {"content-type": "application/json"}
    assert chat.http.post(path, content=b"{", headers=json).status_code == 200
    assert '"interrupted": true' in str(answer.finish()[-2]).replace("'", '"').replace(
        "True", "true"
    )


def test_stop_counts_utf16_units() -> None:
    """The point is counted as JavaScript counts, even through the middle of a character."""

    async def smile(_request: ChatRequest) -> AsyncIterator[str]:
        while True:
            yield "🙂"
            await asyncio.sleep(0.02)

    model = LocalModel("my/smile", FunctionBackend(smile))
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        conversation, run = chat.create("my/smile"), _new_id()
        answer = chat.under_way(conversation, "go", generationId=run)
        answer.wait_for("🙂")
        chat.stop(conversation, generationId=run, seenContentLength=1)
        assert final(answer.finish()) == "\ud83d"


def test_stop_before_the_first_token() -> None:
    """A model that has not said anything yet is stopped too, and that is not an error."""

    async def ponder(_request: ChatRequest) -> str:
        await asyncio.sleep(60)
        return "late"

    model = LocalModel("my/pondering", FunctionBackend(ponder))
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        conversation = chat.create("my/pondering")
        answer = chat.under_way(conversation, "go")
        answer.wait_for("keepAlive")
        chat.stop(conversation)
        assert answer.finish()[-2:] == [
            {"type": "finalAnswer", "text": "", "interrupted": True},
            {"type": "status", "status": "finished"},
        ]


def test_late_stop_hits_the_next_run(chat: Chat) -> None:
    """A stop that comes after the end aborts what is sent next, as on the real server."""
    conversation = chat.create("slow/drip")
    chat.send(conversation, "go")
    chat.stop(conversation)
    events = chat.send(conversation, "go")
    assert next(event for event in events if event["type"] == "finalAnswer")["interrupted"]
    assert not chat.send(conversation, "go")[-2]["interrupted"]


def test_late_stop_is_forgotten(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few seconds a late stop no longer affects the next run."""
    monkeypatch.setattr("hfchat_base.local.runs._STALE_MARKER_SECONDS", 0.0)
    conversation = chat.create("slow/drip")
    chat.stop(conversation)
    assert not chat.send(conversation, "go")[-2]["interrupted"]


def test_legacy_stop_ends_the_stream(legacy_chat: Chat) -> None:
    """The legacy stream just ends after the next token, and what was said is stored."""
    conversation = legacy_chat.create("slow/drip")
    answer = legacy_chat.under_way(conversation, "go")
    answer.wait_for("tok2 ")
    legacy_chat.stop(conversation)
    assert answer.finish()[-1]["type"] == "stream"
    assert legacy_chat.messages(conversation)[-1]["content"].startswith("tok0 tok1 tok2 ")


def test_stop_of_somebody_elses_run(server: LocalServer, chat: Chat) -> None:
    """Only the owner can stop a run."""
    conversation = chat.create("slow/drip")
    with Chat(server) as other:
        refused = other.http.post(f"/conversation/{conversation}/stop-generating", json={})
    assert refused.status_code == 404


def test_run_survives_its_client(chat: Chat) -> None:
    """When the client disconnects, the run continues and its answer is stored."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok1 ")
    answer.leave()
    until(lambda: chat.messages(conversation)[-1]["content"].endswith("tok39"))


def test_legacy_run_ends_with_its_client(legacy_chat: Chat) -> None:
    """When the client of a legacy server disconnects, the text so far is stored."""
    conversation = legacy_chat.create("slow/drip")
    answer = legacy_chat.under_way(conversation, "go")
    answer.wait_for("tok1 ")
    answer.leave()
    until(lambda: legacy_chat.messages(conversation)[-1]["content"].startswith("tok0 tok1"))
    stored = legacy_chat.messages(conversation)[-1]
    assert "tok39" not in stored["content"]
    assert all(update["type"] != "finalAnswer" for update in stored["updates"])


def test_answer_is_stored_before_its_first_token(chat: Chat) -> None:
    """The empty answer can be found by its generation id while the run goes on."""
    conversation, run = chat.create("slow/drip"), _new_id()
    answer = chat.under_way(conversation, "go", generationId=run)
    answer.wait_for("started")
    stored = chat.messages(conversation)[-1]
    assert (stored["generationId"], stored["content"]) == (run, "")
    answer.finish()


def test_long_run_is_stored_meanwhile(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time the unfinished answer is stored, with the place in the log."""
    monkeypatch.setattr("hfchat_base.local.runs._SNAPSHOT_TICKS", 1)
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok20 ")
    stored = chat.messages(conversation)[-1]
    assert stored["content"].startswith("tok0 ")
    assert stored["materializedSeq"] > 2
    assert "interrupted" not in stored
    answer.finish()


def test_later_end_wins(either_chat: Chat) -> None:
    """Of two runs in one conversation the one that ends first is stored empty."""
    conversation = either_chat.create("slow/drip")
    root = either_chat.messages(conversation)[0]["id"]
    first = either_chat.under_way(conversation, "first", parent=root)
    first.wait_for("tok1 ")
    second = either_chat.under_way(conversation, "second", parent=root)
    assert final(first.finish()) == final(second.finish())
    contents = [message["content"] for message in either_chat.messages(conversation)]
    assert contents[1:4] == ["first", "", "second"]
    assert contents[4].endswith("tok39")


def test_deleted_conversation_stays_deleted(chat: Chat) -> None:
    """A run whose conversation is deleted ends well, and brings nothing back."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok1 ")
    chat.http.delete(f"/api/v2/conversations/{conversation}")
    assert final(answer.finish()).endswith("tok39")
    assert chat.http.get(f"/api/v2/conversations/{conversation}").status_code == 404


def _frames(body: str) -> list[tuple[str, Any]]:
    """Read a log as pairs of event name and data."""
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", body)
    return [(name, json.loads(data)) for name, data in found]


def _parts(body: str) -> str:
    """Join the tokens of a log."""
    return "".join(data.get("token", "") for _, data in _frames(body))


def test_log_of_a_run_under_way(chat: Chat) -> None:
    """The log begins with what was said, follows the run, and says how it ended."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok3 ")
    body = chat.http.get(f"/conversation/{conversation}/stream").text
    assert _parts(body).split() == [f"tok{number}" for number in range(40)]
    assert _frames(body)[-1] == ("end", {"status": "completed"})
    answer.finish()


def test_log_goes_on_where_the_reader_left_off(chat: Chat) -> None:
    """Last-Event-ID beats fromSeq, and whatever is not a number counts as 0."""
    conversation = chat.create()
    chat.send(conversation, "hi")
    path = f"/conversation/{conversation}/stream"

    def first(query: str = "", **headers: str) -> str:
        body = chat.http.get(path + query, headers=headers).text
        return body.partition("\n")[0]

    assert first("?fromSeq=2") == "id: 3"
    assert first("?fromSeq=2", **{"last-event-id": "3"}) == "id: 4"
    assert first("?fromSeq=x") == "id: 1"
    assert first("?fromSeq=999") == "event: end"


def test_log_of_the_newest_run(chat: Chat) -> None:
    """Without a generation id the newest run is meant."""
    conversation = chat.create()
    chat.send(conversation, "one")
    chat.send(conversation, "two")
    assert _parts(chat.http.get(f"/conversation/{conversation}/stream").text) == "You said: two"


def test_log_of_a_name_that_is_used_again(server: LocalServer, chat: Chat) -> None:
    """A name belongs to its conversation; the same one given again there names the newest run."""
    name = str(uuid.uuid4())
    conversation = chat.create()
    for text, generation_id in (("one", name), ("two", str(uuid.uuid4())), ("three", name)):
        chat.send(conversation, text, generationId=generation_id)
    with Chat(server) as other:
        other.send(other.create(), "mine", generationId=name)
    path = f"/conversation/{conversation}/stream"
    assert _parts(chat.http.get(path).text) == "You said: three"
    assert _parts(chat.http.get(f"{path}?generationId={name}").text) == "You said: three"


def test_log_tells_of_errors_and_stops(chat: Chat) -> None:
    """A run that failed ends in `error`, one that was stopped in `interrupted`."""
    broken = chat.create("broken/http500")
    chat.send(broken, "hi")
    body = chat.http.get(f"/conversation/{broken}/stream").text
    assert _frames(body)[-1] == ("end", {"status": "error"})
    slow = chat.create("slow/drip")
    answer = chat.under_way(slow, "go")
    answer.wait_for("tok1 ")
    chat.stop(slow)
    answer.finish()
    body = chat.http.get(f"/conversation/{slow}/stream").text
    assert _frames(body)[-1] == ("end", {"status": "interrupted"})


def test_unknown_run_is_reported_as_gone(server: LocalServer, chat: Chat) -> None:
    """An unknown run is reported as gone; another user's conversation is not found."""
    conversation = chat.create()
    path = f"/conversation/{conversation}/stream"
    gone = 'event: end\ndata: {"status":"gone"}\n\n'
    assert chat.http.get(path).text == gone
    assert chat.http.get(f"{path}?generationId={uuid.uuid4()}").text == gone
    with Chat(server) as other:
        assert other.http.get(path).status_code == 404


def test_quiet_log_has_heartbeats(chat: Chat) -> None:
    """While nothing is said the log shows that it is alive."""
    conversation = chat.create("tools/agent")
    asking = [{"name": "asking", "url": "http://127.0.0.1:9201/mcp"}]
    answer = chat.under_way(
        conversation, "book", selectedMcpServers=asking, selectedMcpServerNames=["asking"]
    )
    answer.wait_for("elicitation")
    with chat.http.stream("GET", f"/conversation/{conversation}/stream") as response:
        assert any(line == ": heartbeat" for line in response.iter_lines())
    chat.stop(conversation)
    answer.finish()


def test_log_connection_is_capped(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that has lived its time is closed without an end, to be opened again."""
    monkeypatch.setattr("hfchat_base.local.routes.message_routes.RESUME_CAP_SECONDS", 0.1)
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok1 ")
    body = chat.http.get(f"/conversation/{conversation}/stream").text
    assert "tok0 " in body
    assert "event: end" not in body
    answer.finish()


def test_legacy_has_no_log(legacy_chat: Chat) -> None:
    """The legacy generation has no such path, and shows a page."""
    answer = legacy_chat.http.get(f"/conversation/{legacy_chat.create()}/stream")
    assert answer.headers["content-type"] == "text/html"
