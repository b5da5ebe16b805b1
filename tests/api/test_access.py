"""Who may use the API: those who have the key, from hosts and pages that are its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hfchat_base import AsyncHuggingChat
from hfchat_base.api import create_app, new_key
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

BEARER = {"authorization": f"Bearer {KEY}"}
HELLO = {"model": "echo/base", "messages": [{"role": "user", "content": "a secret prompt"}]}


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer é"]
)
def test_the_key_is_needed(api: ApiServer, authorization: str | None) -> None:
    """Without the key, or with another, nothing is answered."""
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    answer = httpx.get(f"{api.url}/models", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_clients_know_the_error(api: ApiServer) -> None:
    """OpenAI's client raises its error for a wrong key."""
    with (
        openai.OpenAI(base_url=api.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_health_needs_no_key(api: ApiServer) -> None:
    """A container's health check has no key, and learns nothing but that the server runs."""
    answer = httpx.get(f"{api.address}/health")
    assert answer.json() == {"status": "ok"}


async def test_the_health_of_a_mounted_application_needs_no_key() -> None:
    """Wherever the application is mounted; all else there needs the key."""
    client = AsyncHuggingChat("http://127.0.0.1:9")
    outer = Starlette(routes=[Mount("/hf", create_app(client, key=KEY, hosts=["api.test"]))])
    transport = httpx.ASGITransport(outer)
    async with client, httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        answers = [await http.get(path) for path in ("/hf/health", "/hf/v1/models", "/health")]
    assert [answer.status_code for answer in answers] == [200, 401, 404]


def test_without_a_key_everybody_may(current_server: LocalServer) -> None:
    """If no key is wanted, none is needed."""
    with ApiServer(current_server.base_url, key=None) as api:
        assert httpx.get(f"{api.url}/models").status_code == 200


async def test_an_empty_key_is_refused(current_server: LocalServer) -> None:
    """An empty key would let everybody in by mistake."""
    async with AsyncHuggingChat(current_server.base_url) as client:
        for key in ("", " "):
            with pytest.raises(ValueError, match="key"):
                create_app(client, key=key)
        with pytest.raises(ValueError, match="not a host"):
            create_app(client, key="k", hosts=["http://chat.example"])


def test_made_up_keys_differ() -> None:
    """Each key is new and long."""
    keys = {new_key() for _ in range(10)}
    assert len(keys) == 10
    assert min(map(len, keys)) > 30


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_foreign_hosts_and_pages_are_refused(api: ApiServer, headers: dict[str, str]) -> None:
    """A page elsewhere cannot use the server, even if it has the key."""
    answer = httpx.get(f"{api.url}/models", headers={**BEARER, **headers})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_further_hosts_can_be_named(current_server: LocalServer) -> None:
    """A server in a container is known by another name."""
    with ApiServer(current_server.base_url, hosts=["hfchat"]) as api:
        answer = httpx.get(f"{api.url}/models", headers={**BEARER, "host": "hfchat:8000"})
    assert answer.status_code == 200


def test_pages_of_named_origins_may_use_it(current_server: LocalServer) -> None:
    """With an origin named, its pages get CORS headers, and other pages are still refused."""
    page = {"origin": "https://chat.example", "sec-fetch-site": "cross-site"}
    with ApiServer(current_server.base_url, origins=["https://chat.example"]) as api:
        preflight = httpx.options(
            f"{api.url}/models",
            headers={
                **page,
                "access-control-request-method": "GET",
                "access-control-request-headers": "authorization",
            },
        )
        answer = httpx.get(f"{api.url}/models", headers={**BEARER, **page})
        other = httpx.get(
            f"{api.url}/models", headers={**BEARER, **page, "origin": "https://evil.example"}
        )
    assert preflight.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    assert other.status_code == 403


def test_logs_hold_no_prompt_and_no_key(api: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an answer nor a failure writes what was said, or the key, into a log."""
    caplog.set_level(logging.DEBUG)
    for model in ("echo/base", "broken/midstream", "broken/http500", "no/such"):
        for stream in (False, True):
            try:
                httpx.post(
                    f"{api.url}/chat/completions",
                    json={**HELLO, "model": model, "stream": stream},
                    headers=BEARER,
                )
            except httpx.RemoteProtocolError:
                assert model == "broken/midstream"
    assert "a stream broke off: GenerationFailed (generation_failed)" in caplog.text
    assert "a secret prompt" not in caplog.text
    assert KEY not in caplog.text


def test_an_internal_error_is_logged_without_its_text(
    current_server: LocalServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a bug says may be a prompt: the log has its kind and its place."""

    def fail(_client: AsyncHuggingChat) -> None:
        raise RuntimeError("a secret prompt")

    monkeypatch.setattr(AsyncHuggingChat, "get_models", fail)
    with ApiServer(current_server.base_url) as api:
        answer = httpx.get(f"{api.url}/models", headers=BEARER)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "RuntimeError at test_access.py" in caplog.text
    assert "a secret prompt" not in caplog.text
