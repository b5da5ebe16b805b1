"""What else the page can do: model details, tool servers, voice, shares, running answers."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ConversationNotFoundError,
    FileTooLargeError,
    HuggingChat,
    InvalidRequestError,
    ModelNotFoundError,
    Upload,
)
from hfchat_base.local import LocalServer
from hfchat_base.types import ModelProvider, PromptExample
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.attempts import Operation, Try

WAV = Upload("note.wav", b"RIFF\x04\x00\x00\x00WAVE", "audio/wav")
DETAILS = {
    "id": "echo/base",
    "displayName": "Echo",
    "supportsArtifacts": True,
    "logoUrl": "https://example.com/logo.png",
    "promptExamples": [{"title": "Hello", "prompt": "Say hello."}],
    "providers": [
        {
            "provider": "together",
            "status": "live",
            "context_length": 131072,
            "pricing": {"input": 0.5, "output": 2},
            "supports_tools": True,
        },
        {"provider": "groq", "context_length": 32768, "pricing": None},
        {"status": "no name"},
    ],
    "parameters": {"max_tokens": 4096, "stop_sequences": ["END"]},
}


def json_response(value: Any, status: str = "200 OK") -> Instead:
    """A response in JSON."""
    body = json.dumps(value).encode()
    return Instead(response(body, status=status, content_type="application/json"))


def test_model_details(current_server: LocalServer, attempt: Try) -> None:
    """All that a server says of a model, as the inference router names it."""
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/v2/models/echo/base", json_response({"json": DETAILS}), always=True)
        details = attempt(proxy.url, lambda client: client.get_model("echo/base"))
    assert details.name == "Echo"
    assert details.supports_artifacts
    assert (details.context_length, details.max_output_tokens) == (131072, 4096)
    assert details.stop_sequences == ("END",)
    assert details.logo_url == "https://example.com/logo.png"
    assert details.prompt_examples == (PromptExample(title="Hello", prompt="Say hello."),)
    assert details.providers == (
        ModelProvider(
            name="together",
            status="live",
            context_length=131072,
            input_price=0.5,
            output_price=2.0,
            supports_tools=True,
        ),
        ModelProvider(name="groq", context_length=32768),
    )


def test_model_of_a_self_hosted_server(server: LocalServer, attempt: Try) -> None:
    """A server that says no more than its list has the details that stand there."""
    details = attempt(server.base_url, lambda client: client.get_model("echo/base"))
    assert (details.id, details.providers, details.context_length) == ("echo/base", (), None)


def test_details_of_no_model(server: LocalServer, attempt: Try) -> None:
    """A name that there is not is refused with the nearest."""
    with pytest.raises(ModelNotFoundError, match="echo/base"):
        attempt(server.base_url, lambda client: client.get_model("eko/base"))


def test_tool_servers(current_server: LocalServer, attempt: Try) -> None:
    """The server's own tool servers are listed with the names that calls take."""
    found = attempt(current_server.base_url, lambda client: client.mcp_servers())
    assert [(each.name, each.url) for each in found] == [
        ("Web Search (Exa)", "https://mcp.exa.ai/mcp")
    ]


def test_tool_servers_of_a_legacy_server(legacy_server: LocalServer, attempt: Try) -> None:
    """A legacy server has none."""
    assert attempt(legacy_server.base_url, lambda client: client.mcp_servers()) == []


def chat(**options: Any) -> Operation:
    """A step that asks."""
    return lambda client: client.chat("Hello.", model="echo/base", **options)


def test_unknown_tool_server(current_server: LocalServer, attempt: Try) -> None:
    """A name that the server does not have is refused with the nearest, before anything is made."""
    with pytest.raises(InvalidRequestError, match=r"no MCP server 'Web Serch'.*Web Search \(Exa\)"):
        attempt(current_server.base_url, chat(mcp_servers=["Web Serch"]))
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_unknown_tool_server_in_a_conversation(current_server: LocalServer, attempt: Try) -> None:
    """The same for a message in a conversation."""
    with pytest.raises(InvalidRequestError, match="no MCP server 'other'"):
        attempt(
            current_server.base_url,
            lambda client: client.create_conversation("echo/base"),
            lambda conversation: conversation.send("Hello.", mcp_servers=["other"]),
        )


def test_web_search_where_there_is_none(current_server: LocalServer, attempt: Try) -> None:
    """A search that the server cannot make is refused, and not left out."""
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/mcp/servers", json_response([]), always=True)
        with pytest.raises(InvalidRequestError, match="has no web search"):
            attempt(proxy.url, chat(web_search=True))


def test_server_of_ones_own_is_not_looked_for(current_server: LocalServer, attempt: Try) -> None:
    """A server that comes with its address need not be one of the server's own."""
    own = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
    assert attempt(current_server.base_url, chat(mcp_servers=[own])).text
    assert "/api/mcp/servers" not in [request.path for request in current_server.requests]


