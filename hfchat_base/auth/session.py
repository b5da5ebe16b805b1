"""The session of one client: which cookies are sent, and what the server's cookies mean for them.

What lives here: the rules of the two cookies, of the refresh and of the access token, and saving a
refreshed session. Where a session comes from is decided in `sources.py`. A cookie's value leaves
this object only in a request's headers: never in a repr, a pickle or an error.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from hfchat_base._forks import Lock
from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import login_command
from hfchat_base.auth.cookies import Cookie, is_secure, merge, parse_set_cookie, select
from hfchat_base.auth.store import SavedSession, SessionStore, browser_folder
from hfchat_base.errors import HuggingChatError, InvalidRequestError, LoginRequired, SessionExpired

GUEST: Final = "guest"
"""The source of a session that nobody has logged in with."""

_SAVE_SECONDS: Final = 3600.0
"""A refresh that changes no value is saved at most once in this time."""

_UNAUTHORIZED: Final = 401

_log = logging.getLogger("hfchat")


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session as it was found.

    Attributes:
        source: Where: ``argument``, ``environment``, ``saved``, ``browser`` or ``guest``.
        cookies: All for the server.
        token: An access token in place of cookies.
        account: Whose it is, if that is known.
        saved: The saved session that it came from.
        attempts: Every source that was tried, in order, and the result.
    """

    source: str
    cookies: tuple[Cookie, ...] = ()
    token: str | None = field(default=None, repr=False)
    account: str | None = None
    saved: SavedSession | None = None
    attempts: tuple[str, ...] = ()

    @classmethod
    def guest(cls) -> FoundSession:
        """Make up a session, which servers that allow guests accept from anybody (S).

        It is generated here and not by the server, so that two first requests at once share it.
        """
        return cls(GUEST, (Cookie(SESSION_COOKIE, str(uuid.uuid4())),))


