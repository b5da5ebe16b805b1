"""An answer for a pipe or a file: its text and nothing else, as it comes.

Everything that is about the answer rather than of it goes to standard error.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.cli.view.base import call_text, output_text
from hfchat_base.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolError,
    ToolProgress,
    ToolResult,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["PlainView"]


class PlainView:
    """Writes the text as it comes.

    Args:
        terminal: Where to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._out = terminal.out
        self._err = terminal.err
        self._at_line_start = True
        self._is_thinking = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_thinking()
        self._end_line()

    def show(self, event: Event) -> None:
        """Write a piece of text; tell of thinking and tools on standard error."""
        if isinstance(event, TextDelta):
            self._end_thinking()
            self._write(clean(event.text))
        elif isinstance(event, ReasoningDelta):
            self._is_thinking = True
            self._err.print(note(clean(event.text)), end="", soft_wrap=True)
        elif isinstance(event, ToolCall):
            self._say(f"→ {call_text(event.name, event.arguments)}")
        elif isinstance(event, ToolProgress) and event.message:
            self._say(f"  {clean_line(event.message)}")
        elif isinstance(event, ToolResult):
            self._say(f"← {output_text(event.output)}")
        elif isinstance(event, ToolError):
            self._say(f"← failed: {clean_line(event.message)}")

    def suspended(self) -> AbstractContextManager[None]:
        """Nothing is drawn that could be in the way."""
        return nullcontext()

    def _say(self, line: str) -> None:
        self._end_thinking()
        self._end_line()
        self._err.print(note(line), soft_wrap=True)

    def _write(self, text: str) -> None:
        if text:
            # The console would wrap and measure; a pipe wants the text as it is.
            self._out.file.write(text)
            self._out.file.flush()
            self._at_line_start = text.endswith("\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._write("\n")

    def _end_thinking(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            self._err.print()
