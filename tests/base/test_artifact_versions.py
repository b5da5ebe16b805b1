"""Artifacts in real conversations: versions across messages, and what it takes to know them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import Answer, ChatMessage, InvalidRequestError, Status, TextDelta
from hfchat_base.events import ArtifactEnded

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer
    from tests.support.attempts import Try

PAGE = '<artifact identifier="page" type="html" title="A page">\n<h1>Hi</h1>\n</artifact>'
UPDATE = (
    '<artifact identifier="page" type="update">'
    "<old_str>Hi</old_str><new_str>Ho</new_str></artifact>"
)
SCRIPT = "SCRIPT: " + json.dumps([f"Look:\n{PAGE}", f"Done:\n{UPDATE}"])
MODEL = "script/agent"


def create(client: Any) -> Any:
    """Make a conversation with the model that follows a script."""
    return client.create_conversation(MODEL)


class Turns:
    """Steps of an attempt, which remember what was made on the way."""

    def __init__(self) -> None:
        self.client: Any = None
        self.conversation: Any = None

    def begin(self, client: Any) -> Any:
        """Make a conversation."""
        self.client = client
        return create(client)

    def first(self, conversation: Any) -> Any:
        """Have the first answer, which holds a page."""
        self.conversation = conversation
        return conversation.send(SCRIPT)

    def second(self, _: Any) -> Any:
        """Have the second one, which updates it."""
        return self.conversation.send("Go on.")


def paths(server: LocalServer) -> list[str]:
    """What was asked of a server."""
    return [f"{request.method} {request.path}" for request in server.requests]


def test_update_of_an_earlier_message(server: LocalServer, attempt: Try) -> None:
    """An update changes what an earlier message of the conversation made."""
    turns = Turns()
    answer: Answer = attempt(server.base_url, turns.begin, turns.first, turns.second)
    assert answer.text == "Done:\n```html\n<h1>Ho</h1>\n```"
    (artifact,) = answer.artifacts
    assert (artifact.version, artifact.operation, artifact.title) == (2, "update", "A page")


def test_earlier_versions_cost_no_request(server: LocalServer, attempt: Try) -> None:
    """The conversation is read once while an answer comes, with artifacts as without."""
    attempt(server.base_url, create, lambda it: it.send("Hello."))
    plain = [request.method for request in server.requests]
    server.clear_requests()
    attempt(server.base_url, create, lambda it: it.send(SCRIPT))
    assert [request.method for request in server.requests] == plain


def test_conversation_that_is_taken_up(server: LocalServer, attempt: Try) -> None:
    """An update finds its artifact in a conversation that another client began."""
    turns = Turns()

    def take_up(_: Any) -> Any:
        return turns.client.get_conversation(turns.conversation.id)

    answer: Answer = attempt(
        server.base_url, turns.begin, turns.first, take_up, lambda it: it.send("Go on.")
    )
    assert answer.artifacts[0].content == "<h1>Ho</h1>"


def test_answer_that_is_done_again(server: LocalServer, attempt: Try) -> None:
    """Another answer next to an update changes the same version."""
    turns = Turns()
    answer: Answer = attempt(
        server.base_url,
        turns.begin,
        turns.first,
        turns.second,
        lambda _: turns.conversation.retry(),
    )
    assert answer.artifacts[0].version == 2
    assert answer.artifacts[0].content == "<h1>Ho</h1>"


def test_stored_messages(server: LocalServer, attempt: Try) -> None:
    """Stored messages have the text and the artifacts that their answers had."""
    turns = Turns()
    answers: list[Answer] = []

    def keep(answer: Answer) -> Answer:
        answers.append(answer)
        return answer

    messages = attempt(
        server.base_url,
        turns.begin,
        turns.first,
        keep,
        turns.second,
        keep,
        lambda _: turns.conversation.messages(),
    )
    stored = [message for message in messages if message.role == "assistant"]
    assert [message.content for message in stored] == [answer.text for answer in answers]
    assert [message.artifacts for message in stored] == [answer.artifacts for answer in answers]


def test_history_of_the_caller(server: LocalServer, attempt: Try) -> None:
    """A history with an answer's text in it is found again, and its artifacts with it."""
    turns: list[ChatMessage] = [ChatMessage("user", SCRIPT)]
    clients: list[Any] = []

    def first(client: Any) -> Any:
        clients.append(client)
        return client.chat(turns, model=MODEL)

    def second(answer: Answer) -> Any:
        turns.extend([ChatMessage("assistant", answer.text), ChatMessage("user", "Go on.")])
        return clients[0].chat(turns, model=MODEL)

    answer: Answer = attempt(server.base_url, first, second)
    assert answer.artifacts[0].version == 2
    created = [path for path in paths(server) if path == "POST /conversation"]
    assert len(created) == 1


def test_ephemeral_answer(server: LocalServer, attempt: Try) -> None:
    """An answer without a past has its artifacts at once; nothing is read for them."""
    answer: Answer = attempt(
        server.base_url, lambda it: it.chat(SCRIPT, model=MODEL), ephemeral=True
    )
    assert answer.artifacts[0].version == 1


@pytest.mark.parametrize("where", ["client", "call"])
def test_raw(where: str, server: LocalServer, attempt: Try) -> None:
    """Artifacts stay in the text if that is asked for, by the client or by a call."""
    options = {"artifacts": "raw"}
    settings = options if where == "client" else {}
    call = options if where == "call" else {}
    answer: Answer = attempt(
        server.base_url, create, lambda it: it.send(SCRIPT, **call), **settings
    )
    assert answer.text == f"Look:\n{PAGE}"
    assert answer.artifacts == ()


def test_raw_messages(server: LocalServer, attempt: Try) -> None:
    """A client that leaves artifacts in answers leaves them in stored messages."""
    turns = Turns()
    messages = attempt(
        server.base_url,
        turns.begin,
        turns.first,
        lambda _: turns.conversation.messages(),
        artifacts="raw",
    )
    assert messages[-1].content == f"Look:\n{PAGE}"


def test_wrong_option(server: LocalServer, attempt: Try) -> None:
    """Another value is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="artifacts should be"):
        attempt(server.base_url, create, lambda it: it.send("Hello.", artifacts="yes"))
    with pytest.raises(InvalidRequestError, match="artifacts should be"):
        attempt(server.base_url, artifacts="no")


def test_stream(server: LocalServer, attempt: Try) -> None:
    """A stream's text is the answer's, and each artifact's end holds it whole."""

    def read(stream: Any) -> Any:
        if hasattr(stream, "__aiter__"):

            async def read_async() -> Any:
                return [event async for event in stream], stream.answer

            return read_async()
        return list(stream), stream.answer

    events, answer = attempt(server.base_url, lambda it: it.stream_chat(SCRIPT, model=MODEL), read)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts) == answer.text
    ended = [event.artifact for event in events if isinstance(event, ArtifactEnded)]
    assert tuple(ended) == answer.artifacts
    assert any(isinstance(event, Status) for event in events)
