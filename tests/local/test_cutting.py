"""Answers that lose their connection because a test asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from hfchat_base.local import LocalServer
from tests.local.chat import Chat, Event, events_of, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base._protocol.constants import Generation


@pytest.fixture
def server(generation: Generation) -> Iterator[LocalServer]:
    """A server of each generation in turn, which nobody else asks."""
    with LocalServer(generation=generation, token_delay=0.01) as server:
        yield server


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
def test_answer_is_cut(server: LocalServer, pieces: int) -> None:
    """As many pieces of text are sent as were asked for, then the connection is closed."""
    server.cut_answers(pieces)
    with Chat(server) as chat:
        events, lost = arrived(chat, chat.create(), "one two three")
    assert lost
    assert tokens(events) == ["You ", "said: ", "one "][:pieces]


def test_slow_answer_is_cut(server: LocalServer) -> None:
    """An answer that comes piece by piece is cut at the same place."""
    server.cut_answers(2)
    with Chat(server) as chat:
        events, lost = arrived(chat, chat.create("slow/drip"), "go")
    assert lost
    assert tokens(events) == ["tok0 ", "tok1 "]


def test_each_cut_is_for_one_answer(server: LocalServer) -> None:
    """The answer after the last cut is whole, and short answers in between are none of them."""
    server.cut_answers(1, 2)
    with Chat(server) as chat:
        for count in (1, 2):
            events, lost = arrived(chat, chat.create(), "hello")
            assert lost
            assert len(tokens(events)) == count
        assert final(chat.ask("hello")) == "You said: hello"


def test_short_answer_is_not_cut(server: LocalServer) -> None:
    """An answer with no more pieces than that keeps its connection."""
    server.cut_answers(10)
    with Chat(server) as chat:
        assert final(chat.ask("hello")) == "You said: hello"


def test_log_of_a_cut_run() -> None:
    """A current run goes on without its reader, and its log may be cut as well."""
    with LocalServer() as server, Chat(server) as chat:
        server.cut_answers(1, 0)
        conversation = chat.create()
        assert arrived(chat, conversation, "hello")[1]
        with pytest.raises(httpx.RemoteProtocolError):
            chat.http.get(f"/conversation/{conversation}/stream")
        log = chat.http.get(f"/conversation/{conversation}/stream").text
        assert '"token":"You said: hello"' in log
