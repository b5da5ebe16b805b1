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
