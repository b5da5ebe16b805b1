"""How an answer is shown while it arrives: `AnimatedView` on a terminal, `PlainView` in a pipe.

`AnimatedView` prints what is settled, so that it scrolls away like any output, and redraws the rest
below it. Redrawing a whole answer at every token gets slower with its length, and flickers once it
is taller than the screen. Markdown is read line by line, and a block at the top level is closed for
good as soon as the next one begins (CommonMark, appendix A), so all blocks but the last are printed
once. On a console that is not interactive nothing is redrawn: a recording of the screen holds each
thing once.

`PlainView` writes the text as it arrives and nothing else; everything about the answer goes to
standard error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.spinner import Spinner
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from hfchat_base.cli.terminal import SilentKeys, Terminal, clean, clean_line, note
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
from hfchat_base.types import Answer, Retry, RetryReason

__all__ = [
    "CODE_THEME",
    "SHORTEST_WAIT",
    "AnimatedView",
    "AnswerMarkdown",
    "AnswerView",
    "PlainView",
    "Tail",
    "ending",
    "first_code_block",
    "settled_length",
    "source_lines",
    "view_for",
    "wait_text",
]

_ARGUMENT_WIDTH = 40
_OUTPUT_WIDTH = 120
SHORTEST_WAIT: Final = 1.0
"""Waits that are shorter, in seconds, are not shown."""
_WAITS: Final[Mapping[RetryReason, str]] = {
    "pace": "Message limit reached; sending",
    "limit": "The server asks for a pause; sending",
    "overloaded": "The server is overloaded; trying again",
    "connection": "No connection; trying again",
}
_FRAMES_PER_SECOND: Final = 12
_BAR_WIDTH: Final = 24
_SPARE_LINES: Final = 6
"""Lines of the screen that a growing block leaves free for what is around it."""
_REST_PER_WORK: Final = 9
"""How much longer than an examination of the text the pause after it is, at least."""
_RECENT: Final = 8000
"""Characters of reasoning that are redrawn; no screen holds more."""
_MARGIN: Final = (0, 0, 0, 2)
CODE_THEME: Final = ANSISyntaxTheme(
    {
        ("Comment",): Style(dim=True, italic=True),
        ("Generic", "Deleted"): Style(color="red"),
        ("Generic", "Heading"): Style(bold=True),
        ("Generic", "Inserted"): Style(color="green"),
        ("Keyword",): Style(color="magenta"),
        ("Literal", "Number"): Style(color="cyan"),
        ("Literal", "String"): Style(color="green"),
        ("Name", "Attribute"): Style(color="cyan"),
        ("Name", "Builtin"): Style(color="cyan"),
        ("Name", "Class"): Style(bold=True),
        ("Name", "Decorator"): Style(color="magenta"),
        ("Name", "Function"): Style(bold=True),
        ("Name", "Namespace"): Style(color="cyan"),
        ("Name", "Tag"): Style(color="magenta"),
        ("Operator", "Word"): Style(color="magenta"),
    }
)
"""Colours of the terminal's own that can be read on dark and on light screens.

Of the bright ones half cannot be read on white, and blue cannot be read on black.
"""


class AnswerView(Protocol):
    """Shows one answer: enter it before the first event, exit it after the last."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, event: Event) -> None:
        """Show what has arrived."""
        ...

    def wait(self, retry: Retry) -> None:
        """Show what the client waits for, and for how long."""
        ...

    def suspended(self) -> AbstractContextManager[None]:
        """Free the screen and the keyboard for a while, such as for a form."""
        ...


def wait_text(reason: RetryReason, seconds: float) -> str:
    """Say why and how long the client waits before it sends again."""
    why = _WAITS[reason]
    return f"{why} in {max(1, math.ceil(seconds))} s (Ctrl-C cancels)"


def first_code_block(text: str) -> str | None:
    """Find the first code block in an answer, without its fence; None if there is none.

    An empty one is none: where a model opens a fence within a line, Markdown takes the fence that
    closes it for one that opens.
    """
    for token in _PARSER.parse(text):
        if token.type in ("fence", "code_block") and token.content.strip():
            return token.content
    return None


