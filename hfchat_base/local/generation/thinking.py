"""Thinking: one generation folds it into the text, the other takes it out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hfchat_base.local.backends import Reasoning, Text

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["TagSplitter", "ThinkJoiner"]

_BEGIN: Final = "<think>"
_END: Final = "</think>"


class ThinkJoiner:
    """Folds a model's reasoning channel into its text, between think tags (current).

    Attributes:
        open: Whether a tag is open.
    """

    def __init__(self) -> None:
        self.open = False
        self._blank = ""

    def join(self, piece: Text | Reasoning) -> str:
        """Return the token that a piece becomes.

        Args:
            piece: What the model said or thought. Blank reasoning opens no tag; it waits.
        """
        if isinstance(piece, Reasoning):
            if self.open:
                return piece.text
            if not piece.text.strip():
                self._blank += piece.text
                return ""
            self.open = True
            opening, self._blank = _BEGIN + self._blank, ""
            return opening + piece.text
        if not self.open or not piece.text:
            return piece.text
        return self.close() + piece.text

    def close(self) -> str:
        """Return the closing tag if one is due."""
        was_open, self.open = self.open, False
        return _END if was_open else ""


class TagSplitter:
    """Turns ``<think>`` tokens in a model's text into reasoning events (legacy).

    As on the real server the opening tag must be a token of its own.
    """

    def __init__(self) -> None:
        self._thinking = False
        self._thought = ""
        self._started = time.monotonic()

    def split(self, token: str) -> list[JsonObject]:
        """Return the events that a token becomes.

        Args:
            token: What the model said.
        """
        if token in (_BEGIN, _END):
            self._thinking = token == _BEGIN
            self._thought += token
            return [] if self._thinking else [self._done()]
        if not self._thinking:
            return [{"type": "stream", "token": token}]
        self._thought += token
        events: list[JsonObject] = [{"type": "reasoning", "subtype": "stream", "token": token}]
        before, end, after = self._thought.rpartition(_END)
        if end:
            self._thinking = False
            self._thought = before + end
            events += [{"type": "stream", "token": after}, self._done()]
        return events

    def without_thinking(self, text: str) -> str:
        """Take the thinking out of the whole text.

        Args:
            text: Everything that the model said.
        """
        begin, end = self._thought.find(_BEGIN), self._thought.rfind(_END)
        if begin == -1 or end == -1:
            return text
        return text[:begin] + text[end + len(_END) :]

    def _done(self) -> JsonObject:
        seconds = round(time.monotonic() - self._started)
        return {"type": "reasoning", "subtype": "status", "status": f"Done in {seconds}s."}
