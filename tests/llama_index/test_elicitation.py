"""Questions that tools of the server ask: a callback answers them, or a workflow's events do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage

from hfchat_base import McpServerConfig
from hfchat_base.events import ElicitationRequest
from hfchat_base.local import LocalServer
from llama_index_huggingchat import ElicitationEvent, HuggingChatLLM, ask_in_workflow

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own

ASKING: McpServerConfig = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
TABLE = {"date": "2026-12-24", "people": 4}


@pytest.fixture
def agent_llm(current_server: LocalServer) -> HuggingChatLLM:
    """An LLM whose model uses the tools that the server offers it."""
    return HuggingChatLLM("tools/agent", base_url=current_server.base_url)


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
