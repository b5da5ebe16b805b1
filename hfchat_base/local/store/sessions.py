"""Sessions and users: who is asking.

A session is known by the secret value of its cookie. Not here: reading and setting cookies
(`hfchat_base/local/http/gate.py`) and the login's redirects (`http/login.py`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfchat_base.local.encoding.values import ObjectId
from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from hfchat_base.local.limits import Retention

__all__ = ["Session", "Sessions", "User"]


@dataclass(frozen=True)
class User:
    """Somebody who has logged in.

    Attributes:
        username: Unique name.
        id: Object id.
    """

    username: str
    id: ObjectId = field(default_factory=ObjectId.new)

    @property
    def email(self) -> str:
        """An address that receives no mail."""
        return f"{self.username}@example.com"

    @property
    def avatar_url(self) -> str:
        """Where a picture would be."""
        return f"http://127.0.0.1/{self.username}.png"


@dataclass
class Session:
    """One browser or program.

    Attributes:
        secret: The cookie's value.
        user: Who has logged in, or None for a guest.
    """

    secret: str
    user: User | None = None

    @property
    def owner(self) -> str:
        """The key that conversations and settings of this session are kept under."""
        return self.user.id if self.user else self.secret


class Sessions:
    """All sessions and users of a server.

    Where guests are let in, a guest's session is kept nowhere: its cookie says it all.

    Args:
        retention: How many are kept.
    """

    def __init__(self, retention: Retention) -> None:
        self._sessions: Recent[str, Session] = Recent(retention.sessions)
        self._strangers: Recent[str, Session] = Recent(retention.sessions)
        self._users: Recent[str, User] = Recent(retention.sessions)

    def mint(self, user: User | None = None) -> Session:
        """Start a session.

        Args:
            user: Who it is logged in as, or None for a guest.
        """
        session = Session(str(uuid.uuid4()), user)
        sessions = self._strangers if user is None else self._sessions
        sessions[session.secret] = session
        return session

    def resolve(self, secret: str | None, *, adopt: bool) -> Session:
        """Find the session of a cookie, or start one.

        Args:
            secret: The cookie's value, or None without cookie.
            adopt: Whether an unknown value becomes a guest's session; if not it is thrown away
                for a new one.
        """
        if secret is not None:
            for sessions in (self._sessions, self._strangers):
                if (known := sessions.get(secret)) is not None:
                    sessions[secret] = known  # now the one that was used last
                    return known
        if adopt:
            return Session(str(uuid.uuid4()) if secret is None else secret)
        return self.mint()

    def user(self, username: str) -> User:
        """Find a user by name, or sign them up.

        Args:
            username: The name.
        """
        user = self._users.get(username) or User(username)
        self._users[username] = user
        return user

    def end(self, secret: str) -> None:
        """Throw a session away.

        Args:
            secret: Its cookie's value.
        """
        self._sessions.pop(secret)
        self._strangers.pop(secret)

    def end_all(self) -> None:
        """Throw all sessions away; users and what they own stay."""
        self._sessions.clear()
        self._strangers.clear()
