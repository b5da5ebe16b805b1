"""Each test of the transport runs with the synchronous and with the asynchronous driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.transports import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Each driver in turn."""
    driver = Driver(is_async=request.param == "async")
    yield driver
    driver.close()
