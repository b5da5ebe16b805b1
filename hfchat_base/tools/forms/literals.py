"""Literals as Python writes them, read more tolerantly than Python does.

What models write as Python often is not: ``true`` and ``null``, line breaks in strings, quotes
within quotes, numbers with leading zeros. All of that is read here; anything else is an error.
Gemma's own literals, with unquoted keys and with marks for quotes, are read by the same rules.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any, Final

__all__ = ["LiteralReader", "read_literal"]

_NAMES: Final = {
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "None": None,
    "null": None,
    "none": None,
}
_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"[A-Za-z_][\w.\-]*")
_BARE_WORD: Final = re.compile(r"[^,:{}\[\]<>]+")
_NUMBER: Final = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_KEYWORD: Final = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)")
_PREFIX: Final = re.compile(r"[rRuU]?(?=[\"'])")
_ESCAPE: Final = re.compile(
    r"\\(?:([nrtbf0\\'\"/\n])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_AFTER_STRING: Final = re.compile(r"\s*(?:[,:)\]}]|$)")
_CLOSERS: Final = {"[": "]", "(": ")", "{": "}"}
_MOST_NESTED: Final = 60
_MOST_DIGITS: Final = 4000


def read_literal(text: str) -> Any:
    """Read one literal that is all of a text.

    Raises:
        ValueError: It is not a literal.
    """
    reader = LiteralReader(text)
    value = reader.value()
    reader.end()
    return value


class LiteralReader:
    """Reads literals from a text.

    Args:
        text: The text.
        marks: What stands for quotes, besides quotes.
        bare: Whether keys, and values of one word, may stand without quotes.
    """

    def __init__(self, text: str, marks: tuple[str, ...] = (), *, bare: bool = False) -> None:
        self._text = text
        self._at = 0
        self._marks = marks
        self._bare = bare
        self._depth = 0

    def end(self) -> None:
        """Say that nothing more is expected.

        Raises:
            ValueError: There is more.
        """
        if self._peek():
            raise ValueError(f"unexpected text at character {self._at}")

    def arguments(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Read the arguments of a Python call, without the brackets around them.

        Args:
            names: What arguments without a name are called, in order.

        Raises:
            ValueError: They are not arguments of literals.
        """
        found: dict[str, Any] = {}
        while self._peek():
            keyword = _KEYWORD.match(self._text, self._at)
            if keyword:
                name = keyword[1]
                self._at = keyword.end()
            elif len(found) < len(names):
                name = names[len(found)]
            else:
                raise ValueError("there are more arguments than the tool has")
            if name in found:
                raise ValueError(f"the argument {name!r} is given twice")
            found[name] = self.value()
            self._comma("")
        return found

    def value(self) -> Any:
        """Read a value.

        Raises:
            ValueError: There is no literal.
        """
        opener = self._peek()
        for mark in self._marks:
            if self._text.startswith(mark, self._at):
                return self._marked(mark)
        if opener in _CLOSERS and opener:
            self._depth += 1
            if self._depth > _MOST_NESTED:
                raise ValueError("it is nested too deeply")
            self._at += 1
            value = self._braces() if opener == "{" else self._items(_CLOSERS[opener])
            self._depth -= 1
            return value
        if prefix := _PREFIX.match(self._text, self._at):
            self._at = prefix.end()
            return self._string(is_raw=prefix[0] in ("r", "R") and bool(prefix[0]))
        return self._word()

    def _peek(self) -> str:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _comma(self, closer: str) -> None:
        """Read what separates two items, if the closing bracket does not follow."""
        character = self._peek()
        if character == ",":
            self._at += 1
        elif character != closer and not self._text.startswith(self._marks or "\0", self._at):
            if self._bare and character:
                return
            raise ValueError(f"a comma is missing at character {self._at}")

    def _items(self, closer: str) -> list[Any]:
        items: list[Any] = []
        while self._peek() != closer:
            items.append(self.value())
            self._comma(closer)
        self._at += 1
        return items

    def _braces(self) -> dict[str, Any] | list[Any]:
        found: dict[str, Any] = {}
        items: list[Any] = []
        while self._peek() != "}":
            key = self._key()
            if self._peek() == ":":
                self._at += 1
                found[str(key)] = self.value()
            else:
                items.append(key)
            self._comma("}")
        self._at += 1
        if items and found:
            raise ValueError("a colon is missing")
        return items or found

    def _key(self) -> Any:
        if self._bare and (found := _WORD.match(self._text, self._at)):
            self._at = found.end()
            return found[0]
        return self.value()

    def _marked(self, mark: str) -> str:
        start = self._at + len(mark)
        end = self._text.find(mark, start)
        if end < 0:
            raise ValueError("a string does not end")
        self._at = end + len(mark)
        return self._text[start:end]

    def _string(self, *, is_raw: bool) -> str:
        quote = self._text[self._at]
        if self._text.startswith(quote * 3, self._at):
            quote *= 3
        start = at = self._at + len(quote)
        while True:
            at = self._text.find(quote, at)
            if at < 0:
                raise ValueError("a string does not end")
            end = at + len(quote)
            if not self._is_escaped(at, start) and _AFTER_STRING.match(self._text, end):
                break
            at += 1
        self._at = end
        written = self._text[start:at]
        return written if is_raw else _ESCAPE.sub(_unescaped, written)

    def _is_escaped(self, at: int, start: int) -> bool:
        first = at
        while first > start and self._text[first - 1] == "\\":
            first -= 1
        return (at - first) % 2 == 1

    def _word(self) -> Any:
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            if not self._bare or self._peek() in {",", "}", "]", ""}:
                return _number(number[0])
            self._at = number.start()
        pattern = _BARE_WORD if self._bare else _WORD
        found = pattern.match(self._text, self._at)
        word = found[0].strip() if found else ""
        if word not in _NAMES and not (self._bare and word):
            raise ValueError(f"a value is missing at character {self._at}")
        self._at += len(found[0]) if found else 0
        return _NAMES.get(word, word)


def _number(written: str) -> int | float:
    digits = written.replace("_", "")
    if set(digits) <= set("+-0123456789"):
        if len(digits) > _MOST_DIGITS:
            raise ValueError("a number is too long")
        return int(digits)
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{written} is too large")
    return value


def _unescaped(found: re.Match[str]) -> str:
    if code := found[2] or found[3] or found[4]:
        number = int(code, 16)
        return chr(number) if number <= sys.maxunicode else found[0]
    return _ESCAPES.get(found[1], found[1])
