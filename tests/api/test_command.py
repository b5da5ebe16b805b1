"""``hfchat api``: what it prints, and who may use it."""

from __future__ import annotations

import socket
import sys
from functools import partial

import openai
import pytest
from typer.testing import CliRunner

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from hfchat_base.cli.app import app
from hfchat_base.local import Limits, LocalServer
from tests.support.terminal_session import TerminalSession


def exported(session: TerminalSession, name: str) -> str:
    """The value that the command says to set a variable to."""
    session.expect(f"export {name}=")
    return session.expect("\n").strip()


def test_it_serves_until_ctrl_c(current_server: LocalServer) -> None:
    """It prints its URL and a new key, answers there, and ends with Ctrl-C."""
    arguments = ("api", "--port", "0", "--base-url", current_server.base_url)
    with TerminalSession(*arguments) as session:
        url, key = exported(session, "OPENAI_BASE_URL"), exported(session, "OPENAI_API_KEY")
        session.expect("Ctrl-C here stops it.")
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
            answer = client.chat.completions.create(
                model="echo/base", messages=[{"role": "user", "content": "Hello"}]
            )
            stranger = client.with_options(api_key="other")
            with pytest.raises(openai.AuthenticationError):
                stranger.models.list()
        assert answer.choices[0].message.content == "You said: Hello"
        session.ctrl_c()
        session.expect("Stopped.")
        assert session.wait() == 0


def test_a_given_key_is_not_printed(current_server: LocalServer) -> None:
    """A key from the environment is used, and not shown."""
    environment = {"HFCHAT_API_KEY": "given-key"}
    arguments = ("api", "--port", "0", "--base-url", current_server.base_url)
    with TerminalSession(*arguments, environment=environment) as session:
        url = exported(session, "OPENAI_BASE_URL")
        rest = session.expect("Ctrl-C here stops it.")
        assert "given-key" not in rest
        with openai.OpenAI(base_url=url, api_key="given-key", max_retries=0) as client:
            assert client.models.list().data
        session.ctrl_c()
        assert session.wait() == 0


def test_limits_are_reported_at_once() -> None:
    """With --no-wait, a message over the server's limit is refused, and so is the next one."""
    with LocalServer(limits=Limits(messages_per_minute=1)) as server:
        arguments = ("api", "--no-wait", "--no-key", "--port", "0", "--base-url", server.base_url)
        with TerminalSession(*arguments) as session:
            url = exported(session, "OPENAI_BASE_URL")
            session.expect("Ctrl-C here stops it.")
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                ask = partial(
                    client.chat.completions.create,
                    model="echo/base",
                    messages=[{"role": "user", "content": "Hello"}],
                )
                ask()
                for _ in range(2):
                    with pytest.raises(openai.RateLimitError):
                        ask()
            session.ctrl_c()
            assert session.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--no-key", "--host", "0.0.0.0"), "loopback"),  # noqa: S104 - refused
        (("--no-key", "--key", "k"), "--no-key"),
        (("--demo", "--base-url", "http://127.0.0.1:9"), "--demo"),
        (("--host-name", "http://x", "--port", "0"), "not a host"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments: tuple[str, ...], reason: str) -> None:
    """An open door to the network, and contradictions, are a usage error."""
    done = CliRunner().invoke(app, ["api", *arguments])
    assert done.exit_code == 2
    assert reason in done.output


def test_a_port_in_use_is_named() -> None:
    """The error says which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["api", "--port", str(port)])
    assert done.exit_code == 1
    assert f"Port {port} is in use" in done.output
