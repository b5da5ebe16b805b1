"""A saved session in the system's keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keyring
import keyring.backend
import keyring.backends.fail
import pytest

from hfchat_base import HuggingChatError, MissingRequirementsError
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore, data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "https://huggingface.co/chat"
COOKIES = [Cookie("hf-chat", "secret"), Cookie("token", "secret too")]


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that lasts as long as a test."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.passwords: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Look one up."""
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep one."""
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Forget one."""
        del self.passwords[service, username]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """The keyring of somebody who wants their sessions there."""
    monkeypatch.setenv("HUGGINGCHAT_KEYRING", "1")
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_values_are_in_the_keyring(ring: MemoryKeyring) -> None:
    """The file holds no value, and the session comes back whole."""
    saved = SessionStore().save(URL, "alice", COOKIES)
    (path,) = data_folder().glob("**/*.json")
    assert "secret" not in path.read_text(encoding="utf-8")
    found = SessionStore().find(URL, "alice")
    assert found is not None
    assert found.cookies == saved.cookies
    SessionStore().refresh(found, [Cookie("token", "new")])
    again = SessionStore().find(URL, "alice")
    assert again is not None
    assert [cookie.value for cookie in again.cookies] == ["secret", "new"]
    SessionStore().remove(saved)
    assert not ring.passwords


def test_back_into_the_file(ring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the keyring is disabled, the next change goes into the file, the keyring is emptied."""
    saved = SessionStore().save(URL, "alice", COOKIES)
    monkeypatch.delenv("HUGGINGCHAT_KEYRING")
    found = SessionStore().find(URL, "alice")
    assert found is not None
    SessionStore().refresh(found, [])
    assert not ring.passwords
    again = SessionStore().find(URL, "alice")
    assert again is not None
    assert again.cookies == saved.cookies


def test_keyring_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a keyring, the error says how to use a file again."""
    monkeypatch.setenv("HUGGINGCHAT_KEYRING", "1")
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(HuggingChatError, match="HUGGINGCHAT_KEYRING"):
            SessionStore().save(URL, "alice", COOKIES)
    finally:
        keyring.set_keyring(before)
    assert not list(data_folder().glob("**/*.json"))


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error names the extra."""
    monkeypatch.setenv("HUGGINGCHAT_KEYRING", "1")
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    monkeypatch.setitem(__import__("sys").modules, "keyring.errors", None)
    with pytest.raises(MissingRequirementsError, match=r"\[keyring\]"):
        SessionStore().save(URL, "alice", COOKIES)


def test_two_cookies_of_one_name(ring: MemoryKeyring) -> None:
    """Values are kept apart by domain and path, not by name alone."""
    cookies = (Cookie("a", "one", path="/chat"), Cookie("a", "two"))
    SessionStore().save(URL, "alice", cookies)
    found = SessionStore().find(URL, "alice")
    assert found is not None
    assert found.cookies == cookies
    assert len(ring.passwords) == 1
