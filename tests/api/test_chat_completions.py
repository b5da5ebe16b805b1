"""Chat Completions, as OpenAI's own client and types see it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Literal

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from hfchat_base.local import LocalServer
from tests.support import office
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
ROME = PARIS.replace("Paris", "Rome")


def script(*replies: str) -> list[ChatCompletionMessageParam]:
    """A message that the model `script/agent` answers with these replies, one after the other."""
    return [{"role": "user", "content": f"SCRIPT: {json.dumps(replies)}"}]


def posted(server: LocalServer) -> list[int]:
    """The sizes of the messages that reached the server."""
    return [
        len(request.body)
        for request in server.requests
        if request.method == "POST" and request.path.count("/") > 1
    ]


def test_models_are_listed(client: openai.OpenAI) -> None:
    """The list has the server's models, and each can be looked up by its id."""
    ids = [model.id for model in client.models.list()]
    assert "echo/base" in ids
    assert client.models.retrieve("echo/base").owned_by == "echo"


def test_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    """Neither a lookup nor a question finds a model that is not there."""
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such")
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="no/such", messages=HELLO)
    assert refused.value.code == "model_not_found"


def test_whole_answer(client: openai.OpenAI) -> None:
    """An answer has its text, its model and a true finish reason, and no made-up token counts."""
    answer = client.chat.completions.create(model="echo/base", messages=HELLO)
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "echo/base"
    assert answer.usage is None


def test_answer_that_a_filter_cut(client: openai.OpenAI) -> None:
    """An answer without an end is not said to be whole, neither at once nor as it comes."""
    answer = client.chat.completions.create(model="broken/filtered", messages=HELLO)
    assert answer.choices[0].finish_reason == "content_filter"
    stream = client.chat.completions.create(model="broken/filtered", messages=HELLO, stream=True)
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "content_filter"


@pytest.mark.parametrize("model", ["echo/base", "think/reasoner", "tools/agent", "image/painter"])
def test_whole_answers_validate_strictly(http: httpx.Client, model: str) -> None:
    """An answer validates against OpenAI's types, which its client does not check."""
    body = {"model": model, "messages": HELLO, "web_search": True}
    answer = http.post("/v1/chat/completions", json=body)
    ChatCompletion.model_validate_json(answer.content)


@pytest.mark.parametrize("model", ["echo/base", "think/reasoner", "tools/agent", "image/painter"])
def test_chunks_validate_strictly(http: httpx.Client, model: str) -> None:
    """So does every chunk of a stream, which ends with [DONE]."""
    body = {
        "model": model,
        "messages": HELLO,
        "stream": True,
        "web_search": True,
        "stream_options": {"include_usage": True},
    }
    lines = http.post("/v1/chat/completions", json=body).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [ChatCompletionChunk.model_validate_json(line[6:]) for line in lines[:-2]]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is None


def test_streamed_text(client: openai.OpenAI) -> None:
    """The chunks of a stream hold the text, in order."""
    stream = client.chat.completions.create(model="echo/base", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "You said: Hello"


def test_streaming_helper(client: openai.OpenAI) -> None:
    """OpenAI's streaming helper adds the chunks up to the whole answer."""
    with client.chat.completions.stream(model="echo/base", messages=HELLO) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "You said: Hello"


async def test_async_client(api: ApiServer) -> None:
    """The asynchronous client gets the same."""
    async with openai.AsyncOpenAI(base_url=api.url, api_key=KEY) as client:
        answer = await client.chat.completions.create(model="echo/base", messages=HELLO)
        stream = await client.chat.completions.create(
            model="echo/base", messages=HELLO, stream=True
        )
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert answer.choices[0].message.content == "".join(texts) == "You said: Hello"


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_apart(client: openai.OpenAI, stream: Literal[False, True]) -> None:
    """The thinking comes as `reasoning_content`, and is no part of the text."""
    answer = client.chat.completions.create(model="think/tags", messages=HELLO, stream=stream)
    if isinstance(answer, openai.Stream):
        deltas = [chunk.choices[0].delta for chunk in answer]
        text = "".join(delta.content or "" for delta in deltas)
        thinking = "".join(getattr(delta, "reasoning_content", "") for delta in deltas)
    else:
        text = answer.choices[0].message.content or ""
        thinking = answer.choices[0].message.reasoning_content  # type: ignore[attr-defined]
    assert text.strip() == "After thinking, the answer is 42."
    assert thinking.startswith("Let me see.")


def test_system_and_developer_messages_become_the_system_prompt(
    client: openai.OpenAI, current_server: LocalServer
) -> None:
    """Both roles at the beginning of a history are the conversation's system prompt."""
    client.chat.completions.create(
        model="echo/base",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            *HELLO,
        ],
    )
    (created,) = [r for r in current_server.requests if r.path == "/conversation"]
    assert json.loads(created.body)["preprompt"] == "Be brief.\n\nBe kind."


