"""`hfchat ask`: what goes where, in a pipe and on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


def scripted(*answers: str) -> LocalServer:
    """A server whose model gives these answers, one after the other."""
    left = list(answers)
    return LocalServer(models=[LocalModel("scripted/one", FunctionBackend(lambda _: left.pop(0)))])


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
    assert "Invalid value" not in result.stderr


def test_words_need_no_quotes(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """Several words are one question."""
    result = hfchat("ask", "why", "is", "it", "blue?", "--base-url", current_server.base_url)
    assert result.stdout == "You said: why is it blue?\n"


def test_a_dash_reads_standard_input(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """- stands for standard input."""
    result = hfchat("ask", "Sum up:", "-", "--base-url", current_server.base_url, stdin="a text")
    assert result.stdout == "You said: Sum up:\n\na text\n"


def test_the_last_conversation_is_continued(
    hfchat: Callable[..., Result], account: dict[str, str], current_server: LocalServer
) -> None:
    """-c asks in the conversation of the last question."""
    del account
    hfchat("ask", "the first")
    result = hfchat("ask", "-c", "the second")
    assert result.stdout == "You said: the second\n"
    assert "the first" in str(current_server.prompts[-1].messages)


def test_a_conversation_is_continued_by_id(
    hfchat: Callable[..., Result], account: dict[str, str], current_server: LocalServer
) -> None:
    """--conversation asks in any conversation of the account."""
    del account
    answer = json.loads(hfchat("ask", "the first", "--json").stdout)
    assert answer["can_continue"] is True
    hfchat("ask", "another")
    hfchat("ask", "--conversation", answer["conversation_id"], "the second")
    sent = str(current_server.prompts[-1].messages)
    assert "the first" in sent
    assert "another" not in sent


def test_a_guest_is_told_that_nothing_can_be_continued(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """A guest's session ends with the command: --json says so, and -c is an error that does."""
    address = ("--base-url", current_server.base_url)
    assert json.loads(hfchat("ask", "x", "--json", *address).stdout)["can_continue"] is False
    result = hfchat("ask", "-c", "y", *address)
    assert result.exit_code == 1
    assert "a guest's conversation ends with the command" in result.stderr


@pytest.mark.parametrize("how", [(), ("--json",)], ids=["text", "json"])
def test_a_conversation_that_is_not_kept(
    hfchat: Callable[..., Result], account: dict[str, str], how: tuple[str, ...]
) -> None:
    """--no-keep deletes the conversation after the answer, also after one that failed."""
    del account
    with HuggingChat() as client:
        before = list(client.list_conversations())
        assert hfchat("ask", "x", "--no-keep", *how).exit_code == 0
        assert hfchat("ask", "x", "--no-keep", "-m", "broken/midstream", *how).exit_code == 1
        assert list(client.list_conversations()) == before


def test_options_for_new_conversations_only(hfchat: Callable[..., Result]) -> None:
    """A continued conversation has its model, its system prompt and its place already."""
    for option in (("-m", "echo/base"), ("-s", "Be kind."), ("--no-keep",)):
        result = hfchat("ask", "-c", "x", *option)
        assert result.exit_code == 2
        assert "new conversations" in result.stderr


