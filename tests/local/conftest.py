"""Fixtures of the local server's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import LocalServer, scripted_tool_servers
from tests.local.chat import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.protocol.facts import Generation


@pytest.fixture(params=["current", "legacy"])
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation in turn."""
    value: Generation = request.param
    return value


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A current server with the scripted models and tools, in a hurry."""
    with LocalServer(tool_servers=scripted_tool_servers(), token_delay=0.01) as server:
        yield server


@pytest.fixture
def chat(server: LocalServer) -> Iterator[Chat]:
    """A client of that server."""
    with Chat(server) as chat:
        yield chat


@pytest.fixture
def legacy_chat() -> Iterator[Chat]:
    """A client of a legacy server."""
    with LocalServer(generation="legacy", token_delay=0.01) as server, Chat(server) as chat:
        yield chat


@pytest.fixture
def either_chat(generation: Generation) -> Iterator[Chat]:
    """A client of a server of each generation in turn."""
    with LocalServer(generation=generation, token_delay=0.01) as server, Chat(server) as chat:
        yield chat
