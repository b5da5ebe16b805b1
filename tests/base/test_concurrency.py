"""Clients that are shared by threads and by tasks."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    ConversationBusyError,
    HuggingChat,
    TextDelta,
)
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer

DRIP = "".join(f"tok{number} " for number in range(40)).rstrip()


def shared_history(answer: str) -> list[ChatMessage]:
    """A history of which the server has the beginning."""
    return [
        ChatMessage("user", "hello"),
        ChatMessage("assistant", answer),
        ChatMessage("user", "and now?"),
    ]


def test_two_threads_with_one_history(client: HuggingChat, server: LocalServer) -> None:
    """Two threads that continue one history at once get two whole answers, apart."""
    history = shared_history(client.chat("hello", model="slow/drip").text)
    server.clear_requests()
    together = threading.Barrier(2)

    def ask() -> tuple[str, str]:
        together.wait()
        answer = client.chat(history, model="slow/drip")
        return answer.text, answer.conversation_id

    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in [pool.submit(ask) for _ in range(2)]]
    assert [text for text, _ in answers] == [DRIP, DRIP]
    assert len({conversation_id for _, conversation_id in answers}) == 2
    for prompt in server.prompts:
        words = str(prompt.messages)
        assert "hello" in words
        assert DRIP in words
        assert "and now?" in words


async def test_two_tasks_with_one_history(async_client: AsyncHuggingChat) -> None:
    """Two tasks that continue one history at once get two whole answers, apart."""
    first = await async_client.chat("hello", model="slow/drip")
    history = shared_history(first.text)
    answers = await asyncio.gather(
        *(async_client.chat(history, model="slow/drip") for _ in range(2))
    )
    assert [answer.text for answer in answers] == [DRIP, DRIP]
    assert len({answer.conversation_id for answer in answers}) == 2


async def test_stored_answers_are_whole(async_client: AsyncHuggingChat) -> None:
    """What the server has stored of two answers at once is whole as well."""
    answers = await asyncio.gather(*(async_client.chat("hello", model="slow/drip") for _ in "ab"))
    for answer in answers:
        conversation = await async_client.get_conversation(answer.conversation_id)
        assert (await conversation.messages())[-1].content.rstrip() == DRIP


def test_second_run_in_a_conversation_is_refused(client: HuggingChat) -> None:
    """Two runs in one conversation would lose an answer, so the second is refused."""
    conversation = client.create_conversation("slow/drip")
    with conversation.stream("one") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        with pytest.raises(ConversationBusyError, match="two at once would lose one"):
            conversation.send("two")
        assert stream.result().text == DRIP


async def test_event_loop_is_not_blocked() -> None:
    """While twenty answers stream, the event loop goes round.

    Each word is said only after it has, so that an answer which blocks it would wait for ever.
    """
    rounds = itertools.count()
    at = next(rounds)

    async def say(_: ChatRequest) -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            before = at
            while at == before:  # noqa: ASYNC110 - the two are in loops of their own
                await asyncio.sleep(0.001)
            yield word

    async def go_round() -> None:
        nonlocal at
        while True:
            at = next(rounds)
            await asyncio.sleep(0.005)

    with LocalServer(models=[LocalModel("patient/one", FunctionBackend(say))]) as server:
        async with AsyncHuggingChat(server.base_url) as client:
            going = asyncio.create_task(go_round())
            answers = await asyncio.gather(*(client.chat(f"number {i}") for i in range(20)))
            going.cancel()
    assert [answer.text for answer in answers] == ["one two three"] * 20