def test_reasoning_can_be_hidden(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """--no-reasoning shows the answer alone."""
    url = current_server.base_url
    result = hfchat("ask", "why", "-m", "think/reasoner", "--no-reasoning", "--base-url", url)
    assert result.stdout == "After thinking, the answer is 42.\n"
    assert result.stderr == ""


CODE = "Like this:\n\n```python\nprint('hi')\n```\n\nor\n\n```sh\nls\n```\n"


def test_the_first_code_block_alone(hfchat: Callable[..., Result]) -> None:
    """-x prints the code of the first block and nothing else."""
    with scripted(CODE) as server:
        result = hfchat("ask", "x", "-x", "--base-url", server.base_url)
    assert (result.exit_code, result.stdout) == (0, "print('hi')\n")


def test_no_code_block(hfchat: Callable[..., Result]) -> None:
    """-x prints no prose to standard output, which may be piped into a shell."""
    with scripted("Just rm it.") as server:
        result = hfchat("ask", "x", "-x", "--base-url", server.base_url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Just rm it." in result.stderr
    assert "no code block" in result.stderr


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A file with a JSON schema."""
    file = tmp_path / "person.json"
    file.write_text(json.dumps(SCHEMA))
    return file


def test_json_that_fits_a_schema(hfchat: Callable[..., Result], schema: Path) -> None:
    """--schema prints the JSON alone; an answer that does not fit is asked for again."""
    wrong, right = '{"name": "Ada", "age": -1}', 'Here:\n```json\n{"name": "Ada", "age": 36}\n```'
    with scripted("no JSON", wrong, right) as server:
        result = hfchat("ask", "who?", "--schema", str(schema), "--base-url", server.base_url)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"name": "Ada", "age": 36}
    assert '"minimum": 0' in str(server.prompts[0].messages)
    assert "$.age" in str(server.prompts[-1].messages[-1])


def test_a_schema_that_is_typed(hfchat: Callable[..., Result]) -> None:
    """--schema takes names of fields with their types, too; strings need none."""
    with scripted('{"name": "Rex", "age": 3, "good": true, "weight": 7.5}') as server:
        fields = "name, age int, good bool, weight float"
        result = hfchat("ask", "a dog", "--schema", fields, "--base-url", server.base_url)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["age"] == 3
    assert '"weight": {"type": "number"}' in str(server.prompts[0].messages)


@pytest.mark.parametrize("wrong", ['{"name": 1, "age": 3}', '{"name": "Rex"}'])
def test_typed_fields_are_checked(hfchat: Callable[..., Result], wrong: str) -> None:
    """Each field has to be there, in its type."""
    with scripted(*[wrong] * 3) as server:
        options = ("--schema", "name, age int", "--base-url", server.base_url)
        result = hfchat("ask", "a dog", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not fit the schema" in result.stderr


def test_json_that_never_fits(hfchat: Callable[..., Result], schema: Path) -> None:
    """After three answers that do not fit, nothing is printed but the reason."""
    with scripted(*["{}"] * 3) as server:
        result = hfchat("ask", "who?", "--schema", str(schema), "--base-url", server.base_url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not fit the schema" in result.stderr
    assert "'name' is a required property" in result.stderr
    assert len(server.prompts) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [("no JSON", "does not hold JSON"), ('{"type": "nonsense"}', "not a valid JSON schema")],
)
def test_a_schema_that_is_none(
    hfchat: Callable[..., Result], tmp_path: Path, content: str, said: str
) -> None:
    """A file without a valid schema is wrong usage, before anything is sent."""
    file = tmp_path / "schema.json"
    file.write_text(content)
    result = hfchat("ask", "x", "--schema", str(file), "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_schema_fetches_nothing(
    hfchat: Callable[..., Result], tmp_path: Path, current_server: LocalServer
) -> None:
    """A schema that refers to another document is an error and never a request."""
    file = tmp_path / "schema.json"
    file.write_text(json.dumps({"$ref": f"{current_server.base_url}/evil.json"}))
    with scripted("{}") as server:
        result = hfchat("ask", "x", "--schema", str(file), "--base-url", server.base_url)
    assert result.exit_code == 1
    assert "another document" in result.stderr
    assert not current_server.requests


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
    """--web-search reports the search and its sources on standard error."""
    url = current_server.base_url
    result = hfchat("ask", "news", "-m", "tools/agent", "--web-search", "--base-url", url)
    assert "web_search_exa(query=news)" in result.stderr
    assert "1. The first result\n     https://example.com/first\n" in result.stderr
    assert "Sources" not in result.stdout


def test_pictures_are_saved_under_our_names(
    hfchat: Callable[..., Result], current_server: LocalServer, tmp_path: Path
) -> None:
    """A file of the answer is saved in the requested folder, and its path is printed."""
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


def test_an_answer_without_an_end_says_so(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """An answer that a filter cut is printed, with a note on standard error and in --json.

    It is an answer all the same: the exit code is 0.
    """
    arguments = ("ask", "x", "-m", "broken/filtered", "--base-url", current_server.base_url)
    result = hfchat(*arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("This answer meets a")
    assert "may be cut off" in result.stderr
    assert json.loads(hfchat(*arguments, "--json").stdout)["finish_reason"] == "incomplete"


def json_reply(value: object) -> Instead:
    """A response in JSON."""
    return Instead(response(json.dumps(value).encode(), content_type="application/json"))


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """The path of a recording."""
    path = tmp_path / "note.wav"
    path.write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    return str(path)


def test_what_is_said_is_asked(
    hfchat: Callable[..., Result], current_server: LocalServer, recording: str
) -> None:
    """--audio asks what the server hears in a recording, below what is typed, and shows it."""
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("POST /api/transcribe", json_reply({"text": " Why is it\x1b[31m blue? "}))
        result = hfchat("ask", "Answer:", "--audio", recording, "--base-url", proxy.url)
    assert result.stderr == "Heard: Why is it blue?\n"
    assert result.stdout.startswith("You said: Answer:\n\nWhy is it")


@pytest.mark.parametrize(
    ("heard", "message"),
    [(None, "does not transcribe"), ({"text": " "}, "hears nothing in note.wav")],
    ids=["not configured", "silence"],
)
def test_a_recording_that_cannot_be_asked(
    hfchat: Callable[..., Result],
    current_server: LocalServer,
    recording: str,
    heard: object,
    message: str,
) -> None:
    """A server that cannot hear, or hears nothing, ends the command before anything is asked."""
    with FaultServer(current_server.base_url) as proxy:
        if heard is not None:
            proxy.on("POST /api/transcribe", json_reply(heard))
        result = hfchat("ask", "--audio", recording, "--base-url", proxy.url)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not [r for r in current_server.requests if r.path.startswith("/conversation")]


def test_how_hard_a_model_thinks(
    hfchat: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--reasoning-effort is the account's setting, which it keeps unless it is to be restored."""
    arguments = ("ask", "x", "-m", "think/effort", "--reasoning-effort", "high")
    with LocalServer() as server:
        cookies = server.new_session("cleo")
        monkeypatch.setenv("HUGGINGCHAT_COOKIES", json.dumps(cookies))
        monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
        assert hfchat(*arguments, "--restore-settings").exit_code == 0
        assert "=high" not in hfchat("settings").stdout
        assert hfchat(*arguments).exit_code == 0
        assert "reasoning_effort_overrides.think/effort=high" in hfchat("settings").stdout


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--reasoning-effort", "high", "takes no --reasoning-effort. think/effort can."),
        ("--provider", "together", "so --provider cannot be chosen"),
        ("--bill-to", "acme", "cannot bill 'acme'"),
    ],
)
@pytest.mark.parametrize("command", ["ask", "chat"])
def test_options_that_the_server_cannot_honour(
    hfchat: Callable[..., Result],
    current_server: LocalServer,
    command: str,
    option: str,
    value: str,
    message: str,
) -> None:
    """They are refused in the words of the command line, and no message is sent."""
    url = current_server.base_url
    words = ("x",) if command == "ask" else ()
    result = hfchat(command, *words, option, value, "--base-url", url, stdin="x\n")
    assert message in result.stderr
    assert not current_server.prompts


