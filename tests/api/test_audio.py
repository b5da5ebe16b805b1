"""Recordings, which a server that transcribes turns into what is said in them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from hfchat_base.local import LocalServer
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

WAV: Final = base64.b64encode(b"RIFF\x04\x00\x00\x00WAVE").decode()
MP3: Final = base64.b64encode(b"ID3\x04\x00\x00\x00\x00\x00\x00").decode()
PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server that hears how long a recording is, and of what type."""
    with LocalServer(transcribe=lambda data, mime: f"{len(data)} bytes of {mime}.") as server:
        yield server


@pytest.fixture
def http(server: LocalServer) -> Iterator[httpx.Client]:
    """A client of the API in front of it."""
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        ApiServer(server.base_url) as api,
        httpx.Client(base_url=api.address, headers=headers, timeout=60) as http,
    ):
        yield http


def recording(data: str = WAV, kind: str = "wav") -> dict[str, Any]:
    """A recording as both APIs have it."""
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def asked(path: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """A request of either form with these parts."""
    field = "input" if path == "/v1/responses" else "messages"
    return {"model": "echo/base", field: [{"role": "user", "content": list(parts)}]}


def text_part(path: str, text: str) -> dict[str, Any]:
    """A text as a part of a message of either form."""
    return {"type": "input_text" if path == "/v1/responses" else "text", "text": text}


@PATHS
@pytest.mark.parametrize(
    ("data", "kind", "heard"),
    [(WAV, "wav", "12 bytes of audio/wav."), (MP3, "mp3", "10 bytes of audio/mpeg.")],
    ids=["wav", "mp3"],
)
def test_a_recording_is_what_is_said_in_it(
    http: httpx.Client, server: LocalServer, path: str, data: str, kind: str, heard: str
) -> None:
    """Alone, it is the message."""
    answer = http.post(path, json=asked(path, recording(data, kind)))
    assert answer.status_code == 200
    assert server.prompts[-1].messages[-1]["content"] == heard


@PATHS
def test_a_recording_beside_a_text(http: httpx.Client, server: LocalServer, path: str) -> None:
    """It is a document then."""
    parts = recording(), text_part(path, "Sum it up.")
    assert http.post(path, json=asked(path, *parts)).status_code == 200
    prompt = str(server.prompts[-1].messages[-1]["content"])
    assert "Sum it up." in prompt
    assert "12 bytes of audio/wav." in prompt


def test_a_history_with_a_recording_goes_on(http: httpx.Client, server: LocalServer) -> None:
    """It is transcribed once, and its conversation is found when it is sent again."""
    path = "/v1/chat/completions"
    request = asked(path, recording())
    first = http.post(path, json=request).json()["choices"][0]["message"]
    request["messages"] += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "Again"},
    ]
    assert http.post(path, json=request).status_code == 200
    sent = [seen.path for seen in server.requests]
    assert sent.count("/conversation") == 1
    assert sent.count("/api/transcribe") == 1
    assert server.prompts[-1].messages[-1]["content"] == "Again"


@PATHS
@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (recording(""), "is empty"),
        (recording("RIFF!"), "base64"),
        (recording(kind="tape"), "audio/tape"),
        ({"type": "input_audio"}, "input_audio"),
    ],
    ids=["empty", "no base64", "unknown format", "no data"],
)
def test_a_recording_that_is_none(
    http: httpx.Client, server: LocalServer, path: str, part: dict[str, Any], reason: str
) -> None:
    """It is a bad request that says why, and nothing is sent."""
    answer = http.post(path, json=asked(path, part))
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]
    assert not server.prompts


@PATHS
def test_a_server_that_does_not_transcribe(path: str) -> None:
    """The request is refused with that reason, and no message is sent."""
    with (
        LocalServer() as deaf,
        ApiServer(deaf.base_url, key=None) as api,
        httpx.Client(base_url=api.address, timeout=60) as http,
    ):
        answer = http.post(path, json=asked(path, recording()))
        assert answer.status_code == 400
        assert "does not transcribe" in answer.json()["error"]["message"]
        assert not deaf.prompts