def call_line(name: str, arguments: Mapping[str, Any]) -> str:
    """Write a tool call in one line, as ``name(argument=value)``."""
    inside = ", ".join(
        f"{clean_line(str(key))}={clean_line(str(value), _ARGUMENT_WIDTH)}"
        for key, value in arguments.items()
    )
    return f"{clean_line(name)}({inside})"


def output_line(output: str) -> str:
    """Write a tool's result in one line."""
    return clean_line(output, _OUTPUT_WIDTH)


def source_lines(answer: Answer) -> list[Text]:
    """List the sources of an answer, numbered, each with its address below its title."""
    lines = []
    for number, source in enumerate(answer.sources, 1):
        url = clean_line(source.url)
        title = clean_line(source.title) or url
        line = Text.assemble((f"  {number}. ", "hfchat.note"), title)
        if title != url:
            line.append(f"\n     {url}", "hfchat.link")
        lines.append(line)
    return lines


def view_for(terminal: Terminal) -> AnswerView:
    """Choose how to show an answer: animated on a terminal, otherwise as plain text."""
    return AnimatedView(terminal.out) if terminal.is_rich else PlainView(terminal)


class _RunningTool:
    """A tool that is still running: its call and its progress."""

    def __init__(self, call: str) -> None:
        self.spinner = Spinner("dots", Text(call), style="hfchat.accent")
        self.call = call
        self.done = 0.0
        self.total: float | None = None
        self.message = ""


class AnimatedView:
    """Draws an answer while it arrives.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._thinking = ""
        self._text = ""
        self._status = "waiting for the first token"
        self._retry: Retry | None = None
        self._retry_at = 0.0
        self._keys = SilentKeys()
        self._spinner = Spinner("dots", style="hfchat.accent")
        self._tools: dict[str, _RunningTool] = {}
        self._has_printed = False
        self._last_was_tool = False
        self._next_check = 0.0

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
        self._retry = None
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
            self._tools[event.uuid] = _RunningTool(call_line(event.name, event.arguments))
        elif isinstance(event, ToolProgress):
            self._move(event)
        elif isinstance(event, ToolResult):
            self._end_tool(event.uuid, event.name, ("✓ ", "hfchat.good"), output_line(event.output))
        elif isinstance(event, ToolError):
            self._end_tool(event.uuid, "tool", ("✗ ", "hfchat.bad"), clean_line(event.message))

    def wait(self, retry: Retry) -> None:
        """Count down in place of the spinner's text."""
        self._retry = retry if retry.wait >= SHORTEST_WAIT else None
        self._retry_at = time.monotonic() + retry.wait

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take the moving part off the screen, and what was typed in the meantime with it."""
        self._stop()
        self._keys.discard()
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
            self._keys.silence()
            self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            self._keys.restore()

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
            self._spinner.update(text=note(self._waiting_for()))
            parts.append(self._spinner)
        return Group(*parts)

    def _waiting_for(self) -> str:
        if self._retry is not None:
            return wait_text(self._retry.reason, self._retry_at - time.monotonic())
        return "thinking …" if self._thinking else f"{self._status} …"

    def _tool_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for tool in self._tools.values():
            bar = ProgressBar(
                total=tool.total, completed=tool.done, width=_BAR_WIDTH, pulse=tool.total is None
            )
            table.add_row(tool.spinner, bar, note(tool.message))
        return table

    def _add_text(self, text: str) -> None:
        if not self._text:
            text = text.lstrip("\n")
        self._text += text
        if "\n" in text and time.monotonic() >= self._next_check:
            self._settle()

    def _settle(self) -> None:
        """Print what is settled. The longer a block grows, the less often it is examined."""
        started = time.monotonic()
        if length := settled_length(self._text):
            settled, self._text = self._text[:length], self._text[length:]
            self._print(Padding(AnswerMarkdown(settled), _MARGIN))
        ended = time.monotonic()
        self._next_check = ended + (ended - started) * _REST_PER_WORK

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
        self._status = "continuing"
        self._console.print(block, no_wrap=is_tool, overflow="ellipsis" if is_tool else None)


def _thinking_block(thinking: str) -> Padding:
    return Padding(plain_text(thinking, "hfchat.reasoning"), _MARGIN)


class PlainView:
    """Writes the text as it arrives.

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
        """Write a piece of text; reasoning and tools go to standard error."""
        if isinstance(event, TextDelta):
            self._end_thinking()
            self._write(clean(event.text))
        elif isinstance(event, ReasoningDelta):
            self._is_thinking = True
            self._err.print(note(clean(event.text)), end="", soft_wrap=True)
        elif isinstance(event, ToolCall):
            self._say(f"→ {call_line(event.name, event.arguments)}")
        elif isinstance(event, ToolProgress) and event.message:
            self._say(f"  {clean_line(event.message)}")
        elif isinstance(event, ToolResult):
            self._say(f"← {output_line(event.output)}")
        elif isinstance(event, ToolError):
            self._say(f"← failed: {clean_line(event.message)}")

    def wait(self, retry: Retry) -> None:
        """Say once what the client waits for."""
        if retry.wait >= SHORTEST_WAIT:
            self._say(wait_text(retry.reason, retry.wait))

    def suspended(self) -> AbstractContextManager[None]:
        """Do nothing: nothing is drawn that could be in the way."""
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


