"""Fault 40: many answers at once on one client, none of which waits for another.

The model answers nobody before all have asked. A client that has fewer places than that would wait
for ever, so nothing has to be timed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hfchat_base import Answer, AsyncHuggingChat, HuggingChat
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base._protocol.constants import Generation

TASKS: Final = 200
THREADS: Final = 50
LEAVING: Final = 40
LONGEST_WAIT: Final = 60.0


class Assembly:
    """A model that repeats its message, once it has got so many.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0
        self._complete = asyncio.Event()

    async def answer(self, request: ChatRequest) -> AsyncIterator[str]:
        """Answer a request."""
        self.asked += 1
        if self.asked == self.size:
            self._complete.set()
        await self._complete.wait()
        for _ in range(10):
            yield f"{request.last_user_text}, "
            await asyncio.sleep(0)

    @contextmanager
    def serve(self, generation: Generation) -> Iterator[str]:
        """Run a server of it, and give its address."""
        model = LocalModel("as/sembly", FunctionBackend(self.answer))
        with LocalServer(generation=generation, models=[model]) as server:
            yield server.base_url


def assert_apart(answers: list[Answer]) -> None:
    """Check that each answer is whole and belongs to its own request."""
    for number, answer in enumerate(answers):
        assert answer.text == (f"number {number}, " * 10).strip()
    assert len({answer.conversation_id for answer in answers}) == len(answers)


async def test_fault_40_many_streams(generation: Generation) -> None:
    """Two hundred answers at once in one event loop, and room for another request."""
    assembly = Assembly(TASKS)
    with assembly.serve(generation) as url:
        async with AsyncHuggingChat(url) as client:
            await client.get_models()
            threads = threading.active_count()
            tasks = [asyncio.create_task(client.chat(f"number {n}")) for n in range(TASKS - 1)]
            await asyncio.to_thread(until, lambda: assembly.asked == TASKS - 1, LONGEST_WAIT)
            assert await client.whoami() is None
            assert not any(task.done() for task in tasks)
            # The local server runs in this process, and may have started workers of its own.
            assert threading.active_count() - threads < TASKS / 10
            last = await client.chat(f"number {TASKS - 1}")
            assert_apart([*await asyncio.gather(*tasks), last])


async def test_fault_40_places_of_those_who_left() -> None:
    """Many that leave before they hear a word take no places away from others."""
    assembly = Assembly(2 * LEAVING)
    with assembly.serve("current") as url:
        async with AsyncHuggingChat(url, stops_on_leave=False) as client:
            await client.get_models()
            tasks = [asyncio.create_task(client.chat("leaving")) for _ in range(LEAVING)]
            await asyncio.to_thread(until, lambda: assembly.asked == LEAVING, LONGEST_WAIT)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            answers = await asyncio.gather(*(client.chat(f"number {n}") for n in range(LEAVING)))
            assert_apart(answers)


def test_fault_40_many_threads(generation: Generation) -> None:
    """Fifty threads at once on one client, and no descriptors left behind."""
    assembly = Assembly(THREADS)
    with assembly.serve(generation) as url:
        with HuggingChat(url) as client, ThreadPoolExecutor(THREADS) as pool:
            client.get_models()
            before = open_descriptors()
            asked = [pool.submit(client.chat, f"number {n}") for n in range(THREADS - 1)]
            until(lambda: assembly.asked == THREADS - 1, LONGEST_WAIT)
            assert client.whoami() is None
            assert not any(future.done() for future in asked)
            last = client.chat(f"number {THREADS - 1}")
            assert_apart([*(future.result() for future in asked), last])
        until(lambda: open_descriptors() <= before + 5)


def open_descriptors() -> int:
    """Count this process's file descriptors, where the system shows them."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
