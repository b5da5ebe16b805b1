"""What both transports are: a connection, whose cookies to send, and the deadlines.

How they send, wait and close is their own, in `sync.py` and `aio.py`.
"""

from __future__ import annotations

import time
import warnings

from hfchat_base._forks import Sockets, register
from hfchat_base._transport.curl import Connection, Credentials
from hfchat_base._transport.interpreters import OnRetry


class Transport:
    """Sends requests to one server, with one session.

    Args:
        connection: How to reach the server.
        credentials: Whose cookies to send.
        response_timeout: Seconds for a whole response, or None.
        head_timeout: Seconds for the head of a stream, or None.
        on_retry: Told of every pause before another attempt.
        warns: Whether to warn if it is dropped with connections open.
    """

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        *,
        response_timeout: float | None,
        head_timeout: float | None,
        on_retry: OnRetry | None = None,
        warns: bool = True,
    ) -> None:
        self._connection = connection
        self._credentials = credentials
        self._response_timeout = response_timeout
        self._head_timeout = head_timeout
        self.on_retry = on_retry
        self._warns = warns
        self._sockets = Sockets()
        self._closed = False
        self._prepare()
        register(self)  # last: a fork may come at once

    def _prepare(self) -> None:
        """Make what the driver keeps its connections in."""

    def now(self) -> float:
        """Seconds on the monotonic clock that all deadlines are on."""
        return time.monotonic()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more but what is sent last."""
        return self._closed

    @property
    def has_account(self) -> bool:
        """Whether the session is one that somebody logged in with."""
        return not self._credentials.is_guest

    def after_fork(self) -> None:
        """Leave all connections to the parent of this process."""
        self._sockets.after_fork()

    def _warn_of_drop(self) -> None:
        if self._warns:
            warnings.warn(
                f"A client of {self._connection.endpoint.origin} was dropped without close().",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
