"""What every way to show an answer has in common: the protocol, and the lines below the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from hfchat_base.cli.terminal import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from hfchat_base.events import Event
    from hfchat_base.types import Answer

__all__ = ["AnswerView", "call_text", "output_text", "source_lines"]

_ARGUMENT_WIDTH = 40
_OUTPUT_WIDTH = 120


class AnswerView(Protocol):
    """Shows one answer: from entering it, while the first event is waited for, to leaving it."""

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

    def suspended(self) -> AbstractContextManager[None]:
        """Leave the screen to somebody else for a while, such as a form."""
        ...


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Write a tool call in one line, as ``name(argument=value)``."""
    inside = ", ".join(
        f"{clean_line(str(key))}={clean_line(str(value), _ARGUMENT_WIDTH)}"
        for key, value in arguments.items()
    )
    return f"{clean_line(name)}({inside})"


def output_text(output: str) -> str:
    """Write what a tool gave in one line."""
    return clean_line(output, _OUTPUT_WIDTH)


def source_lines(answer: Answer) -> list[Text]:
    """List the pages that an answer leans on, numbered, each with its address below its title."""
    lines = []
    for number, source in enumerate(answer.sources, 1):
        url = clean_line(source.url)
        title = clean_line(source.title) or url
        line = Text.assemble((f"  {number}. ", "hfchat.note"), title)
        if title != url:
            line.append(f"\n     {url}", "hfchat.link")
        lines.append(line)
    return lines
