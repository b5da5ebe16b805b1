"""A window of a browser on this machine, to log in with.

Chrome and its relatives are driven by Playwright, over a pipe. Firefox is started normally, and its
cookies are read from the window's own profile. The content of the pages is never read: only the
server knows whether somebody has logged in (`login.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.web_address import ProxyAddress
from hfchat_base.auth.cookies import Cookie, read_rows
from hfchat_base.auth.sources import read_firefox_file
from hfchat_base.auth.store import make_private
from hfchat_base.errors import HuggingChatError, InvalidRequestError, MissingRequirementsError

_PROGRAMS: Final[Mapping[str, Sequence[str]]] = {
    "chrome": (
        "google-chrome",
        "google-chrome-stable",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
        r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
    ),
    "chromium": (
        "chromium",
        "chromium-browser",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ),
    "edge": (
        "microsoft-edge",
        "microsoft-edge-stable",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
        r"%ProgramFiles%\Microsoft\Edge\Application\msedge.exe",
    ),
    "brave": (
        "brave-browser",
        "/Applications/Brave Browser.app/Contents/MacOS/Brave Browser",
        r"%ProgramFiles%\BraveSoftware\Brave-Browser\Application\brave.exe",
    ),
    "vivaldi": (
        "vivaldi",
        "vivaldi-stable",
        "/Applications/Vivaldi.app/Contents/MacOS/Vivaldi",
        r"%LocalAppData%\Vivaldi\Application\vivaldi.exe",
    ),
    "firefox": (
        "firefox",
        "firefox-esr",
        "/Applications/Firefox.app/Contents/MacOS/firefox",
        r"%ProgramFiles%\Mozilla Firefox\firefox.exe",
    ),
}

_QUIET: Final = ("--no-first-run", "--no-default-browser-check", "--disable-background-networking")

_FIREFOX_SETTINGS: Final = """\
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
"""


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser that is installed.

    Attributes:
        name: Its name, or the name of its program.
        program: The path of its program.
        kind: How it is driven.
    """

    name: str
    program: str
    kind: Literal["chromium", "firefox"]


class Window(Protocol):
    """A browser window with its own profile."""

    async def open(self, url: str) -> None:
        """Show a page.

        Raises:
            HuggingChatError: The browser cannot be started, or cannot reach the page.
        """
        ...

    async def cookies(self) -> list[Cookie]:
        """Its cookies for the server."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the user has closed it."""
        ...

    async def close(self) -> None:
        """Close it and keep its profile."""
        ...


def find_browser(wanted: str | None = None) -> Browser:
    """Find a browser on this machine.

    Args:
        wanted: A name such as ``firefox``, or the path of a program; any browser by default.

    Raises:
        InvalidRequestError: It is not supported, or not on this machine.
    """
    if wanted and wanted not in _PROGRAMS:
        program = shutil.which(Path(wanted).expanduser())
        if program is None:
            names = ", ".join(_PROGRAMS)
            msg = f"{wanted!r} is not a supported browser; use one of {names}, or a program's path."
            raise InvalidRequestError(msg)
        return _browser(Path(program).stem, program)
    for name in (wanted,) if wanted else _PROGRAMS:
        for place in _PROGRAMS[name]:
            if program := shutil.which(os.path.expandvars(place)):
                return _browser(name, program)
    what = wanted or "supported browser"
    msg = f"There is no {what} on this machine; choose another one, or give its program's path."
    raise InvalidRequestError(msg)


