"""Tools that the server runs: by name and by address, with questions, and the web search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ElicitationRequest,
    ElicitationResolved,
    HuggingChat,
    InvalidRequestError,
    McpServerConfig,
    Source,
    Sources,
    ToolProgress,
)
from hfchat_base._protocol.constants import WEB_SEARCH_SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base import Conversation
    from hfchat_base.local import LocalServer

MAGIC: McpServerConfig = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
ASKING: McpServerConfig = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
FAILING: McpServerConfig = {"name": "failing", "url": "http://127.0.0.1:9202/mcp"}

FOUND = (
    Source("https://example.com/first", "The first result"),
    Source("https://example.org/second", "The second result"),
    Source("https://example.net/third", "The third result"),
)


@pytest.fixture
def agent(current_server: LocalServer) -> Iterator[Conversation]:
    """A conversation with a model that calls the first tool on offer."""
    with HuggingChat(current_server.base_url) as client:
        yield client.create_conversation("tools/agent")


def sent_data(server: LocalServer) -> dict[str, Any]:
    """What the last message was sent with."""
    request = next(r for r in server.requests if r.path.startswith("/conversation/"))
    part = request.body.partition(b'name="data"\r\n\r\n')[2].partition(b"\r\n--")[0]
    data: dict[str, Any] = json.loads(part)
    return data


def test_by_default_no_tool_is_on(agent: Conversation, current_server: LocalServer) -> None:
    """Without a word about tools, the server's own are off too."""
    answer = agent.send("hello")
    assert answer.text == "The tool said: nothing offered"
    assert current_server.prompts[-1].tools == []
    assert sent_data(current_server)["selectedMcpServerNames"] == []


def test_tool_by_address(agent: Conversation) -> None:
    """A tool server of one's own is named by its address, and reports its progress."""
    with agent.stream("a number", mcp_servers=[MAGIC]) as stream:
        steps = [event.message for event in stream if isinstance(event, ToolProgress)]
    assert steps == ["step 1", "step 2", "step 3"]
    (run,) = stream.answer.tool_runs
    assert (run.name, run.arguments) == ("magic_number", {"query": "a number"})
    assert run.output == "42 for a number"
    assert stream.answer.text == "Let me check. The tool said: 42 for a number"


def test_tool_by_name(agent: Conversation) -> None:
    """One of the server's own is named by its name."""
    answer = agent.send("a number", mcp_servers=[WEB_SEARCH_SERVER])
    assert [run.name for run in answer.tool_runs] == ["web_search_exa"]


def test_headers_of_a_tool_server(agent: Conversation, current_server: LocalServer) -> None:
    """Headers go along in the form that the server takes."""
    with_key: McpServerConfig = {**MAGIC, "headers": {"Authorization": "Bearer key"}}
    agent.send("a number", mcp_servers=[with_key])
    (sent,) = sent_data(current_server)["selectedMcpServers"]
    assert sent["headers"] == [{"key": "Authorization", "value": "Bearer key"}]


@pytest.mark.parametrize("broken", [{}, {"name": "x"}, {"url": "http://127.0.0.1/mcp"}])
def test_tool_server_without_name_or_address(agent: Conversation, broken: McpServerConfig) -> None:
    """A tool server that lacks either is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match='"name": …, "url": …'):
        agent.send("a number", mcp_servers=[broken])


def test_tool_that_fails(agent: Conversation) -> None:
    """A tool that fails is reported as such, and the answer continues."""
    answer = agent.send("please", mcp_servers=[FAILING])
    (run,) = answer.tool_runs
    assert run.output is None
    assert run.error is not None
    assert "tool exploded" in run.error
    assert "tool exploded" in answer.text


def test_question_is_declined_by_default(agent: Conversation) -> None:
    """Nobody has to answer: without a callback questions are declined at once."""
    with agent.stream("book a table", mcp_servers=[ASKING]) as stream:
        (resolved,) = [event for event in stream if isinstance(event, ElicitationResolved)]
    assert resolved.action == "decline"
    assert stream.answer.text == "Let me check. The tool said: not booked (decline)"


def test_question_is_answered(agent: Conversation) -> None:
    """A callback gets the question and its fields, and its answer reaches the tool."""
    asked: list[ElicitationRequest] = []

    def answer(question: ElicitationRequest) -> dict[str, object]:
        asked.append(question)
        return {"date": "2027-01-02", "people": 5}

    said = agent.send("book a table", mcp_servers=[ASKING], on_elicitation=answer)
    assert said.text == "Let me check. The tool said: booked for 5 on 2027-01-02"
    assert [(q.message, [f["name"] for f in q.fields]) for q in asked] == [
        ("Which day?", ["date", "people"])
    ]


def test_question_is_declined_by_the_callback(agent: Conversation) -> None:
    """A callback that returns None declines."""
    said = agent.send("book a table", mcp_servers=[ASKING], on_elicitation=lambda _: None)
    assert said.text.endswith("not booked (decline)")


def test_callback_that_fails(agent: Conversation, current_server: LocalServer) -> None:
    """What a callback raises comes out unchanged, and its run is stopped."""

    def fail(_: ElicitationRequest) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        agent.send("book a table", mcp_servers=[ASKING], on_elicitation=fail)
    assert any(request.path.endswith("/stop-generating") for request in current_server.requests)


@pytest.mark.parametrize("is_async", [False, True])
async def test_question_is_answered_asynchronously(
    current_server: LocalServer, *, is_async: bool
) -> None:
    """The asynchronous client takes plain callbacks and coroutine functions."""

    def plain(_: ElicitationRequest) -> dict[str, object]:
        return {"date": "2027-01-02"}

    async def coroutine(_: ElicitationRequest) -> dict[str, object]:
        return {"date": "2027-01-02"}

    async with AsyncHuggingChat(current_server.base_url) as client:
        conversation = await client.create_conversation("tools/agent")
        said = await conversation.send(
            "book a table", mcp_servers=[ASKING], on_elicitation=coroutine if is_async else plain
        )
    assert said.text == "Let me check. The tool said: booked for 2 on 2027-01-02"


def test_web_search(client: HuggingChat) -> None:
    """One switch searches the web on both generations, and the sources are found."""
    conversation = client.create_conversation("tools/agent")
    with conversation.stream("is it so?", web_search=True) as stream:
        told = [event.sources for event in stream if isinstance(event, Sources)]
    assert stream.answer.sources == FOUND
    assert sum(told, ()) == FOUND


def test_web_search_in_a_history(client: HuggingChat) -> None:
    """The same switch is there for histories."""
    assert client.chat("is it so?", model="tools/agent", web_search=True).sources == FOUND


def test_web_search_keeps_other_tools(agent: Conversation, current_server: LocalServer) -> None:
    """The search is offered together with the tools that were asked for."""
    agent.send("a number", web_search=True, mcp_servers=[MAGIC])
    data = sent_data(current_server)
    assert data["selectedMcpServerNames"] == [WEB_SEARCH_SERVER, "local"]
    assert [server["name"] for server in data["selectedMcpServers"]] == ["local"]