def test_images_reach_a_vision_model(client: openai.OpenAI) -> None:
    """An image as a data URL is attached to the message."""
    content: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    answer = client.chat.completions.create(
        model="echo/vision", messages=[{"role": "user", "content": content}]
    )
    text = answer.choices[0].message.content or ""
    assert text.startswith("I see [('image/png', 40)]")


def test_text_files_become_documents(client: openai.OpenAI) -> None:
    """A text file is part of the message, with its name."""
    data = base64.b64encode(b"a,b\n1,2").decode()
    file = {"filename": "table.csv", "file_data": f"data:text/csv;base64,{data}"}
    content: Any = [{"type": "file", "file": file}, {"type": "text", "text": "Add it up."}]
    answer = client.chat.completions.create(
        model="echo/base", messages=[{"role": "user", "content": content}]
    )
    assert '<document name="table.csv">\na,b\n1,2\n</document>' in str(
        answer.choices[0].message.content
    )


def test_documents_become_their_text(client: openai.OpenAI) -> None:
    """A model is shown the text of a PDF."""
    data = base64.b64encode(office.pdf("Nine arches")).decode()
    file = {"filename": "report.pdf", "file_data": f"data:application/pdf;base64,{data}"}
    content: Any = [{"type": "file", "file": file}, {"type": "text", "text": "How many?"}]
    answer = client.chat.completions.create(
        model="echo/base", messages=[{"role": "user", "content": content}]
    )
    assert "Nine arches" in str(answer.choices[0].message.content)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/secret.png"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
    ],
)
def test_content_that_cannot_be_sent_is_refused(client: openai.OpenAI, part: Any) -> None:
    """Films, ids of uploads and addresses that are not public are a bad request."""
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="echo/base", messages=[{"role": "user", "content": [part]}]
        )


def test_pictures_of_an_answer(client: openai.OpenAI) -> None:
    """A picture that a model draws comes as a data URL."""
    answer = client.chat.completions.create(model="image/painter", messages=HELLO)
    (image,) = answer.choices[0].message.images  # type: ignore[attr-defined]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


def test_stop_sequences(client: openai.OpenAI) -> None:
    """The answer ends before a stop sequence, which is a natural end."""
    for stop in ("said", ["nothing", " said"]):
        answer = client.chat.completions.create(model="echo/base", messages=HELLO, stop=stop)
        assert (answer.choices[0].message.content or "").strip() == "You"
        assert answer.choices[0].finish_reason == "stop"


def test_settings_without_effect_are_named(http: httpx.Client) -> None:
    """Sampling settings are accepted, and a header of the answer names them once."""
    body = {
        "model": "echo/base",
        "messages": HELLO,
        "temperature": 0.2,
        "max_tokens": 5,
        "user": "me",
        "logprobs": False,
        "seed": None,
    }
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert answer.headers.get_list("hfchat-ignored") == ["max_tokens, temperature"]
    assert answer.headers["hfchat-usage"] == "unknown"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO, "reasoning_effort": "high"}),
        ("/v1/responses", {"input": "Hello", "reasoning": {"effort": "high"}}),
    ],
)
def test_reasoning_effort(path: str, body: dict[str, Any]) -> None:
    """A model that reasons gets the effort, which is a setting of the account."""
    with LocalServer() as server, ApiServer(server.base_url, key=None) as api:
        answer = httpx.post(f"{api.address}{path}", json={"model": "think/effort", **body})
    assert answer.status_code == 200
    assert "hfchat-ignored" not in answer.headers
    written = [r for r in server.requests if r.path.endswith("/settings") and r.body]
    assert json.loads(written[-1].body)["reasoningEffortOverrides"] == {"think/effort": "high"}


@pytest.mark.parametrize(("model", "effort"), [("echo/base", "high"), ("think/effort", "xhigh")])
def test_reasoning_effort_without_effect(
    http: httpx.Client, current_server: LocalServer, model: str, effort: str
) -> None:
    """Where the model does not reason, or chat-ui has no such effort, it is named as ignored."""
    body = {"model": model, "messages": HELLO, "reasoning_effort": effort}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert answer.headers["hfchat-ignored"] == "reasoning_effort"
    assert not [r for r in current_server.requests if r.path.endswith("/settings") and r.body]


