"""When to give up waiting for an answer, on the driver's clock.

The server's ``keepAlive`` lines come ten times a second whatever happens (R), so a connection that
is alive says nothing; what counts is progress. No clock is read here: times are handed in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hfchat_base.types import Timeouts

AFTER_THE_END_SECONDS: Final = 2.0
"""How long to wait, after `finished`, for the server to end the response properly."""


class Deadlines:
    """The deadlines of one run.

    Attributes:
        next: The nearest one, or None.
        limit: How many seconds it allowed.
    """

    def __init__(self, timeouts: Timeouts, begun_at: float) -> None:
        self._timeouts = timeouts
        self._total = after(begun_at, timeouts.total)
        self.limit = 0.0
        self.next: float | None = None
        self._set(begun_at, timeouts.first_event)

    def progress(self, at: float) -> None:
        """Something came that is progress."""
        self._set(at, self._timeouts.progress)

    def finish(self, at: float) -> None:
        """The server has said that it is done."""
        self._timeouts = replace(self._timeouts, progress=AFTER_THE_END_SECONDS)
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
