"""Fixtures for the command line: the command in this process, and the server it talks to."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from typer.testing import Result

    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local import LocalServer

HOLD_SECONDS = 60.0


@pytest.fixture
def hfchat() -> Callable[..., Result]:
    """The command, run in this process with its output in no terminal."""
    from typer.testing import CliRunner

    from hfchat_base.cli.app import app

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def account(current_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of somebody who is logged in at `current_server`, set in this process."""
    return logged_in(current_server, monkeypatch)


@pytest.fixture
def own_account(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LocalServer, dict[str, str]]]:
    """The same at a server of the test's own, of each generation in turn: nobody else changes it.

    Returns the server and the environment.
    """
    from hfchat_base.local import LocalServer

    with LocalServer(generation=generation) as server:
        yield server, logged_in(server, monkeypatch)


def logged_in(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment of somebody who is logged in at a server."""
    cookies = server.new_session("cleo")
    environment = {
        "HUGGINGCHAT_BASE_URL": server.base_url,
        "HUGGINGCHAT_COOKIES": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server that asks everybody to log in, and is the default one."""
    from hfchat_base.local import LocalServer

    with LocalServer(require_login=True, base_path="/chat") as server:
        monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
        yield server


@pytest.fixture
def released() -> threading.Event:
    """Lets the model of `held_server` finish its answers."""
    return threading.Event()


@pytest.fixture
def held_server(released: threading.Event) -> Iterator[LocalServer]:
    """A server whose model begins to answer, and continues when the test says so."""
    from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer

    async def answer(_: ChatRequest) -> AsyncIterator[str]:
        yield "begun, "
        await asyncio.to_thread(released.wait, HOLD_SECONDS)
        yield "ended"

    with LocalServer(models=[LocalModel("held/one", FunctionBackend(answer))]) as server:
        yield server
        released.set()
