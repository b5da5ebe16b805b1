"""On a real terminal: animation, Ctrl-C, forms, tables."""

from __future__ import annotations

import asyncio
import re
import signal
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from hfchat_base import HuggingChat
from hfchat_base.local import (
    ChatRequest,
    FunctionBackend,
    Limits,
    LocalModel,
    LocalServer,
    UpstreamError,
)
from tests.support.terminal_session import SECONDS, TerminalSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BOOKING = "asking=http://127.0.0.1:9201/mcp"
MAGIC = "local=http://127.0.0.1:9200/mcp"
PROMPT = "> "


def stops(server: LocalServer) -> int:
    """How many runs the server was asked to stop."""
    return sum("stop-generating" in request.path for request in server.requests)


def sent(server: LocalServer) -> list[str]:
    """The last message of each request that reached a model."""
    return [str(prompt.messages[-1]["content"]) for prompt in server.prompts]


def test_an_answer_is_drawn_as_markdown(current_server: LocalServer) -> None:
    """Markdown is rendered, colours are used, timing and title stand below."""
    with TerminalSession("ask", "**bold** move", "--base-url", current_server.base_url) as session:
        session.expect("You said: bold move")
        session.expect("first token in")
        session.expect("“Test title”")
        assert session.wait() == 0
        assert "\x1b[1mbold" in session.raw


def test_no_color_is_obeyed(current_server: LocalServer) -> None:
    """With NO_COLOR nothing is coloured, the prompt included."""
    arguments = ("chat", "--base-url", current_server.base_url)
    with TerminalSession(*arguments, environment={"NO_COLOR": "1"}) as session:
        session.expect(PROMPT)
        session.line("hello")
        session.expect("You said: hello")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("/quit")
        assert session.wait() == 0
        assert not re.search(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;)[0-9;]*m", session.raw)


def test_ctrl_c_stops_the_run_and_not_the_chat(current_server: LocalServer) -> None:
    """Ctrl-C ends an answer, on the server too; the same conversation goes on."""
    arguments = ("chat", "-m", "slow/drip", "--base-url", current_server.base_url)
    with TerminalSession(*arguments) as session:
        session.expect(PROMPT)
        session.line("drip")
        session.expect("tok3")
        session.ctrl_c()
        session.expect("Stopped.")
        session.expect(PROMPT)
        assert stops(current_server) == 1
        session.line("again")
        session.expect("tok39")
        session.expect("first token in")
        session.expect(PROMPT)
        session.wait_until_reading()
        session.ctrl_c()
        session.expect("Press Ctrl-D or type /quit to exit.")
        session.expect(PROMPT)
        session.ctrl_d()
        session.expect("Bye.")
        assert session.wait() == 0
    conversations = [r for r in current_server.requests if r.path.endswith("/conversation")]
    assert len(conversations) == 1


@pytest.fixture
def released() -> threading.Event:
    """Lets the model of `held_server` finish its answers."""
    return threading.Event()


@pytest.fixture
def held_server(released: threading.Event) -> Iterator[LocalServer]:
    """A server whose model begins to answer, and goes on when the test says so."""

    async def answer(_: ChatRequest) -> AsyncIterator[str]:
        yield "begun, "
        await asyncio.to_thread(released.wait, SECONDS)
        yield "ended"

    with LocalServer(models=[LocalModel("held/one", FunctionBackend(answer))]) as server:
        yield server
        released.set()


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


def test_an_interrupted_answer_is_drawn_undisturbed(held_server: LocalServer) -> None:
    """The terminal writes no ^C into what is redrawn, which would leave a second copy behind."""
    with TerminalSession("ask", "hello", "--base-url", held_server.base_url) as session:
        session.expect("begun")
        session.ctrl_c()
        assert session.wait() == -signal.SIGINT
    assert "^C" not in session.raw


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


def test_the_wait_for_the_limit_counts_down() -> None:
    """Where the server's limit is met, the chat says so and for how long; Ctrl-C cancels."""
    with (
        LocalServer(limits=Limits(messages_per_minute=1)) as server,
        TerminalSession("chat", "--base-url", server.base_url) as session,
    ):
        session.expect(PROMPT)
        session.line("first")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("second")
        session.expect("Message limit reached; sending in ")
        seconds = int(session.expect(" s (Ctrl-C cancels)"))
        session.expect(f"sending in {seconds - 1} s (Ctrl-C cancels)")
        session.ctrl_c()
        session.expect("Stopped.")
        session.expect(PROMPT)
        session.ctrl_d()
        assert session.wait() == 0
    assert "(pace)" not in session.text


def test_ctrl_c_ends_ask(current_server: LocalServer) -> None:
    """`ask` dies of the signal, which ends a shell's loop too, and stops the run on the server."""
    arguments = ("ask", "drip", "-m", "slow/drip", "--base-url", current_server.base_url)
    with TerminalSession(*arguments) as session:
        session.expect("tok3")
        session.ctrl_c()
        assert session.wait() == -signal.SIGINT
        assert "Traceback" not in session.text
    assert stops(current_server) == 1