def test_check_of_a_tool_server(current_server: LocalServer, attempt: Try) -> None:
    """The server looks at a tool server and lists its tools."""
    url = "http://127.0.0.1:9200/mcp"
    check = attempt(
        current_server.base_url, lambda client: client.check_mcp_server(url, {"x-key": "k"})
    )
    assert check.is_ready
    assert [tool.name for tool in check.tools] == ["magic_number"]
    assert current_server.requests[-1].json == {
        "url": url,
        "headers": [{"key": "x-key", "value": "k"}],
    }


def test_check_of_a_tool_server_that_is_down(current_server: LocalServer, attempt: Try) -> None:
    """One that cannot be reached is not an error, but a report with the reason."""
    check = attempt(
        current_server.base_url, lambda client: client.check_mcp_server("http://127.0.0.1:1/mcp")
    )
    assert not check.is_ready
    assert "Cannot connect" in check.problem


def test_check_of_no_address(current_server: LocalServer, attempt: Try) -> None:
    """What is not an address is refused before it is sent."""
    with pytest.raises(InvalidRequestError, match="url"):
        attempt(current_server.base_url, lambda client: client.check_mcp_server("nowhere"))
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_voice(attempt: Try) -> None:
    """A recording becomes text."""
    heard: list[tuple[bytes, str]] = []

    def transcribe(audio: bytes, kind: str) -> str:
        heard.append((audio, kind))
        return "Hello."

    with LocalServer(transcribe=transcribe) as server:
        assert attempt(server.base_url, lambda client: client.features()).transcription
        assert attempt(server.base_url, lambda client: client.transcribe(WAV)) == "Hello."
    assert heard == [(WAV.data, "audio/wav")]


@pytest.mark.parametrize("kind", ["path", "file"])
def test_long_recording(
    kind: str, tmp_path: Path, current_server: LocalServer, attempt: Try
) -> None:
    """A recording may be larger than what is attached to a message."""
    path = tmp_path / "note.wav"
    path.write_bytes(WAV.data + bytes(11 * 1024 * 1024))
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("POST /api/transcribe", json_response({"text": "Hello."}))
        with path.open("rb") as file:
            source = path if kind == "path" else file
            assert attempt(proxy.url, lambda client: client.transcribe(source)) == "Hello."
        sent = next(asked for asked in proxy.requests if "transcribe" in asked.target)
    assert len(sent.body) == path.stat().st_size


@pytest.mark.parametrize(
    ("size", "settings", "limit"),
    [
        (15 * 1024 * 1024 + 1, {}, "15,728,640"),
        (25 * 1024 * 1024 + 1, {"max_body_bytes": 2**30}, "26,214,400"),
    ],
    ids=["body", "recording"],
)
def test_recording_that_is_too_long(
    size: int,
    settings: dict[str, Any],
    limit: str,
    tmp_path: Path,
    current_server: LocalServer,
    attempt: Try,
) -> None:
    """What no server takes, or not this one, is refused with the limit before it is read."""
    path = tmp_path / "note.wav"
    with path.open("wb") as file:
        file.truncate(size)
    with pytest.raises(FileTooLargeError, match=f"takes at most {limit}"):
        attempt(current_server.base_url, lambda client: client.transcribe(path), **settings)
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_voice_where_it_is_not_configured(current_server: LocalServer, attempt: Try) -> None:
    """A server that cannot do it says so."""
    with pytest.raises(InvalidRequestError, match="This server does not transcribe"):
        attempt(current_server.base_url, lambda client: client.transcribe(WAV))


@pytest.mark.parametrize(
    ("audio", "error"),
    [
        (Upload("note.txt", b"text"), InvalidRequestError),
        (Upload("note.wav", bytes(25 * 1024 * 1024 + 1), "audio/wav"), FileTooLargeError),
    ],
    ids=["type", "size"],
)
def test_wrong_recording(
    audio: Upload, error: type[Exception], current_server: LocalServer, attempt: Try
) -> None:
    """What a server would refuse is not sent."""
    with pytest.raises(error, match=audio.name):
        attempt(current_server.base_url, lambda client: client.transcribe(audio))
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_share_is_read(current_server: LocalServer, attempt: Try) -> None:
    """A share is read without a conversation of one's own being made of it."""
    with HuggingChat(current_server.base_url) as author:
        conversation = author.create_conversation("echo/base")
        conversation.send("Hello.")
        address = conversation.share()
    current_server.clear_requests()
    shared = attempt(current_server.base_url, lambda client: client.read_share(address))
    assert [message.role for message in shared.messages] == ["system", "user", "assistant"]
    assert shared.model == "echo/base"
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_no_such_share(current_server: LocalServer, attempt: Try) -> None:
    """A share that there is not is not found."""
    with pytest.raises(ConversationNotFoundError):
        attempt(current_server.base_url, lambda client: client.read_share("abcdefg"))


