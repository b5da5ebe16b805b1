"""What only the current generation has: the details of models."""

from __future__ import annotations

from typing import Any

import httpx

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
