"""How the asynchronous driver waits: for news, and for deadlines that move; and how it closes."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from hfchat_base import AsyncHuggingChat, TransportError
from hfchat_base._flows.commands import Chunk
from hfchat_base._transport.aio import _Waker
from hfchat_base._transport.curl import deadline
from tests.support.replay import RawRequest, RawServer, Wire, head, says, whole
from tests.support.transports import GET

_LONG = 30.0


def _at(seconds: float) -> float:
    return time.monotonic() + seconds


async def test_news_wakes() -> None:
    """Whoever waits is woken by news, long before the deadline."""
    waker = _Waker()
    asyncio.get_running_loop().call_soon(waker.wake)
    assert await waker.wait(_at(_LONG))
    waker.cancel()


async def test_a_deadline_ends_the_waiting() -> None:
    """Without news the waiting ends at the deadline, and not before."""
    until = _at(0.02)
    assert not await _Waker().wait(until)
    assert time.monotonic() >= until


async def test_a_later_deadline_counts() -> None:
    """A deadline that was put off by progress is waited for, whatever the earlier one was."""
    waker = _Waker()
    asyncio.get_running_loop().call_soon(waker.wake)
    assert await waker.wait(_at(0.01))
    until = _at(0.05)
    assert not await waker.wait(until)
    assert time.monotonic() >= until


async def test_an_earlier_deadline_counts() -> None:
    """A deadline that was brought forward ends the waiting, although a later one was set before."""
    waker = _Waker()
    asyncio.get_running_loop().call_soon(waker.wake)
    assert await waker.wait(_at(_LONG))
    assert not await asyncio.wait_for(waker.wait(_at(0.01)), _LONG / 2)


async def test_a_deadline_after_none_counts() -> None:
    """A deadline counts although there was none a moment ago."""
    waker = _Waker()
    asyncio.get_running_loop().call_soon(waker.wake)
    assert await waker.wait(_at(_LONG))
    asyncio.get_running_loop().call_soon(waker.wake)
    assert await waker.wait(None)
    assert not await asyncio.wait_for(waker.wait(_at(0.01)), _LONG / 2)


async def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    """A deadline in the past ends the waiting at once."""
    assert not await _Waker().wait(_at(-1.0))


async def test_closing_cuts_what_is_being_read() -> None:
    """A body that arrives while its client is closed ends with an error, not as if whole."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head(), b"half")
        wire.closed_within(30)

    with RawServer(handle) as server:
        client = AsyncHuggingChat(server.base_url)
        stream, _ = await client._transport.open(GET)
        piece = await stream.read(deadline(_LONG))
        await client.close()
        with pytest.raises(TransportError):
            await stream.read(deadline(_LONG))
        stream.close()
    assert isinstance(piece, Chunk)
    assert piece.data == b"half"


async def test_closing_leaves_no_task() -> None:
    """All that a client does in its event loop has ended when `close` returns."""
    with RawServer(says(whole("{}"))) as server:
        async with AsyncHuggingChat(server.base_url) as client:
            await client._transport.send(GET)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_idle_client_has_no_task() -> None:
    """A client that waits for nothing does nothing in its event loop, although it is open."""
    with RawServer(says(whole("{}"))) as server:
        async with AsyncHuggingChat(server.base_url) as client:
            await client._transport.send(GET)
            assert asyncio.all_tasks() == {asyncio.current_task()}


def test_closing_in_one_loop_closes_the_other() -> None:
    """A client that was used in several event loops is closed in all of them."""
    closed = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        if wire.closed_within(30):
            closed.set()

    with RawServer(handle) as server:
        client = AsyncHuggingChat(server.base_url)
        first = asyncio.new_event_loop()
        first.run_until_complete(client._transport.send(GET))
        asyncio.run(client.close())
        first.run_until_complete(asyncio.sleep(0))
        assert closed.wait(30)
        first.run_until_complete(asyncio.sleep(0))
        assert not asyncio.all_tasks(first)
        first.close()