@pytest.mark.parametrize(
    "step",
    [
        lambda client: client.read_share("abcdefg"),
        lambda client: client.features(),
        lambda client: client.running_answers(),
        lambda client: client.transcribe(WAV),
        lambda client: client.check_mcp_server("http://127.0.0.1:1/mcp"),
    ],
    ids=["share", "features", "running", "voice", "tool server"],
)
def test_legacy_servers_have_none(
    step: Operation, legacy_server: LocalServer, attempt: Try
) -> None:
    """What legacy servers do not have is refused with that reason."""
    with pytest.raises(InvalidRequestError, match="protocol of mid-2025"):
        attempt(legacy_server.base_url, step)


def test_all_conversations_are_deleted(server: LocalServer) -> None:
    """All conversations of the account go, and the client counts on none of them."""
    with HuggingChat(server.base_url) as client:
        client.chat("Hello.", model="echo/base")
        client.create_conversation("echo/base")
        client.delete_all_conversations()
        assert list(client.list_conversations()) == []
        assert client.chat("Hello.", model="echo/base").text


async def test_all_conversations_are_deleted_async(server: LocalServer) -> None:
    """The same asynchronously."""
    async with AsyncHuggingChat(server.base_url) as client:
        await client.create_conversation("echo/base")
        await client.delete_all_conversations()
        assert [info async for info in client.list_conversations()] == []


def test_running_answers(current_server: LocalServer) -> None:
    """An answer that is being written is listed with its conversation; afterwards it is not."""
    with HuggingChat(current_server.base_url) as client:
        conversation = client.create_conversation("slow/drip")
        with conversation.stream("Hello.") as stream:
            next(iter(stream))
            assert [r.conversation_id for r in client.running_answers()] == [conversation.id]
            stream.result()
        assert client.running_answers() == []


def test_no_running_answers(current_server: LocalServer, attempt: Try) -> None:
    """An account without running answers has none."""
    assert attempt(current_server.base_url, lambda client: client.running_answers()) == []


def test_features(current_server: LocalServer, attempt: Try) -> None:
    """What the server has switched on, and its public configuration."""
    features = attempt(current_server.base_url, lambda client: client.features())
    assert (features.name, features.router_model) == ("ChatUI", "omni")
    assert features.login is False
    assert features.transcription is False
    assert features.config["PUBLIC_APP_ASSETS"] == "chatui"


def test_protocol_as_it_is_known(attempt: Try, server: LocalServer) -> None:
    """A server of either generation says nothing that is not known, with a conversation or not."""
    for steps in ((), (chat(),)):
        checks = attempt(
            server.base_url, *[_and_stay(step) for step in steps], lambda c: c.check_protocol()
        )
        assert [check for check in checks if check.differences] == []
        assert any("{id}" in check.route for check in checks) is bool(steps)


def test_protocol_that_has_changed(attempt: Try, current_server: LocalServer) -> None:
    """Fields, refusals, pages and other forms are reported by route; the check changes nothing."""
    row = {"id": "not shown", "title": "secret", "mood": "secret"}
    page = Instead(response(b"<html>secret", content_type="text/html"))
    with FaultServer(current_server.base_url) as proxy:
        listed = json_response({"json": {"conversations": [row], "hasMore": False}})
        proxy.on(r"GET /api/v2/conversations\?", listed, always=True)
        proxy.on("GET /api/v2/user/settings", page, always=True)
        proxy.on("GET /api/mcp/servers", json_response({}, "404 Not Found"), always=True)
        proxy.on("GET /api/v2/feature-flags", json_response([]), always=True)
        checks = attempt(proxy.url, lambda client: client.check_protocol())
        assert {name.partition(" ")[0] for name in proxy.asked} == {"GET"}
    found = {check.route: check.differences for check in checks if check.differences}
    assert found == {
        "GET /api/v2/conversations": (
            "new: conversations[].mood",
            "missing: conversations[].model",
            "missing: conversations[].updatedAt",
        ),
        "GET /api/v2/user/settings": ("changed: the whole is an HTML page",),
        "GET /api/mcp/servers": ("changed: the whole is a refusal",),
        "GET /api/v2/feature-flags": ("changed: the whole is in another form",),
    }
    assert "secret" not in str(checks)


def _and_stay(step: Operation) -> Operation:
    """Do something, and continue with the client."""

    def both(client: Any) -> Any:
        done = step(client)
        if not inspect.isawaitable(done):
            return client

        async def wait() -> Any:
            await done
            return client

        return wait()

    return both
