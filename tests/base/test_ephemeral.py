"""`ephemeral=True`: the account keeps no trace of a chat, however it ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    GenerationFailed,
    HuggingChat,
    ModelNotFoundError,
    TextDelta,
)
from tests.support import abandoning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hfchat_base.local import LocalServer


@pytest.fixture
def ephemeral(server: LocalServer) -> Iterator[HuggingChat]:
    """A client that leaves no trace."""
    with HuggingChat(server.base_url, ephemeral=True) as client:
        yield client


@pytest.fixture
async def async_ephemeral(server: LocalServer) -> AsyncIterator[AsyncHuggingChat]:
    """The same, asynchronously."""
    async with AsyncHuggingChat(server.base_url, ephemeral=True) as client:
        yield client


def assert_made_and_deleted(client: HuggingChat, server: LocalServer) -> None:
    """Check that a conversation was made, and that none is left."""
    assert any(r.method == "POST" and r.path == "/conversation" for r in server.requests)
    assert list(client.list_conversations()) == []


def test_after_an_answer(ephemeral: HuggingChat, server: LocalServer) -> None:
    """A whole answer leaves nothing."""
    assert ephemeral.chat("hello", model="echo/base").text == "You said: hello"
    assert_made_and_deleted(ephemeral, server)


def test_after_leaving(ephemeral: HuggingChat, server: LocalServer) -> None:
    """An answer that is left in the middle leaves nothing."""
    with ephemeral.stream_chat("hello", model="slow/drip") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
    assert_made_and_deleted(ephemeral, server)


def test_after_a_stop(ephemeral: HuggingChat, server: LocalServer) -> None:
    """An answer that is stopped leaves nothing."""
    with ephemeral.stream_chat("hello", model="slow/drip") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        stream.stop()
        stream.result()
    assert_made_and_deleted(ephemeral, server)


def test_after_a_failure(ephemeral: HuggingChat, server: LocalServer) -> None:
    """An answer that fails leaves nothing, and the failure comes out."""
    with pytest.raises(GenerationFailed, match="exploded"):
        ephemeral.chat("hello", model="broken/http500")
    assert_made_and_deleted(ephemeral, server)


def test_after_an_exception_of_the_caller(ephemeral: HuggingChat, server: LocalServer) -> None:
    """An exception in the caller's own code leaves nothing."""
    with suppress(ZeroDivisionError), ephemeral.stream_chat("hello", model="slow/drip") as stream:
        next(iter(stream))
        raise ZeroDivisionError
    assert_made_and_deleted(ephemeral, server)


def test_failure_before_there_is_a_conversation(ephemeral: HuggingChat) -> None:
    """Where none was made, none is deleted."""
    with pytest.raises(ModelNotFoundError):
        ephemeral.chat("hello", model="no/such")
    assert list(ephemeral.list_conversations()) == []


def test_whole_history_is_sent(ephemeral: HuggingChat, server: LocalServer) -> None:
    """Each call sends the whole history, because the server has forgotten it."""
    answer = ephemeral.chat("my name is Ada", model="echo/base")
    history = [
        ChatMessage("system", "Be terse."),
        ChatMessage("user", "my name is Ada"),
        ChatMessage("assistant", answer.text),
        ChatMessage("user", "what is my name?"),
    ]
    ephemeral.chat(history, model="echo/base")
    system, user = server.prompts[-1].messages
    assert system == {"role": "system", "content": "Be terse."}
    assert "my name is Ada" in user["content"]
    assert user["content"].endswith("what is my name?")


async def test_asynchronously(async_ephemeral: AsyncHuggingChat) -> None:
    """The asynchronous client leaves nothing either, whole or left."""
    await async_ephemeral.chat("hello", model="echo/base")
    async with async_ephemeral.stream_chat("hello", model="slow/drip") as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    assert [info async for info in async_ephemeral.list_conversations()] == []


async def test_after_cancellation(async_ephemeral: AsyncHuggingChat, server: LocalServer) -> None:
    """A call that is cancelled leaves nothing."""
    call = async_ephemeral.chat("hello", model="slow/drip")
    await abandoning.by_running_out_of_time(call, lambda: server.prompts)
    assert [info async for info in async_ephemeral.list_conversations()] == []
