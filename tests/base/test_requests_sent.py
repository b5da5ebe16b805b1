"""How much is sent: as few requests, and as few bytes, as the protocol allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import AsyncHuggingChat, ChatMessage, HuggingChat, TextDelta

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local import LocalServer, RecordedRequest

MODEL = "echo/base"


@pytest.fixture
def requests_of_a_new_conversation(generation: Generation) -> int:
    """Make it, and send; legacy also has to be asked for the root message."""
    return 2 if generation == "current" else 3


def until_the_message(server: LocalServer) -> list[RecordedRequest]:
    """The requests that the message waited for, and the message.

    The conversation is read for the answer's id while the answer comes, so that request may have
    arrived before the first token is taken.
    """
    requests = list(server.requests)
    is_message = [r.method == "POST" and "/conversation/" in r.path for r in requests]
    return requests[: is_message.index(True) + 1]


def test_first_token_of_a_new_conversation(
    client: HuggingChat, server: LocalServer, requests_of_a_new_conversation: int
) -> None:
    """A client that has just been made needs no discovery when the model is named."""
    with client.create_conversation(MODEL).stream("hello") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        assert len(until_the_message(server)) == requests_of_a_new_conversation


def test_first_token_of_a_history(
    client: HuggingChat, server: LocalServer, requests_of_a_new_conversation: int
) -> None:
    """The same holds for a history that a caller keeps."""
    with client.stream_chat("hello", model=MODEL) as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        assert len(until_the_message(server)) == requests_of_a_new_conversation


async def test_first_token_asynchronously(
    async_client: AsyncHuggingChat, server: LocalServer, requests_of_a_new_conversation: int
) -> None:
    """The asynchronous client is as frugal."""
    async with async_client.stream_chat("hello", model=MODEL) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        assert len(until_the_message(server)) == requests_of_a_new_conversation


def test_first_token_of_a_next_turn(client: HuggingChat, server: LocalServer) -> None:
    """A next message is one request."""
    conversation = client.create_conversation(MODEL)
    conversation.send("hello")
    server.clear_requests()
    with conversation.stream("and now?") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        assert [request.method for request in until_the_message(server)] == ["POST"]


def test_first_token_of_a_history_that_grew(client: HuggingChat, server: LocalServer) -> None:
    """A history whose beginning the server has is one request too."""
    answer = client.chat("hello", model=MODEL)
    history = [
        ChatMessage("user", "hello"),
        ChatMessage("assistant", answer.text),
        ChatMessage("user", "and now?"),
    ]
    server.clear_requests()
    with client.stream_chat(history, model=MODEL) as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        assert [request.method for request in until_the_message(server)] == ["POST"]


def test_generation_is_found_out_once(client: HuggingChat, server: LocalServer) -> None:
    """A second client of the same server does not ask again which generation it is."""
    client.whoami()
    server.clear_requests()
    with HuggingChat(server.base_url) as second:
        second.whoami()
    assert len(server.requests) == 1


def test_models_are_asked_for_once(client: HuggingChat, server: LocalServer) -> None:
    """The model list is remembered, until it is to be refreshed."""
    client.get_models()
    server.clear_requests()
    client.get_models()
    assert client.default_model == MODEL
    assert server.requests == []
    client.get_models(refresh=True)
    assert server.requests


def test_bytes_do_not_grow_with_the_history(client: HuggingChat, server: LocalServer) -> None:
    """Turn 50 of a chat sends no more than turn 2 and the longer message."""
    history: list[ChatMessage] = []
    sent: list[int] = []
    for turn in range(1, 51):
        text = f"This is message number {turn:02}."
        history.append(ChatMessage("user", text))
        server.clear_requests()
        answer = client.chat(history, model=MODEL)
        assert answer.text == f"You said: {text}"
        history.append(ChatMessage("assistant", answer.text))
        sent.append(sum(len(request.body) for request in server.requests))
    assert sent[49] <= sent[1] + len("This is message number 50.")


def test_the_model_gets_what_the_history_says(client: HuggingChat, server: LocalServer) -> None:
    """Although only the new message is sent, the model gets the whole history."""
    history = [ChatMessage("system", "Be terse."), ChatMessage("user", "one")]
    for text in ("two", "three"):
        answer = client.chat(history, model=MODEL)
        history += [ChatMessage("assistant", answer.text), ChatMessage("user", text)]
    client.chat(history, model=MODEL)
    assert server.prompts[-1].messages == [
        {"role": message.role, "content": message.content} for message in history
    ]
