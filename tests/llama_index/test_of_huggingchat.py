"""What only HuggingChat has: its own tools, its sources, and the questions that tools ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, CitationBlock

from hfchat_base import McpServerConfig
from hfchat_base.events import ElicitationRequest
from hfchat_base.local import LocalServer
from llama_index_huggingchat import ElicitationEvent, HuggingChatLLM, ask_in_workflow

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own

MAGIC: McpServerConfig = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
ASKING: McpServerConfig = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
HELLO = [ChatMessage("hello")]
TABLE = {"date": "2026-12-24", "people": 4}


@pytest.fixture
def agent_llm(current_server: LocalServer) -> HuggingChatLLM:
    """An LLM whose model uses the tools that the server offers it."""
    return HuggingChatLLM("tools/agent", base_url=current_server.base_url)


def test_sources_are_citations(agent_llm: HuggingChatLLM) -> None:
    """The pages that a web search found are citation blocks, and no part of the text."""
    response = agent_llm.chat(HELLO, web_search=True)
    cited = [block for block in response.message.blocks if isinstance(block, CitationBlock)]
    assert [(block.source, block.title) for block in cited] == [
        ("https://example.com/first", "The first result"),
        ("https://example.org/second", "The second result"),
        ("https://example.net/third", "The third result"),
    ]
    assert response.additional_kwargs["sources"][0]["url"] == "https://example.com/first"


def test_tools_of_the_server_are_told(agent_llm: HuggingChatLLM) -> None:
    """A tool that the server ran is told beside the message, and is no call of ours."""
    response = agent_llm.chat(HELLO, mcp_servers=[MAGIC])
    (run,) = response.additional_kwargs["server_tool_runs"]
    assert run["name"] == "magic_number"
    assert run["output"] == "42 for hello"
    assert agent_llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


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


def test_legacy_sources(legacy_server: LocalServer) -> None:
    """A legacy server's own web search gives citations as well."""
    response = HuggingChatLLM(base_url=legacy_server.base_url).chat(HELLO, web_search=True)
    assert any(isinstance(block, CitationBlock) for block in response.message.blocks)


def test_elicitation_callback(current_server: LocalServer) -> None:
    """A callback answers what a tool asks."""
    asked: list[ElicitationRequest] = []

    def answer(question: ElicitationRequest) -> Mapping[str, Any]:
        asked.append(question)
        return TABLE

    llm = HuggingChatLLM(
        "tools/agent",
        base_url=current_server.base_url,
        mcp_servers=[ASKING],
        on_elicitation=answer,
    )
    assert "booked for 4 on 2026-12-24" in llm.complete("book a table").text
    assert asked[0].message == "Which day?"


def test_elicitation_is_declined_by_default(agent_llm: HuggingChatLLM) -> None:
    """Without a callback a question is declined at once."""
    answer = agent_llm.chat([ChatMessage("book a table")], mcp_servers=[ASKING])
    assert "not booked (decline)" in (answer.message.content or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [(TABLE, "booked for 4 on 2026-12-24"), (None, "not booked (decline)")],
    ids=["accept", "decline"],
)
async def test_elicitation_is_a_workflow_event(
    current_server: LocalServer, content: Mapping[str, Any] | None, said: str
) -> None:
    """In a workflow a question comes as an event, and the event that answers it goes back."""
    llm = HuggingChatLLM(
        "tools/agent",
        base_url=current_server.base_url,
        mcp_servers=[ASKING],
        on_elicitation=ask_in_workflow,
    )
    handler = FunctionAgent(tools=[], llm=llm).run("book a table")
    async for event in handler.stream_events():
        if isinstance(event, ElicitationEvent):
            assert event.message == "Which day?"
            assert [field["name"] for field in event.fields] == ["date", "people"]
            handler.ctx.send_event(event.reply(content))
    assert said in str(await handler)
