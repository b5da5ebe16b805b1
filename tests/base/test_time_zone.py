"""The time zone that is sent with a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import time_zone
from hfchat_base.time_zone import is_time_zone, local_time_zone

if TYPE_CHECKING:
    from pathlib import Path

    from hfchat_base.local import LocalServer
    from tests.support.attempts import Try


@pytest.mark.parametrize("name", ["UTC", "Etc/UTC", "Europe/Berlin", "America/Indiana/Knox"])
def test_names(name: str) -> None:
    """IANA names are names of zones."""
    assert is_time_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "Middle/Earth", "Europe", "Europe/Berlin ", "/Europe/Berlin", "../UTC", "UTC\0"),
        *("CET-1CEST", "localtime", "posix/UTC", "right/UTC", "Europe/Zürich"),
    ],
)
def test_no_names(name: str) -> None:
    """What names no zone, or only a file next to them, does not."""
    assert not is_time_zone(name)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Asia/Tokyo", "Asia/Tokyo"),
        ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ("JST-9", None),
    ],
)
def test_environment(value: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """``TZ`` decides if it is set; a rule without a name has none."""
    monkeypatch.setenv("TZ", value)
    assert local_time_zone() == name


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a machine whose zone is set nowhere yet."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(time_zone, "_LOCAL", tmp_path / "localtime")
    monkeypatch.setattr(time_zone, "_DEBIAN", tmp_path / "timezone")
    return tmp_path


def test_link(machine: Path) -> None:
    """The machine's zone is what ``/etc/localtime`` links to."""
    zone = machine / "zoneinfo" / "Asia" / "Tokyo"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (machine / "localtime").symlink_to(zone)
    assert local_time_zone() == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("written", "name"), [(b"Asia/Tokyo\n", "Asia/Tokyo"), (b"\xff", None), (b"no name", None)]
)
def test_file(written: bytes, name: str | None, machine: Path) -> None:
    """Where that is a copy, it is what ``/etc/timezone`` says."""
    (machine / "localtime").touch()
    (machine / "timezone").write_bytes(written)
    assert local_time_zone() == name


def test_unknown(machine: Path) -> None:
    """A machine that says nothing has no zone."""
    assert not list(machine.iterdir())
    assert local_time_zone() is None


def _sent(server: LocalServer) -> list[Any]:
    """The zones that came with messages, "none" where there was none."""
    bodies = [r.json for r in server.requests if r.method == "POST"]
    return [body.get("timezone", "none") for body in bodies if body and "inputs" in body]


@pytest.mark.parametrize(
    ("option", "sent"), [(None, "Asia/Tokyo"), ("Europe/Berlin", "Europe/Berlin"), (False, "none")]
)
def test_message_carries_it(
    option: Any,
    sent: str,
    current_server: LocalServer,
    attempt: Try,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every message carries the machine's zone, or another one, or none, as it is wanted."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    def ask(client: Any) -> Any:
        return client.chat("Hello.", model="echo/base")

    def ask_in_conversation(client: Any) -> Any:
        return client.create_conversation("echo/base")

    attempt(current_server.base_url, ask, timezone=option)
    attempt(
        current_server.base_url,
        ask_in_conversation,
        lambda conversation: conversation.send("Hello."),
        timezone=option,
    )
    assert _sent(current_server) == [sent, sent]


@pytest.mark.parametrize(("option", "sent"), [("Europe/Berlin", "Europe/Berlin"), (False, "none")])
def test_message_of_a_call_carries_another(
    option: Any, sent: str, current_server: LocalServer, attempt: Try
) -> None:
    """A call may choose its own, or none, in a history as in a conversation."""

    def ask(client: Any) -> Any:
        return client.chat("Hello.", model="echo/base", timezone=option)

    def ask_in_conversation(client: Any) -> Any:
        return client.create_conversation("echo/base")

    attempt(current_server.base_url, ask, timezone="Asia/Tokyo")
    attempt(
        current_server.base_url,
        ask_in_conversation,
        lambda conversation: conversation.send("Hello.", timezone=option),
        timezone="Asia/Tokyo",
    )
    assert _sent(current_server) == [sent, sent]


def test_legacy_servers_get_none(legacy_server: LocalServer, attempt: Try) -> None:
    """A legacy server, whose page sends none, gets none."""
    attempt(
        legacy_server.base_url,
        lambda client: client.chat("Hello.", model="echo/base"),
        timezone="Europe/Berlin",
    )
    assert _sent(legacy_server) == ["none"]


def test_model_with_tools_is_told(current_server: LocalServer, attempt: Try) -> None:
    """A model with tools learns where the user is."""
    tool = {"name": "local", "url": "http://127.0.0.1:9200/mcp", "headers": {}}
    attempt(
        current_server.base_url,
        lambda client: client.chat("What?", model="tools/agent", mcp_servers=[tool]),
        timezone="Europe/Berlin",
    )
    assert "Europe/Berlin" in current_server.prompts[0].messages[0]["content"]
