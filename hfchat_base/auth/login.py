"""Logging in with a browser, and keeping what came of it.

    for step in login():
        if isinstance(step, RequestLogin):
            print("Log in at", step.url)
        else:
            print("Logged in as", step.user.username)

A window of the user's own browser opens at the server's login page. Somebody has logged in as soon
as the server says who it is, not when a page looks so. The session is saved and the window closed.

The window has a profile of its own, which is kept: when the session has run out but the login
behind it has not, the next login needs neither a screen nor anybody to type.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, Union

from typing_extensions import Self

from hfchat_base._flows import discovery
from hfchat_base._protocol.constants import DEFAULT_BASE_URL
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base.auth.cookies import (
    Cookie,
    CookieInput,
    by_name,
    is_access_token,
    read_cookies,
    select,
)
from hfchat_base.auth.session import Found, Session
from hfchat_base.auth.store import SessionStore, browser_folder
from hfchat_base.auth.window import Browser, Window, find_browser, has_screen, new_window
from hfchat_base.client import BASE_URL_VARIABLE, AsyncHuggingChat
from hfchat_base.errors import HuggingChatError, LoginRequired, SessionExpired
from hfchat_base.types import User

__all__ = [
    "AuthResult",
    "LoginStep",
    "RequestLogin",
    "login",
    "login_async",
    "login_with_cookies",
    "login_with_cookies_async",
]

DEFAULT_TIMEOUT: Final = 300.0
"""How long to wait for somebody to log in, in seconds."""

_QUIET_SECONDS: Final = 15.0
"""How long a kept profile may take to log in by itself."""

_LOOK_SECONDS: Final = 0.25
"""How often the window's cookies are looked at."""

_ASK_SECONDS: Final = 3.0
"""How often the server is asked who we are while no cookie changes."""

_CLEANUP_SECONDS: Final = 30.0
"""How long a browser may take to close after Ctrl-C."""

_LOGIN_COOKIES: Final = "hfChat-"
"""What cookies that are of use only during a login begin with (R: ``login_required``)."""

T = TypeVar("T")

_log = logging.getLogger("hfchat")


@dataclass(frozen=True, slots=True)
class RequestLogin:
    """Somebody has to log in now.

    Attributes:
        url: The page that the window shows.
    """

    url: str


@dataclass(frozen=True, slots=True)
class AuthResult:
    """Somebody has logged in, and the session is saved.

    Attributes:
        base_url: The server's address.
        user: Who it is.
        cookies: The session, as `HuggingChat` takes it.
    """

    base_url: str
    user: User
    cookies: Mapping[str, str] = field(repr=False)


LoginStep = Union[RequestLogin, AuthResult]
"""What a login yields: a `RequestLogin` if somebody has to act, and at the end an `AuthResult`."""


