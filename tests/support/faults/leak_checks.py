"""Many short answers, some left at random points, and what this process holds in between.

The work is given to a fixed number of tasks or threads. Ten thousand coroutines made at once,
or ten thousand futures of a pool, would be a heap of memory of the measurement's own, which the
allocator does not give back and which looks like a leak.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import tracemalloc
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from hfchat_base import AsyncHuggingChat, HuggingChat, HuggingChatError, Timeouts

Outcome = Literal["whole", "left", "failed"]

LEFT_SHARE: Final = 0.1
"""How many of the answers are left before their end."""

TASKS: Final = 16
THREADS: Final = 8

LONGEST_STAY_SECONDS: Final = 0.05

_CLIENT: Final = ("hfchat_base.", "curl_cffi.")
_SERVER: Final = ("hfchat_base.local.",)


@dataclass(frozen=True)
class Footprint:
    """What this process holds.

    Attributes:
        resident: Resident memory in KiB; 0 where the system does not report it.
        traced: What Python has allocated, in KiB; 0 unless `tracemalloc` is on.
        objects: The objects of the client and of curl_cffi: how many there are of each class, and
            of each generator that is suspended.
        threads: Threads that are alive.
        descriptors: Open files and sockets; 0 where the system does not report it.
        tasks: Tasks of the running event loop, this one left out; 0 outside of one.
    """

    resident: int
    traced: int
    objects: Counter[str]
    threads: int
    descriptors: int
    tasks: int

    @classmethod
    def now(cls) -> Footprint:
        """Measure, with the garbage taken out."""
        gc.collect()
        proc = Path("/proc/self")
        has_proc = (proc / "fd").is_dir()
        pages = int((proc / "statm").read_text().split()[1]) if has_proc else 0
        try:
            tasks = len(asyncio.all_tasks()) - 1
        except RuntimeError:
            tasks = 0
        return cls(
            resident=pages * os.sysconf("SC_PAGE_SIZE") // 1024 if has_proc else 0,
            traced=tracemalloc.get_traced_memory()[0] // 1024,
            objects=Counter(filter(None, map(_name, gc.get_objects()))),
            threads=threading.active_count(),
            descriptors=len(list((proc / "fd").iterdir())) if has_proc else 0,
            tasks=tasks,
        )


def _name(found: object) -> str | None:
    """What an object is called if it is the client's."""
    if isinstance(found, types.GeneratorType) and found.gi_frame:
        name = f"{found.gi_frame.f_globals['__name__']}.{found.__qualname__}"
    elif isinstance(found, types.AsyncGeneratorType) and found.ag_frame:
        name = f"{found.ag_frame.f_globals['__name__']}.{found.__qualname__}"
    else:
        name = f"{type(found).__module__}.{type(found).__qualname__}"
    return name if name.startswith(_CLIENT) and not name.startswith(_SERVER) else None


@dataclass
class Course:
    """What was held after each batch of answers, and what became of those.

    Attributes:
        footprints: One for each batch. The first batch warms up: caches fill, connections open.
        outcomes: How many answers were whole, left or failed, without those of the first batch.
    """

    footprints: list[Footprint] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    def note(self, outcomes: Iterable[Counter[Outcome]]) -> None:
        """Take the outcomes of a batch, and measure."""
        if self.footprints:
            self.outcomes.update(chain.from_iterable(each.elements() for each in outcomes))
        self.footprints.append(Footprint.now())


async def ask_async(url: str, batches: Sequence[int], *, ephemeral: bool = True) -> Course:
    """Ask with one asynchronous client.

    Args:
        url: Address of the server.
        batches: How many answers to ask for before each measurement.
        ephemeral: Whether conversations are deleted at once, and no history is kept.
    """
    chance = random.Random(0)  # noqa: S311 - the same each time

    async with AsyncHuggingChat(url, ephemeral=ephemeral) as client:

        async def ask(number: int) -> Outcome:
            leaves = chance.random() < LEFT_SHARE
            stay = chance.random() * LONGEST_STAY_SECONDS
            model = "slow/drip" if leaves else "echo/base"
            try:
                answer = client.chat(f"hello {number}", model=model)
                await asyncio.wait_for(answer, stay if leaves else None)
            except asyncio.TimeoutError:
                return "left"
            except HuggingChatError:
                return "failed"
            return "whole"

        return await run_async(ask, batches)


async def run_async(ask: Callable[[int], Awaitable[Outcome]], batches: Sequence[int]) -> Course:
    """Ask in several tasks, and measure after each batch."""
    course = Course()

    async def work(numbers: Iterator[int]) -> Counter[Outcome]:
        return Counter([await ask(number) for number in numbers])

    for numbers in _shares(batches):
        outcomes = await asyncio.gather(*(work(numbers) for _ in range(TASKS)))
        await asyncio.sleep(0)  # the step of the loop that ends the gathering still holds it all
        course.note(outcomes)
    return course


def ask_sync(url: str, batches: Sequence[int], *, ephemeral: bool = True) -> Course:
    """Ask with one synchronous client in several threads; see `ask_async`."""
    chance = random.Random(0)  # noqa: S311 - the same each time

    with HuggingChat(url, ephemeral=ephemeral, timeouts=Timeouts(total=30)) as client:

        def ask(number: int) -> Outcome:
            leaves = chance.random() < LEFT_SHARE
            events = chance.randrange(8)
            with client.stream_chat(f"hello {number}", model="echo/base") as stream:
                try:
                    for count, _ in enumerate(stream):
                        if leaves and count == events:
                            return "left"
                except HuggingChatError:
                    return "failed"
            return "whole"

        return run_sync(ask, batches)


def run_sync(ask: Callable[[int], Outcome], batches: Sequence[int]) -> Course:
    """Ask in several threads, and measure after each batch."""
    course = Course()

    # A generator cannot be used by two threads at once, an iterator over a range can.
    def work(numbers: Iterator[int]) -> Counter[Outcome]:
        return Counter([ask(number) for number in numbers])

    with ThreadPoolExecutor(THREADS) as pool:
        for numbers in _shares(batches):
            course.note(list(pool.map(work, [numbers] * THREADS)))
    return course


def _shares(batches: Sequence[int]) -> Iterator[Iterator[int]]:
    """The numbers of the answers of each batch, all of them different."""
    first = 0
    for count in batches:
        yield iter(range(first, first + count))
        first += count
