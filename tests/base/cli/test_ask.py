"""`hfchat ask`: what goes where, in a pipe and on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.faults.kinds import Instead
from tests.support.faults.server import FaultServer
from tests.support.faults.wire import response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from hfchat_base.local import LocalServer

BOOKING = "asking=http://127.0.0.1:9201/mcp"
MAGIC = "http://127.0.0.1:9200/mcp"


def test_the_answer_alone_is_output(hfchat: Callable[..., Result], server: LocalServer) -> None:
    """In a pipe standard output holds the answer's text and a line end, on both generations."""
    result = hfchat("ask", "hello [bold]there[/bold]", "--base-url", server.base_url)
    assert result.exit_code == 0, result.output
    assert result.stdout == "You said: hello [bold]there[/bold]\n"
    assert result.stderr == ""


def test_piped_text_is_the_question(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """Without an argument, what is piped in is asked."""
    result = hfchat("ask", "--base-url", current_server.base_url, stdin="from a pipe\n")
    assert result.stdout == "You said: from a pipe\n"


def test_piped_text_follows_the_question(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """With an argument, what is piped in comes below it."""
    result = hfchat("ask", "Sum up:", "--base-url", current_server.base_url, stdin="a text")
    assert result.stdout == "You said: Sum up:\n\na text\n"


def test_no_question_is_wrong_usage(hfchat: Callable[..., Result]) -> None:
    """Asked for nothing, it says how to ask, with exit code 2."""
    result = hfchat("ask")
    assert result.exit_code == 2
    assert "hfchat ask" in result.stderr


def test_thinking_is_not_output(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """Thinking goes to standard error."""
    result = hfchat("ask", "why", "-m", "think/reasoner", "--base-url", current_server.base_url)
    assert result.stdout == "After thinking, the answer is 42.\n"
    assert "The user wrote: why" in result.stderr


def test_json_holds_the_whole_answer(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """--json prints one object with text, thinking, tools and ids."""
    url = current_server.base_url
    result = hfchat("ask", "go", "-m", "tools/agent", "--mcp", MAGIC, "--json", "--base-url", url)
    answer = json.loads(result.stdout)
    assert answer["text"] == "Let me check. The tool said: 42 for go"
    assert answer["tool_runs"][0]["name"] == "magic_number"
    assert answer["conversation_id"]


def test_the_system_prompt_and_files_are_sent(
    hfchat: Callable[..., Result], current_server: LocalServer, tmp_path: Path
) -> None:
    """--system and --file reach the model."""
    note = tmp_path / "note.txt"
    note.write_text("in the file")
    url = current_server.base_url
    result = hfchat("ask", "read", "-s", "Be brief.", "-f", str(note), "--base-url", url)
    assert result.exit_code == 0, result.output
    sent = str(current_server.prompts[-1].messages)
    assert "Be brief." in sent
    assert "in the file" in sent


def test_web_search_lists_its_sources(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """--web-search tells of the search and its sources on standard error."""
    url = current_server.base_url
    result = hfchat("ask", "news", "-m", "tools/agent", "--web-search", "--base-url", url)
    assert "web_search_exa(query=news)" in result.stderr
    assert "1. The first result\n     https://example.com/first\n" in result.stderr
    assert "Sources" not in result.stdout


def test_pictures_are_saved_under_our_names(
    hfchat: Callable[..., Result], current_server: LocalServer, tmp_path: Path
) -> None:
    """A file of the answer is saved in the folder asked for, and told where."""
    folder = tmp_path / "pictures"
    url = current_server.base_url
    arguments = ("ask", "a cat", "-m", "image/painter", "--downloads", str(folder))
    for _ in range(2):
        result = hfchat(*arguments, "--base-url", url)
        assert "picture.png (image/png) saved: " in result.stderr
    saved = sorted(folder.iterdir())
    assert len(saved) == 2, "a file is never overwritten"
    assert all(one.suffix == ".png" and "picture" not in one.name for one in saved)
    assert saved[0].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("how", [("--json",), ()], ids=["json", "text"])
def test_an_answer_without_its_file_is_shown(
    hfchat: Callable[..., Result],
    current_server: LocalServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    how: tuple[str, ...],
) -> None:
    """A file that the server has not, or that cannot be written, costs nothing but itself."""
    gone = Instead(response(b'{"message":"File not found"}', status="404 Not Found"))
    occupied = tmp_path / "occupied"
    occupied.write_text("no folder")
    arguments = ("ask", "a cat", "-m", "image/painter", *how)
    with FaultServer(current_server.base_url) as proxy:
        proxy.on(r"GET \S*/output/", gone, always=True)
        missing = hfchat(*arguments, "--downloads", str(tmp_path), "--base-url", proxy.url)
    unwritten = hfchat(
        *arguments, "--downloads", str(occupied), "--base-url", current_server.base_url
    )
    assert (missing.exit_code, unwritten.exit_code) == (1, 1)
    assert "could not be fetched" in caplog.text
    assert "could not be saved" in caplog.text
    for result in (missing, unwritten):
        if how:
            answer = json.loads(result.stdout)
            assert answer["finish_reason"] == "stop"
            assert answer["files"][0]["path"] is None
            assert answer["files"][0]["problem"]
        else:
            assert "saved: " not in result.stderr
            assert "Error" not in result.stderr


def test_nobody_to_ask_declines(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """A tool's question is declined, and said so, when nobody can answer."""
    url = current_server.base_url
    result = hfchat("ask", "table", "-m", "tools/agent", "--mcp", BOOKING, "--base-url", url)
    assert "Declined, nobody is here to answer: Which day?" in result.stderr
    assert "not booked (decline)" in result.stdout


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no/such", "Error: The server has no model 'no/such'."),
        ("broken/http500", "Error: The model behind the server failed"),
    ],
)
def test_an_error_is_one_line(
    hfchat: Callable[..., Result], current_server: LocalServer, model: str, message: str
) -> None:
    """An error is one line that says what to do, exit code 1, and no traceback."""
    result = hfchat("ask", "x", "-m", model, "--base-url", current_server.base_url)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_what_had_arrived_stays_on_the_screen(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """An answer that is cut off is shown as far as it came, and then the error."""
    url = current_server.base_url
    result = hfchat("ask", "x", "-m", "broken/midstream", "--base-url", url)
    assert result.stdout.startswith("This answer will be cut off")
    assert result.stderr.startswith("Error: ")


def test_no_server_says_what_to_do(hfchat: Callable[..., Result]) -> None:
    """A server that is not there is an error that names it and a way out."""
    result = hfchat("ask", "x", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.stderr
    assert "hfchat serve" in result.stderr


def test_a_missing_file_is_an_error_before_anything_is_sent(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """A file that cannot be read stops the command before a conversation is made."""
    result = hfchat("ask", "x", "-f", "/no/such/file", "--base-url", current_server.base_url)
    assert result.exit_code == 1
    assert "/no/such/file" in result.stderr
    assert not current_server.requests
