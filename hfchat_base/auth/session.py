"""The session of one client: which cookies are sent, and what the server's cookies mean for them.

What lives here: WIRE's rules of the two cookies, of the refresh and of the token (WIRE.md, rules 4
to 7), and the write-back of a saved session. Where a session is found is decided in `auth/find.py`.
No cookie value leaves this object but in a request's headers: not in its repr, not in a pickle, not
in an error.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from hfchat_base._forks import Lock
from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base.auth.cookies import Cookie, is_secure, merge, select
from hfchat_base.auth.set_cookie import parse_set_cookie
from hfchat_base.auth.store import SavedSession, SessionStore, browser_folder
from hfchat_base.errors import HuggingChatError, InvalidRequestError, LoginRequired, SessionExpired

SessionSource = Literal["argument", "environment", "saved", "browser", "guest"]

_WRITE_BACK_SECONDS: Final = 3600.0
"""A refresh that changes no value is written back at most once in this time."""

_UNAUTHORIZED: Final = 401

_log = logging.getLogger("hfchat")


@dataclass(frozen=True, slots=True)
class Found:
    """A session as it was found.

    Attributes:
        source: Where.
        cookies: All for the server.
        token: An access token in place of cookies.
        account: Whose it is, where that is known.
        saved: The record on the disk that it came from.
        considered: Every way that was tried, in order, and what came of it.
    """

    source: SessionSource
    cookies: tuple[Cookie, ...] = ()
    token: str | None = field(default=None, repr=False)
    account: str | None = None
    saved: SavedSession | None = None
    considered: tuple[str, ...] = ()

    @classmethod
    def guest(cls, considered: Iterable[str] = ()) -> Found:
        """Make up a session, as servers that allow guests let anybody do (S).

        Made up here and not left to the server, so that two first requests at once share it.
        """
        cookie = Cookie(SESSION_COOKIE, str(uuid.uuid4()))
        return cls("guest", (cookie,), considered=tuple(considered))


class Session:
    """The session of one client. Safe between threads.

    Args:
        found: The session, or a function that finds it; it is called when the session is first
            needed, and again after the server has thrown the session away.
        base_url: The server's address; the cookies are sent to it and to no other.
    """

    def __init__(self, found: Found | Callable[[], Found], base_url: str) -> None:
        self._endpoint = Endpoint.parse(base_url)
        self._base_path = urlsplit(self._endpoint.base_url).path
        self._lock = Lock()
        self._find = None if isinstance(found, Found) else found
        self._found: Found | None = None
        self._cookies: tuple[Cookie, ...] = ()
        self._saved: SavedSession | None = None
        self._is_over = False
        self._epoch = 0
        if isinstance(found, Found):
            self._take(found)

    @classmethod
    def guest(cls, base_url: str = DEFAULT_BASE_URL) -> Session:
        """A session that nobody has logged in with."""
        return cls(Found.guest(), base_url)

    @property
    def is_resolved(self) -> bool:
        """Whether the next request can be sent without looking for a session first."""
        is_over = self._is_over or self._has_run_out()
        return self._found is not None and not (is_over and self._find)

    def resolve(self) -> Found:
        """Find the session, if that has not been done; this may read files.

        After the server has thrown a session away, or its time has run out, it is looked for once
        more: somebody may have logged in again by now. A guest's session never takes the place of
        an account's.
        """
        with self._lock:
            if self._has_run_out():
                self._end()
            if self._found is None:
                assert self._find is not None  # noqa: S101 - else it was taken when made
                self._take(self._find())
            elif self._is_over and self._find is not None:
                again = self._find()
                if again.source != "guest" and again.cookies != self._found.cookies:
                    self._take(again)
                self._is_over = False
            assert self._found is not None  # noqa: S101 - taken above
            return self._found

    @property
    def source(self) -> SessionSource:
        """Where it came from."""
        return self.resolve().source

    @property
    def account(self) -> str | None:
        """Whose it is, where that is known without asking the server."""
        return self.resolve().account

    @property
    def considered(self) -> tuple[str, ...]:
        """Every way to a session that was tried, in order, and what came of it."""
        return self.resolve().considered

    @property
    def is_guest(self) -> bool:
        """Whether nobody has logged in with it."""
        return self.resolve().source == "guest"

    @property
    def epoch(self) -> int:
        """Counts the sessions that took each other's place, so that late responses are known."""
        self.resolve()
        return self._epoch

    def check_server(self, endpoint: Endpoint) -> None:
        """Refuse to be used with another server than the one whose cookies these are.

        Raises:
            InvalidRequestError: It is another one.
        """
        if endpoint.origin != self._endpoint.origin:
            msg = f"This session is for {self._endpoint.origin}, not for {endpoint.origin}."
            raise InvalidRequestError(msg)

    def cookies(self) -> tuple[Cookie, ...]:
        """The cookies themselves, to be saved elsewhere."""
        self.resolve()
        with self._lock:
            return self._cookies

    def headers(self, request: Request) -> dict[str, str]:
        """The headers that a request carries this session in.

        Raises:
            LoginRequired: It is an access token, and the route takes none.
            SessionExpired: The time of the session that somebody had logged in with has run out.
        """
        found = self.resolve()
        if self._has_run_out():
            # Without its cookie the server would take a message for a stranger's.
            msg = (
                "The time of this session has run out. Log in again:"
                f" {login_command(self._endpoint.base_url)}"
            )
            raise SessionExpired(msg)
        if found.token is not None:
            return self._token_headers(found.token, request)
        path = self._path(request)
        with self._lock:
            sent = [cookie for cookie in self._cookies if cookie.is_sent(self._endpoint, path)]
        pairs = [f"{cookie.name}={cookie.value}" for cookie in sent]
        return {"cookie": "; ".join(pairs)} if pairs else {}

    def absorb(self, set_cookies: Iterable[str], request: Request, status: int, epoch: int) -> None:
        """Take over what a response says about the session.

        The same value is a refresh. Another value of the session cookie means that the server has
        thrown the session away and begun one for a stranger (S), and so does its deletion; a guest
        does not mind.

        Args:
            set_cookies: The values of the response's `Set-Cookie` headers, decoded as UTF-8 with
                ``surrogateescape``.
            request: What it responds to.
            status: The response's status.
            epoch: The session's `epoch` when the request was sent.

        Raises:
            SessionExpired: The session that somebody had logged in with is gone.
        """
        if epoch != self._epoch:
            # It tells of a session that is no longer this one.
            return
        changed: list[Cookie] = []
        for header in set_cookies:
            cookie = parse_set_cookie(header, self._endpoint, self._path(request))
            if cookie is None or not self._is_ours(cookie):
                continue
            self._check_same(cookie)
            # As in browsers, a secure cookie does not come over a connection that is not.
            if not cookie.secure or is_secure(self._endpoint):
                changed.append(cookie)
        if status == _UNAUTHORIZED:
            self._end()
        with self._lock:
            changed = [cookie for cookie in changed if self._is_change(cookie)]
            if not changed:
                return
            before = {(cookie.name, cookie.value) for cookie in self._cookies}
            self._cookies = merge(self._cookies, changed)
            has_news = before != {(cookie.name, cookie.value) for cookie in self._cookies}
        self._write_back(changed, is_urgent=has_news)

    def forget(self) -> None:
        """Delete the saved session that this one came from, and the login window's own profile.

        Raises:
            HuggingChatError: They cannot be deleted.
        """
        saved = (self._found or self.resolve()).saved
        if saved is not None:
            SessionStore().remove(saved)
            shutil.rmtree(browser_folder(self._endpoint.base_url), ignore_errors=True)
        # Nobody who has logged out wants to go on as somebody else.
        self._saved = self._find = None

    def _take(self, found: Found) -> None:
        self._found = found
        self._saved = found.saved
        self._is_over = False
        self._epoch += 1
        self._cookies = merge(found.cookies, ())

    def _has_run_out(self) -> bool:
        with self._lock:
            if self._found is None or self._found.source == "guest":
                return False
            chat = [cookie for cookie in self._cookies if cookie.name == SESSION_COOKIE]
        return bool(chat) and all(cookie.has_expired for cookie in chat)

    def _path(self, request: Request) -> str:
        return self._base_path + request.path.partition("?")[0]

    def _is_ours(self, cookie: Cookie) -> bool:
        """Whether it is for the server's own paths, and not for another site on its host."""
        timeless = replace(cookie, expires=None, secure=False)
        return bool(select([timeless], self._endpoint))

    def _token_headers(self, token: str, request: Request) -> dict[str, str]:
        # Only below /api/ a token is read (WIRE.md, rule 7); elsewhere a page is read as a guest.
        if request.path.startswith("/api/"):
            return {"authorization": f"Bearer {token}"}
        if request.method == "GET" and not request.path.startswith("/conversation"):
            return {}
        msg = (
            "An access token (hf_…) can list models, conversations and who you are; to chat,"
            " HuggingChat wants a browser's session. Log in once:"
            f" {login_command(self._endpoint.base_url)}"
        )
        raise LoginRequired(msg)

    def _check_same(self, cookie: Cookie) -> None:
        if cookie.name != SESSION_COOKIE or self.is_guest:
            return
        with self._lock:
            known = {known.value for known in self._cookies if known.name == SESSION_COOKIE}
        if known and (cookie.value not in known or cookie.has_expired):
            self._end()
            msg = (
                "The server has thrown this session away. Log in again:"
                f" {login_command(self._endpoint.base_url)}"
            )
            raise SessionExpired(msg)

    def _is_change(self, cookie: Cookie) -> bool:
        """Whether it changes what is known; a server also deletes cookies that nobody has."""
        return not cookie.has_expired or any(
            known.is_replaced_by(cookie) for known in self._cookies
        )

    def _write_back(self, changed: list[Cookie], *, is_urgent: bool) -> None:
        saved = self._saved
        if saved is None or (
            not is_urgent and time.time() - saved.refreshed_at < _WRITE_BACK_SECONDS
        ):
            return
        try:
            self._saved = SessionStore().refresh(saved, changed)
        except HuggingChatError as error:
            # The answer matters more than the file; the session goes on in memory.
            _log.warning("the refreshed session could not be saved: %s", error)

    def _end(self) -> None:
        with self._lock:
            if self._found is None or self._found.source == "guest" or self._is_over:
                return
            self._is_over = True
            saved, self._saved = self._saved, None
        if saved is not None:
            try:
                SessionStore().mark_ended(saved)
            except HuggingChatError as error:
                _log.warning("that the session is over could not be saved: %s", error)

    def __repr__(self) -> str:
        found = self._found
        if found is None:
            return "Session(not looked for yet)"
        what = "access token" if found.token else ", ".join(cookie.name for cookie in self._cookies)
        whose = f" of {found.account}" if found.account else ""
        return f"Session({what}{whose} from {found.source})"

    def __reduce__(self) -> Any:
        msg = "A session is not pickled: a pickle would hold its cookies in the clear."
        raise HuggingChatError(msg)
