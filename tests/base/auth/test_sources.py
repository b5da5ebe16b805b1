"""Where a session comes from: the order of the sources, and real browsers' profiles."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import (
    HuggingChat,
    InvalidRequestError,
    LoginRequired,
    MissingRequirementsError,
)
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth import sources
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.sources import BROWSERS, read_profiles
from hfchat_base.auth.store import SessionStore, data_folder
from tests.support.sessions import write_profile

if TYPE_CHECKING:
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
    Case(tried=(*NOTHING, "Firefox: nobody has logged in", "guest: used")),
    Case(browser=True, taken="browser", value="browser", tried=(*NOTHING, "Firefox: used")),
    Case(saved="good", taken="saved", value="saved", tried=(*NOTHING[:2], "saved session: used")),
    Case(saved="good", browser=True, taken="saved", value="saved"),
    Case(
        saved="ended",
        browser=True,
        taken="browser",
        value="browser",
        tried=(
            *NOTHING[:2],
            "saved session: the server invalidated the session of alice",
            "Firefox: used",
        ),
    ),
    Case(saved="expired", tried=(*NOTHING[:2], "saved session: the session of alice has expired")),
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
        tried=("argument: used",),
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
    """The first source that has a session is used, and INFO shows why earlier ones were not."""
    arrange(case, tmp_path, monkeypatch)
    caplog.set_level(logging.INFO, "hfchat")
    with HuggingChat(URL, {"hf-chat": "argument"} if case.argument else None) as client:
        session = client.session
        assert session.source == case.taken
        if case.value:
            assert [cookie.value for cookie in session.cookies()] == [case.value]
        for start, line in zip(case.tried, session.attempts, strict=False):
            assert line.startswith(start), session.attempts
    assert f"session for {URL}: from {case.taken}" in caplog.text
    assert all(line in caplog.text for line in session.attempts)


def test_nothing_is_looked_for_before_it_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    """Making a client touches no disk and no browser."""
    caplog.set_level(logging.INFO, "hfchat")
    with HuggingChat(URL) as client:
        assert repr(client) == f"HuggingChat({URL!r}, Session(not resolved yet))"
    assert not caplog.text
    assert not data_folder().exists()


def test_account_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument or variable choose among several saved sessions."""
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
        assert "none of carol" in " ".join(client.session.attempts)


def test_guest_is_told_how_to_log_in(closed: LocalServer) -> None:
    """Where guests are refused, the error holds the command to log in."""
    with HuggingChat(closed.base_url) as client, pytest.raises(LoginRequired) as caught:
        client.create_conversation()
    assert f"hfchat login --base-url {closed.base_url}" in str(caught.value)


def test_half_a_session_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """On huggingface.co the two cookies only work together."""
    with HuggingChat("https://huggingface.co/chat", {"hf-chat": "alone"}):
        assert "lacks the cookie 'token'" in caplog.text


def test_browsers_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """HUGGINGCHAT_BROWSERS=none disables browsers, and an unknown name is reported."""
    with HuggingChat(URL) as client:
        assert "browsers: disabled by" in " ".join(client.session.attempts)
    monkeypatch.setenv("HUGGINGCHAT_BROWSERS", "firefox,netscape")
    with HuggingChat(URL) as client:
        told = " ".join(client.session.attempts)
    assert "'netscape' is not a supported browser" in told
    assert all(name in told for name in BROWSERS)


