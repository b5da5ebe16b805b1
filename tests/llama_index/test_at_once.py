"""Many calls at once, long chats, and answers that are left early."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM

SECONDS = 0.3
OPEN_FILES = Path("/proc/self/fd")
HELLO = [ChatMessage("hello")]


class SlowModel:
    """Says something after a while, and counts how many ask at the same time."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0

    async def answer(self, request: ChatRequest) -> AsyncIterator[str]:
        """Answer a request."""
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(SECONDS)
        self.running -= 1
        yield f"At last: {request.last_user_text}"


@pytest.fixture
def slow_model() -> SlowModel:
    """The model behind `slow`."""
    return SlowModel()


@pytest.fixture
def slow_server(slow_model: SlowModel) -> Iterator[LocalServer]:
    """A server whose model takes its time."""
    model = LocalModel("test/slow", FunctionBackend(slow_model.answer))
    with LocalServer(models=[model]) as server:
        yield server


@pytest.fixture
def slow(slow_server: LocalServer) -> HuggingChatLLM:
    """An LLM that takes its time, and that the server has answered before."""
    llm = HuggingChatLLM(base_url=slow_server.base_url)
    llm.get_models()
    return llm


async def test_three_at_once(slow: HuggingChatLLM, slow_model: SlowModel) -> None:
    """Three answers of the same length take the time of one: all are written at the same time."""
    started = time.monotonic()
    answers = await asyncio.gather(*(slow.achat([ChatMessage(f"hello {n}")]) for n in range(3)))
    assert time.monotonic() - started < 3 * SECONDS
    assert slow_model.most == 3
    assert [answer.message.content for answer in answers] == [
        f"At last: hello {n}" for n in range(3)
    ]


async def test_the_event_loop_goes_on(slow: HuggingChatLLM) -> None:
    """While answers come, an event loop's ticker never stops."""
    pauses: list[float] = []

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            pauses.append(now - last)
            last = now

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(slow.achat(HELLO) for _ in range(5)))
    async for _ in await slow.astream_chat(HELLO):
        pass
    ticker.cancel()
    assert len(pauses) > 20
    assert max(pauses) < SECONDS  # as long as it would stop for one blocking call


def test_threads_share_an_object(slow: HuggingChatLLM, slow_model: SlowModel) -> None:
    """Threads that share an object and a history get whole answers at the same time."""
    answers: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(slow.chat(HELLO).message.content))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["At last: hello"] * 3
    assert slow_model.most == 3


def test_chat_of_thirty_turns(llm: HuggingChatLLM, server: LocalServer) -> None:
    """A long chat is one conversation, to which every turn adds its own message and no more."""
    llm.get_models()
    engine = SimpleChatEngine.from_defaults(
        llm=llm, memory=ChatMemoryBuffer.from_defaults(token_limit=100_000)
    )
    requests, sizes = [], []
    for turn in range(30):
        server.clear_requests()
        assert str(engine.chat(f"This is turn {turn:02}.")) == f"You said: This is turn {turn:02}."
        requests.append(len(server.requests))
        sizes.append(sum(len(request.body) for request in server.requests))
    assert set(requests[1:]) == {2}
    assert max(sizes[1:]) - min(sizes[1:]) <= 16
    assert len(server.prompts[-1].messages) == 59


async def test_async_goes_on_where_sync_left(llm: HuggingChatLLM, server: LocalServer) -> None:
    """A chat that began synchronously is the same conversation asynchronously."""
    first = llm.chat(HELLO)
    second = await llm.achat([*HELLO, first.message, ChatMessage("and again")])
    assert second.additional_kwargs["conversation_id"] == first.additional_kwargs["conversation_id"]
    assert len(server.prompts[-1].messages) == 3


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs a list of the process's open files")
def test_event_loops_come_and_go(llm: HuggingChatLLM) -> None:
    """An event loop for each call, as LlamaIndex runs them in synchronous code, leaks nothing."""

    def count() -> int:
        asyncio.run(llm.acomplete("hello"))
        gc.collect()
        return len(list(OPEN_FILES.iterdir()))

    count()
    assert count() >= max(count() for _ in range(5))


def test_ephemeral(server: LocalServer) -> None:
    """An ephemeral LLM leaves nothing in the account, files of answers included."""
    llm = HuggingChatLLM(base_url=server.base_url, ephemeral=True)
    answer = llm.chat(HELLO, model="image/painter")
    assert answer.message.blocks[-1].block_type == "image"
    assert any(request.method == "DELETE" for request in server.requests)
