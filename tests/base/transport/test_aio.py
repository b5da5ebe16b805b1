"""How the asynchronous driver waits: for news, and for deadlines that move."""

from __future__ import annotations

import asyncio
import time

from hfchat_base._transport.aio import _Bell

_LONG = 30.0


def _at(seconds: float) -> float:
    return time.monotonic() + seconds


async def test_news_wakes() -> None:
    """Whoever waits is woken by news, long before the deadline."""
    bell = _Bell()
    asyncio.get_running_loop().call_soon(bell.ring)
    assert await bell.wait(_at(_LONG))
    bell.silence()


async def test_a_deadline_ends_the_waiting() -> None:
    """Without news the waiting ends at the deadline, and not before."""
    until = _at(0.02)
    assert not await _Bell().wait(until)
    assert time.monotonic() >= until


async def test_a_later_deadline_counts() -> None:
    """A deadline that was put off by progress is waited for, whatever the earlier one was."""
    bell = _Bell()
    asyncio.get_running_loop().call_soon(bell.ring)
    assert await bell.wait(_at(0.01))
    until = _at(0.05)
    assert not await bell.wait(until)
    assert time.monotonic() >= until


async def test_an_earlier_deadline_counts() -> None:
    """A deadline that was brought forward ends the waiting, although a later one was set before."""
    bell = _Bell()
    asyncio.get_running_loop().call_soon(bell.ring)
    assert await bell.wait(_at(_LONG))
    assert not await asyncio.wait_for(bell.wait(_at(0.01)), _LONG / 2)


async def test_a_deadline_after_none_counts() -> None:
    """A deadline counts although there was none a moment ago."""
    bell = _Bell()
    asyncio.get_running_loop().call_soon(bell.ring)
    assert await bell.wait(_at(_LONG))
    asyncio.get_running_loop().call_soon(bell.ring)
    assert await bell.wait(None)
    assert not await asyncio.wait_for(bell.wait(_at(0.01)), _LONG / 2)


async def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    """A deadline in the past ends the waiting at once."""
    assert not await _Bell().wait(_at(-1.0))
