"""On a real terminal: animation, Ctrl-C, forms, tables."""

from __future__ import annotations

import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from hfchat_base import HuggingChat
from hfchat_base.local import (
    FunctionBackend,
    Limits,
    LocalModel,
    LocalServer,
    UpstreamError,
)
from tests.support.terminal_session import TerminalSession

if TYPE_CHECKING:
    from pathlib import Path

BOOKING = "asking=http://127.0.0.1:9201/mcp"
MAGIC = "local=http://127.0.0.1:9200/mcp"
PROMPT = "> "


def stops(server: LocalServer) -> int:
    """How many runs the server was asked to stop."""
    return sum("stop-generating" in request.path for request in server.requests)


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
    """Ctrl-C ends an answer, on the server too; the same conversation continues."""
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


def test_an_interrupted_answer_is_drawn_undisturbed(held_server: LocalServer) -> None:
    """The terminal writes no ^C into what is redrawn, which would leave a second copy behind."""
    with TerminalSession("ask", "hello", "--base-url", held_server.base_url) as session:
        session.expect("begun")
        session.ctrl_c()
        assert session.wait() == -signal.SIGINT
    assert "^C" not in session.raw


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["ask", "chat"])
def test_other_signals_leave_nothing_behind(
    command: str, number: signal.Signals, current_server: LocalServer
) -> None:
    """SIGTERM, and the end of the terminal, stop the run on the server and restore the terminal."""
    arguments = [command, "-m", "slow/drip", "--base-url", current_server.base_url]
    with TerminalSession(*arguments, *(["drip"] if command == "ask" else [])) as session:
        if command == "chat":
            session.expect(PROMPT)
            session.line("drip")
        session.expect("tok3")
        session.interrupt(number)
        assert session.wait() == 128 + number
        assert session.is_restored()
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
    """Ctrl-C in a form declines, and the answer continues."""
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
