"""Waiting for what another thread, task or process does; the deadline ends a test that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Final

LONGEST_WAIT: Final = 60.0
"""Seconds."""
_PAUSE: Final = 0.005


def until(condition: Callable[[], object], seconds: float = LONGEST_WAIT) -> None:
    """Wait in this thread until a condition holds; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(_PAUSE)


async def until_async(
    condition: Callable[[], object | Awaitable[object]], seconds: float = LONGEST_WAIT
) -> None:
    """Wait in the event loop until a condition holds; fail after so many seconds.

    Args:
        condition: Looks, or returns an awaitable that does.
        seconds: The deadline.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if await found if isawaitable(found) else found:
            return
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        await asyncio.sleep(_PAUSE)
