"""Frameworks that know OpenAI's API: they judge this one."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import SecretStr

from tests.support.api_server import KEY, ApiServer

PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
SCRIPT = f"SCRIPT: {json.dumps([PARIS, 'It is sunny.'])}"


@tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sun in {city}"


@pytest.fixture
async def http_clients() -> AsyncIterator[tuple[httpx.Client, httpx.AsyncClient]]:
    """Connections for frameworks that do not close their own."""
    with httpx.Client() as client:
        async with httpx.AsyncClient() as async_client:
            yield client, async_client


@pytest.fixture
def chat_openai(
    api: ApiServer, http_clients: tuple[httpx.Client, httpx.AsyncClient]
) -> Callable[..., ChatOpenAI]:
    """LangChain's model for OpenAI's API."""
    return functools.partial(
        ChatOpenAI,
        base_url=api.url,
        api_key=SecretStr(KEY),
        http_client=http_clients[0],
        http_async_client=http_clients[1],
    )


@pytest.fixture
def openai_like(
    api: ApiServer, http_clients: tuple[httpx.Client, httpx.AsyncClient]
) -> Callable[..., OpenAILike]:
    """LlamaIndex's model for APIs like OpenAI's."""
    return functools.partial(
        OpenAILike,
        api_base=api.url,
        api_key=KEY,
        is_chat_model=True,
        http_client=http_clients[0],
        async_http_client=http_clients[1],
    )


@pytest.mark.parametrize("responses", [False, True])
async def test_langchain_chats(chat_openai: Callable[..., ChatOpenAI], responses: bool) -> None:
    """ChatOpenAI invokes and streams, through either API."""
    llm = chat_openai(model="echo/base", use_responses_api=responses)
    assert llm.invoke("Hello").text == "You said: Hello"
    streamed = [chunk async for chunk in llm.astream("Hello")]
    assert "".join(chunk.text for chunk in streamed) == "You said: Hello"


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_calls_tools(chat_openai: Callable[..., ChatOpenAI], responses: bool) -> None:
    """ChatOpenAI gets the call and sends the result."""
    llm = chat_openai(model="script/agent", use_responses_api=responses).bind_tools([weather])
    question = HumanMessage(SCRIPT)
    called = llm.invoke([question])
    (call,) = called.tool_calls
    assert call["args"] == {"city": "Paris"}
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    assert llm.invoke([question, called, result]).text == "It is sunny."


async def test_llama_index_chats(openai_like: Callable[..., OpenAILike]) -> None:
    """OpenAILike chats and streams."""
    llm = openai_like(model="echo/base")
    message = ChatMessage(role="user", content="Hello")
    assert llm.chat([message]).message.content == "You said: Hello"
    stream = await llm.astream_chat([message])
    assert "".join([chunk.delta or "" async for chunk in stream]) == "You said: Hello"


def test_llama_index_calls_tools(openai_like: Callable[..., OpenAILike]) -> None:
    """OpenAILike gets tool calls."""
    from llama_index.core.tools import FunctionTool  # noqa: PLC0415 - slow to import

    def weather_in(city: str) -> str:
        """Tell the weather in a city."""
        return city

    llm = openai_like(model="script/agent", is_function_calling_model=True)
    offered = FunctionTool.from_defaults(weather_in, name="weather")
    response = llm.chat_with_tools([offered], user_msg=SCRIPT)
    (call,) = llm.get_tool_calls_from_response(response)
    assert call.tool_kwargs == {"city": "Paris"}
