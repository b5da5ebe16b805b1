"""Text from elsewhere, made safe to show: nothing in it is obeyed by a terminal.

Whatever a server or a model says is data. Its control characters and escape sequences, and what
makes a text read as another one, are taken out (`clean`, `clean_line`), or escaped where the text
has to stay what it is (`json_text`).
"""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ["clean", "clean_line", "json_text"]

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
    """Remove from a text what a terminal would obey rather than show."""
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
        # The line ends of the layout are not part of a text, and stay as they are.
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
