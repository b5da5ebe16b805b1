"""Resolution order: what is present against what is taken."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from hfchat_base import HuggingChat, InvalidRequestError, LoginRequired
from hfchat_base.auth.browsers import BROWSERS
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore, data_folder
from tests.support.firefox import write_profile

if TYPE_CHECKING:
    from pathlib import Path

    from hfchat_base.local import LocalServer

URL: Final = "http://localhost:9/chat"


@dataclass(frozen=True)
class Case:
    """What is present, and what should be taken."""

    argument: bool = False
    variable: bool = False
    file: bool = False
    saved: str = ""
    browser: bool = False
    taken: str = "guest"
    value: str = ""
    tried: tuple[str, ...] = ()


NOTHING = ("argument: no", "environment: neither", "saved session: there is none")

CASES = [
    Case(tried=(*NOTHING, "Firefox: nobody has logged in", "guest: taken")),
    Case(browser=True, taken="browser", value="browser", tried=(*NOTHING, "Firefox: taken")),
    Case(saved="good", taken="saved", value="saved", tried=(*NOTHING[:2], "saved session: taken")),
    Case(saved="good", browser=True, taken="saved", value="saved"),
    Case(
        saved="ended",
        browser=True,
        taken="browser",
        value="browser",
        tried=(*NOTHING[:2], "saved session: the server has thrown", "Firefox: taken"),
    ),
    Case(saved="expired", tried=(*NOTHING[:2], "saved session: that of alice has run out")),
    Case(saved="broken", tried=(*NOTHING[:2], "saved session: ", NOTHING[2])),
    Case(file=True, saved="good", taken="environment", value="file"),
    Case(variable=True, file=True, saved="good", taken="environment", value="variable"),
    Case(variable=True, taken="environment", value="variable", tried=("argument: no", "env")),
    Case(
        argument=True,
        variable=True,
        file=True,
        saved="good",
        browser=True,
        taken="argument",
        value="argument",
        tried=("argument: taken",),
    ),
]


def arrange(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put everything where the case wants it."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("HUGGINGCHAT_BROWSERS", "firefox")
    if case.variable:
        monkeypatch.setenv("HUGGINGCHAT_COOKIES", "hf-chat=variable")
    if case.file:
        (folder / "cookies.json").write_text('{"hf-chat": "file"}', encoding="utf-8")
        monkeypatch.setenv("HUGGINGCHAT_COOKIE_FILE", str(folder / "cookies.json"))
    write_profile(folder, [("hf-chat", "browser")] if case.browser else [], host="localhost")
    if case.saved:
        store = SessionStore()
        expires = 1.0 if case.saved == "expired" else None
        saved = store.save(URL, "alice", [Cookie("hf-chat", "saved", expires=expires)])
        if case.saved == "ended":
            store.mark_ended(saved)
        if case.saved == "broken":
            (path,) = data_folder().glob("**/*.json")
            path.write_text("{", encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.taken}-{case.saved}")
def test_order(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first that is there is taken, and INFO says why not the earlier ones."""
    arrange(case, tmp_path, monkeypatch)
    caplog.set_level(logging.INFO, "hfchat")
    with HuggingChat(URL, {"hf-chat": "argument"} if case.argument else None) as client:
        session = client.session
        assert session.source == case.taken
        if case.value:
            assert [cookie.value for cookie in session.cookies()] == [case.value]
        for start, line in zip(case.tried, session.considered, strict=False):
            assert line.startswith(start), session.considered
    assert f"session for {URL}: from {case.taken}" in caplog.text
    assert all(line in caplog.text for line in session.considered)


def test_nothing_is_looked_for_before_it_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    """Making a client touches no disk and no browser."""
    caplog.set_level(logging.INFO, "hfchat")
    with HuggingChat(URL) as client:
        assert repr(client) == f"HuggingChat({URL!r}, Session(not looked for yet))"
    assert not caplog.text
    assert not data_folder().exists()


def test_account_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several saved sessions it is the named one, by argument or by variable."""
    for name in ("alice", "bob"):
        SessionStore().save(URL, name, [Cookie("hf-chat", name)])
    with HuggingChat(URL) as client:
        assert client.session.account == "bob"
    with HuggingChat(URL, account="alice") as client:
        assert client.session.account == "alice"
    monkeypatch.setenv("HUGGINGCHAT_ACCOUNT", "alice")
    with HuggingChat(URL) as client:
        assert client.session.account == "alice"
    with HuggingChat(URL, account="carol") as client:
        assert client.session.is_guest
        assert "none of carol" in " ".join(client.session.considered)


def test_guest_is_told_how_to_log_in(closed: LocalServer) -> None:
    """Where guests are turned away, the error holds the one command that mends it."""
    with HuggingChat(closed.base_url) as client, pytest.raises(LoginRequired) as caught:
        client.create_conversation()
    assert f"hfchat login --base-url {closed.base_url}" in str(caught.value)


def test_half_a_session_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """On huggingface.co the two cookies are of use only together."""
    with HuggingChat("https://huggingface.co/chat", {"hf-chat": "alone"}):
        assert "lacks its cookie 'token'" in caplog.text


def test_browsers_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """HUGGINGCHAT_BROWSERS=none looks into none, and a wrong name is told."""
    with HuggingChat(URL) as client:
        assert "browsers: switched off" in " ".join(client.session.considered)
    monkeypatch.setenv("HUGGINGCHAT_BROWSERS", "firefox,netscape")
    with HuggingChat(URL) as client:
        told = " ".join(client.session.considered)
    assert "'netscape' is no browser" in told
    assert all(name in told for name in BROWSERS)


def test_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment gives and cannot be read fails where the client is made."""
    monkeypatch.setenv("HUGGINGCHAT_COOKIE_FILE", "/nowhere/cookies.txt")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        HuggingChat(URL)


def test_session_is_shared() -> None:
    """A client takes the session of another one."""
    with HuggingChat(URL, {"hf-chat": "mine"}) as first, HuggingChat(URL, first.session) as second:
        assert second.session is first.session
