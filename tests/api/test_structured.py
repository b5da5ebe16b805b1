"""JSON answers: checked, asked for again once, and never passed on as what they are not."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}
WRONG = '{"name": "Paris", "people": "many"}'
RIGHT = '{"name": "Paris", "people": 2100000}'
OBJECT: Any = {"type": "json_object"}


def schema_format(path: str, *, strict: bool = True) -> dict[str, Any]:
    """The field of a request of either form that asks for a city."""
    inner = {"name": "city", "strict": strict, "schema": SCHEMA}
    if path == "/v1/responses":
        return {"text": {"format": {"type": "json_schema", **inner}}}
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def body(path: str, *replies: str, **more: Any) -> dict[str, Any]:
    """A request that the model answers with these replies, one after the other."""
    text = f"SCRIPT: {json.dumps(replies)}"
    asked = (
        {"input": text}
        if path == "/v1/responses"
        else {"messages": [{"role": "user", "content": text}]}
    )
    return {"model": "script/agent", **asked, **more}


def text_of(answer: dict[str, Any]) -> str:
    """The text of a whole answer of either form."""
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    return str(answer["output"][0]["content"][0]["text"])


PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])


@PATHS
def test_an_answer_that_does_not_fit_is_asked_for_again(
    http: httpx.Client, current_server: LocalServer, path: str
) -> None:
    """The model is told what is wrong, and its second answer is the answer."""
    answer = http.post(path, json=body(path, WRONG, RIGHT, **schema_format(path)))
    assert text_of(answer.json()) == RIGHT
    said = str(current_server.prompts[-1].messages[-1]["content"])
    assert "$.people: 'many' is not of type 'integer'" in said


@PATHS
def test_an_answer_that_never_fits_is_an_error(http: httpx.Client, path: str) -> None:
    """With strict, what does not fit is not passed on.

    No client takes the status for one to try again after: each attempt costs two answers.
    """
    answer = http.post(path, json=body(path, WRONG, **schema_format(path)))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "json_validate_failed")
    assert "$.people" in error["message"]


@PATHS
def test_without_strict_the_last_answer_is_passed_on(http: httpx.Client, path: str) -> None:
    """OpenAI promises nothing then either; a field says what is wrong."""
    answer = http.post(path, json=body(path, WRONG, **schema_format(path, strict=False)))
    assert text_of(answer.json()) == WRONG
    assert "$.people" in answer.json()["hfchat"]["json_problem"]


def test_a_stream_that_does_not_fit_is_broken_off(http: httpx.Client) -> None:
    """JSON is streamed as it is written; if it does not fit in the end, the stream says so."""
    path = "/v1/chat/completions"
    more = {"stream": True, **schema_format(path)}
    with http.stream("POST", path, json=body(path, WRONG, **more)) as answer:
        lines = answer.iter_lines()
        last = next(line for line in lines if "not the JSON that was wanted" in line)
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert json.loads(last[6:])["error"]["code"] == "json_validate_failed"


def test_a_streamed_response_that_does_not_fit_has_failed(http: httpx.Client) -> None:
    """In Responses that is an event, too."""
    path = "/v1/responses"
    answer = http.post(path, json=body(path, WRONG, stream=True, **schema_format(path)))
    last = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert "not the JSON that was wanted" in last["response"]["error"]["message"]


def test_openais_client_raises_for_such_a_stream(client: openai.OpenAI) -> None:
    """The error event says what is wrong."""
    request = body("/v1/chat/completions", WRONG, **schema_format("/v1/chat/completions"))
    stream = client.chat.completions.create(**request, stream=True)
    with pytest.raises(openai.APIError, match=r"\$\.people"):
        list(stream)


def test_a_stream_that_fits(client: openai.OpenAI) -> None:
    """It comes as it is written."""
    request = body("/v1/chat/completions", RIGHT, **schema_format("/v1/chat/completions"))
    stream = client.chat.completions.create(**request, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == RIGHT


def test_almost_json_becomes_json(client: openai.OpenAI) -> None:
    """A comma too many can mean only one thing: the client gets what it can read."""
    request = body("/v1/chat/completions", '{"name": "Paris", "people": 1,}')
    answer = client.chat.completions.create(**request, response_format=OBJECT)
    assert json.loads(answer.choices[0].message.content or "") == {"name": "Paris", "people": 1}


@pytest.mark.parametrize("wrong", ["I would rather not.", "[1, 2]", '{"a": 1'])
def test_any_object_has_to_be_one(client: openai.OpenAI, wrong: str) -> None:
    """Text, a list and half an object are asked for again."""
    request = body("/v1/chat/completions", wrong, '{"a": 2}')
    answer = client.chat.completions.create(**request, response_format=OBJECT)
    assert json.loads(answer.choices[0].message.content or "") == {"a": 2}


def test_a_call_is_not_checked(client: openai.OpenAI) -> None:
    """A model that calls a tool has not answered yet."""
    call = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    tool: Any = {"type": "function", "function": {"name": "look"}}
    request = body("/v1/chat/completions", call, **schema_format("/v1/chat/completions"))
    answer = client.chat.completions.create(**request, tools=[tool])
    assert answer.choices[0].finish_reason == "tool_calls"


@PATHS
def test_an_invalid_schema_is_refused(
    http: httpx.Client, current_server: LocalServer, path: str
) -> None:
    """It is a bad request, and nothing is sent to the server."""
    wanted = json.loads(json.dumps(schema_format(path)).replace('"object"', '"thing"'))
    answer = http.post(path, json=body(path, RIGHT, **wanted))
    assert answer.status_code == 400
    assert not current_server.prompts


def test_a_schema_in_another_document_is_refused(client: openai.OpenAI) -> None:
    """Nothing is fetched for it, and the model is not blamed."""
    schema: Any = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    request = body("/v1/chat/completions", '{"a": 1}')
    with pytest.raises(openai.BadRequestError, match="another document"):
        client.chat.completions.create(**request, response_format=wanted)


def test_the_conversation_goes_on_from_the_second_answer(
    client: openai.OpenAI, current_server: LocalServer
) -> None:
    """What the caller has not seen stays in the conversation that it continues."""
    request = body("/v1/chat/completions", WRONG, RIGHT)
    first = client.chat.completions.create(**request, **schema_format("/v1/chat/completions"))
    current_server.clear_requests()
    request["messages"] += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "Again"},
    ]
    client.chat.completions.create(**request, **schema_format("/v1/chat/completions"))
    assert not [r for r in current_server.requests if r.path == "/conversation"]


PATTERN = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^(a+)+$"}}}


def demanding_format(path: str) -> dict[str, Any]:
    """The field of a request that asks for what takes years to check if it does not fit."""
    written = json.dumps(schema_format(path)).replace(json.dumps(SCHEMA), json.dumps(PATTERN))
    return dict(json.loads(written))


@PATHS
@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_takes_years_to_check(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str, stream: bool
) -> None:
    """The check is given up, and the client learns that its schema is to blame."""
    monkeypatch.setattr("hfchat_base.api.schema_checks.MAX_SECONDS", 1.0)
    answer = f'{{"name": "{"a" * 80}!"}}'
    received = b""
    request = body(path, answer, stream=stream, **demanding_format(path))
    with http.stream("POST", path, json=request) as got, suppress(httpx.RemoteProtocolError):
        for part in got.iter_bytes():
            received += part
    assert b"takes more than" in received


def test_others_are_answered_while_a_check_takes_years(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that does not end holds up neither text nor JSON of other clients."""
    monkeypatch.setattr("hfchat_base.api.schema_checks.MAX_SECONDS", 10_000.0)
    path = "/v1/chat/completions"
    endless = body(path, f'{{"name": "{"a" * 80}!"}}', stream=True, **demanding_format(path))
    with http.stream("POST", path, json=endless) as waiting:
        lines = waiting.iter_lines()
        while "!" not in next(lines):  # the answer has come; what follows is the check
            pass
        text = http.post(path, json=body(path, "Hello"))
        checked = http.post(path, json=body(path, RIGHT, **schema_format(path)))
    assert text_of(text.json()) == "Hello"
    assert text_of(checked.json()) == RIGHT


def test_a_schema_that_is_large(http: httpx.Client) -> None:
    """Schemas of programs have many parts."""
    path = "/v1/chat/completions"
    properties = {f"name{number}": {"type": "string"} for number in range(2000)}
    schema = {"type": "object", "properties": properties}
    wanted = json.loads(
        json.dumps(schema_format(path)).replace(json.dumps(SCHEMA), json.dumps(schema))
    )
    answer = http.post(path, json=body(path, '{"name7": 7}', '{"name7": "seven"}', **wanted))
    assert text_of(answer.json()) == '{"name7": "seven"}'
