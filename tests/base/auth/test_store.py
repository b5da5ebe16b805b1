"""Saved sessions: what is in the files, who may read them, and many writers at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest

from hfchat_base import HuggingChatError
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore, data_folder, replace_file

URL = "https://huggingface.co/chat"
ROUNDS = 100


def pair(value: str) -> list[Cookie]:
    """Both cookies of a session."""
    return [Cookie("hf-chat", value), Cookie("token", "site", ".huggingface.co")]


def test_saved_session_comes_back() -> None:
    """Both cookies are kept together, with whom they belong to."""
    store = SessionStore()
    saved = store.save(URL, "alice", pair("one"))
    assert store.find(URL, None) == saved
    assert [cookie.name for cookie in saved.cookies] == ["hf-chat", "token"]


def test_sessions_are_kept_apart() -> None:
    """Each server and account has its own; without a name the newest login is taken."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    store.save(URL, "bob", pair("two"))
    store.save("http://localhost:3000", "alice", pair("three"))
    assert [saved.account for saved in store.list(URL)] == ["bob", "alice"]
    found = store.find(URL, "alice")
    assert found is not None
    assert found.cookies[0].value == "one"
    assert store.find(URL, "carol") is None


def test_only_the_owner_may_read() -> None:
    """Files are 0600 and their folder 0700, whatever the umask."""
    before = os.umask(0)
    try:
        SessionStore().save(URL, "alice", pair("one"))
    finally:
        os.umask(before)
    folder = data_folder() / "sessions"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert len(modes) == 2
    assert set(modes.values()) == {0o600}


def test_account_names_are_data() -> None:
    """A name from a server makes no path."""
    SessionStore().save(URL, "../../../evil", pair("one"))
    (path,) = data_folder().glob("**/*.json")
    assert path.parent == data_folder() / "sessions"
    assert "evil" not in path.name


def test_ended_session_is_not_taken() -> None:
    """A session that the server has thrown away comes after one that is good."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    newest = store.save(URL, "bob", pair("two"))
    store.mark_ended(newest)
    first, second = store.list(URL)
    assert (first.account, first.is_usable) == ("alice", True)
    assert (second.account, second.is_usable) == ("bob", False)


def test_session_runs_out() -> None:
    """A session whose cookie has run out is not usable."""
    saved = SessionStore().save(URL, "alice", [Cookie("hf-chat", "one", expires=time.time() - 1)])
    assert not saved.is_usable


def test_newer_login_is_not_touched() -> None:
    """Whoever still has the former session changes nothing about the new one."""
    store = SessionStore()
    former = store.save(URL, "alice", pair("one"))
    store.save(URL, "alice", pair("two"))
    store.mark_ended(former)
    assert store.refresh(former, [Cookie("token", "stale")]) is None
    found = store.find(URL, "alice")
    assert found is not None
    assert found.is_usable
    assert {cookie.value for cookie in found.cookies} == {"two", "site"}


def test_removed_session_is_gone() -> None:
    """Nothing of a removed session is left, and removing it again does no harm."""
    store = SessionStore()
    saved = store.save(URL, "alice", pair("one"))
    store.remove(saved)
    store.remove(saved)
    assert store.find(URL, None) is None
    assert not list(data_folder().glob("**/*.json"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1, "in_keyring": false}'])
def test_broken_file_is_passed_over(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is none of ours is no session, and said so."""
    folder = data_folder() / "sessions"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text(text, encoding="utf-8")
    assert SessionStore().find(URL, None) is None
    assert "cannot be read" in caplog.text


def test_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, the error names the way out."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HUGGINGCHAT_DATA_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(HuggingChatError, match="HUGGINGCHAT_DATA_DIR"):
        SessionStore().save(URL, "alice", pair("one"))


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written whole is not written at all."""
    path = tmp_path / "file"
    replace_file(path, b"old")
    with pytest.raises(TypeError):
        replace_file(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _refresh_often(folder: str, name: str) -> None:
    store = SessionStore(Path(folder))
    for number in range(ROUNDS):
        saved = store.find(URL, "alice")
        assert saved is not None
        assert store.refresh(saved, [Cookie(name, str(number))]) is not None


def _read_often(folder: str) -> None:
    path = next(Path(folder).glob("*.json"))
    for _ in range(ROUNDS * 5):
        json.loads(path.read_bytes())


def test_two_processes_refresh_one_session(tmp_path: Path) -> None:
    """A hundred refreshes each at once: no file is torn, no change is lost."""
    store = SessionStore(tmp_path)
    store.save(URL, "alice", pair("one"))
    context = multiprocessing.get_context("spawn")
    processes = [
        *(
            context.Process(target=_refresh_often, args=(str(tmp_path), name))
            for name in ("left", "right")
        ),
        context.Process(target=_read_often, args=(str(tmp_path),)),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = store.find(URL, "alice")
    assert found is not None
    values = {cookie.name: cookie.value for cookie in found.cookies}
    last = str(ROUNDS - 1)
    assert values == {"hf-chat": "one", "token": "site", "left": last, "right": last}
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ""}
