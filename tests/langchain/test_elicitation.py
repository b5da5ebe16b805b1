"""Questions of the server's tools: in a graph, outside of one, and with a callback."""

from __future__ import annotations

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat

CONFIG: RunnableConfig = {"configurable": {"thread_id": "1"}}


def test_elicitation_interrupts_the_graph(server: LocalServer) -> None:
    """A question of the server's tool interrupts the graph; the resumed value answers it."""
    model = ChatHuggingChat(
        base_url=server.base_url,
        model="tools/agent",
        mcp_servers=[{"name": "asking", "url": "http://127.0.0.1:9201/mcp"}],
    )
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "model")
    compiled = graph.compile(checkpointer=InMemorySaver())
    state = compiled.invoke({"messages": [HumanMessage("a table, please")]}, CONFIG)
    (stopped,) = state["__interrupt__"]
    assert stopped.value["message"] == "Which day?"
    assert [field["name"] for field in stopped.value["fields"]] == ["date", "people"]
    state = compiled.invoke(Command(resume={"date": "2027-01-01", "people": 4}), CONFIG)
    assert "booked for 4 on 2027-01-01" in state["messages"][-1].text
    model.close()


def test_elicitation_outside_of_a_graph(server: LocalServer) -> None:
    """Without a graph the question is declined at once; with a callback it is answered."""
    model = ChatHuggingChat(
        base_url=server.base_url,
        model="tools/agent",
        mcp_servers=[{"name": "asking", "url": "http://127.0.0.1:9201/mcp"}],
    )
    assert "not booked (decline)" in model.invoke("a table, please").text
    answering = model.bind(on_elicitation=lambda _question: {"date": "2027-02-02", "people": 3})
    assert "booked for 3 on 2027-02-02" in answering.invoke("a table, please").text
    model.close()
