"""Logging in with a real browser, and with what was taken from elsewhere.

The person at the browser is played by a second connection to it, over its debugging port.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    HuggingChat,
    HuggingChatError,
    LoginRequired,
    MissingRequirementsError,
    SessionExpired,
)
from hfchat_base.auth.login import (
    AuthResult,
    LoginStep,
    RequestLogin,
    login,
    login_async,
    login_with_cookies,
    login_with_cookies_async,
)
from hfchat_base.auth.store import SessionStore, browser_folder, data_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hfchat_base.local import LocalServer

ARGUMENTS = ("--remote-debugging-port=0", "--disable-gpu", "--disable-dev-shm-usage")


@asynccontextmanager
async def person(base_url: str, act: Callable[[Any], Any]) -> AsyncIterator[asyncio.Task[None]]:
    """Somebody who acts as soon as the window is open."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - slow to import

    port_file = browser_folder(base_url) / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)

    async def run() -> None:
        while (  # noqa: ASYNC110 - it is a file that another program writes
            not port_file.exists() or "\n" not in port_file.read_text(encoding="ascii")
        ):
            await asyncio.sleep(0.05)
        port = port_file.read_text(encoding="ascii").split("\n")[0]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            await act(browser.contexts[0].pages[0])

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        # The window may close under the hands of whoever acts in it.
        with suppress(asyncio.CancelledError, Exception):
            await task


def is_running(base_url: str) -> bool:
    """Return whether the window's Chromium runs: its profile names the process in a link."""
    lock = browser_folder(base_url) / "SingletonLock"
    if not lock.is_symlink():
        return False
    try:
        os.kill(int(str(lock.readlink()).rpartition("-")[2]), 0)
    except ProcessLookupError:
        return False
    return True


async def sign_in(page: Any) -> None:
    """Fill in the identity provider's form."""
    await page.fill("#username", "bob")
    await page.click("#sign-in")


async def log_in(base_url: str, chromium: str) -> list[LoginStep]:
    """Log in as bob; return every step."""
    async with person(base_url, sign_in):
        return [
            step
            async for step in login_async(
                base_url, browser=chromium, headless=True, timeout=60, browser_args=ARGUMENTS
            )
        ]


@pytest.mark.timeout(400)
async def test_from_no_session_to_an_answer(chromium: str, closed: LocalServer) -> None:
    """No session, a login, an answer; its end, a login, and the same conversation continues."""
    url = closed.base_url
    with HuggingChat(url) as client, pytest.raises(LoginRequired, match="hfchat login"):
        await asyncio.to_thread(client.create_conversation)

    request, result = await log_in(url, chromium)
    assert request == RequestLogin(f"{url}/login")
    assert isinstance(result, AuthResult)
    assert (result.user.username, result.base_url) == ("bob", url)
    assert list(result.cookies) == ["hf-chat"]

    with HuggingChat(url) as client:
        conversation = await asyncio.to_thread(client.create_conversation)
        answer = await asyncio.to_thread(conversation.send, "hello")
        assert answer.text == "You said: hello"
        assert client.session.source == "saved"

        closed.end_all_sessions()
        with pytest.raises(SessionExpired, match="hfchat login"):
            await asyncio.to_thread(conversation.send, "are you there?")

        await log_in(url, chromium)
        answer = await asyncio.to_thread(conversation.send, "and again")
        assert answer.text == "You said: and again"
        messages = await asyncio.to_thread(conversation.messages)
    assert [m.content for m in messages if m.role == "user"] == ["hello", "and again"]


@pytest.mark.timeout(400)
async def test_window_that_is_closed(chromium: str, closed: LocalServer) -> None:
    """Whoever closes the window has not logged in, and nothing is saved."""

    async def close(page: Any) -> None:
        await page.close()

    async with person(closed.base_url, close):
        with pytest.raises(LoginRequired, match="closed"):
            async for _ in login_async(
                closed.base_url, browser=chromium, headless=True, browser_args=ARGUMENTS
            ):
                pass
    assert SessionStore().find(closed.base_url, None) is None


@pytest.mark.timeout(400)
def test_nobody_logs_in(chromium: str, closed: LocalServer) -> None:
    """After the timeout the synchronous login raises, and the browser is gone."""
    steps = login(closed.base_url, browser=chromium, headless=True, timeout=0.5)
    assert isinstance(next(steps), RequestLogin)
    with pytest.raises(LoginRequired):
        next(steps)
    assert not is_running(closed.base_url)


@pytest.mark.skipif("sys.platform == 'win32'", reason="there it is not a signal")
@pytest.mark.timeout(400)
def test_ctrl_c(chromium: str, closed: LocalServer) -> None:
    """Ctrl-C while it waits closes the browser."""
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(login(closed.base_url, browser=chromium, headless=True, timeout=30))
    assert not is_running(closed.base_url)


def test_closing_before_the_window_opens(closed: LocalServer, chromium: str) -> None:
    """An iterator that is closed early has opened nothing."""
    steps = login(closed.base_url, browser=chromium, headless=True)
    next(steps)
    steps.close()
    assert not browser_folder(closed.base_url).exists()


@pytest.mark.skipif("sys.platform != 'linux'", reason="other platforms have a screen")
async def test_no_screen(
    chromium: str, closed: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a screen, the error names the alternatives."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(LoginRequired, match=r"--export.*--import.*--paste"):
        async for _ in login_async(closed.base_url, browser=chromium):
            pass


def test_missing_extra(chromium: str, closed: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Playwright the error names the extra."""
    monkeypatch.setitem(__import__("sys").modules, "playwright", None)
    with pytest.raises(MissingRequirementsError, match=r"\[browser\]"):
        list(login(closed.base_url, browser=chromium, headless=True))


def test_program_that_is_not_a_browser(closed: LocalServer) -> None:
    """A program that does not start as a browser is reported."""
    with pytest.raises(HuggingChatError, match="cannot be used to log in"):
        list(login(closed.base_url, browser="/bin/true", headless=True, timeout=5))


@pytest.mark.parametrize("form", ["dict", "header", "file"])
async def test_cookies_from_elsewhere(form: str, closed: LocalServer, tmp_path: Any) -> None:
    """Cookies that the server knows are saved under the account's name."""
    cookies: Any = closed.new_session("erin")
    if form == "header":
        cookies = f"hf-chat={cookies['hf-chat']}"
    if form == "file":
        (tmp_path / "c.json").write_text(f'{{"hf-chat": "{cookies["hf-chat"]}"}}', encoding="utf-8")
        cookies = tmp_path / "c.json"
    result = await login_with_cookies_async(cookies, closed.base_url)
    assert result.user.username == "erin"
    assert SessionStore().find(closed.base_url, "erin") is not None


def test_cookies_that_nobody_knows(server: LocalServer) -> None:
    """Neither a guest's cookies nor an access token are a login; nothing is saved."""
    with pytest.raises(SessionExpired, match="does not know"):
        login_with_cookies({"hf-chat": "made-up"}, server.base_url)
    with pytest.raises(LoginRequired, match="access token"):
        login_with_cookies("hf_secret", server.base_url)
    assert not data_folder().exists()
