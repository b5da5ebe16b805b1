"""Errors as OpenAI's clients see them: their status, their code, and whether to try again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from hfchat_base import (
    ConversationBusyError,
    FileTooLargeError,
    GenerationFailed,
    HuggingChatError,
    OutOfCreditsError,
    ProtocolError,
    RateLimitError,
    Retries,
    ServerError,
    SessionExpired,
    StreamStalled,
    StreamTruncated,
    TransportError,
    errors,
)
from hfchat_base.api.failures import Failure
from hfchat_base.errors import ConnectTimeout, MessageTooLongError
from hfchat_base.local import Limits, LocalServer
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


def broken_off(http: httpx.Client, path: str, body: dict[str, Any]) -> bytes:
    """What comes of a stream that is broken off."""
    received = b""
    with http.stream("POST", path, json=body) as answer:
        try:
            for piece in answer.iter_bytes():
                received += piece
        except httpx.RemoteProtocolError:
            return received
    pytest.fail("the stream ended as if it were whole")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SessionExpired("over"), 401, "session_expired"),
        (OutOfCreditsError("nothing left"), 402, "insufficient_quota"),
        (ConversationBusyError("busy"), 409, "conversation_busy"),
        (FileTooLargeError("large"), 413, "file_too_large"),
        (MessageTooLongError("long"), 400, "context_length_exceeded"),
        (RateLimitError("slow"), 429, "rate_limit_exceeded"),
        (ServerError("failed", status=503), 502, "upstream_error"),
        (TransportError("gone"), 502, "upstream_unreachable"),
        (ConnectTimeout("late"), 504, "timeout"),
        (StreamStalled("still"), 504, "timeout"),
        (StreamTruncated("cut"), 502, "upstream_disconnected"),
        (ProtocolError("odd"), 502, "upstream_error"),
        (GenerationFailed("boom"), 502, "generation_failed"),
        (GenerationFailed("maximum context length is 8"), 400, "context_length_exceeded"),
    ],
)
def test_status_of_each_error(error: HuggingChatError, status: int, code: str) -> None:
    """Each kind of error has the status and the code that programs know it by."""
    failure = Failure.from_error(error)
    assert (failure.status, failure.code) == (status, code)


def test_every_error_of_the_base_has_a_status() -> None:
    """None of the base's errors is taken for an internal one."""
    for name in errors.__all__:
        kind: type[HuggingChatError] = getattr(errors, name)
        assert Failure.from_error(kind("message")).code != "internal_error"


def test_an_unforeseen_error_tells_nothing() -> None:
    """What an error says that nobody has foreseen may be a prompt, and is not passed on."""
    failure = Failure.from_error(RuntimeError("secret"))
    assert failure.status == 500
    assert "secret" not in json.dumps(failure.body)


def test_retry_after_is_passed_on() -> None:
    """A limit says when to come back, in whole seconds; without that, clients are to give up."""
    limited = Failure.from_error(RateLimitError("slow", retry_after=12.2))
    assert limited.headers == {"retry-after": "13"}
    assert Failure.from_error(RateLimitError("full")).headers == {"x-should-retry": "false"}


def test_a_limit_of_the_server_is_told() -> None:
    """A message over the server's limit is refused with 429 and Retry-After."""
    limited = LocalServer(limits=Limits(messages_per_minute=1))
    once = {"retries": Retries(attempts=1)}
    with (
        limited as server,
        ApiServer(server.base_url, client=once) as api,
        openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client,
    ):
        client.chat.completions.create(model="echo/base", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="echo/base", messages=HELLO)
    assert int(refused.value.response.headers["retry-after"]) > 0


def test_a_server_that_wants_a_login() -> None:
    """Without a session the server's refusal is a 401 that says what to do."""
    with (
        LocalServer(require_login=True) as server,
        ApiServer(server.base_url) as api,
        openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.chat.completions.create(model="echo/base", messages=HELLO)
    assert refused.value.code in ("login_required", "session_expired")


def test_a_server_that_is_not_there() -> None:
    """A server that nobody reaches is a bad gateway, and the client learns not to try again."""
    with (
        ApiServer("http://127.0.0.1:9") as api,
        openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as refused,
    ):
        client.chat.completions.create(model="echo/base", messages=HELLO)
    assert refused.value.status_code in (502, 504)
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_token_has_its_status(
    client: openai.OpenAI, stream: bool
) -> None:
    """Also a stream is not begun before something has come."""
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="broken/http500", messages=HELLO, stream=stream)
    assert failed.value.status_code == 502


