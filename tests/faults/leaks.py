"""Many short answers, some left at random points, and what this process holds afterwards."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hfchat_base import AsyncHuggingChat, HuggingChat, HuggingChatError, Timeouts

LEFT_SHARE: Final = 0.1
"""How many of the answers are left before their end."""

_LONGEST_STAY_SECONDS: Final = 0.05
_TASKS: Final = 16
_THREADS: Final = 8


@dataclass(frozen=True)
class Footprint:
    """What this process holds.

    Attributes:
        kibibytes: Resident memory; 0 where the system does not tell.
        objects: What the garbage collector tracks.
        threads: Threads that are alive.
        descriptors: Open files and sockets; 0 where the system does not tell.
        tasks: Tasks of the running event loop, this one left out; 0 outside of one.
    """

    kibibytes: int
    objects: int
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
            kibibytes=pages * os.sysconf("SC_PAGE_SIZE") // 1024 if has_proc else 0,
            objects=len(gc.get_objects()),
            threads=threading.active_count(),
            descriptors=len(list((proc / "fd").iterdir())) if has_proc else 0,
            tasks=tasks,
        )


@dataclass
class Tally:
    """What became of the answers."""

    whole: int = 0
    left: int = 0
    failed: int = 0


async def ask_async(url: str, count: int, *, warm_up: int) -> tuple[Footprint, Footprint, Tally]:
    """Ask with one asynchronous client, and measure before and after.

    Args:
        url: Address of the server.
        count: How many answers.
        warm_up: How many before the first measurement.
    """
    tally = Tally()
    chance = random.Random(0)  # noqa: S311 - the same each time

    async def ask(client: AsyncHuggingChat, places: asyncio.Semaphore) -> None:
        async with places:
            leaves = chance.random() < LEFT_SHARE
            stay = chance.random() * _LONGEST_STAY_SECONDS
            model = "slow/drip" if leaves else "echo/base"
            try:
                await asyncio.wait_for(client.chat("hello", model=model), stay if leaves else None)
                tally.whole += 1
            except asyncio.TimeoutError:
                tally.left += 1
            except HuggingChatError:
                tally.failed += 1

    async with AsyncHuggingChat(url, ephemeral=True) as client:
        places = asyncio.Semaphore(_TASKS)
        before = await _footprint_after(ask(client, places) for _ in range(warm_up))
        tally = Tally()
        after = await _footprint_after(ask(client, places) for _ in range(count))
    return before, after, tally


async def _footprint_after(asked: Iterable[Coroutine[None, None, None]]) -> Footprint:
    await asyncio.gather(*asked)
    await asyncio.sleep(0)  # the step of the loop that ends the gathering still holds it all
    return Footprint.now()


def ask_sync(url: str, count: int, *, warm_up: int) -> tuple[Footprint, Footprint, Tally]:
    """Ask with one synchronous client in several threads, and measure before and after.

    Args:
        url: Address of the server.
        count: How many answers.
        warm_up: How many before the first measurement.
    """
    chance = random.Random(0)  # noqa: S311 - the same each time
    tally = Tally()

    def ask(client: HuggingChat) -> None:
        leaves = chance.random() < LEFT_SHARE
        events = chance.randrange(8)
        with client.stream_chat("hello", model="echo/base") as stream:
            try:
                for number, _ in enumerate(stream):
                    if leaves and number == events:
                        tally.left += 1
                        return
                tally.whole += 1
            except HuggingChatError:
                tally.failed += 1

    with (
        HuggingChat(url, ephemeral=True, timeouts=Timeouts(total=30)) as client,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        list(pool.map(lambda _: ask(client), range(warm_up)))
        tally = Tally()
        before = Footprint.now()
        list(pool.map(lambda _: ask(client), range(count)))
        after = Footprint.now()
    return before, after, tally
