"""`hfchat conversations`: what the account holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer


@pytest.fixture
def conversation_id(account: dict[str, str]) -> str:
    """A conversation of the account, with one turn and a hostile title."""
    del account
    with HuggingChat() as client:
        conversation = client.create_conversation("echo/base", "Be kind.")
        conversation.send("**hello**")
        conversation.rename("\x1b[31m[bold]a title")
        return conversation.id


def test_the_list_is_one_line_each(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """In a pipe a conversation is a line of id, time, model and title, harmless."""
    for arguments in (("conversations",), ("conversations", "list", "-n", "1")):
        result = hfchat(*arguments)
        assert result.exit_code == 0, result.output
        fields = result.stdout.splitlines()[0].split("\t")
        assert fields[0] == conversation_id
        assert fields[2:] == ["echo/base", "[bold]a title"]


def test_options_go_to_the_list(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """Without a command, options are those of the list."""
    rows = json.loads(hfchat("conversations", "--json", "-n", "1").stdout)
    assert [row["id"] for row in rows] == [conversation_id]


def test_guests_are_told_that_they_have_none(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """An empty list is said to be one, on standard error."""
    result = hfchat("conversations", "--base-url", current_server.base_url)
    assert result.stdout == ""
    assert "no conversations" in result.stderr


def test_messages_are_shown(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """`show` prints the messages in order, with who said them."""
    lines = hfchat("conversations", "show", conversation_id).stdout.splitlines()
    assert lines[0] == "[bold]a title"
    said = [line for line in lines[2:] if line]
    assert said[-4:] == ["user", "**hello**", "assistant", "You said: **hello**"]


def test_renaming(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """`rename` gives another title."""
    assert hfchat("conversations", "rename", conversation_id, "Better").exit_code == 0
    assert "Better" in hfchat("conversations").stdout


def test_deleting_asks_first(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """`delete` asks, unless an option says not to."""
    assert hfchat("conversations", "delete", conversation_id, stdin="n\n").exit_code == 1
    assert conversation_id in hfchat("conversations").stdout
    assert hfchat("conversations", "delete", conversation_id, "--yes").exit_code == 0
    assert conversation_id not in hfchat("conversations").stdout


def test_deleting_all_asks_for_the_name(
    hfchat: Callable[..., Result], own_account: tuple[LocalServer, dict[str, str]]
) -> None:
    """`delete --all` deletes nothing until the account's name is typed, or --yes says so."""
    del own_account
    with HuggingChat() as client:
        for _ in range(2):
            client.create_conversation("echo/base")
        for typed in ("y\n", "\n", "", "CLEO\n"):
            assert hfchat("conversations", "delete", "--all", stdin=typed).exit_code == 1
        assert len(list(client.list_conversations())) == 2
        result = hfchat("conversations", "delete", "--all", stdin="cleo\n")
        assert result.exit_code == 0
        assert "2 conversations" in result.stdout
        assert not list(client.list_conversations())
        client.create_conversation("echo/base")
        assert hfchat("conversations", "delete", "--all", "--yes").exit_code == 0
        assert not list(client.list_conversations())


@pytest.mark.parametrize("arguments", [(), ("0" * 24, "--all")])
def test_what_to_delete_is_said_once(
    hfchat: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    """An id or --all: neither and both are wrong usage."""
    assert hfchat("conversations", "delete", *arguments).exit_code == 2


def test_sharing_prints_the_address(hfchat: Callable[..., Result], conversation_id: str) -> None:
    """`share` prints the address alone."""
    result = hfchat("conversations", "share", conversation_id)
    assert result.stdout.startswith("http://")
    assert result.stdout.count("\n") == 1


def test_a_conversation_that_is_not_there(
    hfchat: Callable[..., Result], account: dict[str, str]
) -> None:
    """An unknown id is one line of error."""
    del account
    result = hfchat("conversations", "show", "0" * 24)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no such conversation")
