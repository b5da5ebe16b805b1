"""Ways to leave a stream half-way, whatever it is a stream of.

Each way gets a function that begins a stream, so that nobody else holds on to it, and reads at
least its first piece.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tests.support.waiting import until, until_async

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

Begin = Callable[[], Generator[Any, None, None]]
BeginAsync = Callable[[], Awaitable[AsyncGenerator[Any, None]]]

_SOON: Final = 0.05


def by_break(begin: Begin) -> None:
    """Break out of the loop."""
    for _ in begin():
        break


def by_exception(begin: Begin) -> None:
    """Fail in the body of the loop."""
    with suppress(ZeroDivisionError):
        for _ in begin():
            raise ZeroDivisionError


def by_close(begin: Begin) -> None:
    """Close the generator."""
    pieces = begin()
    next(pieces)
    pieces.close()


def by_forgetting(begin: Begin) -> None:
    """Leave it to the garbage collector."""
    pieces = begin()
    next(pieces)
    circle: list[object] = [pieces]
    circle.append(circle)
    del pieces, circle
    gc.collect()


def by_ctrl_c(begin: Begin) -> None:
    """Press Ctrl-C while the next piece is waited for."""
    with suppress(KeyboardInterrupt):
        pieces = begin()
        next(pieces)
        press_ctrl_c_soon()
        for _ in pieces:
            pass
        raise AssertionError("Ctrl-C did not come through")


WAYS: Final = [by_break, by_exception, by_close, by_forgetting, by_ctrl_c]


async def by_async_break(begin: BeginAsync) -> None:
    """Break out of the loop."""
    async for _ in await begin():
        break


async def by_async_exception(begin: BeginAsync) -> None:
    """Fail in the body of the loop."""
    with suppress(ZeroDivisionError):
        async for _ in await begin():
            raise ZeroDivisionError


async def by_aclose(begin: BeginAsync) -> None:
    """Close the generator."""
    pieces = await begin()
    await anext(pieces)
    await pieces.aclose()


async def by_async_forgetting(begin: BeginAsync) -> None:
    """Leave it to the garbage collector."""
    pieces = await begin()
    await anext(pieces)
    circle: list[object] = [pieces]
    circle.append(circle)
    del pieces, circle
    gc.collect()


async def by_cancellation(begin: BeginAsync) -> None:
    """Cancel the task that reads."""
    pieces = await begin()
    await anext(pieces)
    task = asyncio.create_task(_read(pieces))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def by_wait_for(begin: BeginAsync) -> None:
    """Let `asyncio.wait_for` run out."""
    pieces = await begin()
    await anext(pieces)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_read(pieces), _SOON)


async def by_timeout(begin: BeginAsync) -> None:
    """Let `asyncio.timeout` run out."""
    pieces = await begin()
    await anext(pieces)
    if sys.version_info >= (3, 11):
        with suppress(TimeoutError):
            async with asyncio.timeout(_SOON):
                await _read(pieces)
    else:
        await pieces.aclose()


ASYNC_WAYS: Final = [
    *(by_async_break, by_async_exception, by_aclose, by_async_forgetting),
    *(by_cancellation, by_wait_for, by_timeout),
]


async def by_running_out_of_time(call: Awaitable[Any], begun: Callable[[], object]) -> None:
    """Give up a call that is under way, as `asyncio.wait_for` does at its deadline.

    Args:
        call: The call, which is waited for.
        begun: Whether it is under way. A deadline in seconds could pass before that.
    """
    given_up = asyncio.ensure_future(call)
    await until_async(begun)
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up
    assert given_up.cancelled()


def press_ctrl_c_soon() -> None:
    """Have this process interrupted in a moment, as by Ctrl-C."""
    threading.Timer(_SOON, os.kill, [os.getpid(), signal.SIGINT]).start()


def stops(server: LocalServer) -> int:
    """Count the requests to stop a run."""
    return sum(request.path.endswith("/stop-generating") for request in server.requests)


def assert_stopped_once(server: LocalServer) -> None:
    """Wait until the one run was stopped, and nothing of ours is left that could do it again."""
    until(lambda: stops(server) and not _cleanups())
    assert stops(server) == 1


async def assert_stopped_once_async(
    server: LocalServer, tasks_before: set[asyncio.Task[Any]]
) -> None:
    """Wait in the event loop for the same, and see that no task is left.

    Args:
        server: Where the run was.
        tasks_before: The tasks that were there when the stream was begun.
    """
    await until_async(
        lambda: stops(server) and not _cleanups() and not asyncio.all_tasks() > tasks_before
    )
    assert stops(server) == 1


def _cleanups() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hfchat-cleanup"]


async def _read(pieces: AsyncGenerator[Any, None]) -> None:
    async for _ in pieces:
        pass
    raise AssertionError("the stream was not left")
