"""Logging in: with a window of a browser, or with cookies that somebody has.

    for step in login():
        if isinstance(step, RequestLogin):
            print("Log in at", step.url)
        else:
            print("Logged in as", step.user.username)

A window of the user's own browser opens at the server's login page. The user has logged in as soon
as the server says who they are, whatever a page looks like. Then the session is saved and the
window is closed.

The window has a profile of its own, which is kept: when the session has expired but the site still
knows the user, the next login usually needs no window and no typing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, Union

from typing_extensions import Self

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base._transport.aio import AsyncTransport
from hfchat_base._transport.curl import Connection
from hfchat_base._transport.sync import SyncTransport
from hfchat_base.auth.browser_window import Browser, Window, find_browser, has_screen, new_window
from hfchat_base.auth.cookies import (
    Cookie,
    CookieInput,
    by_name,
    is_access_token,
    read_cookies,
    select,
)
from hfchat_base.auth.session import FoundSession, Session
from hfchat_base.auth.sources import resolve_endpoint
from hfchat_base.auth.store import SessionStore, browser_folder
from hfchat_base.errors import HuggingChatError, LoginRequired, SessionExpired
from hfchat_base.secret import reveal, reveal_values
from hfchat_base.types import User
from hfchat_base.validation import check_client

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
"""How long to wait for the user to log in, in seconds."""

_HIDDEN_SECONDS: Final = 15.0
"""How long to wait for a kept profile to log in without the user."""

_COOKIE_CHECK_SECONDS: Final = 0.25
"""How often the window's cookies are read."""

_SERVER_CHECK_SECONDS: Final = 3.0
"""How often the server is asked who the user is while no cookie changes."""

_CLEANUP_SECONDS: Final = 30.0
"""How long a browser may take to close after Ctrl-C."""

_LOGIN_COOKIES: Final = "hfChat-"
"""The prefix of cookies that are only used during a login (R: ``login_required``)."""

T = TypeVar("T")

_log = logging.getLogger("hfchat")


@dataclass(frozen=True, slots=True)
class RequestLogin:
    """The user has to log in now.

    Attributes:
        url: The page that the window shows.
    """

    url: str


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The user has logged in, and the session is saved.

    Attributes:
        base_url: The server's address.
        user: The account.
        cookies: The session, in a form that `HuggingChat` accepts.
    """

    base_url: str
    user: User
    cookies: Mapping[str, str] = field(repr=False)


LoginStep = Union[RequestLogin, AuthResult]
"""What a login yields: a `RequestLogin` if the user has to act, and finally an `AuthResult`."""


# --- with a window of a browser -------------------------------------------------------------------


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
            first one that is found.
        headless: Whether to hide the window. By default a kept profile is tried without a window
            first, and the window is shown if the user has to log in.
        timeout: How long to wait for the user to log in, in seconds.
        proxy: See `HuggingChat`; the window uses it too, except for Firefox.
        headers: See `HuggingChat`; the window does not send them.
        verify: See `HuggingChat`; the window trusts what the browser trusts.
        impersonate: See `HuggingChat`.
        browser_args: More arguments for the browser's program.

    Yields:
        A `RequestLogin` if the user has to act, and finally an `AuthResult`.

    Raises:
        LoginRequired: Nobody has logged in, or there is no screen to do so.
        InvalidRequestError: There is no such browser, or an argument is invalid.
        MissingRequirementsError: The extra ``browser`` is not installed.
        HuggingChatError: The server or the browser cannot be used.
    """
    server = _LoginServer(
        base_url, proxy=proxy, headers=headers, verify=verify, impersonate=impersonate
    )
    endpoint = server.endpoint
    chosen = find_browser(browser)
    profile = browser_folder(endpoint.base_url)
    url = await server.login_page()
    for is_hidden in _attempts(headless, endpoint, has_profile=profile.exists()):
        needs_user = headless is not None or not is_hidden
        if needs_user:
            yield RequestLogin(url)
        window = new_window(
            chosen, endpoint, profile, headless=is_hidden, proxy=proxy, arguments=browser_args
        )
        try:
            await window.open(url)
            seconds = timeout if needs_user else min(timeout, _HIDDEN_SECONDS)
            result = await _wait(window, server, seconds)
        finally:
            await asyncio.shield(window.close())
        if result is not None:
            user, cookies = result
            yield await asyncio.to_thread(_save, endpoint, user, cookies)
            return
        _log.info("login at %s: nobody logged in within the time", endpoint.base_url)
    raise _nobody_logged_in(chosen, endpoint, timeout)


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

    It also works where an event loop is running already, such as in a notebook.
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
            loop.run(_close(steps))


async def _wait(
    window: Window, server: _LoginServer, seconds: float
) -> tuple[User, list[Cookie]] | None:
    """Wait until the server knows the user by the window's cookies; None after so many seconds.

    Raises:
        LoginRequired: The window was closed.
    """
    until = time.monotonic() + seconds
    known: list[Cookie] = []
    asked_at = 0.0
    while time.monotonic() < until:
        found = select(await window.cookies(), server.endpoint)
        now = time.monotonic()
        if found and (found != known or now - asked_at > _SERVER_CHECK_SECONDS):
            known, asked_at = found, now
            try:
                user = await server.whoami_async(found)
            except HuggingChatError as error:
                # The login may be under way, or the server unreachable for a moment.
                _log.debug("login: the server did not say who the user is: %s", error)
            else:
                if user is not None:
                    return user, found
        if window.is_closed:
            msg = "The browser was closed before anybody had logged in."
            raise LoginRequired(msg)
        await asyncio.sleep(_COOKIE_CHECK_SECONDS)
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


