"""Sending a message: what the model is sent, and how its pieces become an answer."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base.local import (
    ChatRequest,
    FunctionBackend,
    LocalModel,
    LocalServer,
    UpstreamError,
)
from tests.support.local_chat import Chat, final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hfchat_base._protocol.constants import Generation

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def _contents(server: LocalServer) -> list[Any]:
    return [message["content"] for message in server.prompts[-1].messages]


def test_model_gets_the_path(either_chat: Chat) -> None:
    """The model is sent the system prompt and the messages above the new one, siblings not."""
    conversation = either_chat.create(preprompt="Be brief.")
    either_chat.send(conversation, "one")
    root = either_chat.messages(conversation)[0]["id"]
    either_chat.send(conversation, "left")
    either_chat.send(conversation, "right", parent=root)
    prompt = either_chat.server.prompts[-1]
    assert prompt.model == "echo/base"
    assert prompt.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "right"},
    ]


def _set(chat: Chat, **settings: Any) -> None:
    chat.http.post("/api/v2/user/settings", json=settings).raise_for_status()


@pytest.mark.parametrize(
    ("model", "settings", "effort"),
    [
        ("think/effort", {}, None),
        ("think/effort", {"reasoningEffortOverrides": {"think/effort": "high"}}, "high"),
        ("think/effort", {"reasoningEffortOverrides": {"echo/base": "high"}}, None),
        ("echo/base", {"reasoningEffortOverrides": {"echo/base": "high"}}, None),
        (
            "echo/base",
            {
                "reasoningEffortOverrides": {"echo/base": "low"},
                "reasoningOverrides": {"echo/base": True},
            },
            "low",
        ),
        (
            "think/effort",
            {
                "reasoningEffortOverrides": {"think/effort": "low"},
                "reasoningOverrides": {"think/effort": False},
            },
            None,
        ),
    ],
)
def test_reasoning_effort(
    model: str, settings: dict[str, Any], effort: str | None, chat: Chat
) -> None:
    """A model that can reason, or is said to, is sent the effort that the user has set for it."""
    _set(chat, **settings)
    chat.send(chat.create(model), "why?")
    assert chat.server.prompts[-1].reasoning_effort == effort


@pytest.mark.parametrize("supports_artifacts", [False, True])
@pytest.mark.parametrize("override", [None, False, True])
def test_artifacts(supports_artifacts: bool, override: bool | None) -> None:
    """A model learns how to write artifacts if it supports them, or as the user has set it."""
    backend = FunctionBackend(lambda _request: "Hello.")
    model = LocalModel("my/writer", backend, supports_artifacts=supports_artifacts)
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        if override is not None:
            _set(chat, artifactsOverrides={"my/writer": override})
        chat.send(chat.create("my/writer", preprompt="Be brief."), "hello")
        (system, _) = _contents(server)
    assert ("<artifact" in system) == (supports_artifacts if override is None else override)
    assert system.endswith("Be brief.")


def test_abilities_that_the_user_claims(chat: Chat) -> None:
    """A model gets images and tools if the user says that it takes them."""
    own = [{"name": "local", "url": "http://127.0.0.1:9200/mcp"}]
    for claimed in (False, True):
        by_model = {"echo/base": True} if claimed else {}
        _set(chat, multimodalOverrides=by_model, toolsOverrides=by_model)
        chat.send(
            chat.create(),
            "look",
            files=(("a.png", "image/png", PNG),),
            selectedMcpServers=own,
            selectedMcpServerNames=["local"],
        )
        prompt = chat.server.prompts[-1]
        assert isinstance(prompt.messages[-1]["content"], list) == claimed
        assert bool(prompt.tools) == claimed


def test_legacy_has_no_such_settings(legacy_chat: Chat) -> None:
    """A legacy server reads none of them when it answers."""
    effort = {"reasoningEffortOverrides": {"think/effort": "high"}}
    claims = {"artifactsOverrides": {"think/effort": True}}
    legacy_chat.http.post("/settings", json={**effort, **claims}).raise_for_status()
    legacy_chat.send(legacy_chat.create("think/effort"), "why?")
    assert _contents(legacy_chat.server) == ["why?"]
    assert legacy_chat.server.prompts[-1].reasoning_effort is None


def test_retry_leaves_the_old_answer_out(either_chat: Chat) -> None:
    """A retry of an answer sends what stood above it."""
    conversation = either_chat.create()
    either_chat.send(conversation, "one")
    answer = either_chat.messages(conversation)[-1]["id"]
    either_chat.send(conversation, parent=answer, is_retry=True)
    assert _contents(either_chat.server) == ["one"]


def test_thinking_is_no_part_of_the_history(chat: Chat) -> None:
    """The current generation sends earlier thoughts apart from what was said."""
    conversation = chat.create("think/reasoner")
    chat.send(conversation, "why?")
    chat.send(conversation, "and?")
    earlier = chat.server.prompts[-1].messages[1]
    assert earlier["content"] == "After thinking, the answer is 42."
    assert earlier["reasoning_content"].startswith("Let me think")


def test_images_reach_only_multimodal_models(either_chat: Chat) -> None:
    """A multimodal model is sent the image as a data URL, another one is not."""
    files = (("a.png", "image/png", PNG),)
    either_chat.ask("look", "echo/vision", files=files)
    parts = _contents(either_chat.server)[-1]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    assert url == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    either_chat.ask("look", "echo/base", files=files)
    assert _contents(either_chat.server) == ["look"]


def test_pasted_text_is_shown_by_both_generations(either_chat: Chat) -> None:
    """What was pasted into the page stands before the message."""
    files = (("paste", "application/vnd.chatui.clipboard", b"pasted"),)
    assert final(either_chat.ask("hi", files=files)) == "You said: pasted\n\nhi"


def test_several_documents_are_inlined(chat: Chat) -> None:
    """Text attachments of the current generation come one after the other, then the message."""
    files = (("a.txt", "text/plain", b"A"), ("b.json", "application/json", b"{}"))
    chat.ask("read", files=files)
    content = _contents(chat.server)[-1]
    assert content.count("</document>") == 2
    assert content.endswith("</document>\n\nread")


def test_stored_file_can_be_attached_again(chat: Chat) -> None:
    """A file part named hash;… refers to a file that the conversation already has."""
    conversation = chat.create("echo/vision")
    chat.send(conversation, "look", files=(("a.png", "image/png", PNG),))
    sha = chat.messages(conversation)[1]["files"][0]["value"]
    request = chat.request(conversation, "again")
    body = request.read().replace(
        b"--\r\n",
        b'\r\nContent-Disposition: form-data; name="files"; filename="hash;a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + sha.encode() + b"\r\n"
        b"--" + request.headers["content-type"].split("boundary=")[1].encode() + b"--\r\n",
    )
    del request.headers["content-length"]
    response = chat.http.post(request.url, content=body, headers=request.headers)
    assert response.status_code == 200
    assert chat.messages(conversation)[-2]["files"][0]["value"] == sha


def test_line_ends_are_unified(chat: Chat) -> None:
    """CRLF becomes LF, as in the real server's schema."""
    assert final(chat.ask("a\r\nb")) == "You said: a\nb"


