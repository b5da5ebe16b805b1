"""What only the current generation has: details of models, and speech to text."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hfchat_base.local import FunctionBackend, LocalModel, LocalServer

BACKEND = FunctionBackend(lambda _: "yes")
PROVIDER = {"provider": "local", "status": "live", "context_length": 8192}


def details(model: LocalModel) -> dict[str, Any]:
    """What a server says of its model."""
    with LocalServer(models=[model]) as server:
        answer = httpx.get(f"{server.base_url}/api/v2/models/{model.id}").json()
    found: dict[str, Any] = answer["json"]
    return found


def test_details() -> None:
    """Details are those of the list, with who runs the model and the limit of its answers."""
    found = details(LocalModel("my/model", BACKEND, providers=[PROVIDER], max_tokens=500))
    assert (found["id"], found["supportsTools"]) == ("my/model", False)
    assert found["providers"] == [PROVIDER]
    assert found["parameters"]["max_tokens"] == 500


def test_details_of_a_self_hosted_server() -> None:
    """A server that names no provider says nothing of the window (R: ``model_details``)."""
    found = details(LocalModel("my/model", BACKEND))
    assert found["providers"] is None
    assert found["parameters"] == {"stop_sequences": None}


def say(server: LocalServer, recording: bytes, kind: str) -> httpx.Response:
    """Send a recording."""
    return httpx.post(
        f"{server.base_url}/api/transcribe",
        content=recording,
        headers={"content-type": kind, "origin": server.base_url},
    )


@pytest.mark.parametrize(
    ("recording", "kind", "status", "answer"),
    [
        (b"abc", "audio/webm;codecs=opus", 200, {"text": "3 of audio/webm;codecs=opus"}),
        (b"abc", "text/plain", 400, {"message": "Unsupported audio format: text/plain"}),
    ],
    ids=["recording", "text"],
)
def test_transcription(recording: bytes, kind: str, status: int, answer: dict[str, str]) -> None:
    """A recording becomes the text that the server's function makes of it."""
    with LocalServer(transcribe=lambda data, mime: f" {len(data)} of {mime}\n") as server:
        response = say(server, recording, kind)
        flags = httpx.get(f"{server.base_url}/api/v2/feature-flags").json()["json"]
    assert (response.status_code, response.json()) == (status, answer)
    assert flags["transcriptionEnabled"] is True


def test_no_transcription() -> None:
    """A server without a function does not transcribe (R: ``transcribe``)."""
    with LocalServer() as server:
        response = say(server, b"abc", "audio/wav")
        flags = httpx.get(f"{server.base_url}/api/v2/feature-flags").json()["json"]
    assert (response.status_code, response.json()) == (
        503,
        {"message": "Transcription is not configured"},
    )
    assert flags["transcriptionEnabled"] is False