def test_a_tool_asks_in_a_form(current_server: LocalServer) -> None:
    """A tool's question is a form; what the server would refuse is asked for again."""
    url = current_server.base_url
    with TerminalSession(
        "ask", "table", "-m", "tools/agent", "--mcp", BOOKING, "--base-url", url
    ) as session:
        session.expect("asking asks: Which day?")
        session.expect("Date*: ")
        session.line("")
        session.expect("This field is required.")
        session.line("2026-12-01")
        session.expect("People (Enter for 2): ")
        session.line("99")
        session.expect("At most 20, please.")
        session.line("3")
        session.expect("booked for 3 on 2026-12-01")
        assert session.wait() == 0


def test_ctrl_c_declines_a_form(current_server: LocalServer) -> None:
    """Ctrl-C in a form declines, and the answer goes on."""
    url = current_server.base_url
    with TerminalSession(
        "ask", "table", "-m", "tools/agent", "--mcp", BOOKING, "--base-url", url
    ) as session:
        session.expect("Date*: ")
        session.wait_until_reading()
        session.ctrl_c()
        session.expect("Declined.")
        session.expect("not booked (decline)")
        assert session.wait() == 0


def test_tools_and_thinking_are_shown(current_server: LocalServer) -> None:
    """A tool leaves a line with its call and outcome; thinking stands above the answer."""
    url = current_server.base_url
    with TerminalSession("chat", "-m", "tools/agent", "--mcp", MAGIC, "--base-url", url) as session:
        session.expect(PROMPT)
        session.line("go")
        session.expect("✓ magic_number(query=go) → 42 for go")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("/model think/reasoner")
        session.expect("A new conversation")
        session.expect(PROMPT)
        session.line("why")
        session.expect("The user wrote: why")
        session.expect("After thinking, the answer is 42.")
        session.expect("first token in")
        session.expect(PROMPT)
        session.line("/quit")
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


def test_pictures_are_named_where_they_are(current_server: LocalServer, tmp_path: Path) -> None:
    """A picture is saved in the folder asked for, and its path is shown."""
    url = current_server.base_url
    arguments = ("ask", "a cat", "-m", "image/painter", "--downloads", str(tmp_path))
    with TerminalSession(*arguments, "--base-url", url) as session:
        session.expect("picture.png (image/png) saved: ")
        assert session.wait() == 0
        (saved,) = tmp_path.iterdir()
        assert saved.name in session.text


def test_tables(current_server: LocalServer) -> None:
    """`models` is a table on a terminal, with the default marked."""
    with TerminalSession("models", "--base-url", current_server.base_url) as session:
        session.expect("● echo/base")
        session.expect("● is the default")
        assert session.wait() == 0


def test_a_model_cannot_command_the_terminal() -> None:
    """Sequences in an answer, in thinking and in a title are not obeyed; markup is shown."""
    hostile = "\x1b]0;owned\x07\x1b[2J[red]a\x1b[31mb"
    model = LocalModel("evil/one", FunctionBackend(lambda _: hostile), title=lambda *_: hostile)
    with LocalServer(models=[model]) as server:
        with TerminalSession("ask", "x", "--base-url", server.base_url) as session:
            assert session.wait() == 0
        assert "[red]ab" in session.text
        assert "“[red]ab”" in session.text
        assert "owned" not in session.text
        assert "\x1b[2J" not in session.raw


SPELLS = "\x9b2J \u202e \u200e \u061c \u2066 \x1b[2J"
UNPRINTABLE = re.compile("[\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("arguments", [("ask", "x", "--json"), ("ask", "x"), ("conversations",)])
def test_no_invisible_character_reaches_the_terminal(arguments: tuple[str, ...]) -> None:
    """Controls beyond ASCII and marks of direction are escaped in JSON and left out elsewhere."""
    model = LocalModel("evil/one", FunctionBackend(lambda _: SPELLS), title=lambda *_: SPELLS)
    with LocalServer(models=[model]) as server:
        cookies = server.cookies()
        with HuggingChat(server.base_url, cookies) as client:
            client.create_conversation().send("hello")
        environment = {"HUGGINGCHAT_COOKIES": "; ".join(map("=".join, cookies.items()))}
        address = ("--base-url", server.base_url)
        with TerminalSession(*arguments, *address, environment=environment) as session:
            assert session.wait() == 0
    assert "2J" in session.raw
    assert not UNPRINTABLE.search(session.raw)
    if "--json" in arguments:
        assert r"\u202e" in session.text


def test_the_log_is_cleaned_too() -> None:
    """What the log and tracebacks quote of a server is shown without what a terminal obeys."""
    model = LocalModel("evil/one", FunctionBackend(_fails))
    with (
        LocalServer(models=[model]) as server,
        TerminalSession("--debug", "ask", "x", "--base-url", server.base_url) as session,
    ):
        assert session.wait() == 1
    assert "Traceback" in session.text
    assert "out of spells" in session.text
    assert not UNPRINTABLE.search(session.raw)


def _fails(_: Any) -> str:
    raise UpstreamError(f"out of spells {SPELLS}")


def test_an_error_is_red(current_server: LocalServer) -> None:
    """An error is one red line."""
    arguments = ("ask", "x", "-m", "no/such", "--base-url", current_server.base_url)
    with TerminalSession(*arguments) as session:
        session.expect("Error: The server has no model 'no/such'.")
        assert session.wait() == 1
        assert "\x1b[1;31mError" in session.raw
