"""The backend for models with an OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import (
    LocalModel,
    LocalServer,
    OpenAIBackend,
    default_models,
    openai_models,
    scripted_tool_servers,
)
from tests.support.local_chat import Chat, final
from tests.support.openai_endpoint import OpenAIEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def upstream() -> Iterator[OpenAIEndpoint]:
    """The models behind the server."""
    with OpenAIEndpoint(default_models(token_delay=0.01)) as endpoint:
        yield endpoint


@pytest.fixture
def chat(upstream: OpenAIEndpoint) -> Iterator[Chat]:
    """A client of a server whose models are those of the one behind it."""
    models = openai_models(upstream.url, "key", supports_tools=True)
    server = LocalServer(models=models, tool_servers=scripted_tool_servers())
    with server, Chat(server) as chat:
        yield chat


def test_models_are_taken_over(chat: Chat, upstream: OpenAIEndpoint) -> None:
    """All models that the endpoint lists are there, and the key was sent."""
    ids = [model["id"] for model in chat.http.get("/api/models").json()]
    assert ids == [model.id for model in default_models()]
    assert upstream.headers[0]["authorization"] == "Bearer key"


def test_text_comes_through(chat: Chat, upstream: OpenAIEndpoint) -> None:
    """Tokens come as the model behind sends them, and it is sent the whole context."""
    events = chat.send(chat.create(preprompt="Be brief."), "hi there", selectedMcpServerNames=[])
    assert [event["token"] for event in events if event["type"] == "stream"] == [
        "You ",
        "said: ",
        "hi ",
        "there",
    ]
    assert upstream.prompts[0].messages[0] == {"role": "system", "content": "Be brief."}


def test_reasoning_comes_through(chat: Chat) -> None:
    """A reasoning channel becomes <think> text, as on the real server."""
    text = final(chat.ask("why?", "think/reasoner", selectedMcpServerNames=[]))
    assert text.startswith("<think>Let me think about it.")
    assert text.endswith("</think>After thinking, the answer is 42.")


def test_tool_calls_come_through(chat: Chat) -> None:
    """A call of the model behind is run here."""
    events = chat.ask("news", "tools/agent")
    assert any(event.get("subtype") == "result" for event in events)
    assert final(events).startswith("The tool said: Title: The first result")


@pytest.mark.parametrize(
    ("model", "message", "status"),
    [
        ("broken/http500", "500 upstream exploded", None),
        ("broken/midstream", "terminated", None),
        ("no/such", "404 There is no model no/such.", 404),
    ],
)
def test_failures_come_through(
    upstream: OpenAIEndpoint, model: str, message: str, status: int | None
) -> None:
    """An error or a broken connection of the model's endpoint becomes the run's error."""
    backend = OpenAIBackend(upstream.url, model)
    with LocalServer(models=[LocalModel("my/model", backend)]) as server, Chat(server) as chat:
        error = chat.ask("hi", "my/model")[-1]
    assert (error["message"], error.get("statusCode")) == (message, status)


def test_content_filter_comes_through(chat: Chat) -> None:
    """A filtered completion has no final answer."""
    events = chat.ask("hi", "broken/filtered", selectedMcpServerNames=[])
    assert not any(event["type"] == "finalAnswer" for event in events)


def test_endpoint_that_is_not_there() -> None:
    """An endpoint that cannot be reached is the run's error."""
    model = LocalModel("my/model", OpenAIBackend("http://127.0.0.1:9/v1", "x"))
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        assert chat.ask("hi", "my/model")[-1]["status"] == "error"


def test_foreign_error_bodies() -> None:
    """An endpoint's error is passed on whatever its form."""
    from starlette.applications import Starlette  # noqa: PLC0415 - only here
    from starlette.responses import PlainTextResponse  # noqa: PLC0415 - only here
    from starlette.routing import Route  # noqa: PLC0415 - only here

    from hfchat_base.local.server import ServerThread  # noqa: PLC0415 - only here

    async def refuse(_request: object) -> PlainTextResponse:
        return PlainTextResponse("out of order", status_code=503)

    async def nothing() -> None:
        return

    app = Starlette(routes=[Route("/{path:path}", refuse, methods=["POST"])])
    running = ServerThread(app, "127.0.0.1", 0)
    try:
        backend = OpenAIBackend(f"http://{running.address}", "x")
        with LocalServer(models=[LocalModel("m/m", backend)]) as server, Chat(server) as chat:
            assert chat.ask("hi", "m/m")[-1]["message"] == "503 out of order"
    finally:
        running.stop(nothing)
