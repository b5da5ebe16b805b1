"""Tool servers: which are on, what a tool can do, and what the model makes of it."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base._protocol.constants import WEB_SEARCH_SERVER
from hfchat_base.local import (
    ChatRequest,
    ElicitationField,
    FunctionBackend,
    LocalModel,
    LocalServer,
    LocalTool,
    ToolContext,
    ToolServer,
    scripted_tool_servers,
)
from hfchat_base.local.backends import Piece, Reasoning, Text, ToolCall
from tests.support.local_chat import Chat, Event, final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "http://127.0.0.1:1/mcp"
OWN = [{"name": "mine", "url": URL, "headers": [{"key": "a", "value": "b"}]}]


def _use(
    *tools: LocalTool, model: LocalModel | None = None, text: str = "hi", **data: object
) -> list[Event]:
    """Send one message with these tools on."""
    servers = [ToolServer("theirs", URL, tools)]
    with LocalServer(tool_servers=servers) as server:
        if model is not None:
            server._state.models = [model]
        with Chat(server) as chat:
            name = model.id if model else "tools/agent"
            return chat.ask(text, name, selectedMcpServers=OWN, **data)


def _of(events: list[Event], subtype: str) -> list[Event]:
    return [event for event in events if event.get("subtype") == subtype]


def test_own_servers_are_on_by_default(chat: Chat) -> None:
    """The server's own tool servers are on when the key is left out, and off for an empty list."""
    assert "https://example.com/first" in final(chat.ask("news", "tools/agent"))
    silent = chat.ask("news", "tools/agent", selectedMcpServerNames=[])
    assert final(silent) == "The tool said: nothing offered"
    named = chat.ask("news", "tools/agent", selectedMcpServerNames=[WEB_SEARCH_SERVER])
    assert _of(named, "call")[0]["call"]["name"] == "web_search_exa"


def test_names_also_filter_the_clients_servers(chat: Chat) -> None:
    """A client's server that is not among the names is off."""
    failing = [{"name": "failing", "url": "http://127.0.0.1:9202/mcp"}]
    off = chat.ask("x", "tools/agent", selectedMcpServers=failing, selectedMcpServerNames=[])
    assert final(off) == "The tool said: nothing offered"
    on = chat.ask(
        "x", "tools/agent", selectedMcpServers=failing, selectedMcpServerNames=["failing"]
    )
    assert _of(on, "error")


def test_list_of_tool_servers(chat: Chat) -> None:
    """Only the server's own tool servers are listed."""
    assert chat.http.get("/api/mcp/servers").json() == [
        {
            "id": f"base-{WEB_SEARCH_SERVER}",
            "name": WEB_SEARCH_SERVER,
            "url": "https://mcp.exa.ai/mcp",
            "type": "base",
            "isLocked": False,
        }
    ]


def test_models_without_tools_are_offered_none(chat: Chat) -> None:
    """A model that does not support tools answers as if there were none."""
    assert final(chat.ask("hi")) == "You said: hi"
    assert chat.server.prompts[-1].tools == []


