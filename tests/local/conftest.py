"""Fixtures of the local server's tests. Servers are shared by the tests of a module."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import LocalServer, scripted_tool_servers
from tests.support.local_chat import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base._protocol.constants import Generation

TOKEN_DELAY = 0.01


@pytest.fixture(params=["current", "legacy"])
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation in turn."""
    value: Generation = request.param
    return value


@pytest.fixture(scope="module")
def _servers() -> Iterator[dict[Generation, LocalServer]]:
    """One fast server of each generation; the current one with the scripted tools."""
    with ExitStack() as stack:
        current = LocalServer(tool_servers=scripted_tool_servers(), token_delay=TOKEN_DELAY)
        legacy = LocalServer(generation="legacy", token_delay=TOKEN_DELAY)
        yield {
            "current": stack.enter_context(current),
            "legacy": stack.enter_context(legacy),
        }


@pytest.fixture
def server(_servers: dict[Generation, LocalServer]) -> LocalServer:
    """A current server with the scripted models and tools."""
    _servers["current"].clear_requests()
    return _servers["current"]


@pytest.fixture
def chat(server: LocalServer) -> Iterator[Chat]:
    """A client of that server, with a session of its own."""
    with Chat(server) as chat:
        yield chat


@pytest.fixture
def legacy_chat(_servers: dict[Generation, LocalServer]) -> Iterator[Chat]:
    """A client of a legacy server, with a session of its own."""
    _servers["legacy"].clear_requests()
    with Chat(_servers["legacy"]) as chat:
        yield chat


@pytest.fixture
def either_chat(generation: Generation, _servers: dict[Generation, LocalServer]) -> Iterator[Chat]:
    """A client of a server of each generation in turn, with a session of its own."""
    _servers[generation].clear_requests()
    with Chat(_servers[generation]) as chat:
        yield chat
