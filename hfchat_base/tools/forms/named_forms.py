"""Calls that begin with the tool's name, followed by the arguments.

* ``weather{"x": 1}`` and ``weather[ARGS]{"x": 1}``: Mistral since v11;
* ``functions.weather:0<|tool_call_argument_begin|>{"x": 1}``: Kimi K2;
* ``function<｜tool▁sep｜>weather`` and a block of JSON: DeepSeek V3 and R1;
  ``weather<｜tool▁sep｜>{"x": 1}``: DeepSeek V3.1;
* ``weather`` and JSON on the next line: GLM 4; after ``>>>``, Functionary;
* ``call:weather{x:<escape>y<escape>}``: FunctionGemma; with other quotes, Gemma 4;
* ``Action: weather`` and ``Action Input: {"x": 1}``: ReAct; ``Action:`` and a block of JSON:
  Command R;
* a message to ``functions.weather``: gpt-oss (harmony).
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

from hfchat_base.tools.forms.json_forms import read_arguments, read_json_call, unreadable
from hfchat_base.tools.forms.literals import LiteralReader
from hfchat_base.tools.forms.marks import CLOSING, INNER
from hfchat_base.tools.forms.python_forms import LONGEST_NAME, read_python_call
from hfchat_base.tools.forms.values import Context, Found, ToolIndex, load_loose, typed_value
from hfchat_base.tools.forms.xml_forms import (
    ARGUMENT_KEYS,
    ELEMENTS,
    read_element,
    read_key_values,
)
from hfchat_base.tools.source import Marks, Reading, SourceText
from hfchat_base.tools.types import FunctionCall, InvalidToolCall

__all__ = ["ACTIONS", "read_action", "read_harmony", "read_named"]

_NAME: Final = re.compile(r"[\w.\-/:]*")
_COUNT: Final = re.compile(r":\d+$")
_CALL: Final = "call:"
_CALL_ID: Final = "[CALL_ID]"
_CALL_ID_TEXT: Final = re.compile(r"[\w\-]*")
_FENCE_LINE: Final = re.compile(r"```[a-zA-Z]*")
_STRING_MARKS: Final = ("<escape>", '<|"|>')
_STRING_ENDS: Final = Marks(*_STRING_MARKS, "{", "}", "<end_function_call>", "<tool_call|>")

ACTIONS: Final = Marks("Action:", "**Action:**", "**Action**:")
"""What opens a call of an agent that reasons in text."""

_INPUTS: Final = Marks("Action Input:", "**Action Input:**", "**Action Input**:", "Action_Input:")
_AROUND_NAME: Final = re.compile(r"[`\"'*\[ ]*")
_BEHIND_NAME: Final = re.compile(r"[`\"'*\]() ]*")
_LINE: Final = re.compile(r"[^\n]*")
_LONGEST_LINE: Final = 10_000

_MESSAGE: Final = "<|message|>"
_RECIPIENT: Final = re.compile(r"to=([\w.\-]+)")
_HEADER: Final = re.compile(
    r"\s*\w*(?:\s*(?:to=[\w.\-]+|<\|constrain\|>\s*\w+|<\|channel\|>\s*\w+|json|code))*\s*"
)
_LONGEST_HEADER: Final = 200


def read_named(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a call that begins with a name; None if it is something else."""
    written = yield from source.take(_NAME, at, LONGEST_NAME)
    name = _COUNT.sub("", written.removeprefix(_CALL))
    if not name:
        return None
    name_end = at + len(written)
    if (yield from source.starts_with("(", name_end)):
        return (yield from read_python_call(source, at, context))
    end, is_fenced = yield from _skip_inner(source, name_end)
    if (yield from source.starts_with("{", end)):
        if written.startswith(_CALL):
            return (yield from _read_gemma(source, at, end, name, context))
        found = yield from read_arguments(source, at, end, name, context)
        return (yield from _closed_fence(source, found)) if is_fenced and found else found
    if (yield from source.one_of(ELEMENTS, end)) > end:
        return (yield from read_element(source, end, context))
    if (yield from source.one_of(ARGUMENT_KEYS, end)) > end:
        is_meant = context.is_certain or context.tools.find(name)
        return (yield from read_key_values(source, at, end, name, context)) if is_meant else None
    return (yield from _read_name_alone(source, at, end, name, context))


def _read_name_alone(
    source: SourceText, start: int, at: int, name: str, context: Context
) -> Reading[Found | None]:
    """Read a name that no arguments follow."""
    is_closed = (yield from source.one_of(CLOSING, at)) > at
    known = context.tools.find(name)
    if known is None or not (is_closed or at == len(source.text)):
        return None
    if not context.tools.needs_arguments(known):
        return Found(at, [FunctionCall(known, {})])
    if not context.is_certain:
        return None
    written = source.text[start:at].strip()
    return Found(at, [InvalidToolCall(written, "Its arguments are missing.", known)])


def _skip_inner(source: SourceText, at: int) -> Reading[tuple[int, bool]]:
    """Skip what may stand between a name and its arguments, and return whether a block begins."""
    is_fenced = False
    while True:
        at = yield from source.skip(at)
        end = yield from source.one_of(INNER, at)
        if end == at and (yield from source.starts_with(_CALL_ID, at)):
            end = at + len(_CALL_ID)
            end += len((yield from source.take(_CALL_ID_TEXT, end, LONGEST_NAME)))
        if end == at and not is_fenced and (yield from source.starts_with("```", at)):
            end = at + len((yield from source.take(_FENCE_LINE, at, LONGEST_NAME)))
            is_fenced = True
        if end == at:
            return at, is_fenced
        at = end


