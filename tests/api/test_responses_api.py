"""The Responses API, as OpenAI's own client and types see it."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from hfchat_base.local import LocalServer
from tests.support.api_server import KEY, ApiServer

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def script(*replies: str) -> str:
    """A text that the model `script/agent` answers with these replies, one after the other."""
    return f"SCRIPT: {json.dumps(replies)}"


def test_whole_response(client: openai.OpenAI) -> None:
    """A response has its text, its model and its status, and no made-up token counts."""
    response = client.responses.create(model="echo/base", input="Hello", instructions="Be brief.")
    assert response.output_text == "You said: Hello"
    assert (response.status, response.model) == ("completed", "echo/base")
    assert response.usage is None


def test_response_that_a_filter_cut(client: openai.OpenAI) -> None:
    """A response without an end is incomplete, both at once and as it comes."""
    response = client.responses.create(model="broken/filtered", input="Hello")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "content_filter"
    *_, last = client.responses.create(model="broken/filtered", input="Hello", stream=True)
    assert last.type == "response.incomplete"
    assert last.response.status == "incomplete"


@pytest.mark.parametrize("model", ["echo/base", "think/reasoner", "tools/agent", "image/painter"])
def test_responses_validate_strictly(http: httpx.Client, model: str) -> None:
    """A response validates against OpenAI's types, which its client does not check."""
    body = {"model": model, "input": "Hello", "tools": [{"type": "web_search"}]}
    Response.model_validate_json(http.post("/v1/responses", json=body).content)


@pytest.mark.parametrize("model", ["echo/base", "think/reasoner", "tools/agent", "image/painter"])
def test_events_validate_strictly(http: httpx.Client, model: str) -> None:
    """So does every event of a stream; they are numbered, and each item begins and ends once."""
    body = {
        "model": model,
        "input": "Hello",
        "stream": True,
        "tools": [{"type": "web_search"}],
    }
    events = []
    for block in http.post("/v1/responses", json=body).text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append(EVENT.validate_json(data[6:]))
        assert name == f"event: {events[-1].type}"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    final = events[-1].response
    added = [event.output_index for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert added == [event.output_index for event in done] == list(range(len(final.output)))
    assert [event.item.id for event in done] == [item.id for item in final.output]
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text


def test_streaming_helper(client: openai.OpenAI) -> None:
    """OpenAI's streaming helper adds the events up to the whole response."""
    with client.responses.stream(model="think/reasoner", input="Hello") as stream:
        final = stream.get_final_response()
    assert final.output_text == "After thinking, the answer is 42."
    assert [item.type for item in final.output] == ["reasoning", "message"]


def test_thinking_stands_in_for_its_summary(client: openai.OpenAI) -> None:
    """A client that wants a summary of the thinking reads nothing else, so it gets the thinking."""
    with client.responses.stream(
        model="think/reasoner", input="Hello", reasoning={"summary": "auto"}
    ) as stream:
        events = [event for event in stream if "reasoning" in event.type]
        final = stream.get_final_response()
    for event in events:
        EVENT.validate_python(event.model_dump())
    deltas = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
    (thinking, _message) = final.output
    assert thinking.type == "reasoning"
    assert not thinking.content
    (summary,) = thinking.summary
    assert summary.text == "".join(deltas)
    assert summary.text.startswith("Let me think about it.")


async def test_async_client(api: ApiServer) -> None:
    """The asynchronous client gets the same."""
    async with openai.AsyncOpenAI(base_url=api.url, api_key=KEY) as client:
        response = await client.responses.create(model="echo/base", input="Hello")
    assert response.output_text == "You said: Hello"


def test_previous_response_continues_its_conversation(
    client: openai.OpenAI, current_server: LocalServer
) -> None:
    """With previous_response_id only what is new is sent, in the conversation that has the rest."""
    first = client.responses.create(model="echo/base", input="One")
    second = client.responses.create(model="echo/base", input="Two", previous_response_id=first.id)
    # Both continue the first one: the second is a branch.
    branch = client.responses.create(
        model="echo/base", input="Other", previous_response_id=first.id
    )
    third = client.responses.create(
        model="echo/base", input="Three", previous_response_id=second.id
    )
    texts = [r.output_text for r in (first, second, branch, third)]
    assert texts == [f"You said: {word}" for word in ("One", "Two", "Other", "Three")]
    assert len([r for r in current_server.requests if r.path == "/conversation"]) == 1
    said = [m["content"] for m in current_server.prompts[-1].messages if m["role"] == "user"]
    assert said == ["One", "Two", "Three"]


@pytest.mark.parametrize("store", [False, True])
def test_unknown_previous_response_is_not_found(client: openai.OpenAI, store: bool) -> None:
    """What was not stored, or never was, cannot be continued."""
    stored = client.responses.create(model="echo/base", input="One", store=False)
    previous = "resp_0" if store else stored.id
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model="echo/base", input="Two", previous_response_id=previous)
    assert refused.value.code == "previous_response_not_found"


