"""Cookies out of real browsers' profiles, made here."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import HuggingChat, MissingRequirementsError
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth import browsers
from hfchat_base.auth.browsers import read_profiles
from hfchat_base.auth.window import find_browser, new_window
from tests.support.firefox import write_profile
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.local import LocalServer

LOCALHOST = Endpoint.parse("http://localhost:9/chat")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with no browser's profile in it yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("HUGGINGCHAT_BROWSERS")
    return tmp_path


@pytest.fixture
def site() -> Iterator[str]:
    """A site that sets a session's cookie, and says so with a page."""

    def answer(_: RawRequest, wire: Wire) -> None:
        cookie = "hf-chat=seen; Path=/; Max-Age=86400; HttpOnly"
        wire.send(whole("<p>hello</p>", content_type="text/html", headers={"set-cookie": cookie}))

    with RawServer(answer) as server:
        yield server.base_url


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


@pytest.mark.timeout(400)
async def test_cookies_of_a_real_firefox(firefox: str, tmp_path: Path, site: str) -> None:
    """A Firefox that runs is read while it runs, and none of it is left when it is closed."""
    endpoint = Endpoint.parse(site)
    window = new_window(
        find_browser(firefox), endpoint, tmp_path / "p", headless=True, proxy=None, arguments=()
    )
    await window.open(site)
    try:
        until = time.monotonic() + 60
        while not (cookies := await window.cookies()) and time.monotonic() < until:
            assert not window.is_closed
            await asyncio.sleep(0.2)
    finally:
        await window.close()
    assert window.is_closed
    assert [(cookie.name, cookie.value) for cookie in cookies] == [("hf-chat", "seen")]


def test_firefox_profile_is_found(home: Path) -> None:
    """The default profile is found by itself, and gives only this host's cookies."""
    write_profile(home, [("hf-chat", "one"), ("token", "two")], host="localhost")
    (profile,) = read_profiles(["firefox"], LOCALHOST)
    assert {cookie.name: cookie.value for cookie in profile.cookies} == {
        "hf-chat": "one",
        "token": "two",
    }


def test_only_the_rows_of_the_host_are_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is told the host, so that it does not even read other sites' cookies."""
    write_profile(home, [("hf-chat", "one")], host="localhost")
    library = browsers._library()
    asked: list[Any] = []

    def spy(name: str, profile: None, domains: list[str], **options: Any) -> Any:
        asked.append(domains)
        return library.browser_report(name, profile, domains, **options)

    monkeypatch.setattr(
        browsers, "_library", lambda: type("Library", (), {"browser_report": staticmethod(spy)})
    )
    list(read_profiles(["firefox"], LOCALHOST))
    assert asked == [["localhost"]]


@pytest.mark.parametrize(
    ("host", "problem"),
    [("example.com", "nobody has logged in"), ("localhost", "no chat session")],
)
def test_profile_without_a_session(home: Path, host: str, problem: str) -> None:
    """Another site's cookies, or other cookies of the site, are no session, and said so."""
    write_profile(home, [("token", "two")], host=host)
    (profile,) = read_profiles(["firefox"], LOCALHOST)
    assert not profile.cookies
    assert problem in profile.problem


def test_profile_that_cannot_be_read(home: Path) -> None:
    """A broken store is told of, and the next browser is tried."""
    database = write_profile(home, [("hf-chat", "one")], host="localhost")
    database.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    broken, missing = read_profiles(["firefox", "chromium"], LOCALHOST)
    assert "cannot be read" in broken.problem or "locked or encrypted" in broken.problem
    assert not missing.is_there


@pytest.mark.usefixtures("home")
def test_missing_extra_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> None:
    """Without the extra the way is passed over, with the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "rookie_cookies", None)
    with pytest.raises(MissingRequirementsError, match=r"hfchat\[browser\]"):
        list(read_profiles(["firefox"], LOCALHOST))
    with HuggingChat(server.base_url) as client:
        assert client.session.is_guest
        assert "hfchat[browser]" in " ".join(client.session.considered)


@pytest.mark.usefixtures("home")
def test_nobody_is_asked_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS Chrome's cookies are left alone unless somebody is there to answer."""
    # In that module alone: others look at the platform too, when they are imported.
    mac = SimpleNamespace(platform="darwin", version_info=sys.version_info)
    monkeypatch.setattr("hfchat_base.auth.browsers.sys", mac)
    chrome, firefox = read_profiles(["chrome", "firefox"], LOCALHOST)
    assert "hfchat login --from-browser chrome" in chrome.problem
    assert "password" not in firefox.problem
