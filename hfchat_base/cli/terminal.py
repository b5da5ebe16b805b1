"""Where output goes, and what text from elsewhere has to go through first.

Whatever a server says is data: no escape sequence of it reaches the terminal (`clean`), and no
square bracket of it is Rich markup (`Text` objects, never f-strings, carry it).
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

__all__ = ["THEME", "Terminal", "clean", "clean_line", "json_text", "note"]

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

_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC
    r"|[ -/]+[0-~])"  # the short ones with intermediates
)
# All of Unicode's categories Cc and Cf (a test compares) that a terminal obeys or that makes a text
# read as another: controls, bidirectional marks and overrides, invisible characters, tags. Tab and
# newline stay, and so do the joiners that Persian and emoji need (U+200C, U+200D) and the visible
# number signs of some scripts.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e007f]"
)
_LINE_END: Final = re.compile("[\u2028\u2029]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Take out of a text what a terminal would obey rather than show."""
    text = _CONTROL.sub("", _SEQUENCE.sub("", text))
    return _SURROGATE.sub("\ufffd", _LINE_END.sub("\n", text))


def json_text(value: object, *, shown: bool, encoding: str = "utf-8") -> str:
    """Write a value as JSON, exactly.

    Args:
        value: What `json.dumps` takes.
        shown: Whether a terminal is to show it: then what `clean` takes out is escaped.
        encoding: Of the stream that it goes to; what that lacks is escaped.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    for unsafe in (_CONTROL, _LINE_END) if shown else ():
        # The line ends of the layout are no part of a text, and stay as they are.
        text = unsafe.sub(_escaped, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f"


def clean_line(text: str, limit: int = 0) -> str:
    """Make one line of a name, a title or a message, without what a terminal would obey.

    Args:
        text: What a server said.
        limit: The most characters, or 0 for all.
    """
    line = " ".join(clean(text).split())
    return f"{line[: limit - 1]}…" if 0 < limit < len(line) else line


def note(*parts: str | tuple[str, str]) -> Text:
    """Put a dim line together out of texts, or pairs of a text and its style."""
    return Text.assemble(*parts, style="hfchat.note")


@dataclass(frozen=True)
class Terminal:
    """Where a command writes.

    Attributes:
        out: Standard output: what was asked for.
        err: Standard error: errors, and what is said about the output when it goes elsewhere.
    """

    out: Console
    err: Console

    @classmethod
    def detect(cls) -> Terminal:
        """Look at the streams of this process as they are now."""
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
        """Where to say what does not belong to the output itself."""
        return self.out if self.is_rich else self.err

    def print_json(self, value: object) -> None:
        """Write JSON to standard output: exact data, and safe to show, also behind a pipe."""
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
