"""Where output goes, and what text from elsewhere passes through first.

Whatever a server says is data: none of its escape sequences reaches the terminal (`clean` of
`safe_text.py`), and none of its square brackets is Rich markup (`Text` objects carry it, never
f-strings). What several
commands print stands here too: notes, errors, JSON, and the progress of loading a model.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text
from rich.theme import Theme

from hfchat_base.errors import HuggingChatError, TransportError
from hfchat_base.safe_text import clean, clean_line, json_text

if TYPE_CHECKING:
    from hfchat_base.local import LocalModel

__all__ = [
    "THEME",
    "SilentKeys",
    "Terminal",
    "clean",
    "clean_line",
    "in_commands",
    "json_text",
    "load_model",
    "note",
    "print_error",
]

_termios: Any = None
with suppress(ImportError):  # Windows has none.
    _termios = importlib.import_module("termios")
_LOCAL_MODES: Final = 3
"""Which of the settings of `termios.tcgetattr` holds the echo."""

THEME: Final = Theme(
    {
        "hfchat.accent": "bold yellow",
        "hfchat.prompt": "bold yellow",
        "hfchat.note": "dim",
        "hfchat.reasoning": "dim italic",
        "hfchat.name": "bold",
        "hfchat.good": "green",
        "hfchat.bad": "red",
        "hfchat.error": "bold red",
        "hfchat.link": "cyan",
        "markdown.code": "bold cyan",
        "markdown.code_block": "cyan",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold italic",
        "bar.complete": "yellow",
        "bar.finished": "green",
        "bar.pulse": "yellow",
    }
)


def note(*parts: str | tuple[str, str]) -> Text:
    """Make a dim line of texts, or of pairs of a text and its style."""
    return Text.assemble(*parts, style="hfchat.note")


@dataclass(frozen=True)
class Terminal:
    """Where a command writes.

    Attributes:
        out: Standard output: what was asked for.
        err: Standard error: errors, and notes when the output goes to a file or a program.
    """

    out: Console
    err: Console

    @classmethod
    def detect(cls) -> Terminal:
        """Make consoles for the streams that this process has now."""
        return cls(_console(), _console(stderr=True))

    @property
    def is_rich(self) -> bool:
        """Whether the output is for a person's eyes rather than for a file or a program."""
        return self.out.is_terminal

    @property
    def is_coloured(self) -> bool:
        """Whether colours are shown, and wanted (``NO_COLOR``)."""
        return self.out.color_system is not None and not self.out.no_color

    @property
    def notes(self) -> Console:
        """Where to print what does not belong to the output itself."""
        return self.out if self.is_rich else self.err

    def print_json(self, value: object) -> None:
        """Write JSON to standard output: exact data, and safe to show, also through a pipe."""
        out = self.out
        text = json_text(value, shown=True, encoding=out.encoding)
        out.file.write(f"{text}\n")
        out.file.flush()

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to answer a question."""
        return sys.stdin.isatty()


def _console(*, stderr: bool = False) -> Console:
    # Numbers and paths in somebody's text are no more important than the rest of it.
    return Console(stderr=stderr, theme=THEME, highlight=False, emoji=False)


class SilentKeys:
    """Keeps what is typed while an answer is drawn off the screen; it stays in the keyboard buffer.

    The terminal would echo keys into the middle of what is redrawn. Does nothing where standard
    input is not a terminal, or has no such setting (Windows).
    """

    def __init__(self) -> None:
        self._saved: list[Any] | None = None

    def silence(self) -> None:
        """Switch the echo off."""
        if _termios is None or self._saved is not None or not sys.stdin.isatty():
            return
        with suppress(_termios.error):
            self._saved = _termios.tcgetattr(sys.stdin)
            silent = [*self._saved]
            silent[_LOCAL_MODES] &= ~_termios.ECHO
            _termios.tcsetattr(sys.stdin, _termios.TCSADRAIN, silent)

    def restore(self) -> None:
        """Set the echo back to what it was."""
        saved, self._saved = self._saved, None
        if saved is not None:
            with suppress(_termios.error):
                _termios.tcsetattr(sys.stdin, _termios.TCSADRAIN, saved)

    @staticmethod
    def discard() -> None:
        """Forget what was typed so far, so that it does not answer the next question."""
        if _termios is not None and sys.stdin.isatty():
            with suppress(_termios.error):
                _termios.tcflush(sys.stdin, _termios.TCIFLUSH)


_IN_COMMANDS: Final = (
    # Errors are worded for programs; each of these is said in the words of the command line.
    (re.compile(r"\bget_models\(\)"), "hfchat models"),
    (re.compile(r"\bpass base_url="), "use --base-url "),
    (re.compile(r"\bbase_url\b"), "--base-url"),
    (re.compile(r"\breasoning_effort\b"), "--reasoning-effort"),
    (re.compile(r"\bbill_to\b"), "--bill-to"),
    (re.compile(r"\bprovider(?:=|(?=, --bill-to))"), "--provider"),
    (re.compile(r"\s*[A-Z][^.]*\.partial\.?"), ""),
    (re.compile(r"\s*\(Retries\.\w+\)"), ""),
)


def in_commands(message: str) -> str:
    """Say an error of the package in commands and options in place of Python names."""
    for pattern, words in _IN_COMMANDS:
        message = pattern.sub(words, message)
    return message.strip()


def print_error(console: Console, error: HuggingChatError) -> None:
    """Print in one red line what went wrong and what to do."""
    message = in_commands(clean_line(str(error))) or type(error).__name__
    if isinstance(error, TransportError):
        message += " To try hfchat without a network, run: hfchat serve"
    console.print(
        Text.assemble(("Error: ", "hfchat.error"), (message, "hfchat.bad")), soft_wrap=True
    )


_DOWNLOADING: Final = "Downloading the model, only once"
_LOADING: Final = "Loading the model into memory"


class _WhileDownloading(ProgressColumn):
    """A column about bytes, empty where none are counted. It stays as wide as it is."""

    def __init__(self, column: ProgressColumn, width: int) -> None:
        super().__init__(Column(width=width, justify="right"))
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """Show the column if the number of bytes is known."""
        return self._column.render(task) if task.total else ""


def load_model(terminal: Terminal, gguf: Path | None = None) -> LocalModel:
    """Download the model if it is not there, load it, and print how long that took.

    Args:
        terminal: Where to show the progress.
        gguf: Another model file, or None for the demo's own.

    Raises:
        MissingRequirementsError: The extra ``model`` is not installed.
        HuggingChatError: The model cannot be loaded.
    """
    from hfchat_base.local.demo import demo_model  # noqa: PLC0415 - only where a model is wanted

    console = terminal.notes
    started = time.monotonic()
    downloaded: int | None = None
    progress = Progress(
        SpinnerColumn(style="hfchat.accent"),
        TextColumn("{task.description}", table_column=Column(width=len(_DOWNLOADING))),
        BarColumn(bar_width=20),
        _WhileDownloading(DownloadColumn(), len("93.0/93.0 MB")),
        _WhileDownloading(TimeRemainingColumn(), len("0:00:00")),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )
    with progress:
        download = progress.add_task(_DOWNLOADING, visible=False)
        loading = progress.add_task(_LOADING, total=None, visible=False)

        def report(done: int, total: int) -> None:
            nonlocal downloaded
            if not console.is_interactive and downloaded is None:
                console.print(f"Downloading the model, {total / 1e6:.0f} MB, only once …")
            downloaded = done
            is_whole = done >= total
            progress.update(download, completed=done, total=total, visible=not is_whole)
            progress.update(loading, visible=is_whole)

        progress.update(loading, visible=True)
        model = demo_model(gguf, report)
    seconds = time.monotonic() - started
    how = f"downloaded ({downloaded / 1e6:.0f} MB) and loaded" if downloaded else "loaded"
    name = model.id.rpartition("/")[2]
    console.print(Text.assemble(("✓ ", "hfchat.good"), name, note(f"  {how} in {seconds:.1f} s")))
    return model
