"""`hfchat doctor`: each check, what it finds, and what it advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat
from tests.support.saved_sessions import save_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer


def lines_of(result: Result) -> dict[str, str]:
    """What the doctor said, by the name of the check, signs and advice included."""
    found: dict[str, str] = {}
    name = ""
    for line in result.stdout.splitlines()[1:]:
        if line.startswith("  "):
            found[name] += line
        else:
            sign, name, *rest = line.split()
            found[name] = " ".join([sign, *rest])
    return found


def test_doctor_finds_all_well(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """With a session everything is checked, to the end of an answer."""
    save_session(closed)
    result = hfchat("doctor")
    assert result.exit_code == 0, result.output
    said = lines_of(result)
    assert list(said) == [
        "versions", "proxy", "reachability", "clock", "generation", "session", "login", "models",
        "stream",
    ]  # fmt: skip
    assert said["session"].startswith("✓ from saved, of alice")
    assert said["login"] == "✓ alice alice@example.com"
    assert "first token in" in said["stream"]
    with HuggingChat() as client:
        assert not list(client.list_conversations())


def test_doctor_without_a_session(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """Without one it says where was looked, and what to do."""
    result = hfchat("doctor")
    assert result.exit_code == 1
    said = lines_of(result)
    command = f"hfchat login --base-url {closed.base_url}"
    assert "saved session: there is none" in said["session"]
    assert command in said["login"]
    assert said["stream"].startswith("✗")
    assert command in said["stream"]


def test_doctor_with_a_lost_session(hfchat: Callable[..., Result], closed: LocalServer) -> None:
    """A session that the server no longer knows is found by asking who we are."""
    save_session(closed)
    closed.end_all_sessions()
    said = lines_of(hfchat("doctor"))
    assert said["login"].startswith("✗ the server does not know this session")


def test_doctor_without_a_server(
    hfchat: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers, the rest is not tried; a proxy's password is not shown."""
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.example:3128")
    result = hfchat("doctor", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    said = lines_of(result)
    assert said["reachability"].startswith("✗ http://127.0.0.1:9 cannot be reached")
    assert said["models"] == "· not tried"
    assert "proxy.example" in said["proxy"]
    assert "secret" not in result.output
