"""Stop sequences, which chat-ui's API does not take: text is cut off here, on the client."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopCutter"]


class StopCutter:
    """Cuts growing text off before the first stop sequence in it.

    What comes out is the same however the text was cut into pieces.

    Args:
        sequences: The stop sequences; empty ones are ignored.

    Attributes:
        found: The sequence that ended the text, or None.
    """

    __slots__ = ("_held", "_longest", "_sequences", "found")

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = [sequence for sequence in sequences if sequence]
        self._longest = max(map(len, self._sequences), default=0)
        self._held = ""
        self.found: str | None = None

    def __bool__(self) -> bool:
        return bool(self._sequences)

    def feed(self, piece: str) -> str:
        """Take the next piece and return the text that is certain to come before any stop."""
        if self.found is not None:
            return ""
        text = self._held + piece
        hits = [(at, s) for s in self._sequences if (at := text.find(s)) >= 0]
        if hits:
            at, self.found = min(hits)
            self._held = ""
            return text[:at]
        keep = self._beginning_at_end(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """Say that the text is over, and return what was held back."""
        held, self._held = self._held, ""
        return held

    def _beginning_at_end(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop sequence."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(len(s) > size and s.startswith(tail) for s in self._sequences):
                return size
        return 0
