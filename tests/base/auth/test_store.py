"""Saved sessions: what is in the files, who may read them, and many writers at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import stat
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from hfchat_base import HuggingChat, HuggingChatError
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore, data_folder, export, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "https://huggingface.co/chat"
ROUNDS = 100


def pair(value: str) -> list[Cookie]:
    """Both cookies of a session."""
    return [Cookie("hf-chat", value), Cookie("token", "site", ".huggingface.co")]


def test_saved_session_comes_back() -> None:
    """Both cookies are saved together, with their account."""
    store = SessionStore()
    saved = store.save(URL, "alice", pair("one"))
    assert store.find(URL, None) == saved
    assert [cookie.name for cookie in saved.cookies] == ["hf-chat", "token"]


def test_sessions_are_kept_apart() -> None:
    """Each server and account has its own; without a name the newest login is used."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    store.save(URL, "bob", pair("two"))
    store.save("http://localhost:3000", "alice", pair("three"))
    assert [saved.account for saved in store.list(URL)] == ["bob", "alice"]
    found = store.find(URL, "alice")
    assert found is not None
    assert found.cookies[0].value == "one"
    assert store.find(URL, "carol") is None


needs_rights = pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    """The rights of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@needs_rights
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_only_the_owner_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    """Files are 0600 and every folder that is made 0700, whatever the umask."""
    monkeypatch.setenv("HUGGINGCHAT_DATA_DIR", str(tmp_path / "new" / "data"))
    with umask(mask):
        SessionStore().save(URL, "alice", pair("one"))
    folder = data_folder() / "sessions"
    assert [mode(place) for place in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    modes = {path.name: mode(path) for path in folder.iterdir()}
    assert len(modes) == 2
    assert set(modes.values()) == {0o600}


@needs_rights
@pytest.mark.parametrize("mask", [0o000, 0o777], ids=oct)
def test_exported_file_is_the_owners_alone(tmp_path: Path, mask: int) -> None:
    """So is a file that is written elsewhere."""
    saved = SessionStore().save(URL, "alice", pair("one"))
    with umask(mask):
        export(saved, tmp_path / "session.json")
    assert mode(tmp_path / "session.json") == 0o600


@needs_rights
@pytest.mark.parametrize("use", ["list", "save"])
def test_open_folder_is_closed(use: str) -> None:
    """A folder of ours that others may enter is closed to them, by reading as by writing."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    folder = data_folder() / "sessions"
    folder.chmod(0o777)
    if use == "list":
        assert len(store.list(URL)) == 1
    else:
        store.save(URL, "bob", pair("two"))
    assert mode(folder) == 0o700


@needs_rights
def test_folder_that_the_user_named_stays_as_it_is() -> None:
    """Only our own folder inside of it is closed."""
    data_folder().mkdir()
    data_folder().chmod(0o755)
    SessionStore().save(URL, "alice", pair("one"))
    assert mode(data_folder()) == 0o755
    assert mode(data_folder() / "sessions") == 0o700


@needs_rights
def test_own_data_folder_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's folder for this package is closed as well, if it was there and open."""
    monkeypatch.delenv("HUGGINGCHAT_DATA_DIR")
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: tmp_path / "hfchat")
    (tmp_path / "hfchat").mkdir()
    (tmp_path / "hfchat").chmod(0o775)
    SessionStore().list(URL)
    assert mode(tmp_path / "hfchat") == 0o700


@needs_rights
def test_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    """A user may keep the sessions on another disk."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    data_folder().mkdir()
    (data_folder() / "sessions").symlink_to(elsewhere)
    SessionStore().save(URL, "alice", pair("one"))
    assert len(SessionStore().list(URL)) == 1
    assert mode(elsewhere) == 0o700


@needs_rights
@pytest.mark.parametrize("is_link", [False, True], ids=["folder", "link"])
def test_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    """Who owns the folder could read a session or plant one, so it is neither read nor written."""
    SessionStore().save(URL, "alice", pair("one"))
    folder = data_folder() / "sessions"
    if is_link:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    stranger = os.geteuid() + 12345
    if os.geteuid() == 0:
        os.chown(folder, 54321, -1, follow_symlinks=False)
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    for use in (lambda: SessionStore().list(URL), lambda: SessionStore().save(URL, "a", ())):
        with pytest.raises(HuggingChatError, match=r"another user.*HUGGINGCHAT_DATA_DIR"):
            use()


BROKEN = {
    "empty": b"",
    "no JSON": b"{",
    "another type": b"[]",
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "without fields": b"{}",
    "another version": b'{"version": 99}',
    "endless": b'{"version": 1, "base_url": "%s", "in_keyring": false, "account": "x",'
    b' "cookies": [], "saved_at": 1e400, "refreshed_at": 1, "ended_at": 1}' % URL.encode(),
    "no time": b'{"version": 1, "base_url": "%s", "in_keyring": false, "account": "x",'
    b' "cookies": [], "saved_at": NaN, "refreshed_at": 1, "ended_at": null}' % URL.encode(),
    "beyond the calendar": b'{"version": 1, "base_url": "%s", "in_keyring": false, "account": "x",'
    b' "cookies": [], "saved_at": 1, "refreshed_at": 1, "ended_at": 1e300}' % URL.encode(),
    "huge number": b'{"version": 1, "base_url": "%s", "in_keyring": false, "account": "x",'
    b' "cookies": [], "saved_at": 1%s, "refreshed_at": 1, "ended_at": 1}'
    % (URL.encode(), b"0" * 400),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_file_costs_one_session(content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file is named and left out; the other sessions are listed and used."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    broken = data_folder() / "sessions" / "0broken.json"
    broken.write_bytes(content)
    assert [saved.account for saved in store.list(URL)] == ["alice"]
    (problem,) = store.problems
    assert str(broken) in problem
    assert str(broken) in caplog.text
    with HuggingChat(URL) as client:
        assert client.session.account == "alice"
        assert any(str(broken) in line for line in client.session.attempts)


def test_folder_among_the_files_costs_nothing_else() -> None:
    """What cannot be opened at all is named and left out as well."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    (data_folder() / "sessions" / "folder.json").mkdir()
    (data_folder() / "sessions" / "loop.json").symlink_to("loop.json")
    assert [saved.account for saved in store.list(URL)] == ["alice"]
    assert len(store.problems) == 2


