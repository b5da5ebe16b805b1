"""Fixtures for the LlamaIndex wrapper: LLMs of scripted models, and of one that can read."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hfchat_base._protocol.constants import Generation
from hfchat_base.local import LocalServer
from tests.support.llama_index.reading_model import reader_model

if TYPE_CHECKING:
    from llama_index_huggingchat import HuggingChatLLM


@pytest.fixture(autouse=True)
def _event_loop_of_synchronous_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close the event loop that LlamaIndex's synchronous methods run in, which it leaves open."""
    if inspect.iscoroutinefunction(request.function):
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def llm(server: LocalServer) -> HuggingChatLLM:
    """A guest of a server of each generation in turn, with the scripted models."""
    from llama_index_huggingchat import HuggingChatLLM

    return HuggingChatLLM(base_url=server.base_url)


@pytest.fixture(scope="session")
def _reader_servers() -> Iterator[dict[Generation, LocalServer]]:
    models = [reader_model()]
    with (
        LocalServer(models=models) as current,
        LocalServer(models=models, generation="legacy") as legacy,
    ):
        yield {"current": current, "legacy": legacy}


@pytest.fixture
def reader_server(
    _reader_servers: dict[Generation, LocalServer], generation: Generation
) -> LocalServer:
    """A server of each generation in turn, whose model can read."""
    server = _reader_servers[generation]
    server.clear_requests()
    return server


@pytest.fixture
def reader(reader_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> HuggingChatLLM:
    """An LLM that can read, as LlamaIndex's default; made with no argument at all."""
    from llama_index.core import Settings

    from llama_index_huggingchat import HuggingChatLLM
    from tests.support.llama_index.corpus import WordEmbedding

    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", reader_server.base_url)
    llm = HuggingChatLLM()
    monkeypatch.setattr(Settings, "_llm", llm)
    monkeypatch.setattr(Settings, "_embed_model", WordEmbedding())
    return llm