def test_prompt_names_the_tools(chat: Chat) -> None:
    """The offer, the call and the result are in the prompts."""
    chat.ask("news", "tools/agent")
    first, second = chat.server.prompts
    assert first.tools[0]["function"]["name"] == "web_search_exa"
    assert "web_search_exa" in first.messages[0]["content"]
    assert [message["role"] for message in second.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    call = second.messages[2]["tool_calls"][0]
    assert second.messages[3]["tool_call_id"] == call["id"]


@pytest.mark.parametrize(
    ("value", "text", "structured"),
    [
        ("plain", "plain", {"result": "plain"}),
        ({"a": 1}, '{\n  "a": 1\n}', {"a": 1}),
        (7, "7", {"result": 7}),
    ],
)
def test_sync_tool_may_return_anything(value: object, text: str, structured: Event) -> None:
    """A plain function is a tool; what it returns becomes text and structure."""

    def answer(query: str) -> object:
        assert query == "hi"
        return value

    result = _of(_use(LocalTool("answer", answer)), "result")[0]["result"]
    assert result["outputs"][0]["text"] == text
    assert result["outputs"][0]["structured"] == structured


def test_tool_without_total_reports_progress() -> None:
    """Progress may leave out total and message."""

    async def work(query: str, ctx: ToolContext) -> str:
        await ctx.progress(len(query))
        return ctx.server

    events = _use(LocalTool("work", work))
    progress = _of(events, "progress")[0]
    assert (progress["progress"], "total" in progress, "message" in progress) == (2, False, False)
    assert final(events) == "The tool said: mine"


def _caller(*calls: ToolCall) -> LocalModel:
    """Make a model that makes these calls, then repeats what came of them."""

    async def call(request: ChatRequest) -> AsyncIterator[Piece]:
        said = [message["content"] for message in request.messages if message["role"] == "tool"]
        if said:
            yield Text(" and ".join(said))
            return
        yield Reasoning("Hm.")
        for one in calls:
            yield one

    return LocalModel("my/caller", FunctionBackend(call), supports_tools=True)


def test_calls_of_one_round_run_side_by_side() -> None:
    """Two calls are run at the same time, and answered in the order they were made."""
    short_is_done = threading.Event()

    def wait(query: str) -> str:
        if query == "long":
            assert short_is_done.wait(60)
        short_is_done.set()
        return query

    model = _caller(
        ToolCall("wait", '{"query": "long"}', "1"), ToolCall("wait", '{"query": "short"}', "2")
    )
    events = _use(LocalTool("wait", wait), model=model)
    assert final(events) == "long and short"
    results = [event["result"]["outputs"][0]["text"] for event in _of(events, "result")]
    assert sorted(results) == ["long", "short"]


def test_thinking_before_a_call_is_closed() -> None:
    """Thinking that ends in a call gets its closing tag."""
    events = _use(
        LocalTool("ok", lambda query: query), model=_caller(ToolCall("ok", '{"query": "x"}', "1"))
    )
    streamed = "".join(event["token"] for event in events if event["type"] == "stream")
    assert streamed == "<think>Hm.</think>x"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (ToolCall("no_such", "{}", "1"), "Unknown MCP function: no_such"),
        (ToolCall("ok", "{", "1"), "The arguments of the call are not a JSON object."),
        (ToolCall("ok", "[]", "1"), "The arguments of the call are not a JSON object."),
        (ToolCall("ok", "{}", "1"), "Error executing tool ok: "),
    ],
)
def test_bad_calls_are_errors_that_the_model_sees(call: ToolCall, message: str) -> None:
    """A call that cannot be run is an error event, and the model goes on."""

    def takes_query(query: str) -> str:
        return query

    events = _use(LocalTool("ok", takes_query), model=_caller(call))
    assert _of(events, "error")[0]["message"].startswith(message)
    assert final(events).startswith(f"Error: {message}")


def test_rounds_are_bounded() -> None:
    """A model that calls for ever is cut off."""

    def again(_request: ChatRequest) -> list[Any]:
        return ["more ", ToolCall("ok", '{"query": ""}', "1")]

    model = LocalModel("my/restless", FunctionBackend(again), supports_tools=True)
    events = _use(LocalTool("ok", lambda query: query), model=model)
    assert len(_of(events, "call")) == 10
    assert final(events) == "more "


def test_failure_after_a_call_is_not_tried_again() -> None:
    """Once something was shown, a failing model fails the run."""

    def break_off(request: ChatRequest) -> list[Any]:
        if request.messages[-1]["role"] == "tool":
            raise RuntimeError("broken")
        return [ToolCall("ok", '{"query": ""}', "1")]

    model = LocalModel("my/fragile", FunctionBackend(break_off), supports_tools=True)
    events = _use(LocalTool("ok", lambda query: query), model=model)
    assert events[-1] == {"type": "status", "status": "error", "message": "broken"}


