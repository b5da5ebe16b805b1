"""The eight methods: what goes in, what comes out, whole and streamed, sync and async."""

from __future__ import annotations

import inspect

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.llms import ChatMessage, CustomLLM, MessageRole
from llama_index.core.llms.function_calling import FunctionCallingLLM

from hfchat_base import McpServerConfig
from hfchat_base.errors import GenerationFailed
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM

MAGIC: McpServerConfig = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
ASKING: McpServerConfig = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
HELLO = [ChatMessage("hello there")]


def test_base_classes() -> None:
    """LlamaIndex recognises the class as each of the bases that it asks for."""
    names = {base.__name__ for base in inspect.getmro(HuggingChatLLM)}
    assert {BaseLLM.__name__, CustomLLM.__name__, FunctionCallingLLM.__name__} <= names


def test_class_name() -> None:
    """The name in serialized objects is in snake case."""
    assert HuggingChatLLM.class_name() == "huggingchat_llm"


def test_chat(llm: HuggingChatLLM) -> None:
    """A chat is answered with an assistant's message."""
    response = llm.chat(HELLO)
    assert response.message.role is MessageRole.ASSISTANT
    assert response.message.content == "You said: hello there"


async def test_achat(llm: HuggingChatLLM) -> None:
    """A chat is answered asynchronously."""
    response = await llm.achat(HELLO)
    assert response.message.content == "You said: hello there"


def test_stream_chat(llm: HuggingChatLLM) -> None:
    """A streamed chat has deltas that add up to the message, which is whole in each response."""
    said = ""
    for response in llm.stream_chat(HELLO):
        said += response.delta or ""
        assert response.message.content == said
    assert said == "You said: hello there"
    assert response.additional_kwargs["finish_reason"] == "stop"


async def test_astream_chat(llm: HuggingChatLLM) -> None:
    """An asynchronous stream says the same."""
    said = ""
    async for response in await llm.astream_chat(HELLO):
        said += response.delta or ""
        assert response.message.content == said
    assert said == "You said: hello there"


def test_complete(llm: HuggingChatLLM) -> None:
    """A prompt is answered as a user's only message."""
    assert llm.complete("hello there").text == "You said: hello there"


async def test_acomplete(llm: HuggingChatLLM) -> None:
    """A prompt is answered asynchronously."""
    assert (await llm.acomplete("hello there")).text == "You said: hello there"


def test_stream_complete(llm: HuggingChatLLM) -> None:
    """A streamed completion has deltas that add up to the text."""
    responses = list(llm.stream_complete("hello there"))
    assert "".join(response.delta or "" for response in responses) == responses[-1].text
    assert responses[-1].text == "You said: hello there"


async def test_astream_complete(llm: HuggingChatLLM) -> None:
    """An asynchronous stream says the same."""
    said = [response.delta async for response in await llm.astream_complete("hello there")]
    assert "".join(said) == "You said: hello there"


def test_prompt_is_formatted_once(server: LocalServer) -> None:
    """`completion_to_prompt` is applied, but not to a prompt that is formatted already."""
    llm = HuggingChatLLM(
        base_url=server.base_url, completion_to_prompt=lambda prompt: f"<<{prompt}>>"
    )
    assert llm.complete("a").text == "You said: <<a>>"
    assert llm.complete("a", formatted=True).text == "You said: a"


def test_model_of_a_call(llm: HuggingChatLLM) -> None:
    """A call may name another model."""
    assert llm.chat(HELLO, model="think/reasoner").additional_kwargs["model"] == "think/reasoner"


def test_model_of_the_object(server: LocalServer) -> None:
    """The object's model answers where a call names none."""
    llm = HuggingChatLLM("think/reasoner", base_url=server.base_url)
    assert llm.chat(HELLO).additional_kwargs["model"] == "think/reasoner"


def test_no_argument_at_all(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any argument the environment says where the server is and which model answers."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
    monkeypatch.setenv("HUGGINGCHAT_MODEL", "think/reasoner")
    assert HuggingChatLLM().complete("hello").text == "After thinking, the answer is 42."


def test_failure_keeps_what_had_arrived(llm: HuggingChatLLM) -> None:
    """A model that fails is one of our errors, whole and streamed."""
    with pytest.raises(GenerationFailed, match="500"):
        llm.chat(HELLO, model="broken/http500")
    with pytest.raises(GenerationFailed, match="500"):
        list(llm.stream_chat(HELLO, model="broken/http500"))


def test_tool_servers_of_the_object(current_server: LocalServer) -> None:
    """Tool servers can be given once and for all."""
    llm = HuggingChatLLM("tools/agent", base_url=current_server.base_url, mcp_servers=[MAGIC])
    assert llm.complete("hello").additional_kwargs["server_tool_runs"]


def test_tool_servers_of_a_call(current_server: LocalServer) -> None:
    """A call names those of the object's tool servers that it wants."""
    llm = HuggingChatLLM(
        "tools/agent", base_url=current_server.base_url, mcp_servers=[MAGIC, ASKING]
    )
    (run,) = llm.chat(HELLO, mcp_servers=["local"]).additional_kwargs["server_tool_runs"]
    assert run["name"] == "magic_number"
    assert "server_tool_runs" not in llm.chat(HELLO, mcp_servers=[]).additional_kwargs


def test_tool_server_of_a_call_alone(current_server: LocalServer) -> None:
    """A call brings a tool server of its own, with headers."""
    llm = HuggingChatLLM("tools/agent", base_url=current_server.base_url)
    server: McpServerConfig = {**MAGIC, "headers": {"authorization": "Bearer x"}}
    (run,) = llm.chat(HELLO, mcp_servers=[server]).additional_kwargs["server_tool_runs"]
    assert run["name"] == "magic_number"