def test_unknown_keys_are_dropped(either_chat: Chat) -> None:
    """Keys of the other generation, and of none, change nothing."""
    answer = either_chat.ask("hi", tools=["x"], timezone="Europe/Berlin", no_such_key=1)
    assert final(answer) == "You said: hi"


@pytest.mark.parametrize(
    "data",
    [
        {"parent": "no uuid"},
        {"is_retry": "yes"},
        {"generationId": "no uuid"},
        {"selectedMcpServerNames": [1]},
        {"selectedMcpServers": ["x"]},
    ],
)
def test_schema_rejects_with_500(chat: Chat, data: dict[str, Any]) -> None:
    """What the schema takes amiss is the server's error, not the client's."""
    response = chat.post(chat.create(), "hi", **data)
    assert response.status_code == 500
    assert response.json()["message"] == "An error occurred"


def test_retry_of_an_unknown_message(either_chat: Chat) -> None:
    """Redoing a message that is not there is a 404."""
    unknown = "11111111-1111-4111-8111-111111111111"
    response = either_chat.post(either_chat.create(), parent=unknown, is_retry=True)
    assert (response.status_code, response.json()) == (404, {"message": "Message not found"})


def test_continue_appends_to_the_answer(legacy_chat: Chat) -> None:
    """The legacy generation goes on with the last answer, in place, and with no other."""
    conversation = legacy_chat.create()
    legacy_chat.send(conversation, "one")
    legacy_chat.send(conversation, is_continue=True)
    assert legacy_chat.messages(conversation)[-1]["content"] == "You said: oneYou said: one"
    root = legacy_chat.messages(conversation)[0]["id"]
    refused = legacy_chat.post(conversation, parent=root, is_continue=True)
    assert refused.json() == {"message": "Can only continue the last message"}


def test_model_that_is_gone() -> None:
    """A conversation whose model is no longer there answers 410."""
    with LocalServer() as server, Chat(server) as chat:
        conversation = chat.create()
        server._state.models = server._state.models[1:]
        response = chat.post(conversation, "hi")
    assert (response.status_code, response.json()) == (
        410,
        {"message": "Model not available anymore"},
    )


def _sync_text(request: ChatRequest) -> str:
    return request.last_user_text.upper()


async def _async_text(request: ChatRequest) -> str:
    return request.last_user_text.upper()


