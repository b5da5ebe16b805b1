"""An answer as it grows: what the forms of calls read from.

Each form of a call is read by a generator (`Reading`) that yields when it needs more text than has
come, and continues from there when there is more; nothing is read twice, however the answer was
cut.
All waiting is done by the methods of `SourceText`. Each of them answers a question whose answer
never changes once it is given, so that what a form reads is a function of the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final, TypeVar

__all__ = ["JsonScanner", "Marks", "Reading", "SourceText", "missing_closers"]

_T = TypeVar("_T")
Reading = Generator[None, None, _T]
"""A generator that yields whenever it needs more text, and returns what it has read."""

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_SPACES: Final = re.compile(r"[ \t]*")


class Marks:
    """Some strings, for the questions of `SourceText`.

    Args:
        strings: The strings.

    Attributes:
        strings: The strings.
        pattern: Fits them, the longest first.
        beginnings: All beginnings of them, themselves excluded unless one of them is the beginning
            of another.
        longest: How long the longest is.
    """

    def __init__(self, *strings: str) -> None:
        self.strings = frozenset(strings)
        by_length = sorted(strings, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")
        self.beginnings = frozenset(
            string[:size] for string in strings for size in range(len(string))
        )
        self.longest = max(map(len, strings), default=0)

    def __or__(self, other: Marks) -> Marks:
        return Marks(*self.strings, *other.strings)


class SourceText:
    """The text of an answer.

    Attributes:
        text: What has arrived and is still needed.
        is_final: Whether nothing more comes.
    """

    __slots__ = ("is_final", "text")

    def __init__(self) -> None:
        self.text = ""
        self.is_final = False

    def wait(self) -> Reading[bool]:
        """Wait for more text; False if no more will come."""
        if self.is_final:
            return False
        yield
        return True

    def starts_with(self, literal: str, at: int) -> Reading[bool]:
        """Return whether a string is at a position."""
        while True:
            part = self.text[at : at + len(literal)]
            if part == literal:
                return True
            if not literal.startswith(part) or not (yield from self.wait()):
                return False

    def one_of(self, marks: Marks, at: int) -> Reading[int]:
        """Return the end of the longest string at a position; `at` if none does.

        Args:
            marks: The strings.
            at: The position.
        """
        while True:
            may_grow = self.text[at : at + marks.longest + 1] in marks.beginnings
            if not may_grow or not (yield from self.wait()):
                found = marks.pattern.match(self.text, at)
                return found.end() if found else at

    def skip(self, at: int, *, lines: bool = True) -> Reading[int]:
        """Return the position after white space.

        Args:
            at: Where to begin.
            lines: Whether to continue on other lines.
        """
        pattern = _BLANK if lines else _SPACES
        while True:
            at = _end(pattern, self.text, at)
            if at < len(self.text) or not (yield from self.wait()):
                return at

    def take(self, pattern: re.Pattern[str], at: int, most: int) -> Reading[str]:
        """Return what fits a pattern, as much as there is, but no more than so many characters.

        Args:
            pattern: Fits any number of characters of some kind.
            at: Where to begin.
            most: How many characters to take.
        """
        while True:
            end = min(_end(pattern, self.text, at), at + most)
            if end < len(self.text) or end == at + most or not (yield from self.wait()):
                return self.text[at:end]

    def find(self, marks: Marks, at: int) -> Reading[re.Match[str] | None]:
        """Find the first of some strings.

        Args:
            marks: The strings, none of which may be part of another.
            at: Where to begin.
        """
        start = at
        while True:
            found = marks.pattern.search(self.text, start)
            if found is not None:
                return found
            start = max(at, len(self.text) - marks.longest + 1)
            if not (yield from self.wait()):
                return None

    def scan(self, scanner: JsonScanner) -> Reading[None]:
        """Let a scanner read on until it has found an end, or there is no more text."""
        scanner.scan(self.text)
        while scanner.end is None and scanner.illegal_at is None and (yield from self.wait()):
            scanner.scan(self.text)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that fits everywhere stops fitting."""
    found = pattern.match(text, at)
    return found.end() if found else at