def test_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that cannot be read fails when the client is made."""
    monkeypatch.setenv("HUGGINGCHAT_COOKIE_FILE", "/nowhere/cookies.txt")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        HuggingChat(URL)


def test_session_is_shared() -> None:
    """A client accepts the session of another one."""
    with HuggingChat(URL, {"hf-chat": "mine"}) as first, HuggingChat(URL, first.session) as second:
        assert second.session is first.session


# --- the browsers on this machine -----------------------------------------------------------------

LOCALHOST = Endpoint.parse("http://localhost:9/chat")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with no browser's profile in it yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("HUGGINGCHAT_BROWSERS")
    return tmp_path


@pytest.mark.timeout(400)
async def test_cookies_of_a_real_chromium(chromium: str, home: Path, closed: LocalServer) -> None:
    """A login in the user's own Chromium is enough: no argument, no variable, no file."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - slow to import

    cookies = closed.new_session("dora")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(home / ".config" / "chromium"),
            executable_path=chromium,
            headless=True,
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking"],
        )
        await context.add_cookies(
            [
                {"name": "hf-chat", "value": value, "url": url, "expires": time.time() + 86400}
                for url, value in (
                    (closed.base_url, cookies["hf-chat"]),
                    ("http://example.com", "elsewhere"),
                )
            ]
        )
        await context.close()

    def ask() -> tuple[str, str]:
        with HuggingChat(closed.base_url) as client:
            user = client.whoami()
            return client.session.source, user.username if user else ""

    assert await asyncio.to_thread(ask) == ("browser", "dora")


def test_firefox_profile_is_found(home: Path) -> None:
    """The default profile is found automatically, and gives only this host's cookies."""
    write_profile(home, [("hf-chat", "one"), ("token", "two")], host="localhost")
    (profile,) = read_profiles(["firefox"], LOCALHOST)
    assert {cookie.name: cookie.value for cookie in profile.cookies} == {
        "hf-chat": "one",
        "token": "two",
    }


def test_only_the_rows_of_the_host_are_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library gets the host, so that it does not even read other sites' cookies."""
    write_profile(home, [("hf-chat", "one")], host="localhost")
    library = sources._library()
    asked: list[Any] = []

    def spy(name: str, profile: None, domains: list[str], **options: Any) -> Any:
        asked.append(domains)
        return library.browser_report(name, profile, domains, **options)

    monkeypatch.setattr(
        sources, "_library", lambda: type("Library", (), {"browser_report": staticmethod(spy)})
    )
    list(read_profiles(["firefox"], LOCALHOST))
    assert asked == [["localhost"]]


@pytest.mark.parametrize(
    ("host", "problem"),
    [("example.com", "nobody has logged in"), ("localhost", "no chat session")],
)
def test_profile_without_a_session(home: Path, host: str, problem: str) -> None:
    """Cookies of another site, or others of this one, are not a session; the reason is shown."""
    write_profile(home, [("token", "two")], host=host)
    (profile,) = read_profiles(["firefox"], LOCALHOST)
    assert not profile.cookies
    assert problem in profile.problem


def test_profile_that_cannot_be_read(home: Path) -> None:
    """A broken cookie store is reported, and the next browser is tried."""
    database = write_profile(home, [("hf-chat", "one")], host="localhost")
    database.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    broken, missing = read_profiles(["firefox", "chromium"], LOCALHOST)
    assert "cannot be read" in broken.problem or "locked or encrypted" in broken.problem
    assert not missing.exists


@pytest.mark.usefixtures("home")
def test_missing_extra_skips_browsers(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> None:
    """Without the extra, browsers are skipped and the install command is shown."""
    monkeypatch.setitem(__import__("sys").modules, "rookie_cookies", None)
    with pytest.raises(MissingRequirementsError, match=r"\[browser\]"):
        list(read_profiles(["firefox"], LOCALHOST))
    with HuggingChat(server.base_url) as client:
        assert client.session.is_guest
        assert "[browser]" in " ".join(client.session.attempts)


@pytest.mark.usefixtures("home")
def test_no_password_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS Chrome's cookies are not read unless somebody is there to type a password."""
    # In that module alone: others look at the platform too, when they are imported.
    mac = SimpleNamespace(platform="darwin", version_info=sys.version_info)
    monkeypatch.setattr("hfchat_base.auth.sources.sys", mac)
    chrome, firefox = read_profiles(["chrome", "firefox"], LOCALHOST)
    assert "hfchat login --from-browser chrome" in chrome.problem
    assert "password" not in firefox.problem
