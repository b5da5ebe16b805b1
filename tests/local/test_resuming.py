"""Coming back to a run by its log."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.chat import Chat

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer


def _frames(body: str) -> list[tuple[str, Any]]:
    """Read a log as pairs of event name and data."""
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", body)
    return [(name, json.loads(data)) for name, data in found]


def _parts(body: str) -> str:
    """Join the tokens of a log."""
    return "".join(data.get("token", "") for _, data in _frames(body))


def test_log_of_a_run_under_way(chat: Chat) -> None:
    """The log begins with what was said, follows the run, and tells how it ended."""
    conversation = chat.create("slow/drip")
    answer = chat.under_way(conversation, "go")
    answer.wait_for("tok3 ")
    body = chat.http.get(f"/conversation/{conversation}/stream").text
    assert _parts(body).split() == [f"tok{number}" for number in range(40)]
    assert _frames(body)[-1] == ("end", {"status": "completed"})
    answer.finish()


def test_log_goes_on_where_the_reader_left_off(chat: Chat) -> None:
    """Last-Event-ID beats fromSeq, and whatever is no number counts as 0."""
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


def test_log_of_nothing_is_gone(server: LocalServer, chat: Chat) -> None:
    """A run that never was is gone; somebody else's conversation is not found."""
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
    monkeypatch.setattr("hfchat_base.local.routes.messages.RESUME_CAP_SECONDS", 0.1)
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
