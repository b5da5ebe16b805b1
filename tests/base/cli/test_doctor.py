"""`hfchat doctor`: each check, what it finds, and what it advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead
from tests.support.sessions import save_session

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
        "versions", "proxy", "reachability", "clock", "generation", "session", "login", "credits",
        "features", "models", "stream",
    ]  # fmt: skip
    assert said["session"].startswith("✓ from saved, of alice")
    assert said["login"] == "✓ alice alice@example.com"
    assert "first token in" in said["stream"]
    assert said["credits"] == "· only HuggingChat bills accounts"
    assert "transcription off" in said["features"]
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


def test_doctor_of_an_account_that_pays(
    hfchat: Callable[..., Result], closed: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On HuggingChat doctor and whoami say who pays, and where to see what is left."""
    monkeypatch.setattr("hfchat_base.cli.options.DEFAULT_BASE_URL", closed.base_url)
    save_session(closed)
    said = lines_of(hfchat("doctor"))["credits"]
    assert said.startswith("! answers are paid by the account's own inference credits")
    assert "https://huggingface.co/settings/billing" in said
    hfchat("settings", "billing_organization=acme")
    assert "paid by acme" in lines_of(hfchat("doctor"))["credits"]
    result = hfchat("whoami")
    assert result.stdout == "alice <alice@example.com>\n"
    assert result.stderr.startswith("Answers are paid by acme.")


def test_doctor_of_a_legacy_server(
    hfchat: Callable[..., Result], legacy_server: LocalServer
) -> None:
    """A server that does not list its features passes the check."""
    said = lines_of(hfchat("doctor", "--base-url", legacy_server.base_url))
    assert said["features"] == "· this server does not tell"


def test_wire_of_a_server_that_is_known(hfchat: Callable[..., Result], server: LocalServer) -> None:
    """--wire names routes and versions, and neither the server nor the account."""
    result = hfchat("doctor", "--wire", "--base-url", server.base_url)
    assert result.exit_code == 0, result.output
    assert "✓ GET /api/models  200" in result.stdout
    assert "No difference." in result.stdout
    assert server.base_url not in result.stdout
    assert {request.method for request in server.requests} == {"GET"}


def test_wire_of_another_server(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """What differs is printed by name, with exit code 1."""
    body = b'{"json":{"loginEnabled":true,"transcriptionEnabled":1,"mood\\u001b[31m":"secret"}}'
    flags = Instead(response(body, content_type="application/json"))
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/v2/feature-flags", flags)
        result = hfchat("doctor", "--wire", "--base-url", proxy.url)
    assert result.exit_code == 1
    assert "    new: (not a plain name)\n" in result.stdout
    assert "    changed: transcriptionEnabled is integer, not boolean\n" in result.stdout
    assert "2 differences." in result.stdout
    assert "secret" not in result.output


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