def test_artifacts_are_shown_as_asked(hfchat: Callable[..., Result]) -> None:
    """Documents of a model are code blocks, or the tags that they came in."""
    page = '<artifact identifier="a" type="html" title="A page"><p>Hi</p></artifact>'
    with scripted(page, page) as server:
        shown = hfchat("ask", "x", "--base-url", server.base_url).stdout
        raw = hfchat("ask", "x", "--artifacts", "raw", "--base-url", server.base_url).stdout
    assert "```html" in shown
    assert "<artifact" not in shown
    assert raw == page + "\n"


def test_no_server_says_what_to_do(hfchat: Callable[..., Result]) -> None:
    """A server that is not there is an error that names it and a way out."""
    result = hfchat("ask", "x", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.stderr
    assert "hfchat serve" in result.stderr


def test_a_picture_from_a_pipe(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """-f - attaches what is piped in, which then is not part of the question."""
    url = current_server.base_url
    result = hfchat("ask", "read", "-f", "-", "--base-url", url, stdin="kept in a file")
    assert result.exit_code == 0, result.output
    assert "kept in a file" in str(current_server.prompts[-1].messages)
    assert result.stdout.endswith("</document>\n\nread\n")


def test_standard_input_is_read_once(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """A file and the question cannot both come from it."""
    result = hfchat("ask", "-", "-f", "-", "--base-url", current_server.base_url, stdin="x")
    assert result.exit_code == 2


def test_a_missing_file_is_an_error_before_anything_is_sent(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """A file that cannot be read stops the command before a conversation is made."""
    result = hfchat("ask", "x", "-f", "/no/such/file", "--base-url", current_server.base_url)
    assert result.exit_code == 1
    assert "/no/such/file" in result.stderr
    assert not current_server.requests
