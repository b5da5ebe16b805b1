"""The two mechanisms of the policy that depend on time: deadlines, and the limit per minute.

Only arithmetic: times on the driver's clock are handed in, and the drivers do the waiting.

The server's ``keepAlive`` lines come ten times a second whatever happens (R), so a connection that
is alive says nothing; what counts for a deadline is progress.

Every attempt counts on the server, also a refused one (R: ``usage_limits``), so many callers that
come back after a refusal would keep each other out for ever. One client's callers therefore take
places in the server's window. How many there are is learnt from refusals, if it is not given, and
unlearnt slowly, because others may have used the account at the same time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from hfchat_base._forks import Lock
from hfchat_base.policy import Pacing, Policy


class Deadlines:
    """The deadlines of one run.

    Attributes:
        next: The nearest one, or None.
        limit: How many seconds it allowed.
    """

    def __init__(self, policy: Policy, begun_at: float) -> None:
        timeouts = self._timeouts = policy.timeouts
        self._end_of_response = policy.resuming.end_of_response
        self._total = after(begun_at, timeouts.total)
        self.limit = 0.0
        self.next: float | None = None
        self._set(begun_at, timeouts.first_event)

    def progress(self, at: float) -> None:
        """Something came that is progress."""
        self._set(at, self._timeouts.progress)

    def finish(self, at: float) -> None:
        """The server has said that it is done."""
        self._timeouts = replace(self._timeouts, progress=self._end_of_response)
        self.progress(at)

    def passed(self, at: float) -> bool:
        """Tell whether waiting has taken too long, although something came."""
        return self.next is not None and at > self.next

    def _set(self, at: float, seconds: float | None) -> None:
        self.next = after(at, seconds)
        self.limit = seconds or 0.0
        if self._total is not None and (self.next is None or self._total < self.next):
            self.next = self._total
            self.limit = self._timeouts.total or 0.0


def after(at: float, seconds: float | None) -> float | None:
    """The moment so many seconds after another, or never."""
    return None if seconds is None else at + seconds


_DEFAULT: Final = Pacing()


class RateLimiter:
    """The places in a window of messages. Safe between threads.

    Args:
        limit: How many messages the window holds, at least 1, or None to learn it.
        window: Its length in seconds.
        margin: How much longer ours is.
    """

    def __init__(
        self,
        limit: int | None = None,
        *,
        window: float = _DEFAULT.window,
        margin: float = _DEFAULT.margin,
    ) -> None:
        self._given = limit
        self._limit = limit
        self._window = window + margin
        self._sent: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._learnt_at = 0.0
        self._lock = Lock()

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
