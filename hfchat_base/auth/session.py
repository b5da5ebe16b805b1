"""The cookies of one server, and where they came from.

What lives here: which cookies are sent, and what a `Set-Cookie` of the server means for them
(WIRE.md, rules 4 to 6). Where a session is found is decided in `auth/find.py`. No cookie value
leaves this object but in the `Cookie` header: not in its repr, not in a pickle, not in an error.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal

from hfchat_base.errors import HuggingChatError, SessionExpired
from hfchat_base.protocol.facts import SESSION_COOKIE

SessionSource = Literal["argument", "environment", "guest"]


class Session:
    """The cookies of one server. Safe between threads.

    Args:
        cookies: Names and values.
        source: Where they came from.
    """

    def __init__(self, cookies: Mapping[str, str], *, source: SessionSource) -> None:
        self.source: SessionSource = source
        self._cookies = dict(cookies)
        self._lock = threading.Lock()

    @classmethod
    def guest(cls) -> Session:
        """Make up a session, as servers that allow guests let anybody do (S).

        Made up here and not left to the server, so that two first requests at once share it.
        """
        return cls({SESSION_COOKIE: str(uuid.uuid4())}, source="guest")

    @property
    def is_guest(self) -> bool:
        """Whether nobody has logged in with it."""
        return self.source == "guest"

    @property
    def cookie_names(self) -> tuple[str, ...]:
        """Which cookies there are, without their values."""
        return tuple(self._cookies)

    def cookie_header(self) -> str:
        """The value of the `Cookie` header."""
        with self._lock:
            return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def absorb(self, set_cookies: Iterable[str], host: str) -> None:
        """Take over what a response sets.

        The same value is a refresh. Another value of the session cookie means that the server has
        thrown the session away and begun one for a stranger (S); a guest does not mind.

        Args:
            set_cookies: The values of the response's `Set-Cookie` headers.
            host: The server's host; cookies for another one are not taken.

        Raises:
            SessionExpired: The session that somebody had logged in with is gone.
        """
        for header in set_cookies:
            try:
                morsels = SimpleCookie(header).values()
            except CookieError:
                continue
            for morsel in morsels:
                domain = morsel["domain"].lstrip(".").lower()
                if domain and host != domain and not host.endswith(f".{domain}"):
                    continue
                self._set(morsel.key, morsel.value)

    def _set(self, name: str, value: str) -> None:
        with self._lock:
            known = self._cookies.get(name)
            if name == SESSION_COOKIE and not self.is_guest and known not in (None, value):
                msg = (
                    "The server has thrown this session away. Log in again in your browser and pass"
                    " fresh cookies."
                )
                raise SessionExpired(msg)
            if value:
                self._cookies[name] = value

    def __repr__(self) -> str:
        return f"Session({', '.join(self._cookies)} from {self.source})"

    def __reduce__(self) -> Any:
        msg = "A session is not pickled: a pickle would hold its cookies in the clear."
        raise HuggingChatError(msg)
