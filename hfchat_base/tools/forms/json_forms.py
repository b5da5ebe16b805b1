"""Calls written as JSON: name and arguments in one object.

Known shapes, each seen of open models: ``{"name", "arguments"}`` (Hermes, Qwen, Mistral, Granite,
Jamba, xLAM, Hunyuan), ``{"name", "parameters"}`` (Llama 3, InternLM), ``{"tool_name",
"parameters"}`` (Command R), ``{"action", "action_input"}`` (ReAct), ``{"weather": {…}}`` (Apertus),
OpenAI's ``{"type": "function", "function": {…}}`` and ``{"tool_calls": […]}``, arguments as a JSON
text instead of an object, and lists of all these. After a mark, Python's quotes and literals pass
for JSON (Hermes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from hfchat_base.tools.forms.marks import CLOSING, OPENING
from hfchat_base.tools.forms.values import (
    AnyCall,
    Context,
    Found,
    ToolIndex,
    load_json,
    load_loose,
)
from hfchat_base.tools.source import JsonScanner, Reading, SourceText, missing_closers
from hfchat_base.tools.types import FunctionCall, InvalidToolCall

__all__ = [
    "calls_in",
    "could_become_call",
    "guess_name",
    "read_arguments",
    "read_json_call",
    "repaired_calls",
    "unreadable",
]

_NAME_KEYS: Final = ("name", "tool_name", "tool", "function", "action", "function_name")
_ARGUMENT_KEYS: Final = (
    "arguments",
    "parameters",
    "args",
    "input",
    "tool_input",
    "action_input",
    "kwargs",
)
_OTHER_KEYS: Final = ("type", "id", "tool_calls", "tool_call_id", "call_id")
_KEYS: Final = frozenset((*_NAME_KEYS, *_ARGUMENT_KEYS, *_OTHER_KEYS))

_NAME: Final = re.compile(
    r"""["'](?:name|tool_name|tool|function|action)["']\s*:\s*["']([^"'\\]+)["']"""
)
_OPENING: Final = re.compile(
    r"""[\[ \t\r\n]*\{[ \t\r\n]*    # an object, perhaps the first of a list
        (?:(?P<quote>["'])(?P<key>\w*)   # its first key
        (?:(?P<end>(?P=quote))[ \t\r\n]*
        (?::[ \t\r\n]*
        (?:(?P<inner>["'])(?P<value>[^"'\\]*)   # and that key's value, if it is a string
        (?P<value_end>(?P=inner))?)?)?)?)?""",
    re.VERBOSE,
)
_ENDS: Final = CLOSING | OPENING
_CUT_CLOSERS: Final = frozenset(("}", "]", "}]"))


def read_json_call(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read an object or a list that is marked as a call."""
    scanner = JsonScanner(at, "loose")
    yield from source.scan(scanner)
    if scanner.end is None:
        return (yield from unreadable(source, at, context))
    end = scanner.end
    written = source.text[at:end]
    tools = context.tools
    name = guess_name(written, tools)
    try:
        calls = calls_in(load_loose(written), context)
        error = "It is not a call: name and arguments are missing."
        is_meant = context.is_certain
    except ValueError as reason:
        calls = []
        error = f"It is not valid JSON: {reason}."
        is_meant = context.is_certain or name in tools
    if not calls and is_meant:
        calls = [InvalidToolCall(written, error, name)]
    return Found(end, calls)


def unreadable(
    source: SourceText, at: int, context: Context, error: str = "", name: str | None = None
) -> Reading[Found]:
    """Read what is marked as a call and is incomplete, up to what closes it.

    Args:
        source: The text.
        at: Where it begins.
        context: Where it stands.
        error: What is wrong, if that is known.
        name: The tool, if it is known.
    """
    found = yield from source.find(_ENDS, at)
    end = len(source.text) if found is None else found.start()
    written = source.text[at:end].strip()
    calls = repaired_calls(written, context, is_cut=found is None)
    if not calls:
        if not error:
            error = "It is not valid JSON." if found else "It is cut off in the middle."
        calls = [InvalidToolCall(written, error, name or guess_name(written, context.tools))]
    return Found(end, calls)


def repaired_calls(written: str, context: Context, *, is_cut: bool) -> list[AnyCall]:
    """The calls in JSON that lacks nothing but brackets at its end.

    Args:
        written: The JSON.
        context: Where it stands.
        is_cut: Whether the answer ends there. Then its arguments must be closed at least, or some
            of them may be missing.
    """
    closers = missing_closers(written)
    if not closers or (is_cut and closers not in _CUT_CLOSERS):
        return []
    try:
        calls = calls_in(load_json(written + closers), context)
    except ValueError:
        return []
    lacks = (
        context.tools.lacks(call.name, call.arguments)
        for call in calls
        if isinstance(call, FunctionCall)
    )
    return [] if any(lacks) else calls


def read_arguments(
    source: SourceText, start: int, at: int, name: str, context: Context
) -> Reading[Found | None]:
    """Read an object of arguments after a tool's name.

    Args:
        source: The text.
        start: Where the name begins.
        at: Where the object begins.
        name: The name as written.
        context: Where it stands.
    """
    scanner = JsonScanner(at, "loose")
    yield from source.scan(scanner)
    if scanner.end is None:
        if context.tools.find(name) is None and not context.is_certain:
            return None
        return (yield from unreadable(source, start, context, name=context.tools.find(name)))
    end = scanner.end
    written = source.text[start:end]
    try:
        arguments = load_loose(source.text[at:end])
    except ValueError as reason:
        error = f"The arguments are not valid JSON: {reason}."
        known = context.tools.find(name)
        is_meant = known or context.is_certain
        return Found(end, [InvalidToolCall(written, error, known or name)] if is_meant else [])
    if not isinstance(arguments, dict):
        return None
    call = context.tools.call(name, arguments, written, context)
    return Found(end, [call] if call else [])


def calls_in(value: object, context: Context) -> list[AnyCall]:
    """The calls that a JSON value stands for; empty if it is something else.

    Args:
        value: What was read.
        context: Where it stands.
    """
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if not isinstance(value, list):
        call = _call(value, context)
        return [call] if call else []
    calls = [_call(item, context) for item in value]
    return [call for call in calls if call] if all(calls) else []


def _call(value: Any, context: Context) -> AnyCall | None:
    if not isinstance(value, Mapping):
        return None
    function = value.get("function")
    if isinstance(function, Mapping):
        value = function
    tools = context.tools
    written = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if written is None and context.is_marked:
        return _call_by_key(value, context)
    name = tools.find(written)
    if name is None and not (context.is_certain and written):
        return None
    key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if _is_signature(value, value.get(key)):
        return None
    if name is None:
        return tools.unknown(str(written), _dumped(value))
    if key is None:
        return _call_without_arguments(value, name, str(written), context)
    return _checked(name, value[key], value)


def _call_by_key(value: Mapping[str, Any], context: Context) -> AnyCall | None:
    """A call whose only key is the name of the tool."""
    if len(value) != 1:
        return None
    ((key, arguments),) = value.items()
    name = context.tools.find(key)
    return _checked(name, arguments, value) if name and isinstance(arguments, dict) else None


def _is_signature(value: Mapping[str, Any], arguments: object) -> bool:
    """Whether this describes a tool, as the instructions do, and calls none."""
    is_schema = isinstance(arguments, Mapping) and {"type", "properties"} <= arguments.keys()
    return is_schema or (arguments is not None and "description" in value)


def _call_without_arguments(
    value: Mapping[str, Any], name: str, written: str, context: Context
) -> FunctionCall | None:
    rest = {key: item for key, item in value.items() if item != written and key not in _OTHER_KEYS}
    if rest:
        # Small models at times put the arguments right after the name.
        return FunctionCall(name, rest) if context.is_certain else None
    if context.is_certain or not context.tools.needs_arguments(name):
        return FunctionCall(name, {})
    return None


def _checked(name: str, arguments: object, value: Mapping[str, Any]) -> AnyCall:
    text = _dumped({"name": name, "arguments": arguments} if "name" in value else value)
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = load_loose(arguments)
        except ValueError as error:
            return InvalidToolCall(text, f"The arguments are not valid JSON: {error}.", name)
    if arguments is None or arguments == "":
        arguments = {}
    if not isinstance(arguments, dict):
        return InvalidToolCall(text, "The arguments are not a JSON object.", name)
    return FunctionCall(name, arguments)


def _dumped(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def guess_name(text: str, tools: ToolIndex) -> str | None:
    """Find the tool that an unreadable call was meant for."""
    found = _NAME.search(text)
    return (tools.find(found[1]) or found[1]) if found else None


def could_become_call(text: str, tools: ToolIndex) -> bool:
    """Decide from its beginning whether an object, or a list of objects, may yet be a call.

    The decision is final: what is False for a text is False for every text that begins with it.
    """
    found = _OPENING.match(text)
    if found is None:
        return not text.strip("[ \t\r\n")
    is_whole = found.end() == len(text)
    key = found["key"]
    if key is None:
        return is_whole
    if not found["end"]:
        return is_whole and any(known.startswith(key) for known in _KEYS)
    if key not in _KEYS:
        return False
    if key in _NAME_KEYS and found["value_end"]:
        return tools.find(found["value"]) is not None
    return True