def test_unknown_reasoning_effort_is_refused(client: openai.OpenAI) -> None:
    """An effort that OpenAI does not have either is a bad request that names the field."""
    effort: Any = "huge"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="echo/base", messages=HELLO, reasoning_effort=effort)
    assert refused.value.param == "reasoning_effort"


def test_more_than_one_answer_is_refused(client: openai.OpenAI) -> None:
    """A server gives one answer at a time."""
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="echo/base", messages=HELLO, n=2)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls(client: openai.OpenAI, stream: Literal[False, True]) -> None:
    """Calls that the model writes come as tool calls, several at once, and no text of them."""
    with client.chat.completions.stream(
        model="script/agent", messages=script(f"{PARIS}\n{ROME}"), tools=[WEATHER]
    ) as helper:
        final = helper.get_final_completion()
    whole = client.chat.completions.create(
        model="script/agent", messages=script(f"{PARIS}\n{ROME}"), tools=[WEATHER]
    )
    choice = final.choices[0] if stream else whole.choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
    assert [json.loads(call.function.arguments) for call in calls] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]
    assert not (choice.message.content or "").strip()


def test_parallel_tool_calls_can_be_forbidden(client: openai.OpenAI) -> None:
    """Of several calls the first one remains."""
    answer = client.chat.completions.create(
        model="script/agent",
        messages=script(f"{PARIS}\n{ROME}"),
        tools=[WEATHER],
        parallel_tool_calls=False,
    )
    assert len(answer.choices[0].message.tool_calls or ()) == 1


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_forced_call_is_asked_for_again(client: openai.OpenAI, choice: Any) -> None:
    """A model that answers with text is asked again for the call that has to come."""
    answer = client.chat.completions.create(
        model="script/agent",
        messages=script("I would rather talk.", PARIS),
        tools=[WEATHER],
        tool_choice=choice,
    )
    assert answer.choices[0].finish_reason == "tool_calls"


def test_no_call_without_tools(client: openai.OpenAI) -> None:
    """With tool_choice none the model does not learn of the tools, and its text stays text."""
    answer = client.chat.completions.create(
        model="script/agent", messages=script("Hello"), tools=[WEATHER], tool_choice="none"
    )
    assert answer.choices[0].message.content == "Hello"


def test_unknown_tool_choice_is_refused(client: openai.OpenAI) -> None:
    """A choice of a tool that is not there is a bad request, before anything is sent."""
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="echo/base",
            messages=HELLO,
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "other"}},
        )