# Tags in an answer are text about tags: there is nothing here that could render them.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")


class _LeftHeading(Heading):
    """A heading without the frame and the centring that suit a document, not a chat."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Code(CodeBlock):
    """Code in the terminal's own colours, set in from the text around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(
            code,
            self.lexer_name,
            theme=CODE_THEME,
            word_wrap=True,
            padding=(0, 2),
            background_color="default",
        )


class AnswerMarkdown(Markdown):
    """Markdown of an answer: link addresses are shown, and tags stay text."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
        self.parsed = _PARSER.parse(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it without the blank lines that some blocks have at either end."""
        segments = super().__rich_console__(console, options)
        lines = list(Segment.split_lines(one for one in segments if isinstance(one, Segment)))
        while lines and _is_blank(lines[0]):
            lines.pop(0)
        while lines and _is_blank(lines[-1]):
            lines.pop()
        for line in lines:
            yield from line
            yield Segment.line()


def _is_blank(line: list[Segment]) -> bool:
    return not any(segment.text.strip() for segment in line)


def settled_length(text: str) -> int:
    """Find out how much of a growing text later text can no longer change.

    Args:
        text: The beginning of a Markdown text.

    Returns:
        The number of characters in front of the last block at the top level. Only whole lines
        count: half a line can still become anything.
    """
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    tokens = _PARSER.parse("".join(lines))
    starts = [token.map[0] for token in tokens if token.level == 0 and token.map]
    return sum(map(len, lines[: starts[-1]])) if starts else 0


def ending(text: str, lines: int) -> str:
    """Cut a block to what is needed to draw its last lines, for speed.

    Args:
        text: One block of Markdown, perhaps unfinished.
        lines: How many lines of the screen it is for. A line of Markdown takes about one or more.

    Returns:
        The end of it. Code stays code.
    """
    if text.count("\n") <= 2 * lines:
        return text
    kept = text.rsplit("\n", 2 * lines)[1:]
    first = text.partition("\n")[0]
    return "\n".join([first, *kept] if first.startswith(("```", "~~~")) else kept)


class Tail:
    """The last lines of something that may be taller than the screen.

    Args:
        content: What to show the end of.
        height: The most lines.
    """

    def __init__(self, content: RenderableType, height: int) -> None:
        self._content = content
        self._height = height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render all of it, and yield the lines at its end."""
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        for line in lines[-self._height :]:
            yield from line
            yield Segment.line()


def plain_text(text: str, style: str) -> Text:
    """Make a text of one style, wrapped like prose."""
    return Text(text.strip("\n"), style=style, overflow="fold")
