"""Agents and graphs: the loop stays in one conversation, and history is sent once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.local_requests import conversations_made, messages_sent
from tests.support.pictures import PNG


@tool
def add_numbers(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


@tool
def launch_rocket(target: str) -> str:
    """Launch a rocket."""
    raise ToolException(f"No fuel for {target}.")


launch_rocket.handle_tool_error = True


@tool
def draw_picture(subject: str) -> list[dict[str, Any]]:
    """Draw a picture."""
    data = base64.b64encode(PNG).decode()
    return [
        {"type": "text", "text": f"A picture of {subject}."},
        {"type": "image", "base64": data, "mime_type": "image/png"},
    ]


TOOLS = [add_numbers, launch_rocket, draw_picture]
QUESTIONS = [
    "Please add 1 and 2.",
    "Now launch it to 'Mars'.",
    "And draw a 'house'.",
    *(f"Then add {number} and 10." for number in range(3, 10)),
]
CONFIG: RunnableConfig = {"configurable": {"thread_id": "1"}}


def last_texts(messages: Sequence[AnyMessage]) -> list[str]:
    """The texts of all final answers."""
    return [m.text for m in messages if isinstance(m, AIMessage) and not m.tool_calls]


def check_ten_turns(server: LocalServer, messages: Sequence[AnyMessage]) -> None:
    """Ten questions were answered with tools, in one conversation, everything sent once."""
    answers = last_texts(messages)
    assert len(answers) == len(QUESTIONS)
    assert answers[0] == "The tools say: 3"
    assert "No fuel for Mars." in answers[1]
    assert "A picture of house." in answers[2]
    assert answers[-1] == "The tools say: 19"
    failed = [m.status for m in messages if isinstance(m, ToolMessage)]
    assert failed == ["success", "error", *["success"] * 8]
    assert conversations_made(server) == 1
    sent = messages_sent(server)
    assert len(sent) == 2 * len(QUESTIONS)
    for question in QUESTIONS:
        assert sum(question.encode() in request.body for request in sent) == 1
    assert len(sent[-1].body) <= len(sent[1].body) + 5


def test_agent_of_ten_turns(any_server: LocalServer) -> None:
    """An agent's tools run, fail and draw over ten turns, and nothing is sent twice."""
    model = ChatHuggingChat(base_url=any_server.base_url)
    agent = create_agent(model, TOOLS, system_prompt="Be good.", checkpointer=InMemorySaver())
    for question in QUESTIONS:
        state = agent.invoke({"messages": [HumanMessage(question)]}, CONFIG)
    check_ten_turns(any_server, state["messages"])
    picture = any_server.prompts[5].messages[-1]["content"]
    assert {part["type"] for part in picture} == {"text", "image_url"}
    model.close()


async def test_agent_asynchronously(server: LocalServer, model: ChatHuggingChat) -> None:
    """The same agent, asynchronously and streaming."""
    agent = create_agent(model, TOOLS, system_prompt="Be good.", checkpointer=InMemorySaver())
    for question in QUESTIONS:
        state = {"messages": [HumanMessage(question)]}
        async for _ in agent.astream(state, CONFIG, stream_mode="messages"):  # type: ignore[call-overload]
            pass
    check_ten_turns(server, agent.get_state(CONFIG).values["messages"])
    await model.aclose()


def test_graph_with_interrupt(server: LocalServer, model: ChatHuggingChat) -> None:
    """A graph that stops for approval goes on in the same conversation when it is resumed."""
    bound = model.bind_tools(TOOLS)

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    def approve(_: MessagesState) -> dict[str, Any]:
        assert interrupt("May I?") == "yes"
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("model", ask)
    graph.add_node("approve", approve)  # type: ignore[arg-type]  # mypy infers Never
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "approve", END: END})
    graph.add_edge("approve", "tools")
    graph.add_edge("tools", "model")
    compiled = graph.compile(checkpointer=InMemorySaver())
    for question in QUESTIONS:
        state = compiled.invoke({"messages": [HumanMessage(question)]}, CONFIG)
        assert "__interrupt__" in state
        state = compiled.invoke(Command(resume="yes"), CONFIG)
    check_ten_turns(server, state["messages"])


class Weather(BaseModel):
    """The weather report."""

    degrees: int


@pytest.mark.parametrize("checked", [True, False])
def test_agent_with_response_format(model: ChatHuggingChat, checked: bool) -> None:
    """An agent's structured response comes as an object, with and without other tools."""
    agent = create_agent(model, TOOLS if checked else [], response_format=Weather)
    state = agent.invoke({"messages": [HumanMessage("The weather: 21 degrees.")]})
    assert state["structured_response"] == Weather(degrees=21)


def repeats_until_reminded(request: ChatRequest) -> str:
    """Call the same tool until the question stands behind the result."""
    last = request.messages[-1]["content"]
    if last.endswith("My question was: 1 + 2?\nAnswer it in a sentence with the results above."):
        return "It is 3."
    return '<tool_call>{"name": "add_numbers", "arguments": {"first": 1, "second": 2}}</tool_call>'


def test_agent_that_is_reminded() -> None:
    """A model that makes a call again gets the question again, and so its agent comes to an end."""
    backend = FunctionBackend(repeats_until_reminded)
    with LocalServer(models=[LocalModel("test/forgetful", backend)]) as server:
        agent = create_agent(ChatHuggingChat(base_url=server.base_url), TOOLS)
        result = agent.invoke({"messages": [HumanMessage("1 + 2?")]})
        assert last_texts(result["messages"]) == ["It is 3."]
        assert len(server.prompts) == 3
        assert conversations_made(server) == 1
