"""`hfchat conversations export` and `search`: an archive from the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat
from tests.support.faults.fault_server import READ, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer

    OwnAccount = tuple[LocalServer, dict[str, str]]


@pytest.fixture
def conversation_id(own_account: OwnAccount) -> str:
    """The only conversation of an account, with a hostile title."""
    del own_account
    with HuggingChat() as client:
        conversation = client.create_conversation("echo/base")
        conversation.send("The ferry leaves at \x1b[31mnoon.")
        conversation.rename("\x1b]0;owned\x07[bold]Ferries[/bold]")
        return conversation.id


def test_exporting_twice(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """Standard output is the archive's path; standard error says what became of conversations."""
    first = hfchat("conversations", "export")
    assert first.exit_code == 0, first.output
    assert Path(first.stdout.strip()).name == "archive.sqlite3"
    assert first.stderr == "✓ 1 new\n"
    second = hfchat("conversations", "export")
    assert second.stdout == first.stdout
    assert second.stderr == "✓ 1 unchanged\n"
    del conversation_id


@pytest.mark.parametrize(("form", "folder"), [("md", "markdown"), ("json", "json")])
def test_exporting_files(
    hfchat: Callable[..., Result], conversation_id: str, tmp_path: Path, form: str, folder: str
) -> None:
    """--format writes a file for each conversation, in the folder of --output."""
    arguments = ("conversations", "export", "--format", form, "--output", str(tmp_path / "chats"))
    result = hfchat(*arguments)
    assert result.stdout.strip() == str(tmp_path / "chats" / folder)
    text = (tmp_path / "chats" / folder / f"{conversation_id}.{form}").read_text("utf-8")
    assert "The ferry leaves at" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "since",
    [
        *("1h", "2d", "3w", "1Y", "6mo", "30 days", "1 hour", "2 weeks ago", "3  Months", "1 year"),
        *("2026-01-01", "2026-01-01T12:00:00+02:00", "2026-01-01T12:00:00Z", "2026-01-01 12:00"),
        *("2026-01", "2026", "Yesterday"),
    ],
)
def test_since_then(hfchat: Callable[..., Result], conversation_id: str, since: str) -> None:
    """--since takes dates and durations as people write them."""
    assert hfchat("conversations", "export", "--since", since).stderr == "✓ 1 new\n"
    del conversation_id


def test_since_the_future(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """What was not used since then is left out."""
    result = hfchat("conversations", "export", "--since", "2999-01-01")
    assert result.stderr == "No conversation was used since then.\n"
    del conversation_id


@pytest.mark.parametrize(
    "since", ["someday", "3", "999999y", "-1d", "30m", "2026-13", "01.08.2026", ""]
)
def test_since_is_checked(hfchat: Callable[..., Result], since: str) -> None:
    """What is neither a date nor a duration is wrong usage, before anything is asked."""
    result = hfchat("conversations", "export", "--since", since)
    assert result.exit_code == 2
    assert "2026-08-01" in result.stderr


def test_what_cannot_be_read(
    hfchat: Callable[..., Result],
    current_server: LocalServer,
    account: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A conversation that fails is named, with exit code 1; the others are saved."""
    del account
    with HuggingChat() as client:
        for _ in range(2):
            client.create_conversation("echo/base")
    unreadable = Instead(response(b'{"json":{}}', content_type="application/json"))
    with FaultServer(current_server.base_url) as proxy:
        monkeypatch.setenv("HUGGINGCHAT_BASE_URL", proxy.url)
        proxy.on(READ, unreadable)
        result = hfchat("conversations", "export")
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
    assert "1 failed" in result.stderr


def test_searching(
    hfchat: Callable[..., Result], conversation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, hits are lines of id, date, kind, title and text, and harmless."""
    hfchat("conversations", "export")
    monkeypatch.setenv("HUGGINGCHAT_COOKIES", "hf-chat=nobody")
    lines = hfchat("conversations", "search", "ferry", "leaves").stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == [conversation_id] * 2
    assert [row[2:4] for row in rows] == [
        ["user", "[bold]Ferries[/bold]"],
        ["assistant", "[bold]Ferries[/bold]"],
    ]
    assert rows[0][4] == "The ferry leaves at noon."
    (hit,) = json.loads(hfchat("conversations", "search", "ferries", "--json").stdout)
    assert (hit["kind"], hit["conversation_id"]) == ("title", conversation_id)


def test_searching_in_vain(
    hfchat: Callable[..., Result], conversation_id: str, tmp_path: Path
) -> None:
    """Nothing found is exit code 1, as with grep; without an archive it says how to make one."""
    result = hfchat("conversations", "search", "ferry")
    assert result.exit_code == 1
    assert "hfchat conversations export" in result.stderr
    hfchat("conversations", "export", "--output", str(tmp_path / "chats"))
    result = hfchat("conversations", "search", "zebra", "--archive", str(tmp_path / "chats"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Nothing" in result.stderr
    del conversation_id


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal(own_account: OwnAccount, conversation_id: str) -> None:
    """There matches stand out under the title of their conversation, and nothing is obeyed."""
    from tests.support.terminal_session import TerminalSession  # noqa: PLC0415 - Unix only

    with TerminalSession("conversations", "export", environment=own_account[1]) as session:
        session.expect("✓ 1 new")
        session.expect("archive.sqlite3")
        assert session.wait() == 0
    arguments = ("conversations", "search", "ferry")
    with TerminalSession(*arguments, environment=own_account[1]) as session:
        session.expect("[bold]Ferries[/bold]")
        session.expect(conversation_id)
        session.expect("user: The ferry leaves at noon.")
        assert session.wait() == 0
        assert "\x1b]0;" not in session.raw
        assert "\x1b[1;33mferry" in session.raw
