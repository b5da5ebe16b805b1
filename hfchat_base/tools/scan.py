"""Where a JSON value in growing text ends, told character by character and never twice.

Not a parser: `json` is. This only finds the bracket that closes the first one, and notices early
what cannot be JSON.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["JsonScanner", "missing_closers"]

# Outside of strings: brackets, quotes and everything that cannot stand there.
_OUTSIDE: Final = re.compile(r'[{}\[\]"]|[^ \t\r\n:,\d+\-.eEtrufalsn]')
# The lone last character of an unfinished string may be the beginning of an escape.
_INSIDE: Final = re.compile(r'["\\]')
_CLOSERS: Final = {"{": "}", "[": "]"}


class JsonScanner:
    """Looks for the end of an object or array.

    Args:
        start: Where in the text its opening bracket stands.

    Attributes:
        end: Where it ends (behind the bracket), or None.
        illegal_at: Where the first character stands that makes it no JSON, or None.
        in_string: Whether the text so far ends within a string.
    """

    __slots__ = ("_at", "_open", "end", "illegal_at", "in_string")

    def __init__(self, start: int) -> None:
        self._at = start
        self._open: list[str] = []
        self.end: int | None = None
        self.illegal_at: int | None = None
        self.in_string = False

    def scan(self, text: str) -> None:
        """Look at what the text has grown by."""
        at = self._at
        while self.end is None and self.illegal_at is None:
            found = (_INSIDE if self.in_string else _OUTSIDE).search(text, at)
            if found is None:
                at = len(text)
                break
            at = found.end()
            character = found[0]
            if self.in_string:
                if character == '"':
                    self.in_string = False
                elif at < len(text):
                    at += 1
                else:
                    at -= 1  # look at the backslash again when its partner is there
                    break
            else:
                self._outside(character, at)
        self._at = max(at, self._at)

    def _outside(self, character: str, at: int) -> None:
        if character == '"':
            self.in_string = True
        elif character in _CLOSERS:
            self._open.append(_CLOSERS[character])
        elif self._open and character == self._open[-1]:
            self._open.pop()
            if not self._open:
                self.end = at
        else:
            self.illegal_at = at - 1


def missing_closers(text: str) -> str:
    """The brackets that a cut-off JSON text lacks at its end; empty if it cannot be mended so.

    Only brackets are supplied: a string or number that may be cut off is never taken for whole.
    """
    scanner = JsonScanner(0)
    scanner.scan(text)
    if scanner.end is not None or scanner.illegal_at is not None or scanner.in_string:
        return ""
    if not text.rstrip().endswith(("}", "]", '"')):
        return ""
    return "".join(reversed(scanner._open))  # noqa: SLF001 - ours
