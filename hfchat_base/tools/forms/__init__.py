"""The forms in which models write tool calls, one module per family of forms.

Each form is read by a generator over the growing text (`hfchat_base.tools.source`): it is given the
position where the form begins and returns what it found, or None if something else stands there.
Here is the one that reads a call in any form. Where in an answer calls may stand is decided by
`hfchat_base.tools.parser` alone.
"""

from __future__ import annotations

import re
from typing import Final

from hfchat_base.tools.forms.json_forms import read_json_call
from hfchat_base.tools.forms.named_forms import read_named
from hfchat_base.tools.forms.python_forms import read_python_list
from hfchat_base.tools.forms.values import Context, Found
from hfchat_base.tools.forms.xml_forms import read_children, read_element
from hfchat_base.tools.source import Reading, SourceText

__all__ = ["BACKTICKS", "FENCE", "LONGEST_INFO", "MOST_TICKS", "read_content"]

BACKTICKS: Final = re.compile("`*")
FENCE: Final = 3
"""How many backticks open a code block."""

MOST_TICKS: Final = 32
LONGEST_INFO: Final = 40
"""How long the language after the backticks may be, in characters."""

_INFO: Final = re.compile(r"[\w.\-]*")


def read_content(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read what follows a mark: the first call, in any form; None if it is not a call."""
    character = source.text[at : at + 1]
    if character == "{":
        return (yield from read_json_call(source, at, context))
    if character == "[":
        first = yield from source.skip(at + 1)
        if source.text[first : first + 1] in {"{", "[", ""}:
            return (yield from read_json_call(source, at, context))
        return (yield from read_python_list(source, at, context))
    if character == "<":
        found = yield from read_element(source, at, context)
        return found or (yield from read_children(source, at, context))
    if character == "`":
        return (yield from _read_fenced_content(source, at, context))
    return (yield from read_named(source, at, context))


def _read_fenced_content(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a code block after a mark."""
    ticks = yield from source.take(BACKTICKS, at, MOST_TICKS)
    start = at + len(ticks)
    start += len((yield from source.take(_INFO, start, LONGEST_INFO)))
    start = yield from source.skip(start)
    if len(ticks) < FENCE or source.text[start : start + 1] == "`":
        return None
    found = yield from read_content(source, start, context)
    if found is None or not found.calls:
        return None
    end = yield from source.skip(found.end)
    is_closed = yield from source.starts_with(ticks, end)
    return Found(end + len(ticks), found.calls) if is_closed else found
