"""Calls written as Python: ``weather(city="Paris", days=3)``.

* ``[f(x=1), g()]``: Llama 3.2 and 4, Gemma 3; in marks, LFM2;
* ``f(x=1)`` one a line in marks: OLMo 3; in a ``tool_code`` block, Gemma.

Nothing is run: only literals pass for arguments.
"""

from __future__ import annotations

import re
from typing import Final

from hfchat_base.tools.forms.literals import LiteralReader
from hfchat_base.tools.forms.values import AnyCall, Context, Found
from hfchat_base.tools.source import JsonScanner, Reading, SourceText
from hfchat_base.tools.types import FunctionCall, InvalidToolCall

__all__ = ["LONGEST_NAME", "PYTHON_NAME", "read_python_call", "read_python_list"]

PYTHON_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*|")
LONGEST_NAME: Final = 128
_PRINT: Final = "print"


def read_python_list(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a list of calls; None if it is something else.

    Args:
        source: The text.
        at: Where its opening bracket stands.
        context: Where it stands.
    """
    calls: list[AnyCall] = []
    end = at + 1
    while True:
        end = yield from source.skip(end)
        if calls and (yield from source.starts_with("]", end)):
            return Found(end + 1, calls)
        if calls and (yield from source.starts_with(",", end)):
            end = yield from source.skip(end + 1)
        found = yield from read_python_call(source, end, context)
        if found is None or not found.calls:
            if not calls or not context.is_marked:
                return None
            return Found(end, calls)
        calls += found.calls
        end = found.end


def read_python_call(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read one call; None if it is something else."""
    name = yield from source.take(PYTHON_NAME, at, LONGEST_NAME)
    is_printed = name == _PRINT and context.tools.find(_PRINT) is None
    known = context.tools.find(name)
    if not name or not (known or context.is_certain or is_printed):
        return None
    start = at + len(name)
    if not (yield from source.starts_with("(", start)):
        return None
    if is_printed:
        inner = yield from read_python_call(source, start + 1, context)
        if inner is None:
            return None
        end = yield from source.skip(inner.end)
        is_closed = yield from source.starts_with(")", end)
        return Found(end + 1, inner.calls) if is_closed else None
    scanner = JsonScanner(start, "python")
    yield from source.scan(scanner)
    if scanner.end is None:
        end = len(source.text) if scanner.illegal_at is None else scanner.illegal_at
        written = source.text[at:end]
        if not context.is_marked:
            return Found(end)
        return Found(end, [InvalidToolCall(written, "Its brackets do not match.", known or name)])
    end = scanner.end
    written = source.text[at:end]
    if known is None:
        return Found(end, [context.tools.unknown(name, written)])
    reader = LiteralReader(written[len(name) + 1 : -1])
    try:
        arguments = reader.arguments(context.tools.argument_names(known))
    except ValueError as error:
        if not context.is_marked:
            return Found(end)
        return Found(end, [InvalidToolCall(written, f"Its arguments: {error}.", known)])
    return Found(end, [FunctionCall(known, arguments)])
