"""What is left of short answers, a tenth of them left at random points: nothing.

The same over ten thousand answers, with the memory that they take, is `benchmarks/leaks.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.faults import leak_checks

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

WARM_UP = 40
ANSWERS = 100


def check(course: leak_checks.Course) -> None:
    """Hold two measurements to each other.

    The server runs in the same process here, so its own connections are allowed for.
    """
    before, after = course.footprints
    assert course.outcomes["left"]
    assert course.outcomes["whole"] + course.outcomes["left"] == ANSWERS
    assert after.objects == before.objects
    assert after.threads <= before.threads + 2
    assert after.tasks == before.tasks
    assert after.descriptors <= before.descriptors + 24


@pytest.mark.slow
async def test_async_answers_leave_nothing(current_server: LocalServer) -> None:
    """One asynchronous client: no objects, tasks, threads or descriptors are left."""
    check(await leak_checks.ask_async(current_server.base_url, [WARM_UP, ANSWERS]))


@pytest.mark.slow
def test_sync_answers_leave_nothing(current_server: LocalServer) -> None:
    """One synchronous client in several threads: no objects, threads or descriptors are left."""
    check(leak_checks.ask_sync(current_server.base_url, [WARM_UP, ANSWERS]))
