"""An answer on a terminal: Markdown that grows, thinking dimmed, tools with progress bars.

What is settled is printed and scrolls away as any output does; what is not is redrawn below it, and
gone in the end. On a console that is not interactive nothing is redrawn, only the settled parts are
printed, so a recording of the screen holds each thing once.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hfchat_base.cli.terminal import clean, clean_line, note
from hfchat_base.cli.view.base import call_text, output_text
from hfchat_base.cli.view.markdown import AnswerMarkdown, Tail, ending, plain_text, settled_length
from hfchat_base.events import (
    Event,
    ReasoningDelta,
    ReasoningStatus,
    TextDelta,
    ToolCall,
    ToolError,
    ToolProgress,
    ToolResult,
    WebSearchUpdate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.console import Console, RenderableType
    from typing_extensions import Self

__all__ = ["AnimatedView"]

_FRAMES_PER_SECOND: Final = 12
_BAR_WIDTH: Final = 24
_SPARE_LINES: Final = 6
"""Lines of the screen that a growing block leaves to what stands around it."""
_REST_PER_WORK: Final = 9
"""How much longer than a look at the text the pause after it is, at least."""
_RECENT: Final = 8000
"""Characters of a thought that are redrawn; more are on no screen."""
_MARGIN: Final = (0, 0, 0, 2)


class _RunningTool:
    """A tool that has not ended: its call, and how far it is."""

    def __init__(self, call: str) -> None:
        self.call = call
        self.done = 0.0
        self.total: float | None = None
        self.message = ""


class AnimatedView:
    """Draws an answer while it comes.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._thinking = ""
        self._text = ""
        self._status = "waiting for the first word"
        self._tools: dict[str, _RunningTool] = {}
        self._has_printed = False
        self._last_was_tool = False
        self._next_look = 0.0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._flush()

    def show(self, event: Event) -> None:
        """Take in what has arrived; the screen follows with its next frame."""
        if isinstance(event, TextDelta):
            self._flush_thinking()
            self._add_text(clean(event.text))
        elif isinstance(event, ReasoningDelta):
            self._flush_text()
            self._thinking += clean(event.text)
        elif isinstance(event, (ReasoningStatus, WebSearchUpdate)):
            said = event.status if isinstance(event, ReasoningStatus) else event.message
            self._status = clean_line(said, 60)
        elif isinstance(event, ToolCall):
            self._flush()
            self._tools[event.uuid] = _RunningTool(call_text(event.name, event.arguments))
        elif isinstance(event, ToolProgress):
            self._move(event)
        elif isinstance(event, ToolResult):
            self._end_tool(event.uuid, event.name, ("✓ ", "hfchat.good"), output_text(event.output))
        elif isinstance(event, ToolError):
            self._end_tool(event.uuid, "tool", ("✗ ", "hfchat.bad"), clean_line(event.message))

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take the moving part off the screen for a while."""
        self._stop()
        self._flush()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        if self._console.is_interactive:
            self._live = Live(
                console=self._console,
                get_renderable=self._frame,
                refresh_per_second=_FRAMES_PER_SECOND,
                transient=True,
            )
            self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _frame(self) -> RenderableType:
        room = max(3, self._console.height - _SPARE_LINES - len(self._tools))
        parts: list[RenderableType] = []
        if self._has_printed:
            parts.append(Text(""))
        if self._thinking:
            parts.append(Tail(_thinking_block(self._thinking[-_RECENT:]), room))
        if self._text:
            parts.append(Tail(Padding(AnswerMarkdown(ending(self._text, room)), _MARGIN), room))
        if self._tools:
            parts.append(self._tool_table())
        if not self._text and not self._tools:
            status = "thinking" if self._thinking else self._status
            parts.append(Spinner("dots", note(f"{status} …"), style="hfchat.accent"))
        return Group(*parts)

    def _tool_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for tool in self._tools.values():
            spinner = Spinner("dots", Text(tool.call), style="hfchat.accent")
            bar = ProgressBar(
                total=tool.total, completed=tool.done, width=_BAR_WIDTH, pulse=tool.total is None
            )
            table.add_row(spinner, bar, note(tool.message))
        return table

    def _add_text(self, text: str) -> None:
        if not self._text:
            text = text.lstrip("\n")
        self._text += text
        if "\n" in text and time.monotonic() >= self._next_look:
            self._settle()

    def _settle(self) -> None:
        """Print what is settled. A block that grows long is looked at less and less often."""
        begun = time.monotonic()
        if length := settled_length(self._text):
            settled, self._text = self._text[:length], self._text[length:]
            self._print(Padding(AnswerMarkdown(settled), _MARGIN))
        ended = time.monotonic()
        self._next_look = ended + (ended - begun) * _REST_PER_WORK

    def _move(self, event: ToolProgress) -> None:
        tool = self._tools.get(event.uuid)
        if tool is not None:
            tool.done = event.progress
            tool.total = event.total
            tool.message = clean_line(event.message or "", 40)

    def _end_tool(self, uuid: str, name: str, mark: tuple[str, str], outcome: str) -> None:
        tool = self._tools.pop(uuid, None)
        call = tool.call if tool else clean_line(name)
        self._print(Text.assemble(mark, call, (f" → {outcome}", "hfchat.note")), is_tool=True)

    def _flush(self) -> None:
        self._flush_thinking()
        self._flush_text()

    def _flush_thinking(self) -> None:
        if self._thinking.strip():
            self._print(_thinking_block(self._thinking))
        self._thinking = ""

    def _flush_text(self) -> None:
        text, self._text = self._text, ""
        if text.strip():
            self._print(Padding(AnswerMarkdown(text), _MARGIN))

    def _print(self, block: RenderableType, *, is_tool: bool = False) -> None:
        if self._has_printed and not (is_tool and self._last_was_tool):
            self._console.print()
        self._has_printed = True
        self._last_was_tool = is_tool
        self._status = "going on"
        self._console.print(block, no_wrap=is_tool, overflow="ellipsis" if is_tool else None)


def _thinking_block(thinking: str) -> Padding:
    return Padding(plain_text(thinking, "hfchat.reasoning"), _MARGIN)
