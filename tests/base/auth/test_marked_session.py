"""Everything is done with a marked session, and nothing that anybody can see shows the mark.

Not here: what a hostile server can make of a session (`test_hostile_servers.py`).
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import HuggingChat, HuggingChatError
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.login import AuthResult, login_with_cookies
from hfchat_base.auth.session import FoundSession
from hfchat_base.auth.store import SessionStore, data_folder
from hfchat_base.types import User
from tests.support import extras
from tests.support.replay import RawServer, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hfchat_base.local import LocalServer

MARK: Final = "MaRkEdSeCrEt"
COOKIES: Final = {"hf-chat": f"{MARK}-chat", "token": f"{MARK}-site"}
TOKEN: Final = f"hf_{MARK}"
PROXY: Final = f"http://user:{MARK}@127.0.0.1:9"


def assert_clean(*texts: object) -> None:
    """Look for the mark, as it is and as bytes."""
    for text in texts:
        shown = text if isinstance(text, bytes) else str(text).encode()
        assert MARK.encode() not in shown, shown


def everything_about(error: BaseException) -> str:
    """An exception as anybody could show it: with its chain, its attributes, and as a pickle."""
    told = [*traceback.format_exception(error), repr(error), str(vars(error))]
    seen: BaseException | None = error
    while seen is not None:
        told += [repr(seen.args), repr(seen.__notes__) if hasattr(seen, "__notes__") else ""]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(told)


def test_reprs(server: LocalServer) -> None:
    """Nothing that holds the session shows it."""
    with HuggingChat(server.base_url, COOKIES, proxy=PROXY, headers={"x-sso": MARK}) as client:
        saved = SessionStore().save(server.base_url, "alice", client.session.cookies())
        result = AuthResult(server.base_url, User(id="1", username="alice"), COOKIES)
        shown = [client, client.session, client.session.cookies(), saved, result]
        shown += [FoundSession("argument", token=TOKEN), Cookie("a", MARK), client._connection]
        shown += [client.to_async(), client.server, client._transport]
        for one in shown:
            assert_clean(repr(one), str(one), f"{one!s} {one!r}")
    with HuggingChat(server.base_url, TOKEN) as client:
        assert_clean(repr(client), repr(client.session))


FAILURES: Final[dict[str, Callable[[str], object]]] = {
    "no cookies": lambda url: HuggingChat(url, f"{MARK} nonsense"),
    "broken JSON": lambda url: HuggingChat(url, f'{{"hf-chat": "{MARK}"'),
    "line break": lambda url: HuggingChat(url, {"hf-chat": f"{MARK}\n"}),
    "token": lambda url: HuggingChat(url, TOKEN).create_conversation("echo/base"),
    "nobody there": lambda _: HuggingChat("http://127.0.0.1:9", COOKIES).get_models(),
    "proxy": lambda url: HuggingChat(url, COOKIES, proxy=PROXY).get_models(),
    "broken proxy": lambda url: HuggingChat(url, COOKIES, proxy=f"x://:{MARK}@[").get_models(),
    "no login": lambda url: login_with_cookies(COOKIES, url),
    "conversation": lambda url: HuggingChat(url, COOKIES).get_conversation("0" * 24),
    "header": lambda url: HuggingChat(
        url, COOKIES, headers={"x": f"{MARK}\n"}
    ).create_conversation(),
    "pickle": lambda url: pickle.dumps(HuggingChat(url, COOKIES)),
    "copy": lambda url: copy.deepcopy(HuggingChat(url, COOKIES).session),
}


@pytest.mark.parametrize("name", FAILURES)
def test_errors(name: str, current_server: LocalServer) -> None:
    """No error shows the session, nor does its chain."""
    with pytest.raises(HuggingChatError) as caught:
        FAILURES[name](current_server.base_url)
    assert_clean(everything_about(caught.value), pickle.dumps(str(caught.value)))


def test_error_of_a_lost_session() -> None:
    """The error about a lost session shows neither the old nor the new session."""
    headers = {"set-cookie": f"hf-chat={MARK}-other; Path=/"}
    with (
        RawServer(lambda _, wire: wire.send(whole("{}", headers=headers))) as server,
        HuggingChat(server.base_url, COOKIES) as client,
        pytest.raises(HuggingChatError) as caught,
    ):
        client.create_conversation("echo/base")
    assert_clean(everything_about(caught.value))


def test_cookie_file_that_is_broken(tmp_path: Path) -> None:
    """A file's content is not quoted."""
    path = tmp_path / "cookies.txt"
    path.write_text(f"hf-chat {MARK}\n", encoding="utf-8")
    with pytest.raises(HuggingChatError) as caught:
        HuggingChat("http://localhost", path)
    assert_clean(everything_about(caught.value))


