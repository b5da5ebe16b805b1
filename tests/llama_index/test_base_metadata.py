"""What LlamaIndex plans with, and when the server is asked for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import MessageRole
from llama_index.core.indices.prompt_helper import PromptHelper

from hfchat_base import HuggingChat
from hfchat_base.errors import ModelNotFoundError, TransportError
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index.corpus import TOWNS, WordEmbedding


def test_metadata(llm: HuggingChatLLM) -> None:
    """The metadata are a chat model's that calls functions, with usable sizes."""
    metadata = llm.metadata
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert metadata.system_role is MessageRole.SYSTEM
    assert (metadata.context_window, metadata.num_output) == (32_768, 4_096)


def test_full_name_of_a_model(server: LocalServer) -> None:
    """The model's full name is known once the model list has been read."""
    llm = HuggingChatLLM("reasoner", base_url=server.base_url)
    assert llm.metadata.model_name == "reasoner"
    llm.get_models()
    assert llm.metadata.model_name == "think/reasoner"


def test_client_of_ones_own(server: LocalServer) -> None:
    """What a client of one's own knows of its server is known to the LLM."""
    with HuggingChat(server.base_url) as client:
        llm = HuggingChatLLM(client=client)
        client.get_models()
        assert llm.metadata.model_name == "echo/base"
        assert llm.metadata.context_window == 32_768


def test_a_drawing_model_calls_no_functions(server: LocalServer) -> None:
    """A model that answers with pictures is given no tools."""
    llm = HuggingChatLLM("image/painter", base_url=server.base_url)
    llm.get_models()
    assert not llm.metadata.is_function_calling_model


def test_sizes_are_settable(server: LocalServer) -> None:
    """Sizes of one's own come before the server's; LlamaIndex packs its prompts by them."""
    llm = HuggingChatLLM(base_url=server.base_url, context_window=8000, num_output=500)
    helper = PromptHelper.from_llm_metadata(llm.metadata)
    assert (helper.context_window, helper.num_output) == (8000, 500)


@pytest.fixture
def described() -> Iterator[LocalServer]:
    """A server that says how much its models see and write, as HuggingChat does."""
    windows = {"large": 90_000, "small": 8000}
    providers = [{"provider": name, "context_length": n} for name, n in windows.items()]
    backend = FunctionBackend(lambda _: "Yes.")
    models = [
        LocalModel("big/one", backend, providers=providers, max_tokens=500),
        LocalModel("big/two", backend, providers=providers),
    ]
    with LocalServer(models=models) as server:
        yield server


async def test_sizes_after_the_first_answer(described: LocalServer) -> None:
    """The first answer brings what the server says of the model; a client of one's own, too."""
    with HuggingChat(described.base_url) as client:
        for llm in (HuggingChatLLM(base_url=described.base_url), HuggingChatLLM(client=client)):
            assert (llm.metadata.context_window, llm.metadata.num_output) == (32_768, 4_096)
            await llm.acomplete("hello")
            assert (llm.metadata.context_window, llm.metadata.num_output) == (8000, 500)
            llm.complete("hello")
    asked = [r.path for r in described.requests if r.path == "/api/v2/models/big/one"]
    assert len(asked) == 2  # each client once


def test_sizes_on_demand(described: LocalServer) -> None:
    """They can be read before any answer; a small window leaves room for the prompt."""
    llm = HuggingChatLLM("two", base_url=described.base_url)
    assert llm.get_model().id == "big/two"
    assert (llm.metadata.context_window, llm.metadata.num_output) == (8000, 2000)
    PromptHelper.from_llm_metadata(llm.metadata)


def test_sizes_of_a_provider(described: LocalServer) -> None:
    """If the provider is chosen, its window counts."""
    llm = HuggingChatLLM("big/one", base_url=described.base_url, provider="large")
    llm.get_model()
    assert llm.metadata.context_window == 90_000


def test_nothing_is_sent_before_it_is_needed(server: LocalServer) -> None:
    """Making an object, describing it and planning with it asks the server nothing."""
    llm = HuggingChatLLM(base_url=server.base_url)
    assert llm.metadata.model_name == "unknown"
    assert llm.to_payload()["model_name"] == "unknown"
    repr(llm)
    llm.to_dict()
    assert server.requests == []


def test_engines_are_made_without_a_server() -> None:
    """Engines can be made while the server is down."""
    llm = HuggingChatLLM(base_url="http://127.0.0.1:9")
    index = VectorStoreIndex.from_documents(TOWNS, embed_model=WordEmbedding())
    engine = index.as_query_engine(llm=llm)
    index.as_chat_engine(llm=llm)
    with pytest.raises(TransportError):
        engine.query("Where is the bridge?")


async def test_name_after_an_answer(llm: HuggingChatLLM) -> None:
    """After an answer the full name is known."""
    await llm.acomplete("hello")
    assert llm.metadata.model_name == "echo/base"


def test_unknown_model(server: LocalServer) -> None:
    """A model that is not there is an error that names those which are near."""
    llm = HuggingChatLLM("echo/bas", base_url=server.base_url)
    llm.get_models()
    with pytest.raises(ModelNotFoundError, match="echo/base"):
        llm.complete("hello")


def test_no_server() -> None:
    """A server that is not there is a clear error."""
    with pytest.raises(TransportError):
        HuggingChatLLM(base_url="http://127.0.0.1:9").complete("hello")


def test_import_asks_nobody() -> None:
    """The import opens no connection and brings no other framework with it."""
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "import llama_index_huggingchat\n"
        "assert 'langchain_core' not in sys.modules\n"
        "assert 'starlette' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own


def test_missing_package() -> None:
    """Without llama-index-core the import says which extra to install."""
    code = (
        "import sys\n"
        "sys.modules['llama_index'] = sys.modules['llama_index.core'] = None\n"
        "from hfchat_base import MissingRequirementsError\n"
        "try:\n"
        "    import llama_index_huggingchat\n"
        "except MissingRequirementsError as error:\n"
        "    assert '[llama-index]' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('it was imported')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own
