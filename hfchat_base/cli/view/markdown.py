"""Markdown that grows: what of it is settled, and what fits on the screen of the rest.

A display that redraws a whole answer at every token gets slower with its length and flickers once
it is taller than the screen. Markdown is read line by line and a block at the top level is closed
for good as soon as the next one has begun (CommonMark, appendix A), so all blocks but the last can
be printed once, for good. Only the last one is redrawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from markdown_it import MarkdownIt
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

__all__ = ["AnswerMarkdown", "Tail", "ending", "plain_text", "settled_length"]

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
            theme=self.theme,
            word_wrap=True,
            padding=(0, 2),
            background_color="default",
        )


class AnswerMarkdown(Markdown):
    """Markdown as answers have it: addresses of links shown, tags kept as text."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, code_theme="ansi_dark", hyperlinks=False)
        self.parsed = _PARSER.parse(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it without the blank lines that some blocks bring along at either end."""
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
    """Find out how much of a growing text no later text can change.

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
    """Cut a block to what is needed to draw its last lines, for the sake of speed.

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
        """Render all of it, and hand on its end."""
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        for line in lines[-self._height :]:
            yield from line
            yield Segment.line()


def plain_text(text: str, style: str) -> Text:
    """Make a text of one style, wrapped like prose."""
    return Text(text.strip("\n"), style=style, overflow="fold")