class Session:
    """The session of one client. Safe between threads.

    Args:
        found: The session, or a function that finds it. The function is called when the session is
            first needed, and again after the server has invalidated the session.
        base_url: The server's address; the cookies are sent to this server only.
    """

    def __init__(self, found: FoundSession | Callable[[], FoundSession], base_url: str) -> None:
        self._endpoint = Endpoint.parse(base_url)
        self._base_path = urlsplit(self._endpoint.base_url).path
        self._lock = Lock()
        self._find = None if isinstance(found, FoundSession) else found
        self._found: FoundSession | None = None
        self._cookies: tuple[Cookie, ...] = ()
        self._saved: SavedSession | None = None
        self._has_ended = False
        self._epoch = 0
        if isinstance(found, FoundSession):
            self._take(found)

    @classmethod
    def guest(cls, base_url: str = DEFAULT_BASE_URL) -> Session:
        """A session that nobody has logged in with."""
        return cls(FoundSession.guest(), base_url)

    @property
    def is_resolved(self) -> bool:
        """Whether the next request can be sent without looking for a session first."""
        has_ended = self._has_ended or self._has_expired()
        return self._found is not None and not (has_ended and self._find)

    def resolve(self) -> FoundSession:
        """Find the session, unless that has been done; this may read files.

        After the server has invalidated a session, or it has expired, it is looked for once more:
        somebody may have logged in again since. A guest's session never replaces an account's.
        """
        with self._lock:
            if self._has_expired():
                self._end()
            if self._found is None:
                assert self._find is not None  # noqa: S101 - else it was taken when made
                self._take(self._find())
            elif self._has_ended and self._find is not None:
                again = self._find()
                if again.source != GUEST and again.cookies != self._found.cookies:
                    self._take(again)
                self._has_ended = False
            assert self._found is not None  # noqa: S101 - taken above
            return self._found

    @property
    def source(self) -> str:
        """Where it is from: ``argument``, ``environment``, ``saved``, ``browser`` or ``guest``."""
        return self.resolve().source

    @property
    def account(self) -> str | None:
        """Whose it is, if that is known without asking the server."""
        return self.resolve().account

    @property
    def attempts(self) -> tuple[str, ...]:
        """Every source that was tried, in order, and the result."""
        return self.resolve().attempts

    @property
    def is_guest(self) -> bool:
        """Whether nobody has logged in with it."""
        return self.resolve().source == GUEST

    @property
    def epoch(self) -> int:
        """Counts the sessions that have replaced each other, to recognise late responses."""
        self.resolve()
        return self._epoch

    def check_server(self, endpoint: Endpoint) -> None:
        """Check that a server is the one whose cookies these are.

        Raises:
            InvalidRequestError: It is another server.
        """
        if endpoint.origin != self._endpoint.origin:
            msg = f"This session is for {self._endpoint.origin}, not for {endpoint.origin}."
            raise InvalidRequestError(msg)

    def cookies(self) -> tuple[Cookie, ...]:
        """The cookies themselves, for saving them elsewhere."""
        self.resolve()
        with self._lock:
            return self._cookies

    def headers(self, request: Request) -> dict[str, str]:
        """The headers that carry this session in a request.

        Raises:
            LoginRequired: It is an access token, and the route does not accept one.
            SessionExpired: It is an account's session, and it has expired.
        """
        found = self.resolve()
        if self._has_expired():
            # Without its cookie the server would treat a message as a guest's.
            command = login_command(self._endpoint.base_url)
            raise SessionExpired(f"This session has expired. Log in again: {command}")
        if found.token is not None:
            return self._token_headers(found.token, request)
        path = self._path(request)
        with self._lock:
            sent = [cookie for cookie in self._cookies if cookie.is_sent(self._endpoint, path)]
        pairs = [f"{cookie.name}={cookie.value}" for cookie in sent]
        return {"cookie": "; ".join(pairs)} if pairs else {}

    def absorb(
        self,
        set_cookies: Iterable[str],
        request: Request,
        status: int,
        epoch: int,
        *,
        date: str = "",
    ) -> None:
        """Apply what a response says about the session.

        The same value is a refresh. Another value of the session cookie means that the server has
        invalidated the session and begun one for a guest (S), and so does its deletion. A guest's
        session simply changes.

        Args:
            set_cookies: The values of the response's `Set-Cookie` headers, decoded as UTF-8 with
                ``surrogateescape``.
            request: The request that it responds to.
            status: The response's status.
            epoch: The session's `epoch` when the request was sent.
            date: The response's `Date` header, or an empty text.

        Raises:
            SessionExpired: It is an account's session, and the server has invalidated it.
        """
        if epoch != self._epoch:
            # It is about a session that has been replaced.
            return
        changed: list[Cookie] = []
        for header in set_cookies:
            cookie = parse_set_cookie(header, self._endpoint, self._path(request), date=date)
            if cookie is None or not self._is_ours(cookie):
                continue
            self._check_same(cookie)
            # As in browsers, a secure cookie is ignored on an insecure connection.
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
            has_new_values = before != {(cookie.name, cookie.value) for cookie in self._cookies}
        self._save_refreshed(changed, is_urgent=has_new_values)

    def forget(self) -> None:
        """Delete the saved session that this one came from, and the login window's profile.

        Raises:
            HuggingChatError: They cannot be deleted.
        """
        saved = (self._found or self.resolve()).saved
        if saved is not None:
            SessionStore().remove(saved)
            shutil.rmtree(browser_folder(self._endpoint.base_url), ignore_errors=True)
        # Nobody who has logged out wants to continue as somebody else.
        self._saved = self._find = None

    def _take(self, found: FoundSession) -> None:
        self._found = found
        self._saved = found.saved
        self._has_ended = False
        self._epoch += 1
        self._cookies = merge(found.cookies, ())

    def _has_expired(self) -> bool:
        with self._lock:
            if self._found is None or self._found.source == GUEST:
                return False
            chat = [cookie for cookie in self._cookies if cookie.name == SESSION_COOKIE]
        return bool(chat) and all(cookie.has_expired for cookie in chat)

    def _path(self, request: Request) -> str:
        return self._base_path + request.path.partition("?")[0]

    def _is_ours(self, cookie: Cookie) -> bool:
        """Whether it is for the server's own paths, and not for another site on its host."""
        return bool(select([replace(cookie, expires=None, secure=False)], self._endpoint))

    def _token_headers(self, token: str, request: Request) -> dict[str, str]:
        # Servers read a token below /api/ only (S); pages are read as a guest.
        if request.path.startswith("/api/"):
            return {"authorization": f"Bearer {token}"}
        if request.method == "GET" and not request.path.startswith("/conversation"):
            return {}
        command = login_command(self._endpoint.base_url)
        msg = (
            "An access token (hf_…) can read models, conversations and the account's name. To chat,"
            f" HuggingChat needs a browser's session. Log in once: {command}"
        )
        raise LoginRequired(msg)

    def _check_same(self, cookie: Cookie) -> None:
        if cookie.name != SESSION_COOKIE or self.is_guest:
            return
        with self._lock:
            known = {known.value for known in self._cookies if known.name == SESSION_COOKIE}
        if known and (cookie.value not in known or cookie.has_expired):
            self._end()
            command = login_command(self._endpoint.base_url)
            raise SessionExpired(f"The server invalidated this session. Log in again: {command}")

    def _is_change(self, cookie: Cookie) -> bool:
        """Whether it changes anything; servers also delete cookies that nobody has."""
        return not cookie.has_expired or any(
            known.is_replaced_by(cookie) for known in self._cookies
        )

    def _save_refreshed(self, changed: list[Cookie], *, is_urgent: bool) -> None:
        saved = self._saved
        if saved is None or (not is_urgent and time.time() - saved.refreshed_at < _SAVE_SECONDS):
            return
        try:
            self._saved = SessionStore().refresh(saved, changed)
        except HuggingChatError as error:
            # The answer matters more than the file; the session stays valid in memory.
            _log.warning("the refreshed session could not be saved: %s", error)

    def _end(self) -> None:
        with self._lock:
            if self._found is None or self._found.source == GUEST or self._has_ended:
                return
            self._has_ended = True
            saved, self._saved = self._saved, None
        if saved is not None:
            try:
                SessionStore().mark_ended(saved)
            except HuggingChatError as error:
                _log.warning("the end of the session could not be saved: %s", error)

    def __repr__(self) -> str:
        found = self._found
        if found is None:
            return "Session(not resolved yet)"
        what = "access token" if found.token else ", ".join(cookie.name for cookie in self._cookies)
        whose = f" of {found.account}" if found.account else ""
        return f"Session({what}{whose} from {found.source})"

    def __reduce__(self) -> Any:
        msg = "A session cannot be pickled: the pickle would hold its cookies in plain text."
        raise HuggingChatError(msg)