def test_broken_file_is_replaced_by_a_login() -> None:
    """Logging in again repairs the account's own file."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    (path,) = (data_folder() / "sessions").glob("*.json")
    path.write_text("{")
    store.save(URL, "alice", pair("two"))
    assert [saved.account for saved in store.list(URL)] == ["alice"]
    assert store.problems == []


def test_account_names_are_data() -> None:
    """A name from a server is never used in a path."""
    SessionStore().save(URL, "../../../evil", pair("one"))
    (path,) = data_folder().glob("**/*.json")
    assert path.parent == data_folder() / "sessions"
    assert "evil" not in path.name


def test_account_name_that_is_not_unicode() -> None:
    """A name with half a character, as a server may send it, is saved and found."""
    saved = SessionStore().save(URL, "a\ud83d", pair("one"))
    assert SessionStore().find(URL, "a\ud83d") == saved


def test_ended_session_is_not_taken() -> None:
    """A session that the server has invalidated comes after one that is usable."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    newest = store.save(URL, "bob", pair("two"))
    store.mark_ended(newest)
    first, second = store.list(URL)
    assert (first.account, first.is_usable) == ("alice", True)
    assert (second.account, second.is_usable) == ("bob", False)


def test_session_expires() -> None:
    """A session whose cookie has expired is not usable."""
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
    """A file that is not ours is skipped, with a warning."""
    folder = data_folder() / "sessions"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text(text, encoding="utf-8")
    assert SessionStore().find(URL, None) is None
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "another version of hfchat wrote it"),
        ({"account": None}, "account should be a valid string, not None"),
        ({"saved_at": "s3cret"}, "saved_at should be a valid number, not str"),
        ({"ended_at": 1e300}, "ended_at should be less than .*, not float"),
        ({"in_keyring": "s3cret"}, "in_keyring should be a valid boolean, not str"),
        ({"cookies": {"s3cret": 1}}, "cookies should be a valid list, not dict"),
        ({"cookies": ["s3cret"]}, r"cookies\[0\] should be a valid dictionary, not str"),
        ({"cookies": [{"name": "s3cret"}]}, r"cookies\[0\]\.value is missing"),
    ],
)
def test_reason_why_a_file_is_broken(change: dict[str, Any], reason: str) -> None:
    """What is wrong is said once, by the name of the field, without anything from the file."""
    store = SessionStore()
    store.save(URL, "alice", pair("one"))
    (path,) = data_folder().glob("**/*.json")
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change), encoding="utf-8")
    assert store.list(URL) == []
    (problem,) = store.problems
    assert re.search(reason, problem), problem
    assert "s3cret" not in problem


def test_unknown_keys_are_ignored() -> None:
    """A newer version may write more about a session and its cookies."""
    store = SessionStore()
    saved = store.save(URL, "alice", pair("one"))
    (path,) = data_folder().glob("**/*.json")
    document = json.loads(path.read_bytes()) | {"device": "phone"}
    document["cookies"][0]["partitioned"] = True
    path.write_text(json.dumps(document), encoding="utf-8")
    assert store.list(URL) == [saved]


@pytest.mark.parametrize("value", ["a\r\nb", "a;b", "\0"])
def test_file_that_was_tampered_with(value: str, caplog: pytest.LogCaptureFixture) -> None:
    """A saved cookie has to follow the same rule as any other."""
    SessionStore().save(URL, "alice", pair("one"))
    (path,) = data_folder().glob("**/*.json")
    document = json.loads(path.read_bytes())
    document["cookies"][0]["value"] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    assert SessionStore().find(URL, None) is None
    assert "cannot be read" in caplog.text


def test_all_of_a_cookie_is_kept() -> None:
    """Two cookies of one name, bytes that are not UTF-8, and all attributes come back."""
    cookies = (
        Cookie("a", "\udcff\u00e9\u2028", ".huggingface.co", "/chat", 4e9, secure=True),
        Cookie("a", '"q\\"', "huggingface.co"),
    )
    saved = SessionStore().save(URL, "alice", cookies)
    assert saved.cookies == cookies
    assert SessionStore().find(URL, None) == saved


def test_deleted_cookie_is_removed() -> None:
    """A cookie that the server deletes is removed from the file."""
    store = SessionStore()
    saved = store.save(URL, "alice", pair("one"))
    store.refresh(saved, [Cookie("token", "", ".huggingface.co", expires=0.0)])
    found = store.find(URL, None)
    assert found is not None
    assert [cookie.name for cookie in found.cookies] == ["hf-chat"]


def test_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing can be written, the error names the variable that helps."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HUGGINGCHAT_DATA_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(HuggingChatError, match="HUGGINGCHAT_DATA_DIR"):
        SessionStore().save(URL, "alice", pair("one"))


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A file that cannot be written completely is not written at all."""
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
    """Two processes refresh at once a hundred times: no file is torn, no change is lost."""
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
