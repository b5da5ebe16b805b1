"""A local server whose models obey their prompts, and chat models that talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hfchat_base._protocol.constants import Generation
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer, scripted_tool_servers
from hfchat_base.local.scripted import default_models
from tests.support.obedient import obey

if TYPE_CHECKING:
    from langchain_huggingchat import ChatHuggingChat


def obedient_models() -> list[LocalModel]:
    """Models that do as their prompts say; the first one is a server's default."""
    backend = FunctionBackend(obey)
    return [
        LocalModel("obedient/one", backend, multimodal=True),
        LocalModel("obedient/two", backend, multimodal=True),
    ]


def make_server(generation: Generation = "current") -> LocalServer:
    """A server with the obedient models and the scripted ones."""
    return LocalServer(
        generation=generation,
        models=[*obedient_models(), *default_models(generation, token_delay=0.02)],
        tool_servers=scripted_tool_servers(),
    )


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[Generation, LocalServer]]:
    with make_server("current") as current, make_server("legacy") as legacy:
        yield {"current": current, "legacy": legacy}


@pytest.fixture
def listening() -> Iterator[LocalServer]:
    """A server that transcribes a recording by its length and type."""

    def listen(recording: bytes, mime: str) -> str:
        return f"{len(recording)} bytes of {mime}"

    with LocalServer(models=obedient_models(), transcribe=listen) as server:
        yield server


@pytest.fixture(scope="session")
def _described() -> Iterator[LocalServer]:
    model = LocalModel(
        "big/reasoner",
        FunctionBackend(obey),
        supports_reasoning=True,
        providers=[
            {"provider": "large", "status": "live", "context_length": 90_000},
            {"provider": "small", "status": "live", "context_length": 6000},
        ],
        max_tokens=500,
    )
    with LocalServer(models=[model]) as server:
        yield server


@pytest.fixture
def described(_described: LocalServer) -> LocalServer:
    """A server that says how much its model sees and writes, as HuggingChat does."""
    _described.clear_requests()
    return _described


@pytest.fixture
def server(_servers: dict[Generation, LocalServer]) -> LocalServer:
    """A server of the current generation, with no requests recorded yet."""
    _servers["current"].clear_requests()
    return _servers["current"]


@pytest.fixture
def any_server(_servers: dict[Generation, LocalServer], generation: Generation) -> LocalServer:
    """A server of each generation in turn."""
    _servers[generation].clear_requests()
    return _servers[generation]


@pytest.fixture
def model(server: LocalServer) -> Iterator[ChatHuggingChat]:
    """A chat model on a server of the current generation."""
    from langchain_huggingchat import ChatHuggingChat

    model = ChatHuggingChat(base_url=server.base_url)
    yield model
    model.close()
