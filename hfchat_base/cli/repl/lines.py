"""Reading a line from the user: history, Tab for commands, several lines with a backslash.

The history is kept in memory only: what people say in a chat is nobody's business on the disk.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_readline: Any = None
with suppress(ImportError):  # Windows has none; lines are read without history then.
    _readline = importlib.import_module("readline")

__all__ = ["LineReader"]

_BOLD_YELLOW: Final = "\x1b[1;33m"
_RESET: Final = "\x1b[0m"


class LineReader:
    """Asks for lines.

    Args:
        is_coloured: Whether the prompt may be.
    """

    def __init__(self, *, is_coloured: bool) -> None:
        self._is_coloured = is_coloured

    def complete_with(self, words: Sequence[str]) -> None:
        """Let Tab complete these words at the beginning of a line."""
        if _readline is None:
            return

        def complete(begun: str, state: int) -> str | None:
            found = [word for word in words if begun.startswith("/") and word.startswith(begun)]
            return found[state] if state < len(found) else None

        _readline.set_completer_delims(" \t\n")
        _readline.set_completer(complete)
        _readline.parse_and_bind("tab: complete")

    def __call__(self, prompt: str) -> str:
        """Ask for a line; one that ends with a backslash goes on in the next.

        Raises:
            EOFError: There is no more.
            KeyboardInterrupt: The user wants to stop.
        """
        lines = [self._read(prompt)]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._read(" " * (len(prompt) - 2) + "… "))
        return "\n".join(lines)

    def edit(self, prompt: str, text: str) -> str:
        """Ask for a line that is filled in beforehand.

        Raises:
            EOFError: There is no more.
            KeyboardInterrupt: The user wants to stop.
        """
        if _readline is None:
            return self(prompt)
        _readline.set_startup_hook(lambda: _readline.insert_text(text))
        try:
            return self(prompt)
        finally:
            _readline.set_startup_hook(None)

    def _read(self, prompt: str) -> str:
        if not sys.stdin.isatty():
            return input()
        if not self._is_coloured:
            return input(prompt)
        # readline counts columns, so it has to be told what takes none.
        return input(f"\x01{_BOLD_YELLOW}\x02{prompt}\x01{_RESET}\x02")