def has_screen() -> bool:
    """Whether somebody could see a window here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def new_window(
    browser: Browser,
    endpoint: Endpoint,
    profile: Path,
    *,
    headless: bool,
    proxy: str | None,
    arguments: Sequence[str],
) -> Window:
    """Prepare a window; nothing is started yet.

    Args:
        browser: Which browser.
        endpoint: The server whose cookies are needed.
        profile: The folder of the window's own profile.
        headless: Whether to hide the window.
        proxy: Address of a proxy, or None for the browser's own settings. Firefox ignores it.
        arguments: More arguments for the program.

    Raises:
        MissingRequirementsError: The extra ``browser`` is not installed.
    """
    if browser.kind == "firefox":
        return _FirefoxWindow(browser, endpoint, profile, headless=headless, arguments=arguments)
    return _ChromiumWindow(
        browser, endpoint, profile, headless=headless, proxy=proxy, arguments=arguments
    )


class _ChromiumWindow:
    def __init__(
        self,
        browser: Browser,
        endpoint: Endpoint,
        profile: Path,
        *,
        headless: bool,
        proxy: str | None,
        arguments: Sequence[str],
    ) -> None:
        try:
            from playwright import async_api  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise MissingRequirementsError.for_extra(
                "browser", what="Logging in with a browser"
            ) from None
        self._api = async_api
        self._browser = browser
        self._base_url = endpoint.base_url
        self._profile = profile
        self._headless = headless
        self._proxy = proxy
        self._arguments = [*_QUIET, *arguments]
        self._driver: asyncio.Future[Any] | None = None
        self._context: Any = None
        self._is_closed = False

    async def open(self, url: str) -> None:
        make_private(self._profile)
        # Playwright loses its own process if it is interrupted while starting it.
        self._driver = asyncio.ensure_future(self._api.async_playwright().start())
        playwright = await asyncio.shield(self._driver)
        try:
            self._context = await playwright.chromium.launch_persistent_context(
                str(self._profile),
                executable_path=self._browser.program,
                headless=self._headless,
                # Chromium refuses its sandbox to root.
                chromium_sandbox=getattr(os, "geteuid", lambda: 1)() != 0,
                args=self._arguments,
                no_viewport=True,
                **({"proxy": _proxy_settings(self._proxy)} if self._proxy else {}),
            )
            self._context.on("close", self._on_close)
            page = self._context.pages[0] if self._context.pages else None
            page = page or await self._context.new_page()
            await page.goto(url, wait_until="commit")
        except self._api.Error as error:
            raise _not_usable(self._browser, error) from None

    async def cookies(self) -> list[Cookie]:
        try:
            raw = await self._context.cookies([self._base_url])
        except self._api.Error:
            # It was closed just now.
            return []
        return list(read_rows(raw))

    @property
    def is_closed(self) -> bool:
        return self._is_closed or not self._context.pages

    async def close(self) -> None:
        if self._context is not None:
            with contextlib.suppress(self._api.Error):
                await self._context.close()
        if self._driver is not None:
            await (await self._driver).stop()

    def _on_close(self, _: object) -> None:
        self._is_closed = True


class _FirefoxWindow:
    def __init__(
        self,
        browser: Browser,
        endpoint: Endpoint,
        profile: Path,
        *,
        headless: bool,
        arguments: Sequence[str],
    ) -> None:
        self._browser = browser
        self._endpoint = endpoint
        self._profile = profile
        self._arguments = [*(["--headless"] if headless else []), *arguments]
        self._process: asyncio.subprocess.Process | None = None

    async def open(self, url: str) -> None:
        make_private(self._profile)
        (self._profile / "user.js").write_text(_FIREFOX_SETTINGS, encoding="utf-8")
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._browser.program,
                "--no-remote",
                "--profile",
                str(self._profile),
                *(["--wait-for-browser"] if sys.platform == "win32" else []),
                *self._arguments,
                url,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, "MOZ_CRASHREPORTER_DISABLE": "1"},
                # It may restart itself; the process group includes every instance.
                start_new_session=True,
            )
        except OSError as error:
            raise _not_usable(self._browser, error) from None

    async def cookies(self) -> list[Cookie]:
        file = self._profile / "cookies.sqlite"
        return await asyncio.to_thread(read_firefox_file, file, self._endpoint)

    @property
    def is_closed(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def close(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.terminate()
            else:
                os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def _browser(name: str, program: str) -> Browser:
    return Browser(name, program, "firefox" if "firefox" in name.lower() else "chromium")


def _proxy_settings(proxy: str) -> dict[str, str]:
    address = ProxyAddress.parse(proxy)
    # Browsers always let a SOCKS proxy resolve names, and have no other scheme for that.
    scheme = {"socks5h": "socks5", "socks4a": "socks4"}.get(address.scheme, address.scheme)
    port = f":{address.port}" if address.port else ""
    settings = {"server": f"{scheme}://{address.host}{port}"}
    if address.username:
        settings |= {"username": address.username, "password": address.password}
    return settings


def _not_usable(browser: Browser, error: Exception) -> HuggingChatError:
    # The first line says what went wrong; arguments and the browser's own log follow.
    lines = str(error).splitlines()
    reason = lines[0][:200] if lines else type(error).__name__
    return HuggingChatError(f"{browser.name} cannot be used to log in: {reason}")
