"""Which server is chosen where there may be a login or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
from hfchat_base.offline import local_server_unless_logged_in


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server that is not started, in an environment that is put back afterwards."""
    for name in ("HUGGINGCHAT_LOCAL", "HUGGINGCHAT_BASE_URL", "HUGGINGCHAT_COOKIES"):
        monkeypatch.setenv(name, "")
    server = LocalServer()
    yield server
    server.stop()


def log_in(monkeypatch: pytest.MonkeyPatch, **cookies: str) -> None:
    """Put a session for huggingface.co into the environment."""
    monkeypatch.setenv("HUGGINGCHAT_COOKIES", json.dumps(cookies))


def test_local_without_a_login(local: LocalServer) -> None:
    """Clients without arguments talk to the local server, as somebody who has logged in."""
    assert local_server_unless_logged_in(local) is local
    with HuggingChat() as client:
        assert client.base_url == local.base_url
        user = client.whoami()
        assert user is not None
        assert user.username == "alice"


def test_none_with_a_server_of_ones_own(
    local: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that the environment names is used."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", "https://chat.example.com")
    assert local_server_unless_logged_in(local) is None
    assert os.environ["HUGGINGCHAT_BASE_URL"] == "https://chat.example.com"


def test_none_with_a_login(local: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has logged in to huggingface.co stays there."""
    log_in(monkeypatch, **{"hf-chat": "secret-chat", "token": "secret-site"})
    assert local_server_unless_logged_in(local) is None


def test_local_with_a_guests_session(local: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chat's cookie without the site's is what any visitor has, and not a login."""
    log_in(monkeypatch, **{"hf-chat": "secret-chat"})
    assert local_server_unless_logged_in(local) is local


def test_always_local_where_the_environment_says_so(
    local: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HUGGINGCHAT_LOCAL overrides a login, whose cookies and model are not used there."""
    log_in(monkeypatch, **{"hf-chat": "secret-chat", "token": "secret-site"})
    monkeypatch.setenv("HUGGINGCHAT_MODEL", "big/model")
    monkeypatch.setenv("HUGGINGCHAT_LOCAL", "1")
    assert local_server_unless_logged_in(local) is local
    with HuggingChat() as client:
        assert client.chat("hello").text == "You said: hello"
    assert not any("secret" in str(request.headers) for request in local.requests)


def test_local_again(local: LocalServer) -> None:
    """A cell that runs a second time chooses a local server again."""
    local_server_unless_logged_in(local)
    with LocalServer() as another:
        assert local_server_unless_logged_in(another) is another
        assert os.environ["HUGGINGCHAT_BASE_URL"] == another.base_url