async def login_async(
    base_url: str | None = None,
    *,
    browser: str | None = None,
    headless: bool | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    proxy: str | None = None,
    headers: Mapping[str, str] | None = None,
    verify: bool | str = True,
    impersonate: str | None = "chrome",
    browser_args: Sequence[str] = (),
) -> AsyncGenerator[LoginStep, None]:
    """Log in with a browser on this machine.

    Args:
        base_url: Address of the server; by default ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself.
        browser: A browser's name, such as ``firefox``, or the path of its program; by default the
            first that is found.
        headless: Whether the window is not shown. By default a kept profile is tried without one
            first, and the window is shown if somebody has to log in.
        timeout: How long to wait for somebody to log in, in seconds.
        proxy: See `HuggingChat`; the window uses it too, except for Firefox.
        headers: See `HuggingChat`; the window does not send them.
        verify: See `HuggingChat`; the window trusts what the browser trusts.
        impersonate: See `HuggingChat`.
        browser_args: More arguments for the browser's program.

    Yields:
        A `RequestLogin` if somebody has to act, and at the end an `AuthResult`.

    Raises:
        LoginRequired: Nobody has logged in, or there is no screen to do so.
        InvalidRequestError: There is no such browser.
        MissingRequirementsError: The extra ``browser`` is not installed.
        HuggingChatError: The server or the browser cannot be used.
    """
    asker = _Asker(
        endpoint_of(base_url),
        {"proxy": proxy, "headers": headers, "verify": verify, "impersonate": impersonate},
    )
    endpoint = asker.endpoint
    chosen = find_browser(browser)
    profile = browser_folder(endpoint.base_url)
    url = await asker.login_page()
    for is_hidden in _attempts(headless, endpoint, has_profile=profile.exists()):
        needs_somebody = headless is not None or not is_hidden
        if needs_somebody:
            yield RequestLogin(url)
        window = new_window(
            chosen, endpoint, profile, headless=is_hidden, proxy=proxy, arguments=browser_args
        )
        try:
            await window.open(url)
            result = await _wait(
                window, asker, timeout if needs_somebody else min(timeout, _QUIET_SECONDS)
            )
        finally:
            await asyncio.shield(window.close())
        if result is not None:
            user, cookies = result
            yield await asyncio.to_thread(_keep, endpoint, user, cookies)
            return
        _log.info("login at %s: nobody logged in within the time", endpoint.base_url)
    raise _nobody(chosen, endpoint, timeout)


def login(
    base_url: str | None = None,
    *,
    browser: str | None = None,
    headless: bool | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    proxy: str | None = None,
    headers: Mapping[str, str] | None = None,
    verify: bool | str = True,
    impersonate: str | None = "chrome",
    browser_args: Sequence[str] = (),
) -> Generator[LoginStep, None, None]:
    """Log in with a browser on this machine, synchronously; see `login_async`.

    It works where an event loop is running already, such as in a notebook.
    """
    steps = login_async(
        base_url,
        browser=browser,
        headless=headless,
        timeout=timeout,
        proxy=proxy,
        headers=headers,
        verify=verify,
        impersonate=impersonate,
        browser_args=browser_args,
    )
    with _LoopThread() as loop:
        try:
            while True:
                try:
                    step = loop.run(_next(steps))
                except StopAsyncIteration:
                    return
                yield step
        finally:
            loop.run(_end(steps))


async def login_with_cookies_async(
    cookies: CookieInput, base_url: str | None = None, **options: Any
) -> AuthResult:
    """Check cookies that were taken from elsewhere, and save them as a login.

    Args:
        cookies: See `HuggingChat`.
        base_url: Address of the server; by default ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself.
        **options: ``proxy``, ``headers``, ``verify`` and ``impersonate``, see `HuggingChat`.

    Raises:
        InvalidRequestError: They cannot be read, or are not for this server.
        LoginRequired: They are an access token.
        SessionExpired: The server does not know them (any more).
    """
    endpoint = endpoint_of(base_url)
    if is_access_token(cookies):
        msg = "An access token is no session: log in with a browser, or give its cookies."
        raise LoginRequired(msg)
    found = read_cookies(cookies, endpoint)
    user = await _Asker(endpoint, options).whoami(found)
    if user is None:
        msg = (
            f"{endpoint.base_url} does not know this session (any more). Log in again there, and"
            " take the cookies afresh."
        )
        raise SessionExpired(msg)
    return await asyncio.to_thread(_keep, endpoint, user, found)


def login_with_cookies(
    cookies: CookieInput, base_url: str | None = None, **options: Any
) -> AuthResult:
    """Check cookies that were taken from elsewhere, and save them; see the asynchronous twin."""
    with _LoopThread() as loop:
        return loop.run(login_with_cookies_async(cookies, base_url, **options))


