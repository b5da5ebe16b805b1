"""What is left of short answers, a tenth of them left at random points: nothing.

The same over ten thousand answers is `benchmarks/leaks.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import leaks

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

ANSWERS = 150


def check(before: leaks.Footprint, after: leaks.Footprint, tally: leaks.Tally) -> None:
    """Hold two measurements to each other.

    The server runs in the same process here, so its own connections are allowed for.
    """
    assert tally.failed == 0
    assert tally.left > 0
    assert tally.whole + tally.left == ANSWERS
    assert after.threads <= before.threads + 2
    assert after.tasks == before.tasks
    assert after.descriptors <= before.descriptors + 24


async def test_async_answers_leave_nothing(current_server: LocalServer) -> None:
    """One asynchronous client: no tasks, threads or descriptors are left."""
    check(*await leaks.ask_async(current_server.base_url, ANSWERS, warm_up=40))


def test_sync_answers_leave_nothing(current_server: LocalServer) -> None:
    """One synchronous client in several threads: no threads or descriptors are left."""
    check(*leaks.ask_sync(current_server.base_url, ANSWERS, warm_up=40))
