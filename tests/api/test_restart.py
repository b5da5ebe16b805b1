"""Responses that are continued after `hfchat api` was started anew."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest

from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server of the current generation."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def account(server: LocalServer) -> dict[str, str]:
    """An account that all processes of a test share."""
    return server.cookies()


@contextmanager
def started(server: LocalServer, account: dict[str, str]) -> Iterator[openai.OpenAI]:
    """The API, newly started, and a client of it."""
    server.clear_requests()
    with (
        ApiServer(server.base_url, client={"cookies": account}) as api,
        openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client,
    ):
        yield client


def created(server: LocalServer) -> int:
    """How many conversations were begun since the start."""
    return len([request for request in server.requests if request.path == "/conversation"])


@pytest.mark.parametrize("stream", [False, True])
def test_another_process_continues(
    server: LocalServer, account: dict[str, str], stream: bool
) -> None:
    """The id says where the server keeps the response: only what is new is sent there."""
    asked: dict[str, Any] = {"model": "echo/base", "instructions": "Be brief."}
    with started(server, account) as client:
        first = client.responses.create(input="One", **asked)
        if stream:
            with client.responses.stream(
                input="Two", previous_response_id=first.id, **asked
            ) as events:
                second = events.get_final_response()
        else:
            second = client.responses.create(input="Two", previous_response_id=first.id, **asked)
    with started(server, account) as client:
        third = client.responses.create(input="Three", previous_response_id=second.id, **asked)
        fourth = client.responses.create(input="Four", previous_response_id=third.id, **asked)
        branch = client.responses.create(input="Other", previous_response_id=first.id, **asked)
        assert created(server) == 0
    texts = [response.output_text for response in (third, fourth, branch)]
    assert texts == [f"You said: {word}" for word in ("Three", "Four", "Other")]
    contents = [
        [message["content"] for message in prompt.messages if message["role"] == "user"]
        for prompt in server.prompts
    ]
    assert contents == [
        ["One", "Two", "Three"],
        ["One", "Two", "Three", "Four"],
        ["One", "Other"],
    ]


def test_a_call_is_answered_in_another_process(
    server: LocalServer, account: dict[str, str]
) -> None:
    """The output of a tool continues the conversation in which it was called."""
    script = f"SCRIPT: {json.dumps([PARIS, 'It is sunny.'])}"
    asked: dict[str, Any] = {"model": "script/agent", "tools": [WEATHER]}
    with started(server, account) as client:
        first = client.responses.create(input=script, **asked)
        (call,) = first.output
        assert call.type == "function_call"
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
    with started(server, account) as client:
        second = client.responses.create(input=[output], previous_response_id=first.id, **asked)
        assert second.output_text == "It is sunny."
        assert created(server) == 0


def test_other_instructions_begin_another_conversation(
    server: LocalServer, account: dict[str, str]
) -> None:
    """A conversation has one system prompt; with another one the model gets the whole history."""
    with started(server, account) as client:
        first = client.responses.create(model="echo/base", input="One", instructions="Be brief.")
    with started(server, account) as client:
        client.responses.create(
            model="echo/base",
            input="Two",
            instructions="Be long.",
            previous_response_id=first.id,
        )
        assert created(server) == 1
    assert "You said: One" in str(server.prompts[-1].messages[-1]["content"])


def test_a_conversation_that_is_gone(server: LocalServer, account: dict[str, str]) -> None:
    """What the server no longer has cannot be continued, and neither can another account's."""
    with started(server, account) as client:
        first = client.responses.create(model="echo/base", input="One")
    guest = {"hf-chat": "4ac20170-eb99-48c6-937f-c52977642513"}
    with started(server, guest) as client, pytest.raises(openai.NotFoundError):
        client.responses.create(model="echo/base", input="Two", previous_response_id=first.id)
    with HuggingChat(server.base_url, account) as owner:
        owner.delete_all_conversations()
    with started(server, account) as client, pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model="echo/base", input="Two", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.parametrize(
    "wrong", ["resp_0", "resp_" + "0" * 58, "resp_../../settings", "resp_" + "g" * 56, ""]
)
def test_ids_that_are_none_are_not_found(
    server: LocalServer, account: dict[str, str], wrong: str
) -> None:
    """Nothing is asked of the server for them."""
    with started(server, account) as client, pytest.raises(openai.NotFoundError):
        client.responses.create(model="echo/base", input="Two", previous_response_id=wrong)
    assert not [request for request in server.requests if "conversation" in request.path]


def test_what_is_not_stored_has_no_such_id(server: LocalServer, account: dict[str, str]) -> None:
    """With store: false, no process continues a response."""
    with started(server, account) as client:
        first = client.responses.create(model="echo/base", input="One", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="echo/base", input="Two", previous_response_id=first.id)