def test_a_call_that_cannot_be_used_is_shown(client: openai.OpenAI) -> None:
    """A call of an unknown tool, after the model was asked again, is text and nothing is lost."""
    wrong = PARIS.replace("weather", "whether")
    answer = client.chat.completions.create(
        model="script/agent", messages=script(wrong), tools=[WEATHER]
    )
    assert "whether" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_result_continues_the_conversation(
    client: openai.OpenAI, current_server: LocalServer, stream: Literal[False, True]
) -> None:
    """With the result, the client sends the whole history again, and the server gets the result."""
    messages: list[Any] = [*script(PARIS, "It is sunny.")]
    with client.chat.completions.stream(
        model="script/agent", messages=messages, tools=[WEATHER]
    ) as helper:
        first = helper.get_final_completion().choices[0].message
    if not stream:
        answer = client.chat.completions.create(
            model="script/agent", messages=messages, tools=[WEATHER]
        )
        first = answer.choices[0].message  # type: ignore[assignment]  # both are messages
    current_server.clear_requests()
    call = (first.tool_calls or [])[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sun"}
    messages += [first.model_dump(exclude_none=True, include={"role", "tool_calls"}), result]
    answer = client.chat.completions.create(
        model="script/agent", messages=messages, tools=[WEATHER]
    )
    assert answer.choices[0].message.content == "It is sunny."
    assert not [r for r in current_server.requests if r.path == "/conversation"]
    assert current_server.prompts[-1].messages[-1]["content"] == (
        '<tool_response>\n{"name": "weather", "content": "sun"}\n</tool_response>'
    )


class City(BaseModel):
    """A city."""

    name: str
    people: int


def test_parsed_answers(client: openai.OpenAI) -> None:
    """`parse` gets an object: the model is shown the schema, and the text around it is left out."""
    answer = client.chat.completions.parse(
        model="script/agent",
        messages=script('Here it is:\n```json\n{"name": "Paris", "people": 2100000}\n```'),
        response_format=City,
    )
    assert answer.choices[0].message.parsed == City(name="Paris", people=2100000)


def test_any_json_object(client: openai.OpenAI) -> None:
    """json_object asks for JSON of any form."""
    answer = client.chat.completions.create(
        model="script/agent",
        messages=script('Sure! {"a": 1}'),
        response_format={"type": "json_object"},
    )
    assert json.loads(answer.choices[0].message.content or "") == {"a": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_web_search_gives_citations(client: openai.OpenAI, stream: Literal[False, True]) -> None:
    """With web_search the server searches; pages are annotations, and the tool run is told."""
    answer = client.chat.completions.create(
        model="tools/agent", messages=HELLO, extra_body={"web_search": True}, stream=stream
    )
    if isinstance(answer, openai.Stream):
        chunks = list(answer)
        extra: Any = chunks[-1].model_extra
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        extra = answer.model_extra
        text = answer.choices[0].message.content or ""
    assert "The tool said: Title: The first result" in text
    (run,) = extra["hfchat"]["tool_runs"]
    assert run["name"] == "web_search_exa"
    assert run["arguments"] == {"query": "Hello"}


def test_tools_of_mcp_servers(client: openai.OpenAI) -> None:
    """MCP servers are offered to the model by the server."""
    server = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
    answer = client.chat.completions.create(
        model="tools/agent", messages=HELLO, extra_body={"mcp_servers": [server]}
    )
    assert "42 for Hello" in (answer.choices[0].message.content or "")
    (run,) = (answer.model_extra or {})["hfchat"]["tool_runs"]
    assert run["output"] == "42 for Hello"


def test_a_history_sent_again_costs_one_short_message(
    client: openai.OpenAI, current_server: LocalServer
) -> None:
    """The client sends all of it at every turn; the server gets what is new."""
    messages: list[Any] = []
    for turn in range(6):
        messages.append({"role": "user", "content": f"Number {turn}"})
        answer = client.chat.completions.create(model="echo/base", messages=messages)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})
    sizes = posted(current_server)
    assert len(sizes) == 6
    assert max(sizes) < min(sizes) + 20
    assert len([r for r in current_server.requests if r.path == "/conversation"]) == 1


def test_an_edited_history_branches(client: openai.OpenAI, current_server: LocalServer) -> None:
    """What was changed is sent to the same conversation, as another branch."""
    first: list[Any] = [{"role": "user", "content": "One"}]
    answer = client.chat.completions.create(model="echo/base", messages=first)
    first.append({"role": "assistant", "content": answer.choices[0].message.content})
    for text in ("Two", "Two, edited"):
        client.chat.completions.create(
            model="echo/base", messages=[*first, {"role": "user", "content": text}]
        )
    assert len([r for r in current_server.requests if r.path == "/conversation"]) == 1


def test_side_traffic_leaves_no_conversation(
    client: openai.OpenAI, current_server: LocalServer
) -> None:
    """With the header, the conversation is deleted after its answer."""
    answer = client.chat.completions.create(
        model="echo/base", messages=HELLO, extra_headers={"hfchat-ephemeral": "true"}
    )
    assert answer.choices[0].message.content == "You said: Hello"
    assert [r.method for r in current_server.requests if r.method == "DELETE"] == ["DELETE"]
    assert "conversation_id" not in (answer.model_extra or {})["hfchat"]


@pytest.mark.parametrize("stream", [False, True])
def test_sources_are_annotations(legacy_server: LocalServer, stream: Literal[False, True]) -> None:
    """Where the server names the pages that an answer leans on, they are citations."""
    with (
        ApiServer(legacy_server.base_url) as api,
        openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client,
    ):
        answer = client.chat.completions.create(
            model="echo/base", messages=HELLO, extra_body={"web_search": True}, stream=stream
        )
        annotations: list[Any] = []
        if isinstance(answer, openai.Stream):
            for chunk in answer:
                annotations += getattr(chunk.choices[0].delta, "annotations", None) or []
        else:
            message = answer.choices[0].message
            annotations = [a.model_dump() for a in message.annotations or ()]
        response = client.responses.create(
            model="echo/base", input="Hello", extra_body={"web_search": True}
        )
    assert annotations
    assert {one["type"] for one in annotations} == {"url_citation"}
    (item,) = [item for item in response.output if item.type == "message"]
    part = item.content[0]
    assert part.type == "output_text"
    urls = [one.url for one in part.annotations if one.type == "url_citation"]
    assert urls == [one["url_citation"]["url"] for one in annotations]