class _Asker:
    """Asks the server who somebody is.

    Args:
        endpoint: The server.
        options: Arguments of a client.
    """

    def __init__(self, endpoint: Endpoint, options: Mapping[str, Any]) -> None:
        self.endpoint = endpoint
        self._options = options

    async def login_page(self) -> str:
        """Where to log in: current has a page for it, legacy's is a form on its first page (S)."""
        stranger = Session.guest(self.endpoint.base_url)
        async with AsyncHuggingChat(self.endpoint.base_url, stranger, **self._options) as client:
            dialect = await client.run_flow(discovery.dialect(client.server))
        return f"{self.endpoint.base_url}{dialect.login_path}"

    async def whoami(self, cookies: Sequence[Cookie]) -> User | None:
        """Ask who has this session; None if nobody."""
        session = Session(Found("argument", tuple(cookies)), self.endpoint.base_url)
        async with AsyncHuggingChat(self.endpoint.base_url, session, **self._options) as client:
            return await client.whoami()


async def _wait(window: Window, asker: _Asker, seconds: float) -> tuple[User, list[Cookie]] | None:
    """Wait until the server knows somebody by the window's cookies; None if nobody in time.

    Raises:
        LoginRequired: The window was closed.
    """
    until = time.monotonic() + seconds
    known: list[Cookie] = []
    asked_at = 0.0
    while time.monotonic() < until:
        found = select(await window.cookies(), asker.endpoint)
        now = time.monotonic()
        if found and (found != known or now - asked_at > _ASK_SECONDS):
            known, asked_at = found, now
            try:
                user = await asker.whoami(found)
            except HuggingChatError as error:
                # The server may be in the middle of the login, or out of reach for a moment.
                _log.debug("login: the server did not say who we are: %s", error)
            else:
                if user is not None:
                    return user, found
        if window.is_closed:
            msg = "The browser was closed before anybody had logged in."
            raise LoginRequired(msg)
        await asyncio.sleep(_LOOK_SECONDS)
    return None


def _attempts(headless: bool | None, endpoint: Endpoint, *, has_profile: bool) -> list[bool]:
    """Whether to hide the window, for each attempt in turn."""
    if headless is not None:
        return [headless]
    attempts = [True] if has_profile else []
    if has_screen():
        attempts.append(False)
    if not attempts:
        raise LoginRequired(_no_screen(endpoint))
    return attempts


def _nobody(browser: Browser, endpoint: Endpoint, timeout: float) -> LoginRequired:
    if not has_screen():
        return LoginRequired(_no_screen(endpoint))
    return LoginRequired(
        f"Nobody logged in with {browser.name} within {timeout:g} seconds. Try again:"
        f" {login_command(endpoint.base_url)}"
    )


def _no_screen(endpoint: Endpoint) -> str:
    command = login_command(endpoint.base_url)
    return (
        "There is no screen here to show a browser on. On a machine with one run"
        f" '{command} --export session.json', bring the file, and run"
        f" '{command} --import session.json'; or paste the cookies: '{command} --paste'."
    )


def _keep(endpoint: Endpoint, user: User, cookies: Sequence[Cookie]) -> AuthResult:
    cookies = [cookie for cookie in cookies if not cookie.name.startswith(_LOGIN_COOKIES)]
    SessionStore().save(endpoint.base_url, user.username or user.id, cookies)
    return AuthResult(endpoint.base_url, user, by_name(cookies))


def endpoint_of(base_url: str | None) -> Endpoint:
    """The server of an address, of ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself."""
    return Endpoint.parse(base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)


async def _next(steps: AsyncIterator[LoginStep]) -> LoginStep:
    return await steps.__anext__()


async def _end(steps: AsyncGenerator[LoginStep, None]) -> None:
    await steps.aclose()


async def _tell_the_end(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


class _LoopThread:
    """An event loop in a thread, so that it can be used while another one runs in this thread."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hfchat-login")
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; Ctrl-C cancels it, and waits until it has cleaned up."""
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_tell_the_end(work, ended), self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_CLEANUP_SECONDS)
            raise

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
