"""`hfchat chat` with lines from a pipe: the loop and its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from hfchat_base.local import LocalServer


@pytest.fixture
def chat(hfchat: Callable[..., Result], current_server: LocalServer) -> Callable[..., Result]:
    """The chat, given lines to read."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> Result:
        text = "".join(f"{line}\n" for line in lines)
        return hfchat("chat", "--base-url", current_server.base_url, *options, stdin=text)

    return run


def test_turns_share_a_conversation(
    chat: Callable[..., Result], current_server: LocalServer
) -> None:
    """Two lines are two turns of one conversation; the end of the input ends the chat."""
    result = chat("one", "two")
    assert result.exit_code == 0, result.output
    assert "You said: one\n" in result.stdout
    assert "You said: two\n" in result.stdout
    assert "You said: one" in str(current_server.prompts[-1].messages)


def test_new_forgets(chat: Callable[..., Result], current_server: LocalServer) -> None:
    """/new begins another conversation."""
    chat("one", "/new", "two")
    assert "one" not in str(current_server.prompts[-1].messages)


def test_another_model(chat: Callable[..., Result]) -> None:
    """/model NAME continues with another model, by a short name too; an unknown one is refused."""
    result = chat("/model nope", "/model reasoner", "why")
    assert "There is no model nope" in result.stderr
    assert "After thinking, the answer is 42." in result.stdout


def test_the_models_are_listed(chat: Callable[..., Result]) -> None:
    """/model alone lists them and marks the one in use."""
    result = chat("/model", options=("-m", "slow/drip"))
    assert "● slow/drip" in result.stdout
    assert "  echo/base" in result.stdout


def test_retry_and_edit(chat: Callable[..., Result], current_server: LocalServer) -> None:
    """/retry answers again, /edit replaces the last message."""
    result = chat("/retry", "first", "/retry", "/edit second")
    assert "no answer to regenerate" in result.stderr
    assert result.stdout.count("You said: first\n") == 2
    assert "You said: second\n" in result.stdout
    assert "first" not in str(current_server.prompts[-1].messages)


def test_the_system_prompt(chat: Callable[..., Result], current_server: LocalServer) -> None:
    """/system TEXT begins a conversation with it; /system - takes it away."""
    chat("/system Be brief.", "hello")
    assert "Be brief." in str(current_server.prompts[-1].messages)
    chat("/system Be brief.", "/system -", "hello")
    assert "Be brief." not in str(current_server.prompts[-1].messages)


def test_a_file_goes_with_one_message(
    chat: Callable[..., Result], current_server: LocalServer, tmp_path: Path
) -> None:
    """/file PATH goes with the next message only; a path that is wrong is an error, no end."""
    note = tmp_path / "a note.txt"
    note.write_text("in the file")
    result = chat("/file /no/such", f"/file '{note}'", "/file", "read", "/file")
    assert "/no/such" in result.stderr
    assert "Attached to the next message: a note.txt." in result.stderr
    assert "Nothing is attached." in result.stderr
    assert "in the file" in str(current_server.prompts[-1].messages)


def test_web_search_is_switched(chat: Callable[..., Result]) -> None:
    """/web switches the search on and off again."""
    result = chat("/web", "news", "/web", "/new", "news", options=("-m", "tools/agent"))
    assert "The first result" in result.stdout
    assert "nothing offered" in result.stdout


def test_an_error_does_not_end_it(chat: Callable[..., Result]) -> None:
    """After an error the chat continues."""
    result = chat("x", "/model base", "still here", options=("-m", "broken/http500"))
    assert "Error: " in result.stderr
    assert "You said: still here\n" in result.stdout
    assert result.exit_code == 0


def test_help_and_unknown_commands(chat: Callable[..., Result]) -> None:
    """/help lists the commands; an unknown one says so."""
    result = chat("/help", "/nonsense", "/quit", "not read any more")
    assert "/retry" in result.stdout
    assert "There is no command /nonsense" in result.stderr
    assert "You said" not in result.stdout


def test_a_backslash_continues(chat: Callable[..., Result]) -> None:
    """A line that ends with a backslash continues in the next."""
    assert "You said: one\ntwo\n" in chat("one\\", "two").stdout


def test_a_conversation_is_taken_up(
    hfchat: Callable[..., Result], account: dict[str, str], current_server: LocalServer
) -> None:
    """--conversation continues where an earlier chat ended."""
    del account
    with HuggingChat() as client:
        conversation = client.create_conversation("echo/base")
        conversation.send("before")
    result = hfchat("chat", "-c", conversation.id, stdin="after\n")
    assert "You said: after\n" in result.stdout
    assert "before" in str(current_server.prompts[-1].messages)


def test_the_end_says_how_to_continue(
    hfchat: Callable[..., Result], account: dict[str, str], current_server: LocalServer
) -> None:
    """The last line of a chat continues it, and so does -c last."""
    del account
    ended = hfchat("chat", stdin="before\n")
    command = ended.stderr.rpartition("To continue: hfchat ")[2].split()
    for arguments in (command, ["chat", "-c", "last"]):
        assert "You said: after\n" in hfchat(*arguments, stdin="after\n").stdout
        assert "before" in str(current_server.prompts[-1].messages)


def test_a_guest_is_not_offered_what_cannot_be(chat: Callable[..., Result]) -> None:
    """A guest's conversation ends with the chat, which says so and how to keep the next ones."""
    result = chat("one")
    assert "To continue" not in result.stderr
    assert "A guest's conversation ends with the chat" in result.stderr
    assert "hfchat login" in result.stderr


@pytest.mark.parametrize("word", ["exit", "quit", "EXIT", "/quit"])
def test_words_that_end_the_chat(chat: Callable[..., Result], word: str) -> None:
    """Exit and quit end the chat if they stand alone; in a sentence they are text."""
    result = chat("how do I exit vim", word, "not read any more")
    assert "You said: how do I exit vim\n" in result.stdout
    assert "not read" not in result.stdout
    assert result.exit_code == 0