def test_function_calls(client: openai.OpenAI, current_server: LocalServer) -> None:
    """Calls are items; with their output the conversation goes on, however it is referred to."""
    asked = script(PARIS, "It is sunny.")
    first = client.responses.create(model="script/agent", input=asked, tools=[WEATHER])
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}

    current_server.clear_requests()
    by_id = client.responses.create(
        model="script/agent", input=[output], tools=[WEATHER], previous_response_id=first.id
    )
    history: list[Any] = [{"role": "user", "content": asked}, call.model_dump(), output]
    whole = client.responses.create(model="script/agent", input=history, tools=[WEATHER])
    assert by_id.output_text == whole.output_text == "It is sunny."
    assert not [r for r in current_server.requests if r.path == "/conversation"]
    assert "weather" in str(current_server.prompts[-1].messages[-1]["content"])


def test_streamed_function_calls(client: openai.OpenAI) -> None:
    """In a stream a call's arguments come as deltas and are done before the item is."""
    with client.responses.stream(
        model="script/agent", input=script(f"Let me look.\n{PARIS}"), tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds
    assert [item.type for item in final.output] == ["message", "function_call"]


def test_tools_that_take_free_text(client: openai.OpenAI) -> None:
    """A custom tool is called with its input as text, and its output goes back."""
    tool: Any = {"type": "custom", "name": "run", "description": "Runs a shell command."}
    written = '<tool_call>\n{"name": "run", "arguments": {"input": "ls -l"}}\n</tool_call>'
    first = client.responses.create(
        model="script/agent", input=script(written, "Done."), tools=[tool]
    )
    (call,) = first.output
    assert call.type == "custom_tool_call"
    assert (call.name, call.input) == ("run", "ls -l")
    output: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "a b"}
    second = client.responses.create(
        model="script/agent", input=[output], tools=[tool], previous_response_id=first.id
    )
    assert second.output_text == "Done."


def test_tools_in_a_namespace(client: openai.OpenAI, current_server: LocalServer) -> None:
    """A tool in a namespace is told from its namesake outside, in calls and in a history."""
    inner = {**WEATHER, "description": "The weather on Mars."}
    custom = {"type": "custom", "name": "run", "description": "Runs a command."}
    tools: Any = [
        WEATHER,
        {"type": "namespace", "name": "mars", "description": "Mars.", "tools": [inner, custom]},
    ]
    written = PARIS.replace('"weather"', '"mars__weather"')
    ran = '<tool_call>\n{"name": "mars__run", "arguments": {"input": "ls"}}\n</tool_call>'
    asked = script(f"{PARIS}\n{written}\n{ran}", "It is dusty.")
    with client.responses.stream(model="script/agent", input=asked, tools=tools) as stream:
        first = stream.get_final_response()
    calls: Any = first.output
    assert [(call.type, call.namespace, call.name) for call in calls] == [
        ("function_call", None, "weather"),
        ("function_call", "mars", "weather"),
        ("custom_tool_call", "mars", "run"),
    ]
    current_server.clear_requests()
    outputs = [
        {"type": call.type + "_output", "call_id": call.call_id, "output": "dust"} for call in calls
    ]
    history: Any = [
        {"role": "user", "content": asked},
        *(call.model_dump(exclude_none=True) for call in calls),
        *outputs,
    ]
    second = client.responses.create(model="script/agent", input=history, tools=tools)
    assert second.output_text == "It is dusty."
    assert not [r for r in current_server.requests if r.path == "/conversation"]
    assert '"name": "mars__weather"' in str(current_server.prompts[-1].messages[-1]["content"])