def _closed_fence(source: SourceText, found: Found) -> Reading[Found]:
    at = yield from source.skip(found.end)
    is_closed = yield from source.starts_with("```", at)
    return Found(at + 3, found.calls) if is_closed else found


def _read_gemma(
    source: SourceText, start: int, at: int, name: str, context: Context
) -> Reading[Found | None]:
    """Read arguments in Gemma's own literals."""
    known = context.tools.find(name)
    if known is None and not context.is_certain:
        return None
    depth, end, quote = 0, at, ""
    while True:
        found = yield from source.find(_STRING_ENDS, end)
        if found is None or (not quote and found[0] in CLOSING.strings):
            return (yield from unreadable(source, start, context, name=known or name))
        end = found.end()
        if found[0] in _STRING_MARKS:
            quote = "" if quote == found[0] else quote or found[0]
        elif not quote:
            depth += {"{": 1, "}": -1}.get(found[0], 0)
            if not depth:
                break
    written = source.text[start:end]
    try:
        arguments = LiteralReader(source.text[at:end], _STRING_MARKS, bare=True).value()
    except ValueError as error:
        return Found(end, [InvalidToolCall(written, f"Its arguments: {error}.", known or name)])
    if known is not None:
        arguments = {
            key: typed_value(value, schema)
            if isinstance(value, str) and (schema := context.tools.schema(known, key))
            else value
            for key, value in dict(arguments).items()
        }
    call = context.tools.call(name, dict(arguments), written, context)
    return Found(end, [call] if call else [])


def read_action(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a call of an agent that reasons in text, after ``Action:``."""
    start = yield from source.skip(at)
    if (yield from source.starts_with("```", start)):
        end = start + len((yield from source.take(_FENCE_LINE, start, LONGEST_NAME)))
        end = yield from source.skip(end)
        found = yield from _read_object(source, end, context)
        return (yield from _closed_fence(source, found)) if found and found.calls else None
    if source.text[start : start + 1] in {"{", "["}:
        found = yield from _read_object(source, start, context)
        return found if found and found.calls else None
    name_at = start + len((yield from source.take(_AROUND_NAME, start, 8)))
    name = yield from source.take(_NAME, name_at, LONGEST_NAME)
    known = context.tools.find(name)
    if known is None:
        return None
    end = name_at + len(name)
    if (yield from source.starts_with("(", end)):
        return (yield from read_python_call(source, name_at, context))
    end += len((yield from source.take(_BEHIND_NAME, end, 8)))
    line = yield from source.skip(end)
    opened = yield from source.one_of(_INPUTS, line)
    if opened == line:
        return None
    value_at, is_fenced = yield from _skip_inner(source, opened)
    if (yield from source.starts_with("{", value_at)):
        found = yield from read_arguments(source, name_at, value_at, name, context)
        return (yield from _closed_fence(source, found)) if is_fenced and found else found
    text = yield from source.take(_LINE, value_at, _LONGEST_LINE)
    arguments = _line_arguments(text.strip(), known, context.tools)
    end = value_at + len(text)
    if arguments is None:
        error = "The action input is not a JSON object with the arguments."
        return Found(end, [InvalidToolCall(source.text[name_at:end], error, known)])
    return Found(end, [FunctionCall(known, arguments)])


def _read_object(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    if source.text[at : at + 1] not in {"{", "["}:
        return None
    return (yield from read_json_call(source, at, context))


def _line_arguments(text: str, name: str, tools: ToolIndex) -> dict[str, Any] | None:
    """The arguments in an action input that is not an object."""
    names = tools.argument_names(name)
    if text.lower() in {"", "none", "null"} and not tools.needs_arguments(name):
        return {}
    required = [key for key in names if tools.lacks(name, {k: None for k in names if k != key})]
    if not text or not names or len(required) > 1:
        return None
    only = required[0] if required else names[0]
    if text[0] in "\"'":
        with suppress(ValueError):
            text = str(load_loose(text))
    return {only: typed_value(text, tools.schema(name, only))}


def read_harmony(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read the head of a message in gpt-oss's format, and the call if it is one.

    Returns:
        The call; or no call and where the head ends, for a message to nobody; or None if it is no
        head.
    """
    while True:
        end = source.text.find(_MESSAGE, at, at + _LONGEST_HEADER)
        if end >= 0:
            break
        if len(source.text) >= at + _LONGEST_HEADER or not (yield from source.wait()):
            return None
    if _HEADER.fullmatch(source.text, at, end) is None or not source.text[at:end].strip():
        return None
    recipient = _RECIPIENT.search(source.text, at, end)
    start = end + len(_MESSAGE)
    if recipient is None:
        return Found(start)
    name = recipient[1]
    value_at = yield from source.skip(start)
    if (yield from source.starts_with("{", value_at)):
        return (yield from read_arguments(source, value_at, value_at, name, context))
    closed = yield from source.one_of(CLOSING, value_at)
    known = context.tools.find(name)
    is_empty = closed > value_at or value_at == len(source.text)
    if known and is_empty and not context.tools.needs_arguments(known):
        return Found(value_at, [FunctionCall(known, {})])
    error = "The arguments are not a JSON object."
    return (yield from unreadable(source, value_at, context, error, known or name))