def _nobody_logged_in(browser: Browser, endpoint: Endpoint, timeout: float) -> LoginRequired:
    if not has_screen():
        return LoginRequired(_no_screen(endpoint))
    return LoginRequired(
        f"Nobody logged in with {browser.name} within {timeout:g} seconds. Try again:"
        f" {login_command(endpoint.base_url)}"
    )


def _no_screen(endpoint: Endpoint) -> str:
    command = login_command(endpoint.base_url)
    return (
        "There is no screen here to show a browser on. On a machine with a screen run"
        f" '{command} --export session.json', copy the file here, and run"
        f" '{command} --import session.json'; or paste the cookies: '{command} --paste'."
    )


# --- with cookies ---------------------------------------------------------------------------------


async def login_with_cookies_async(
    cookies: CookieInput, base_url: str | None = None, **options: Any
) -> AuthResult:
    """Check cookies that come from elsewhere, and save them as a login.

    Args:
        cookies: See `HuggingChat`.
        base_url: Address of the server; by default ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself.
        **options: ``proxy``, ``headers``, ``verify`` and ``impersonate``, see `HuggingChat`.

    Raises:
        InvalidRequestError: They cannot be read, or are not for this server.
        LoginRequired: They are an access token.
        SessionExpired: The server does not know them, or no longer does.
    """
    server = _LoginServer(base_url, **options)
    found = _check(cookies, server.endpoint)
    user = await server.whoami_async(found)
    return await asyncio.to_thread(_save, server.endpoint, user, found)


def login_with_cookies(
    cookies: CookieInput, base_url: str | None = None, **options: Any
) -> AuthResult:
    """Check cookies that come from elsewhere, and save them; see `login_with_cookies_async`."""
    server = _LoginServer(base_url, **options)
    found = _check(cookies, server.endpoint)
    return _save(server.endpoint, server.whoami(found), found)


def _check(cookies: CookieInput, endpoint: Endpoint) -> list[Cookie]:
    if is_access_token(cookies):
        msg = "An access token is not a session; log in with a browser, or give its cookies."
        raise LoginRequired(msg)
    return read_cookies(cookies, endpoint)


def _save(endpoint: Endpoint, user: User | None, cookies: Sequence[Cookie]) -> AuthResult:
    if user is None:
        msg = (
            f"{endpoint.base_url} does not know this session, or no longer does. Log in there"
            " again, and copy the cookies again."
        )
        raise SessionExpired(msg)
    cookies = [cookie for cookie in cookies if not cookie.name.startswith(_LOGIN_COOKIES)]
    SessionStore().save(endpoint.base_url, user.username or user.id, cookies)
    return AuthResult(endpoint.base_url, user, by_name(cookies))


# --- the server -----------------------------------------------------------------------------------


class _LoginServer:
    """The server that somebody logs in to; each question is asked with the session in question.

    Args:
        base_url: See `login_async`.
        proxy: See `HuggingChat`, as all that follow.
        headers: Headers to send.
        verify: Whether to check certificates, or a file with the ones to trust.
        impersonate: The browser to imitate.

    Raises:
        InvalidRequestError: An argument is invalid.
    """

    def __init__(
        self,
        base_url: str | None,
        *,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        impersonate: str | None = "chrome",
    ) -> None:
        check_client(
            {
                "base_url": base_url,
                "proxy": proxy,
                "headers": headers,
                "verify": verify,
                "impersonate": impersonate,
            }
        )
        self.endpoint = resolve_endpoint(base_url)
        self._info = ServerInfo(self.endpoint)
        self._timeouts = self._info.policy.timeouts
        self._connection = Connection(
            self.endpoint,
            proxy=reveal(proxy),
            verify=verify,
            impersonate=impersonate,
            headers=reveal_values(headers or {}),
            connect_timeout=self._timeouts.connect,
        )

    async def login_page(self) -> str:
        """Where to log in: current has a page for it, legacy's is a form on its first page (S)."""
        dialect = await self._run_async(FoundSession.guest(), discovery.dialect(self._info))
        return f"{self.endpoint.base_url}{dialect.login_path}"

    async def whoami_async(self, cookies: Sequence[Cookie]) -> User | None:
        """Whose session this is; None if it is nobody's."""
        return await self._run_async(self._found(cookies), discovery.whoami(self._info))

    def whoami(self, cookies: Sequence[Cookie]) -> User | None:
        """Whose session this is; None if it is nobody's."""
        transport = SyncTransport(
            self._connection,
            Session(self._found(cookies), self.endpoint.base_url),
            response_timeout=self._timeouts.response,
            head_timeout=self._timeouts.first_event,
        )
        try:
            return transport.run(discovery.whoami(self._info))
        finally:
            transport.close()

    async def _run_async(self, found: FoundSession, flow: Flow[T]) -> T:
        transport = AsyncTransport(
            self._connection,
            Session(found, self.endpoint.base_url),
            response_timeout=self._timeouts.response,
            head_timeout=self._timeouts.first_event,
        )
        try:
            return await transport.run(flow)
        finally:
            await transport.close()

    @staticmethod
    def _found(cookies: Sequence[Cookie]) -> FoundSession:
        return FoundSession("argument", tuple(cookies))


# --- an event loop for synchronous callers --------------------------------------------------------


async def _next(steps: AsyncIterator[LoginStep]) -> LoginStep:
    # Called in the loop's own thread, since an asynchronous generator belongs to the loop, if any,
    # that runs where `__anext__` is called first.
    return await steps.__anext__()


async def _close(steps: AsyncGenerator[LoginStep, None]) -> None:
    await steps.aclose()


async def _run_and_signal(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


class _LoopThread:
    """An event loop in its own thread, usable while another one runs in the caller's thread."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hfchat-login")
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; Ctrl-C cancels it and waits until it has cleaned up."""
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_run_and_signal(work, ended), self._loop)
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
