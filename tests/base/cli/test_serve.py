"""`hfchat serve`: a server that says how to use it."""

from __future__ import annotations

import re
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from hfchat_base import HuggingChat, LoginRequired
from hfchat_base.local import default_models

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.support.openai_endpoint import OpenAIEndpoint
from tests.support.terminal_session import TerminalSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result


def exported(session: TerminalSession, name: str) -> str:
    """The value that the server says to set a variable to."""
    session.expect(f"export {name}=")
    return session.expect("\n")


@pytest.mark.parametrize("generation", ["current", "legacy"])
def test_it_serves_until_ctrl_c(generation: str) -> None:
    """It prints its address, answers there as the generation asked for, and ends with Ctrl-C."""
    with TerminalSession("serve", "--port", "0", "--generation", generation) as session:
        url = exported(session, "HUGGINGCHAT_BASE_URL")
        session.expect("Press Ctrl-C here to stop the server.")
        with HuggingChat(url) as client:
            assert client.create_conversation().send("hi").text == "You said: hi"
            assert client.generation == generation
        session.ctrl_c()
        session.expect("Stopped.")
        assert session.wait() == 0


def test_a_login_is_left_in_a_private_file() -> None:
    """With --require-login guests are turned away, and a session lies in a file of the user's."""
    with TerminalSession("serve", "--port", "0", "--require-login") as session:
        url = exported(session, "HUGGINGCHAT_BASE_URL")
        path = Path(exported(session, "HUGGINGCHAT_COOKIE_FILE"))
        session.expect("Ctrl-C here")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        with HuggingChat(url) as guest, pytest.raises(LoginRequired):
            guest.create_conversation()
        with HuggingChat(url, cookies=text) as client:
            assert client.create_conversation().send("hi").text == "You said: hi"
        for value in re.findall(r'"([^"]{12,})"', text):
            assert value not in session.raw
        session.ctrl_c()
        assert session.wait() == 0
        assert not path.exists()


def test_another_host_can_be_named() -> None:
    """With --host-name requests for another host are answered too; others are refused."""
    with TerminalSession("serve", "--port", "0", "--host-name", "chat.example") as session:
        url = f"{exported(session, 'HUGGINGCHAT_BASE_URL').strip()}/api/models"
        for host, status in (("chat.example", 200), ("evil.example", 403)):
            assert httpx.get(url, headers={"host": host}).status_code == status
        session.ctrl_c()
        assert session.wait() == 0


def test_a_host_that_is_none(hfchat: Callable[..., Result]) -> None:
    """A host name that cannot be one is wrong usage."""
    result = hfchat("serve", "--port", "0", "--host-name", "http://chat.example")
    assert result.exit_code == 2
    assert "is not a host" in result.stderr


def test_a_port_that_is_taken(hfchat: Callable[..., Result]) -> None:
    """A port that cannot be had is an error with a way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = hfchat("serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "--port 0" in result.stderr


def test_models_behind_a_url() -> None:
    """--openai-url answers with the models at that URL."""
    with (
        OpenAIEndpoint(default_models()) as endpoint,
        TerminalSession("serve", "--port", "0", "--openai-url", endpoint.url) as session,
    ):
        address = exported(session, "HUGGINGCHAT_BASE_URL")
        with HuggingChat(address) as client:
            answer = client.create_conversation("echo/base").send("through two servers")
        assert answer.text == "You said: through two servers"
        session.ctrl_c()
        session.wait()


def test_nothing_behind_the_url(hfchat: Callable[..., Result]) -> None:
    """A URL without models is an error that shows an example of a right one."""
    result = hfchat("serve", "--port", "0", "--openai-url", "http://127.0.0.1:9/v1")
    assert result.exit_code == 1
    assert "http://127.0.0.1:11434/v1" in result.stderr
    assert "without a network" not in result.stderr


def test_one_kind_of_model(hfchat: Callable[..., Result]) -> None:
    """Two kinds of models at once are wrong usage."""
    result = hfchat("serve", "--demo", "--openai-url", "http://127.0.0.1:9/v1")
    assert result.exit_code == 2
