"""Fault 45: names, ids and titles of a hostile server, through every place that writes or shows.

What they must not become: a path, a request for another address, something that a terminal obeys,
or markup. What they stay is text.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from hfchat_base import HuggingChat, ProtocolError
from hfchat_base.cli.app import app
from tests.support import extras
from tests.support.faults.answer_lines import FINISHED, STARTED, final, lines, token
from tests.support.faults.caller import refused, steps
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.origins import Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from tests.support.faults.caller import Caller
    from tests.support.faults.http1 import Asked

PATH: Final = "../../../etc/evil"
COMMAND: Final = "\x00\x1b[2J\x1b]0;owned\x07\x9b2J\x08"
MARKUP: Final = "[red]r[/nonsense]<b>b</b>"
HOSTILE: Final = f"{PATH}{COMMAND}{MARKUP}\nsecond line"
CONVERSATION: Final = "0123456789abcdef01234567"
MESSAGE: Final = "01234567-89ab-cdef-0123-456789abcdef"

_FILE: Final = {"type": "file", "name": HOSTILE, "sha": HOSTILE, "mime": HOSTILE}
_TOOL: Final = {
    "type": "tool",
    "subtype": "call",
    "uuid": "u",
    "call": {"name": HOSTILE, "parameters": {HOSTILE: HOSTILE}},
}
_TOOL_ERROR: Final = {"type": "tool", "subtype": "error", "uuid": "u", "message": HOSTILE}
_SOURCES: Final = {
    "type": "webSearch",
    "subtype": "sources",
    "sources": [{"link": HOSTILE, "title": HOSTILE}],
}
_ROUTER: Final = {"type": "routerMetadata", "route": HOSTILE, "model": HOSTILE, "provider": HOSTILE}
_TITLE: Final = {"type": "title", "title": HOSTILE}
_ANSWER: Final = lines(
    *(STARTED, _TOOL, _TOOL_ERROR, _SOURCES, _ROUTER, token("Hi"), _FILE, final("Hi"), _TITLE),
    FINISHED,
)


def _stored() -> dict[str, Any]:
    root = {"id": MESSAGE, "from": "system", "content": "", "children": [MESSAGE[:-1] + "0"]}
    user = {
        "id": MESSAGE[:-1] + "0",
        "from": "user",
        "content": HOSTILE,
        "ancestors": [MESSAGE],
        "files": [{"name": HOSTILE, "value": HOSTILE, "mime": HOSTILE}],
    }
    return {"title": HOSTILE, "model": HOSTILE, "rootMessageId": MESSAGE, "messages": [root, user]}


def _superjson(value: Any) -> bytes:
    return _json({"json": value})


def _json(value: Any) -> bytes:
    return response(json.dumps(value).encode(), content_type="application/json")


ROUTES: Final[dict[str, Callable[[], bytes]]] = {
    r"GET /api/v2/models$": lambda: _superjson(
        [{"id": HOSTILE, "displayName": HOSTILE, "description": HOSTILE}]
    ),
    r"GET /api/v2/user$": lambda: _superjson(
        {"id": HOSTILE, "username": HOSTILE, "email": HOSTILE}
    ),
    r"GET /api/v2/conversations(\?|$)": lambda: _superjson(
        {
            "conversations": [{"id": HOSTILE, "title": HOSTILE, "model": HOSTILE}],
            "hasMore": False,
        }
    ),
    rf"GET /api/v2/conversations/{CONVERSATION}$": lambda: _superjson(_stored()),
    r"POST /conversation$": lambda: _new_conversation(CONVERSATION),
    rf"POST /conversation/{CONVERSATION}$": lambda: response(_ANSWER),
    r"GET \S*/output/": lambda: response(b"bytes", content_type="image/png"),
    r"POST \S*/share$": lambda: _json({"shareId": HOSTILE}),
    r"": lambda: _superjson({}),
}


def _new_conversation(identity: object) -> bytes:
    stored = json.dumps({"json": _stored()})
    return _json({"conversationId": identity, "conversation": stored})


def hostile(asked: Asked) -> bytes:
    """Answer as a current server does that wants to do harm."""
    return next(say() for route, say in ROUTES.items() if re.match(route, asked.name))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A hostile server."""
    with FaultServer(Scripted(hostile)) as server:
        yield server


@pytest.fixture(params=["pipe", "terminal"])
def hfchat(
    request: pytest.FixtureRequest,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., Result]:
    """The command, into a pipe and as on a terminal, in an empty folder."""
    if request.param == "terminal":
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