def _ask(chat: Chat) -> tuple[str, Any, str]:
    """Start a run that asks the user something; return conversation, run and question's id."""
    conversation = chat.create("tools/agent")
    answer = chat.under_way(
        conversation,
        "book a table",
        selectedMcpServers=[{"name": "asking", "url": "http://127.0.0.1:9201/mcp"}],
        selectedMcpServerNames=["asking"],
    )
    answer.wait_for('"elicitationId"')
    asked = _of(answer.so_far, "request")[0]["request"]["elicitationId"]
    return conversation, answer, asked


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "Invalid elicitation response"),
        ({"action": "shrug"}, 400, "Invalid elicitation response"),
        ({"action": "accept"}, 400, '"date" is required.'),
        ({"action": "accept", "content": []}, 400, '"date" is required.'),
        ({"action": "accept", "content": {"x": 1}}, 400, 'Unknown field "x".'),
        ({"action": "accept", "content": {"date": 1}}, 400, '"date" must be a string.'),
        (
            {"action": "accept", "content": {"date": "x", "people": 99}},
            400,
            '"people" is above the maximum.',
        ),
    ],
)
def test_wrong_answers_to_a_question(chat: Chat, body: Event, status: int, message: str) -> None:
    """An answer that does not fit the question is rejected, and the question stays open."""
    conversation, answer, asked = _ask(chat)
    path = f"/conversation/{conversation}/elicitation"
    refused = chat.http.post(path, json={"elicitationId": asked, **body})
    assert (refused.status_code, refused.json()) == (status, {"message": message})
    done = chat.http.post(path, json={"elicitationId": asked, "action": "cancel"})
    assert done.json() == {"ok": True, "resume": False}
    assert final(answer.finish()) == "The tool said: not booked (cancel)"
    twice = chat.http.post(path, json={"elicitationId": asked, "action": "cancel"})
    assert (twice.status_code, twice.json()) == (409, {"message": "Already answered."})


def test_question_of_another_conversation(chat: Chat) -> None:
    """A question can be answered only where it was asked."""
    conversation, answer, asked = _ask(chat)
    elsewhere = chat.http.post(
        f"/conversation/{chat.create()}/elicitation",
        json={"elicitationId": asked, "action": "decline"},
    )
    assert (elsewhere.status_code, elsewhere.json()) == (404, {"message": "Unknown elicitation."})
    chat.stop(conversation)
    events = answer.finish()
    assert events[-2]["interrupted"]


def test_unanswered_question_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: the tool learns that the question was closed."""
    monkeypatch.setattr("hfchat_base.local.tool_servers._OPEN_SECONDS", 0.1)
    with LocalServer(tool_servers=scripted_tool_servers()) as server, Chat(server) as chat:
        _, answer, _ = _ask(chat)
        events = answer.finish()
    assert _of(events, "resolved")[0]["resolution"] == "timeout"
    assert final(events) == "The tool said: not booked (cancel)"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (ElicitationField("number", "n", integer=True), 2, 2.5),
        (ElicitationField("number", "n", minimum=1), 1, 0),
        (ElicitationField("number", "n"), 1.5, True),
        (ElicitationField("number", "n"), 10**400, math.inf),
        (ElicitationField("number", "n", integer=True), 10**400, math.inf),
        (ElicitationField("number", "n", integer=True), -1.0, math.nan),
        (ElicitationField("boolean", "b"), False, 1),
        (ElicitationField("select", "s", options=("a", "b")), "a", "c"),
        (ElicitationField("select", "s", options=("a",), multiple=True), ["a"], "a"),
        (ElicitationField("select", "s", options=("a",), multiple=True), [], ["c"]),
    ],
)
def test_fields_check_their_values(field: ElicitationField, good: object, bad: object) -> None:
    """Each kind of field knows what it takes."""
    assert field.problem(good) is None
    assert field.problem(bad) is not None


def test_select_shows_its_options() -> None:
    """A select is shown with values and labels."""
    shown = ElicitationField("select", "s", options=("a",), default="a").to_json()
    assert shown["options"] == [{"value": "a", "label": "a"}]
    assert (shown["multiple"], shown["default"]) == (False, "a")


def test_legacy_search_comes_before_the_answer(legacy_chat: Chat) -> None:
    """The legacy generation searches the web first, and shows the model what it found."""
    events = legacy_chat.ask("why?", web_search=True)
    search = [event for event in events if event["type"] == "webSearch"]
    assert [event["subtype"] for event in search] == [
        "update",
        "update",
        "update",
        "sources",
        "finished",
    ]
    assert search[3]["sources"][0] == {
        "link": "https://example.com/first",
        "title": "The first result",
    }
    assert events.index(search[-1]) < [event["type"] for event in events].index("stream")
    assert "https://example.org/second" in legacy_chat.server.prompts[-1].messages[-1]["content"]
