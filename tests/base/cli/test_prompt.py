"""What is typed into the chat on a terminal: pastes, several lines, history, completion."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.support.terminal_session import TerminalSession

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from hfchat_base.local import LocalServer

PROMPT = "> "


def sent(server: LocalServer) -> list[str]:
    """The last message of each request that reached a model."""
    return [str(prompt.messages[-1]["content"]) for prompt in server.prompts]


def test_keys_typed_during_an_answer_wait_for_the_prompt(
    held_server: LocalServer, released: threading.Event
) -> None:
    """They leave no trace in what is drawn, stand on the next prompt, and are not sent."""
    with TerminalSession("chat", "--base-url", held_server.base_url) as session:
        session.expect(PROMPT)
        session.line("hello")
        session.expect("begun")
        session.line("typed ahead")
        session.expect("begun")  # drawn again
        released.set()
        session.expect("first token in")
        assert "typed" not in session.text.partition("first token in")[0]
        session.expect("typed ahead")
        session.line("and sent")
        session.expect("first token in")
        session.expect(PROMPT)
        session.ctrl_d()
        assert session.wait() == 0
    assert sent(held_server) == ["hello", "typed ahead\nand sent"]


def test_a_paste_of_several_lines_is_one_message(current_server: LocalServer) -> None:
    """Nothing of a paste is sent until Enter is pressed, and then all of it at once."""
    with TerminalSession("chat", "--base-url", current_server.base_url) as session:
        session.expect(PROMPT)
        session.paste("one\ntwo\nthree")
        session.line("")
        session.expect("You said: one")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("exit")
        session.expect("Bye.")
        assert session.wait() == 0
    assert sent(current_server) == ["one\ntwo\nthree"]


@pytest.mark.parametrize("keys", ["\x1b\r", "\n", "\\\r"], ids=["Alt-Enter", "Ctrl-J", "backslash"])
def test_a_new_line_can_be_typed(current_server: LocalServer, keys: str) -> None:
    """Alt-Enter, Ctrl-J and a backslash before Enter begin a new line."""
    with TerminalSession("chat", "--base-url", current_server.base_url) as session:
        session.expect(PROMPT)
        session.send(f"one{keys}two\r")
        session.expect("You said: one")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("quit")
        assert session.wait() == 0
    assert sent(current_server) == ["one\ntwo"]


def test_a_message_can_be_written_in_an_editor(current_server: LocalServer, tmp_path: Path) -> None:
    """Ctrl-X Ctrl-E opens the user's editor with what was typed; its end sends the message."""
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf ' and\\nedited' >> \"$1\"\n")
    editor.chmod(0o700)
    environment = {"EDITOR": str(editor)}
    with TerminalSession(
        "chat", "--base-url", current_server.base_url, environment=environment
    ) as session:
        session.expect(PROMPT)
        session.send("typed\x18\x05")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("quit")
        assert session.wait() == 0
    (message,) = sent(current_server)
    assert message.split() == ["typed", "and", "edited"]


def test_history_is_kept_in_a_private_file(current_server: LocalServer, tmp_path: Path) -> None:
    """The next chat recalls with Up what was typed; only the user can read the file."""
    arguments = ("chat", "--base-url", current_server.base_url)
    with TerminalSession(*arguments) as session:
        session.expect(PROMPT)
        session.line("to be recalled")
        session.expect("first token in")
        session.expect(PROMPT)
        session.ctrl_d()
        assert session.wait() == 0
    (file,) = (tmp_path / "data").rglob("chat_history")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with TerminalSession(*arguments) as session:
        session.expect(PROMPT)
        session.send("\x1b[A")
        session.expect("to be recalled")
        session.ctrl_c()
        session.expect("to exit")
        session.expect(PROMPT)
        session.ctrl_d()
        assert session.wait() == 0


def test_tab_completes(current_server: LocalServer, tmp_path: Path) -> None:
    """Tab completes commands, names of models, and paths of files."""
    (tmp_path / "notes about tides.txt").write_text("high at noon")
    with TerminalSession("chat", "--base-url", current_server.base_url) as session:
        session.expect(PROMPT)
        session.send("/mod\t")
        session.expect("/model")
        session.send(" think/r\t")
        session.expect("easoner")
        session.line("")
        session.expect("A new conversation, with think/reasoner.")
        session.expect(PROMPT)
        session.send(f"/file {tmp_path}/notes\t")
        session.expect("about tides.txt")
        session.line("")
        session.expect("Attached to the next message: notes about tides.txt")
        session.expect(PROMPT)
        session.ctrl_d()
        assert session.wait() == 0


def test_edit_offers_the_last_message(current_server: LocalServer) -> None:
    """/edit alone puts the last message on the line, to be changed."""
    with TerminalSession("chat", "--base-url", current_server.base_url) as session:
        session.expect(PROMPT)
        session.line("hello wor")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("/edit")
        session.expect("edit > hello wor")
        session.line("ld")
        session.expect("You said: hello world")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("/quit")
        assert session.wait() == 0