def test_logs(server: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    """No logger shows the session, even at DEBUG."""
    caplog.set_level(logging.DEBUG)
    SessionStore().save(server.base_url, "alice", [Cookie(n, v) for n, v in COOKIES.items()])
    with HuggingChat(server.base_url) as client:
        conversation = client.create_conversation("echo/base")
        conversation.send("hello")
        with pytest.raises(HuggingChatError):
            client.get_conversation("0" * 24)
        client.logout()
    assert "session for" in caplog.text
    assert_clean(caplog.text, *(str(vars(record)) for record in caplog.records))


def test_langchain(current_server: LocalServer) -> None:
    """Nothing that LangChain serialises, shows, traces or caches holds the session."""
    extras.require("langchain")
    load = importlib.import_module("langchain_core.load")
    tracers = importlib.import_module("langchain_core.tracers.run_collector")
    from langchain_huggingchat import ChatHuggingChat  # noqa: PLC0415 - an extra

    for cookies in (
        COOKIES,
        json.dumps(COOKIES),
        "; ".join(f"{n}={v}" for n, v in COOKIES.items()),
    ):
        model = ChatHuggingChat(
            model="echo/base",
            base_url=current_server.base_url,
            cookies=cookies,
            headers={"x-sso": MARK},
        )
        collector = tracers.RunCollectorCallbackHandler()
        model.invoke("hello", config={"callbacks": [collector]})
        chain = model.bind(stop=["x"]).with_retry()
        assert_clean(
            *(repr(one) for one in (model, chain)),
            *(str(one) for one in (model, chain)),
            load.dumps(model),
            load.dumps(chain),
            model.model_dump(),
            model.model_dump_json(),
            model._identifying_params,
            model._get_llm_string(),
            model._get_ls_params(),
            *(run.model_dump_json() for run in collector.traced_runs),
            _pickled(model),
        )


def test_llama_index(current_server: LocalServer) -> None:
    """Nothing that LlamaIndex serialises, shows or sends to event handlers holds the session."""
    extras.require("llama-index")
    instrumentation = importlib.import_module("llama_index.core.instrumentation")
    from llama_index.core.instrumentation.event_handlers import (  # noqa: PLC0415 - an extra
        BaseEventHandler,
    )

    from llama_index_huggingchat import HuggingChatLLM  # noqa: PLC0415 - likewise

    events: list[str] = []

    class Handler(BaseEventHandler):
        def handle(self, event: Any, **_: Any) -> None:
            events.append(f"{event!r} {event.model_dump()}")

    dispatcher = instrumentation.get_dispatcher()
    handler = Handler()
    dispatcher.add_event_handler(handler)
    try:
        llm = HuggingChatLLM(
            "echo/base",
            base_url=current_server.base_url,
            cookies=COOKIES,
            headers={"x-sso": MARK},
        )
        llm.complete("hello")
    finally:
        dispatcher.event_handlers.remove(handler)
    assert events
    assert_clean(
        repr(llm),
        str(llm),
        llm.to_dict(),
        llm.to_json(),
        llm.model_dump(),
        _pickled(llm),
        *events,
    )


def _pickled(thing: object) -> bytes:
    """A pickle, or how making it fails."""
    try:
        return pickle.dumps(thing)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return everything_about(error).encode()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--debug", "ask", "hello", "--model", "echo/base"], "You said: hello"),
        (["--debug", "ask", "hello", "--model", "nothing/such"], "ModelNotFoundError"),
        (["--debug", "whoami"], "has expired"),
        (["--debug", "doctor"], "does not know this session"),
        (["--debug", "conversations", "list"], ""),
        (["--debug", "models", "--base-url", "http://127.0.0.1:9"], "Traceback"),
        (["--debug", "login", "--import", "broken.txt"], "Traceback"),
        (["login", "--import", "broken.txt"], "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_command_line(
    arguments: list[str], expected: str, current_server: LocalServer, tmp_path: Path
) -> None:
    """Neither what a command prints nor how it crashes shows the session."""
    (tmp_path / "broken.txt").write_text(f"hf-chat {MARK}", encoding="utf-8")
    result = subprocess.run(  # noqa: S603 - the command is ours
        [sys.executable, "-c", "from hfchat_base.cli import main; main()", *arguments],
        env={
            **os.environ,
            "HUGGINGCHAT_BASE_URL": current_server.base_url,
            "HUGGINGCHAT_COOKIES": json.dumps(COOKIES),
        },
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert expected.encode() in result.stdout + result.stderr
    assert_clean(result.stdout, result.stderr)


def test_files(
    current_server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is in one file, which only its owner can read, and nowhere else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = current_server.base_url
    SessionStore().save(url, "alice", [Cookie(n, v) for n, v in COOKIES.items()])
    with HuggingChat(url) as client:
        assert client.session.source == "saved"
        client.create_conversation("echo/base").send("hello")
    holders = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and MARK.encode() in path.read_bytes()
    ]
    assert [path.parent for path in holders] == [data_folder() / "sessions"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
    assert MARK not in str(holders[0])