def _sync_pieces(request: ChatRequest) -> Iterator[str]:
    yield from request.last_user_text.upper()


async def _async_pieces(request: ChatRequest) -> AsyncIterator[str]:
    for letter in request.last_user_text.upper():
        yield letter


@pytest.mark.parametrize("function", [_sync_text, _async_text, _sync_pieces, _async_pieces])
def test_function_backend(function: Any) -> None:
    """A model is any function that returns or yields text, sync or async."""
    model = LocalModel("my/model", FunctionBackend(function))
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        events = chat.ask("hi", "my/model")
        assert final(events) == "HI"
        assert next(event for event in events if event["type"] == "title")["title"] == "hi"


def test_function_that_returns_no_text() -> None:
    """A function that returns something else is a failing model, and says why."""
    model = LocalModel("my/model", FunctionBackend(lambda _request: 42))  # type: ignore[arg-type, return-value]
    with LocalServer(models=[model]) as server, Chat(server) as chat:
        assert "must return or yield text" in chat.ask("hi", "my/model")[-1]["message"]


def test_current_generation_tries_a_failing_model_twice(generation: Generation) -> None:
    """The current generation calls the model again after a failure; the legacy one does not."""

    def fail(_request: ChatRequest) -> str:
        raise UpstreamError("no", status=503)

    model = LocalModel("my/model", FunctionBackend(fail))
    with LocalServer(models=[model], generation=generation) as server, Chat(server) as chat:
        error = chat.ask("hi", "my/model")[-1]
        assert error["message"] == "no"
        assert len(server.prompts) == (2 if generation == "current" else 1)
        assert error.get("statusCode") == (503 if generation == "current" else None)


def test_filtered_answer_has_no_final_answer(chat: Chat) -> None:
    """A content filter ends the stream with `finished` alone, and what was said is kept."""
    conversation = chat.create("broken/filtered")
    events = chat.send(conversation, "hi")
    assert [event["type"] for event in events[-2:]] == ["stream", "status"]
    assert chat.messages(conversation)[-1]["content"] == "This answer meets a "


def test_router_tells_its_choice(chat: Chat) -> None:
    """A router's choice is an event, and is kept with the answer."""
    conversation = chat.create("router/omni")
    events = chat.send(conversation, "hi")
    choice = {"route": "casual_conversation", "model": "echo/base", "provider": "local"}
    assert {"type": "routerMetadata", **choice} in events
    assert chat.messages(conversation)[-1]["routerMetadata"] == choice


def test_script_is_followed(chat: Chat) -> None:
    """The scripted agent answers from its script, one reply a turn, the last one repeated."""
    conversation = chat.create("script/agent")
    replies = [
        final(chat.send(conversation, text))
        for text in ('SCRIPT: ["first", "second"]', "go on", "go on")
    ]
    assert replies == ["first", "second", "second"]
    assert final(chat.ask("no script", "script/agent")) == "You said: no script"


def test_flood_is_as_long_as_asked_for(chat: Chat) -> None:
    """The flood's length is in the message."""
    events = chat.ask("flood 321", "long/flood")
    assert sum(event["type"] == "stream" for event in events) == 321


def test_picture_can_be_fetched(either_chat: Chat) -> None:
    """A painted picture is an event, a file of the message, and there to be fetched."""
    conversation = either_chat.create("image/painter")
    events = either_chat.send(conversation, "a red square")
    file = next(event for event in events if event["type"] == "file")
    assert either_chat.messages(conversation)[-1]["files"][0]["value"] == file["sha"]
    picture = either_chat.http.get(f"/conversation/{conversation}/output/{file['sha']}")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    missing = either_chat.http.get(f"/conversation/{conversation}/output/{'0' * 64}")
    assert (missing.status_code, missing.json()) == (404, {"message": "File not found"})


def test_lone_surrogate_is_escaped(chat: Chat) -> None:
    """A text with half a character in it survives as JavaScript would write it."""
    events = chat.ask("half \ud83d done")
    assert final(events) == "You said: half \ud83d done"


def test_sync_model_does_not_hold_up_the_server() -> None:
    """While a blocking function thinks, keepAlives and other requests go through."""
    import threading  # noqa: PLC0415 - only here

    gate = threading.Event()

    def block(_request: ChatRequest) -> str:
        gate.wait(10)
        return "done"

    model = LocalModel("my/model", FunctionBackend(block))
    with LocalServer(models=[model]) as server, Chat(server) as chat, Chat(server) as other:
        answer = chat.under_way(chat.create("my/model"), "hi")
        answer.wait_for('{"type":"title"')
        answer.wait_for(
            'keepAlive"}\n{"type":"title","title":"hi"}\n{"type":"status","status":"keep'
        )
        assert other.http.get("/api/v2/user").status_code == 200
        gate.set()
        assert final(answer.finish()) == "done"
