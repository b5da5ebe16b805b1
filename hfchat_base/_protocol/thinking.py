"""The thinking inside of an answer's text, split off while it streams.

Current servers send ``<think>…</think>`` inside the stream tokens and the final text (R:
``reasoning``); a tag may be cut across tokens. An opening tag counts only where a thought can
begin: at the start of the text, of a line, right after another thought, or after a tool has run. A
tag in the middle of a sentence is prose about tags, and taking it for a thought would hide the rest
of the answer. White space around a thought that stands before any text belongs to neither.

The pieces that come out are a function of the text alone, not of how it was cut.
"""

from __future__ import annotations

import re
from typing import Final

from hfchat_base.events import ReasoningDelta, TextDelta

OPEN: Final = "<think>"
CLOSE: Final = "</think>"

_WRITTEN: Final = re.compile(r"\S")
"""What is not white space, which is the same to `re` as to `str`."""

Delta = TextDelta | ReasoningDelta


class ThinkSplitter:
    """Splits a growing text into text and thinking."""

    __slots__ = ("_blank", "_can_open", "_has_text", "_held", "_thinking", "_thought")

    def __init__(self) -> None:
        self._thinking = False
        self._thought = False  # whether any thought has begun yet
        self._can_open = True  # only white space since the last place where a thought can begin
        self._has_text = False  # whether any text was returned yet
        self._held = ""  # the beginning of a tag
        self._blank: list[str] = []  # white space that may turn out to be nobody's

    @property
    def is_plain(self) -> bool:
        """Whether a piece that is not empty is text as it stands, up to its first line break."""
        return not self._can_open and not self._thinking

    def passes(self, token: str) -> bool:
        """Return whether the next piece is text as it stands, so that it need not be fed."""
        return bool(token) and self.is_plain and "\n" not in token

    def feed(self, token: str) -> list[Delta]:
        """Take the next piece of text and return what it settles."""
        if self.passes(token):
            return [TextDelta(token)]
        if not self._has_text and not self._thinking and not self._held and token.isspace():
            self._can_open = self._can_open or "\n" in token
            self._blank.append(token)
            return []
        deltas: list[Delta] = []
        text = "".join(self._blank) + self._held + token
        self._blank.clear()
        self._held = ""
        position = 0
        while position < len(text):
            step = self._think if self._thinking else self._speak
            position = step(text, position, deltas)
        return deltas

    def end_of_segment(self) -> list[Delta]:
        """Say that the text is over, or is interrupted by a tool; return what was held back."""
        held, self._held = "".join(self._blank) + self._held, ""
        self._blank.clear()
        thinking, self._thinking = self._thinking, False
        self._can_open = True
        deltas: list[Delta] = []
        if not thinking:
            self._say(held, deltas)
        elif held:
            deltas.append(ReasoningDelta(held))
        return deltas

    def _think(self, text: str, start: int, deltas: list[Delta]) -> int:
        """Hand out a thought; return where the text continues, after its closing tag."""
        end = text.find(CLOSE, start)
        is_closed = end >= 0
        if not is_closed:
            end = len(text) - _partial(text, CLOSE, start)
            self._held = text[end:]
        if end > start:
            deltas.append(ReasoningDelta(text[start:end]))
        if not is_closed:
            return len(text)
        self._thinking = False
        self._can_open = True
        return end + len(CLOSE)

    def _speak(self, text: str, start: int, deltas: list[Delta]) -> int:
        """Hand out text up to the next thought; return where that begins, after its tag."""
        position = start
        while True:
            begin = self._next_opening(text, position)
            if begin < 0:
                break
            if text.startswith(OPEN, begin):
                self._say(text[start:begin], deltas)
                self._thinking = self._thought = True
                return begin + len(OPEN)
            if len(text) - begin < len(OPEN) and OPEN.startswith(text[begin:]):
                # White space at the end, or the beginning of a tag: wait for more.
                before = text[start:begin]
                if self._has_text or before.strip():
                    self._say(before, deltas)
                else:
                    self._blank.append(before)
                self._held = text[begin:]
                return len(text)
            self._can_open = False
            position = begin
        self._say(text[start:], deltas)
        return len(text)

    def _next_opening(self, text: str, start: int) -> int:
        """Find where the next tag could stand: at or after `start`; -1 if nowhere."""
        if not self._can_open:
            newline = text.find("\n", start)
            if newline < 0:
                return -1
            self._can_open = True
            start = newline
        written = _WRITTEN.search(text, start)
        return written.start() if written else len(text)

    def _say(self, text: str, deltas: list[Delta]) -> None:
        if not self._has_text:
            if self._thought:
                text = text.lstrip()
            if not text or text.isspace():
                return
            self._has_text = True
        elif not text:
            return
        deltas.append(TextDelta(text))


def _partial(text: str, tag: str, start: int) -> int:
    """Return how many characters at the end of `text` are the beginning of `tag`."""
    for size in range(min(len(tag) - 1, len(text) - start), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0


def split(text: str) -> tuple[str, str]:
    """Split a whole text into text and thinking."""
    splitter = ThinkSplitter()
    deltas = [*splitter.feed(text), *splitter.end_of_segment()]
    return (
        "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)),
        "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta)),
    )