def harmless(shown: str) -> str:
    """Check that no terminal would obey what is shown; return it without sequences of our own."""
    own = re.sub(r"\x1b\[(?:[\d;]*m|\?25[lh]|\d*[AGK]|2K)|\r", "", shown)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", own), own
    return own


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["models"], ""),
        (["models", "--json"], ""),
        (["conversations"], ""),
        (["conversations", "--json"], ""),
        (["conversations", "show", CONVERSATION], ""),
        (["conversations", "share", CONVERSATION], ""),
        (["conversations", "delete", CONVERSATION], "n\n"),
        (["whoami"], ""),
        (["doctor"], ""),
        (["ask", "hello", "--downloads", "files"], ""),
        (["chat"], f"/model\nhello\n/model {MARKUP}\n/nonsense\n/retry\n/quit\n"),
        (["chat", "-c", CONVERSATION], "hello\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_fault_45_shown(hfchat: Callable[..., Result], arguments: list[str], stdin: str) -> None:
    """Whatever a command shows of a hostile server is text."""
    result = hfchat(*arguments, stdin=stdin)
    if "--json" in arguments:
        rows = json.loads(harmless(result.stdout))
        assert rows[0]["id"] == HOSTILE
        return
    shown = harmless(result.output)
    assert "[/nonsense]<b>b</b>" in shown
    assert "owned" not in shown
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_fault_45_downloads(hfchat: Callable[..., Result], tmp_path: Path) -> None:
    """A file of an answer is saved in the folder asked for, under a name of our own making."""
    result = hfchat("ask", "hello", "--downloads", "inside/files")
    assert result.exit_code == 0, result.output
    made = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    (saved,) = (path for path in made if path.read_bytes() == b"bytes")
    assert saved.parent == tmp_path / "inside" / "files"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{0,8}\.bin", saved.name)
    assert not list(tmp_path.parent.rglob("evil*"))


def test_fault_45_saved_session(
    hfchat: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account's name is part of no path, neither of the saved session's nor of an export's."""
    monkeypatch.setenv("HUGGINGCHAT_KEYRING", "0")
    (tmp_path / "cookies.json").write_text('{"hf-chat": "secret"}')
    for arguments in (
        ["login", "--import", "cookies.json"],
        ["login", "--export", "session.json"],
        ["logout"],
    ):
        result = hfchat(*arguments)
        assert result.exit_code == 0, result.output
        harmless(result.output)
    assert (tmp_path / "session.json").is_file()
    assert not list(tmp_path.parent.rglob("evil*"))


def test_fault_45_files_are_fetched_by_quoted_ids(server: FaultServer, caller: Caller) -> None:
    """The id of a file leads to no other address."""
    answer = caller.do(server.url, lambda client: client.chat("hello"))
    assert answer.files[0].name == HOSTILE
    caller.do(
        server.url,
        steps(
            lambda client: client.get_conversation(CONVERSATION),
            lambda conversation: conversation.download(answer.files[0]),
        ),
    )
    (fetched,) = [asked.target for asked in server.requests if "/output/" in asked.target]
    assert fetched.startswith(f"/conversation/{CONVERSATION}/output/..%2F..%2F..%2Fetc%2Fevil%00")


@pytest.mark.parametrize("identity", [PATH, f"{CONVERSATION}/../../x", f"{CONVERSATION}\n", "", 7])
def test_fault_45_id_of_a_new_conversation(caller: Caller, identity: object) -> None:
    """An id of the server's that is none becomes no path."""

    def script(asked: Asked) -> bytes:
        if asked.name == "POST /conversation":
            return _new_conversation(identity)
        return hostile(asked)

    with FaultServer(Scripted(script)) as server:
        error = refused(caller, server.url, lambda client: client.chat("hello"))
        assert isinstance(error, ProtocolError)
        assert not [name for name in server.asked if "/conversation/" in name]


def test_fault_45_wrappers(server: FaultServer, tmp_path: Path) -> None:
    """The wrappers hand names on as data, and write nothing."""
    extras.require("langchain", "llama-index")
    langchain = importlib.import_module("langchain_huggingchat")
    llama_index = importlib.import_module("llama_index_huggingchat")
    chat_model = langchain.ChatHuggingChat(base_url=server.url)
    answer = chat_model.invoke("hello")
    chat_model.close()
    completion = llama_index.HuggingChatLLM(base_url=server.url).complete("hello")
    assert HOSTILE in str(answer.model_dump()).encode().decode("unicode_escape")
    assert completion.text == "Hi"
    assert not list(tmp_path.parent.rglob("evil*"))


def test_fault_45_representations(server: FaultServer) -> None:
    """What Python shows of an answer or a model has its control characters escaped."""
    with HuggingChat(server.url) as client:
        answer = client.chat("hello")
        shown = [repr(answer), repr(client.get_models()), repr(list(client.list_conversations()))]
    for one in shown:
        harmless(one)
