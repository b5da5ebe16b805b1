"""A limit of messages per minute, kept to instead of run into.

Every attempt counts on the server, also a refused one (R: ``usage_limits``), so many callers that
come back after a refusal would keep each other out for ever. One client's callers therefore take
places in the server's window. How many there are is learnt from refusals, if it is not given, and
unlearnt slowly, because others may have used the account at the same time. Only arithmetic; the
clock and the waiting are the drivers'.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from hfchat_base.protocol.facts import RATE_LIMIT_WINDOW_SECONDS

_MARGIN_SECONDS: Final = 1.0
"""The server's window begins when a message reaches it, ours when it is sent."""


class Pace:
    """The places in a window of messages. Safe between threads.

    Args:
        limit: How many messages the window holds, or None to learn it.
        window: Its length in seconds.
    """

    def __init__(
        self, limit: int | None = None, *, window: float = RATE_LIMIT_WINDOW_SECONDS
    ) -> None:
        self._given = limit
        self._limit = limit
        self._window = window + _MARGIN_SECONDS
        self._sent: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._learnt_at = 0.0
        self._lock = threading.Lock()

    @property
    def limit(self) -> int | None:
        """How many messages the window holds, or None while that is not known."""
        return self._limit

    def take(self, now: float) -> float:
        """Take a place if there is one; else tell in how many seconds to ask again."""
        with self._lock:
            self._forget(now)
            if self._limit is not None and len(self._sent) >= self._limit:
                return self._sent[-self._limit] + self._window - now
            self._sent.append(now)
            return 0.0

    def refused(self, now: float) -> None:
        """Learn from a message that was refused how many the window holds."""
        with self._lock:
            self._forget(now)
            self._refused.append(now)
            accepted = max(1, len(self._sent) - len(self._refused))
            self._limit = accepted if self._limit is None else min(self._limit, accepted)
            self._learnt_at = now

    def _forget(self, now: float) -> None:
        begin = now - self._window
        for times in (self._sent, self._refused):
            while times and times[0] <= begin:
                times.popleft()
        if self._limit is None or self._limit == self._given:
            return
        quiet_windows = int((now - self._learnt_at) / self._window) - 1
        if quiet_windows > 0:
            self._limit += quiet_windows
            self._learnt_at = now - self._window
            if self._given is not None:
                self._limit = min(self._limit, self._given)
