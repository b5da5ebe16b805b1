"""Many calls at once, long chats, and answers that are left early."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM

OPEN_FILES = Path("/proc/self/fd")
HELLO = [ChatMessage("hello")]


class PatientModel:
    """Says nothing until it may.

    Attributes:
        asked: How many have asked.
        may_answer: Whether it may; it looks again and again.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer: Callable[[], bool] = lambda: self.asked == 3

    async def answer(self, request: ChatRequest) -> AsyncIterator[str]:
        """Answer a request."""
        self.asked += 1
        while not self.may_answer():  # noqa: ASYNC110 - the two are in loops of their own
            await asyncio.sleep(0.001)
        yield f"At last: {request.last_user_text}"


@pytest.fixture
def patient_model() -> PatientModel:
    """The model that answers `patient`."""
    return PatientModel()


@pytest.fixture
def patient_server(patient_model: PatientModel) -> Iterator[LocalServer]:
    """A server whose model waits until it may answer."""
    model = LocalModel("test/patient", FunctionBackend(patient_model.answer))
    with LocalServer(models=[model]) as server:
        yield server


@pytest.fixture
def patient(patient_server: LocalServer) -> HuggingChatLLM:
    """An LLM that waits until it may answer, and that the server has answered before."""
    llm = HuggingChatLLM(base_url=patient_server.base_url)
    llm.get_models()
    return llm


async def test_three_at_once(patient: HuggingChatLLM) -> None:
    """Three answers are written at the same time: the model waits until all three are asked for."""
    calls = (patient.achat([ChatMessage(f"hello {n}")]) for n in range(3))
    answers = await asyncio.gather(*calls)
    assert [answer.message.content for answer in answers] == [
        f"At last: hello {n}" for n in range(3)
    ]


async def test_the_event_loop_goes_on(patient: HuggingChatLLM, patient_model: PatientModel) -> None:
    """While answers come, an event loop's ticker never stops.

    The model answers only after it has ticked on, so that a call which blocks the event loop would
    wait for ever.
    """
    ticks = 0
    seen: dict[int, int] = {}

    def has_ticked() -> bool:
        return ticks > seen.setdefault(patient_model.asked, ticks)

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    patient_model.may_answer = has_ticked
    ticker = asyncio.create_task(tick())
    answers = await asyncio.gather(*(patient.achat(HELLO) for _ in range(5)))
    streamed = [piece.message.content async for piece in await patient.astream_chat(HELLO)]
    ticker.cancel()
    assert [answer.message.content for answer in answers] == ["At last: hello"] * 5
    assert streamed[-1] == "At last: hello"


def test_threads_share_an_object(patient: HuggingChatLLM) -> None:
    """Threads that share an object and a history get whole answers at the same time."""
    answers: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(patient.chat(HELLO).message.content))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["At last: hello"] * 3


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


@pytest.mark.slow
@pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs a list of the process's open files")
def test_event_loops_come_and_go(llm: HuggingChatLLM) -> None:
    """An event loop for each call, as LlamaIndex runs them in synchronous code, leaks nothing."""

    def count() -> int:
        asyncio.run(llm.acomplete("hello"))
        gc.collect()
        return len(list(OPEN_FILES.iterdir()))

    first = count()
    # A loop leaves up to two connections open until the next one begins; a leak would add up.
    assert max(count() for _ in range(5)) < first + 5


def test_ephemeral(server: LocalServer) -> None:
    """An ephemeral LLM leaves nothing in the account, files of answers included."""
    llm = HuggingChatLLM(base_url=server.base_url, ephemeral=True)
    answer = llm.chat(HELLO, model="image/painter")
    assert answer.message.blocks[-1].block_type == "image"
    assert any(request.method == "DELETE" for request in server.requests)