def test_a_fault_in_the_middle_of_a_stream_is_an_error_event(http: httpx.Client) -> None:
    """The stream ends with an error and a broken connection, without [DONE] or a finish reason."""
    body = {"model": "broken/midstream", "messages": HELLO, "stream": True}
    received = broken_off(http, "/v1/chat/completions", body)
    *chunks, last = [line[6:] for line in received.decode().split("\n\n") if line]
    assert json.loads(last)["error"]["code"] == "generation_failed"
    reasons = [ChatCompletionChunk.model_validate_json(c).choices[0].finish_reason for c in chunks]
    assert set(reasons) == {None}


def test_clients_raise_for_a_fault_in_the_middle(client: openai.OpenAI) -> None:
    """OpenAI's client raises what the error event says."""
    stream = client.chat.completions.create(model="broken/midstream", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="terminated"):
        list(stream)


def test_a_failed_response_says_so(http: httpx.Client) -> None:
    """Responses has an event for it, which is the last one and a proper end of the stream.

    Clients show what it says. If the connection broke, some would show that in its place.
    """
    body = {"model": "broken/midstream", "input": "Hello", "stream": True}
    received = http.post("/v1/responses", json=body)
    event, data = received.text.strip().split("\n\n")[-1].split("\n")
    assert event == "event: response.failed"
    response = json.loads(data[6:])["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"{", None),
        (b"[" * 100_000, None),
        (b"[]", None),
        (b'{"model": "echo/base"}', "messages"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "nobody", "content": ""}]}', "messages.0.role"),
        (b'{"messages": [{"role": "user", "content": 1}]}', None),
    ],
)
def test_malformed_bodies_are_refused(
    http: httpx.Client, content: bytes, param: str | None
) -> None:
    """What is no request of this API is a bad request that names the field."""
    answer = http.post("/v1/chat/completions", content=content)
    assert answer.status_code == 400
    error: dict[str, Any] = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert error["param"] == param


def test_bodies_are_bounded(current_server: LocalServer) -> None:
    """A body that is too large is refused with 413, however it is sent."""
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        ApiServer(current_server.base_url, max_body_bytes=1000) as api,
        httpx.Client(base_url=api.address, headers=headers) as http,
    ):
        known = http.post("/v1/chat/completions", content=bytes(1001))
        chunked = http.post("/v1/chat/completions", content=iter([bytes(600)] * 2))
    assert (known.status_code, chunked.status_code) == (413, 413)
    assert known.json()["error"]["code"] == "request_too_large"


def test_other_paths_are_not_found(http: httpx.Client) -> None:
    """A path that is not there, and a wrong method, have errors in OpenAI's form."""
    assert http.get("/v1/embeddings").json()["error"]["type"] == "invalid_request_error"
    assert http.get("/v1/chat/completions").status_code == 405


def _namespace(name: object, tools: object) -> dict[str, object]:
    return {"type": "namespace", "name": name, "tools": tools}


ENDLESS = {"type": "json_schema", "name": "a", "schema": {"$ref": "#"}}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [_namespace("a", 5)]},
        {"tools": [_namespace("a", ["x"])]},
        {
            "tools": [
                _namespace("a", [{"type": "function", "name": "b__c"}]),
                _namespace("a__b", [{"type": "function", "name": "c"}]),
            ]
        },
        {"tool_choice": {"type": "allowed_tools", "tools": 5}},
        {"tool_choice": {"type": "allowed_tools", "tools": ["x"]}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": [1]}},
        {"text": {"format": ENDLESS}, "input": 'Say {"a": 1}'},
    ],
    ids=["tools", "tool", "same name", "allowed", "allowed tool", "allowed list", "endless schema"],
)
def test_malformed_request(http: httpx.Client, body: dict[str, object]) -> None:
    """What is malformed anywhere in a request is the request's fault, not the endpoint's."""
    answer = http.post("/v1/responses", json={"input": "hello", **body})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_arguments_without_an_end(http: httpx.Client) -> None:
    """Arguments of an earlier call that nest without end are sent as the text that they are."""
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "[" * 100_000}
    said = {"role": "user", "content": "hello"}
    answer = http.post("/v1/responses", json={"input": [call, said]})
    assert answer.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character(http: httpx.Client, *, stream: bool) -> None:
    """Half a character, as in a text that was cut off, comes back as JSON has it."""
    body = {"input": "cut \ud83d", "metadata": {"of": "\ud83d"}, "stream": stream}
    answer = http.post("/v1/responses", content=json.dumps(body))
    assert answer.status_code == 200
    assert '"of": "\\ud83d"' in answer.text.replace('"of":"', '"of": "')
