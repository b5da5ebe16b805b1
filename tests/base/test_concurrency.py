"""Clients that are shared by threads and by tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    ConversationBusyError,
    HuggingChat,
    TextDelta,
)

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

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


def test_many_threads_share_a_client(client: HuggingChat) -> None:
    """More threads than cores each get their own answer, at the same time."""
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        texts = list(pool.map(lambda i: client.chat(f"{i}", model="slow/drip").text, range(12)))
    assert texts == [DRIP] * 12
    # One after the other they would take 12 times 40 tokens of 20 ms.
    assert time.monotonic() - began < 7


def test_second_run_in_a_conversation_is_refused(client: HuggingChat) -> None:
    """Two runs in one conversation would lose an answer, so the second is refused."""
    conversation = client.create_conversation("slow/drip")
    with conversation.stream("one") as stream:
        next(event for event in stream if isinstance(event, TextDelta))
        with pytest.raises(ConversationBusyError, match="two at once lose an answer"):
            conversation.send("two")
        assert stream.result().text == DRIP


async def test_event_loop_is_not_blocked(current_server: LocalServer) -> None:
    """A ticker of 10 ms keeps ticking while twenty answers stream."""
    async with AsyncHuggingChat(current_server.base_url) as client:
        await client.get_models()
        gaps: list[float] = []
        done = asyncio.Event()

        async def tick() -> None:
            last = time.perf_counter()
            while not done.is_set():
                await asyncio.sleep(0.01)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        ticker = asyncio.create_task(tick())
        answers = await asyncio.gather(
            *(client.chat(f"number {i}", model="slow/drip") for i in range(20))
        )
        done.set()
        await ticker
    assert [answer.text for answer in answers] == [DRIP] * 20
    # On a busy machine ticks are late, but an answer that blocks would leave none for its 0.8 s.
    assert len(gaps) >= sum(gaps) / 0.01 / 5
    assert max(gaps) < 0.7


async def test_two_hundred_streams_at_once(current_server: LocalServer) -> None:
    """Two hundred answers stream at once through one client, on no thread of their own."""
    threads = threading.active_count()
    async with AsyncHuggingChat(current_server.base_url) as client:
        streams = [client.stream_chat(f"{i}", model="echo/base") for i in range(200)]
        answers = await asyncio.gather(*(stream.result() for stream in streams))
        # The local server runs in this process, and may have started workers of its own.
        assert threading.active_count() - threads < 20
    assert [answer.text for answer in answers] == [f"You said: {i}" for i in range(200)]