# Outside of strings: brackets, quotes and everything that cannot be there.
_OUTSIDE_JSON: Final = re.compile(r'[{}\[\]"]|[^ \t\r\n:,\d+\-.eEtrufalsn]')
# Literals as Python writes them, which small models mix into JSON.
_OUTSIDE_LOOSE: Final = re.compile(r"[{}\[\]\"']|[^ \t\r\n:,\d+\-.eEtrufalsnTFNo]")
_OUTSIDE_PYTHON: Final = re.compile(r"[{}\[\]()\"']")
# The lone last character of an unfinished string may be the beginning of an escape.
_INSIDE: Final = {quote: re.compile(rf"{quote}|\\") for quote in ('"', "'", '"""', "'''")}
_CLOSERS: Final = {"{": "}", "[": "]", "(": ")"}


class JsonScanner:
    """Looks for the end of an object or array, character by character and never twice.

    Not a parser: `json` is. This only finds the bracket that closes the first one, and notices
    early what cannot be JSON.

    Args:
        start: Where in the text its opening bracket stands.
        language: ``"json"``; ``"loose"``, for JSON with Python's quotes and literals; or
            ``"python"``, for the arguments of a call, where nothing is illegal but a wrong bracket.

    Attributes:
        end: Where it ends (after the bracket), or None.
        illegal_at: Where the first character stands that cannot be JSON, or None.
    """

    __slots__ = ("_at", "_open", "_outside", "_quote", "end", "illegal_at")

    def __init__(self, start: int, language: str = "json") -> None:
        self._at = start
        self._open: list[str] = []
        self._quote = ""
        self._outside = {"json": _OUTSIDE_JSON, "loose": _OUTSIDE_LOOSE}.get(
            language, _OUTSIDE_PYTHON
        )
        self.end: int | None = None
        self.illegal_at: int | None = None

    @property
    def in_string(self) -> bool:
        """Whether the text so far ends within a string."""
        return bool(self._quote)

    @property
    def closers(self) -> str:
        """The brackets that are still open, as they would have to be closed."""
        return "".join(reversed(self._open))

    def scan(self, text: str) -> None:
        """Look at what the text has grown by."""
        at = self._at
        while self.end is None and self.illegal_at is None:
            pattern = _INSIDE[self._quote] if self._quote else self._outside
            found = pattern.search(text, at)
            if found is None:
                at = len(text)
                break
            at = found.end()
            character = found[0]
            if not self._quote and character in _INSIDE and self._outside is _OUTSIDE_PYTHON:
                if len(text) < at + 2:
                    at -= 1  # it may be the first of three
                    break
                self._quote = character * 3 if text.startswith(character * 2, at) else character
                at += len(self._quote) - 1
            elif not self._quote:
                self._read_outside(character, at)
            elif character == self._quote:
                self._quote = ""
            elif at < len(text):
                at += 1
            else:
                at -= 1  # look at the backslash again when its partner is there
                break
        self._at = max(at, self._at)

    def _read_outside(self, character: str, at: int) -> None:
        if character in _INSIDE:
            self._quote = character
        elif character in _CLOSERS:
            self._open.append(_CLOSERS[character])
        elif self._open and character == self._open[-1]:
            self._open.pop()
            if not self._open:
                self.end = at
        else:
            self.illegal_at = at - 1


def missing_closers(text: str) -> str:
    """The brackets that a cut-off JSON text lacks at its end; empty if that is not all it lacks.

    Only brackets are supplied: a string or number that may be cut off is never taken for whole.
    """
    scanner = JsonScanner(0)
    scanner.scan(text)
    if scanner.end is not None or scanner.illegal_at is not None or scanner.in_string:
        return ""
    return scanner.closers if text.rstrip().endswith(("}", "]", '"')) else ""
