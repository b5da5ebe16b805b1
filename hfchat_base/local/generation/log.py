"""The log of a run that GET ``/conversation/{id}/stream`` is fed from.

It merges tokens that come within one flush interval and does not pad them, so its sequence numbers
are not the line numbers of the first stream (R: ``disconnect_and_resume``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias

from hfchat_base.local.encoding.values import text_size

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["RunLog", "RunStatus"]

RunStatus: TypeAlias = Literal["running", "completed", "interrupted", "error"]


class RunLog:
    """What one run has said so far.

    Attributes:
        generation_id: The run's name.
        conversation_id: The conversation it writes to.
        status: How it is going, or how it ended.

    Args:
        generation_id: The run's name.
        conversation_id: The conversation it writes to.
        flush_seconds: Tokens within so many seconds become one event.
    """

    def __init__(self, generation_id: str, conversation_id: str, *, flush_seconds: float) -> None:
        self.generation_id = generation_id
        self.conversation_id = conversation_id
        self.status: RunStatus = "running"
        self._flush_seconds = flush_seconds
        self._flushed: list[JsonObject] = []
        self._pending: list[JsonObject] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """How many characters it holds."""
        return sum(map(text_size, self._flushed))

    def push(self, event: JsonObject) -> None:
        """Add an event.

        Args:
            event: What the run says, unpadded.
        """
        last = self._pending[-1] if self._pending else None
        if last is not None and _continues(last, event):
            self._pending[-1] = {**last, "token": last["token"] + event["token"]}
        else:
            self._pending.append(event)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_seconds, self._flush)

    def seal(self) -> int:
        """Flush, so that no later token changes what was said until now.

        Returns:
            The sequence number of the last event.
        """
        self._flush()
        return len(self._flushed)

    def finish(self, status: RunStatus) -> None:
        """Close the log.

        Args:
            status: How the run ended.
        """
        self._flush()
        self.status = status

    def after(self, sequence: int) -> list[tuple[int, JsonObject]]:
        """List the flushed events with their sequence numbers, counted from 1.

        Args:
            sequence: The last one that the reader has.
        """
        return list(enumerate(self._flushed[sequence:], start=sequence + 1))

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed += self._pending
        self._pending = []


def _continues(last: JsonObject, event: JsonObject) -> bool:
    """Tell whether both are tokens of the same channel."""
    return (
        "token" in last
        and "token" in event
        and (last["type"], last.get("subtype")) == (event["type"], event.get("subtype"))
    )