def test_items_given_by_their_id(client: openai.OpenAI, current_server: LocalServer) -> None:
    """An item of an earlier response can be referred to; thinking is no part of the history."""
    asked = script(f"<think>Hm.</think>Let me look.\n{PARIS}", "It is sunny.")
    first = client.responses.create(model="script/agent", input=asked, tools=[WEATHER])
    call = next(item for item in first.output if item.type == "function_call")
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call"]
    current_server.clear_requests()
    history: list[Any] = [
        {"role": "user", "content": asked},
        *({"type": "item_reference", "id": item.id} for item in first.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sun"},
    ]
    second = client.responses.create(model="script/agent", input=history, tools=[WEATHER])
    assert second.output_text == "It is sunny."
    assert not [r for r in current_server.requests if r.path == "/conversation"]
    # The type may be left out.
    (message,) = second.output
    history += [{"id": message.id}, {"role": "user", "content": "Thanks"}]
    client.responses.create(model="script/agent", input=history, tools=[WEATHER])
    assert not [r for r in current_server.requests if r.path == "/conversation"]


def test_unknown_items_are_not_found(client: openai.OpenAI) -> None:
    """An item that was not stored cannot be referred to."""
    first = client.responses.create(model="echo/base", input="One", store=False)
    (message,) = first.output
    items: Any = [{"type": "item_reference", "id": message.id}, {"role": "user", "content": "Two"}]
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model="echo/base", input=items)
    assert refused.value.code == "item_not_found"


def test_a_web_search_on_offer_is_left_out_where_there_is_none(http: httpx.Client) -> None:
    """A client that offers a search with every request gets its answer; a header names the tool."""
    with LocalServer() as server, ApiServer(server.base_url) as api:
        body = {"model": "echo/base", "input": "Hello", "tools": [{"type": "web_search"}]}
        answer = httpx.post(f"{api.url}/responses", json=body, headers=http.headers)
        assert answer.status_code == 200
        assert answer.headers["hfchat-ignored"] == "tools.web_search"
        # Who wants one in so many words is told that there is none.
        for more in ({"web_search": True}, {"tool_choice": {"type": "web_search"}}):
            refused = httpx.post(f"{api.url}/responses", json=body | more, headers=http.headers)
            assert refused.status_code == 400


def test_what_clients_say_of_themselves_is_not_reported(http: httpx.Client) -> None:
    """Codex describes itself in every request; that has no effect on answers anywhere."""
    body = {
        "model": "echo/base",
        "input": "Hello",
        "client_metadata": {"session_id": "1"},
        "reasoning": {"summary": "auto"},
    }
    answer = http.post("/v1/responses", json=body)
    assert "hfchat-ignored" not in answer.headers


def test_items_of_tools_that_the_server_ran(client: openai.OpenAI) -> None:
    """A tool that the server ran is an mcp_call, and is not sent back to the model."""
    tools: Any = [
        {"type": "mcp", "server_label": "local", "server_url": "http://127.0.0.1:9200/mcp"}
    ]
    first = client.responses.create(model="tools/agent", input="Hello", tools=tools)
    (run,) = [item for item in first.output if item.type == "mcp_call"]
    assert (run.name, run.output) == ("magic_number", "42 for Hello")
    # Clients take the text after the last tool for the answer.
    assert first.output[-1].type == "message"
    history: list[Any] = [
        {"role": "user", "content": "Hello"},
        *(item.model_dump() for item in first.output),
        {"role": "user", "content": "Again"},
    ]
    second = client.responses.create(model="tools/agent", input=history, tools=tools)
    assert "42 for Again" in second.output_text


def test_images_and_files(client: openai.OpenAI) -> None:
    """Images and files are given as data URLs."""
    text = base64.b64encode(b"notes").decode()
    content: Any = [
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {
            "type": "input_file",
            "filename": "n.txt",
            "file_data": f"data:text/plain;base64,{text}",
        },
    ]
    response = client.responses.create(
        model="echo/vision", input=[{"role": "user", "content": content}]
    )
    assert response.output_text.startswith("I see [('image/png', 40)]")
    assert '<document name="n.txt">' in response.output_text


class City(BaseModel):
    """A city."""

    name: str


def test_parsed_responses(client: openai.OpenAI) -> None:
    """`parse` gets an object."""
    response = client.responses.parse(
        model="script/agent", input=script('{"name": "Paris"}'), text_format=City
    )
    assert response.output_parsed == City(name="Paris")


@pytest.mark.parametrize(
    "more", [{"background": True}, {"conversation": "conv_1"}, {"input": [{"type": "odd"}]}]
)
def test_what_there_is_not_is_refused(client: openai.OpenAI, more: dict[str, Any]) -> None:
    """Runs in the background, OpenAI's conversations and unknown items are bad requests."""
    with pytest.raises(openai.BadRequestError):
        client.responses.create(**{"model": "echo/base", "input": "Hello", **more})
