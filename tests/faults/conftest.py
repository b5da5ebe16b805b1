"""Fixtures of the tests of faults: both drivers, both generations, and no pauses in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import LocalServer
from hfchat_base.testing import no_pauses
from tests.support.faults.caller import AsyncCaller, Caller, SyncCaller
from tests.support.faults.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """Try again at once."""
    with no_pauses():
        yield


@pytest.fixture(params=[SyncCaller, AsyncCaller], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """The synchronous and the asynchronous client in turn."""
    caller: Caller = request.param()
    return caller


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultServer]:
    """A proxy of faults before a server of each generation in turn."""
    with FaultServer(server.base_url) as proxy:
        yield proxy


@pytest.fixture
def current_proxy(current_server: LocalServer) -> Iterator[FaultServer]:
    """A proxy of faults before a current server."""
    with FaultServer(current_server.base_url) as proxy:
        yield proxy


@pytest.fixture
def legacy_proxy(legacy_server: LocalServer) -> Iterator[FaultServer]:
    """A proxy of faults before a legacy server."""
    with FaultServer(legacy_server.base_url) as proxy:
        yield proxy
