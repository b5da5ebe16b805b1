"""Calls written as XML: the name in an attribute or a tag, each argument in an element.

* ``<function=f><parameter=x>1</parameter></function>``: Qwen3-Coder, Seed-OSS, Nemotron 3, MiMo;
  with JSON instead of elements, ``<function=f>{"x": 1}</function>``, Llama 3 and Functionary;
* ``<invoke name="f"><parameter name="x">1</parameter></invoke>``: Anthropic, MiniMax M2; with
  prefixes, DeepSeek V3.2 (``<｜DSML｜invoke …>``) and Step 3 (``<steptml:invoke …>``);
* ``<function name="f"><param name="x">1</param></function>``: MiniCPM;
* ``<name>f</name><arguments>{"x": 1}</arguments>``, also with an element for each argument: older
  Anthropic models, and prompts of many programs;
* ``f<arg_key>x</arg_key><arg_value>1</arg_value>``: GLM 4.5 and later, Hunyuan 3, LongCat.

Such a value is a text; the tool's JSON schema says what else it is. It ends only at a closing tag
that something of the form follows, so that it may hold such a tag itself.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hfchat_base.tools.forms.json_forms import read_arguments, unreadable
from hfchat_base.tools.forms.values import Context, Found, load_loose, typed_value
from hfchat_base.tools.source import Marks, Reading, SourceText
from hfchat_base.tools.types import FunctionCall, InvalidToolCall

__all__ = ["ARGUMENT_KEYS", "ELEMENTS", "read_children", "read_element", "read_key_values"]

_PREFIXES: Final = ("", "antml:", "steptml:", "minimax:", "｜DSML｜")
ELEMENTS: Final = Marks(
    "<function=",
    "<function name=",
    "<tool name=",
    *(f"<{prefix}invoke name=" for prefix in _PREFIXES),
)
"""What opens a call that is an element of its own."""

ARGUMENT_KEYS: Final = Marks("<arg_key>", "<longcat_arg_key>")
"""What opens an argument after a tool's name."""

_NAME: Final = re.compile(r"[^\s<>{}\"'/]*")
_PARAMETERS: Final = Marks(
    "<parameter=",
    "<param=",
    "<param name=",
    *(f"<{prefix}parameter name=" for prefix in _PREFIXES),
)
_VALUE_CLOSERS: Final = Marks(
    "</param>", "</parameter>", *(f"</{prefix}parameter>" for prefix in _PREFIXES if prefix)
)
_CLOSERS: Final = Marks(
    "</function>",
    "</tool>",
    "<function>",
    *(f"</{prefix}invoke>" for prefix in _PREFIXES),
)
_OUTER: Final = Marks(
    "</tool_call>",
    "<tool_call>",
    "</minimax:tool_call>",
    "</seed:tool_call>",
    "</function_calls>",
    "</｜DSML｜function_calls>",
    "</｜DSML｜tool_calls>",
)
_AFTER_VALUE: Final = _PARAMETERS | _CLOSERS | _OUTER
_VALUE_ENDS: Final = _VALUE_CLOSERS | Marks("\n<parameter=", "\n</function>", "</invoke>")
_VALUE_TAGS: Final = Marks("<arg_value>", "<longcat_arg_value>")
_AFTER_KEY_VALUE: Final = Marks(
    "<arg_key>",
    "<longcat_arg_key>",
    "</tool_call>",
    "</longcat_tool_call>",
    "</tool_calls>",
    "<tool_call>",
)
_NAME_TAGS: Final = {"<name>": "</name>", "<tool_name>": "</tool_name>"}
_BODY_TAGS: Final = {
    "<arguments>": "</arguments>",
    "<parameters>": "</parameters>",
    "<input>": "</input>",
}
_NAME_OPENERS: Final = Marks(*_NAME_TAGS, "<invoke>")
_BODY_OPENERS: Final = Marks(*_BODY_TAGS)
_CHILD: Final = re.compile(r"\s*<([\w.\-]+)>(.*?)</\1>", re.DOTALL)
_KEY_ENDS: Final = Marks("</arg_key>", "</longcat_arg_key>")
_KEY_VALUE_ENDS: Final = Marks("</arg_value>", "</longcat_arg_value>")
_ATTRIBUTES: Final = re.compile(r"""["']?[^<>{}\n]*""")
_IS_STRING: Final = re.compile(r"""string\s*=\s*["']?(true|false)""")
_LONGEST_TAG: Final = 200


def read_element(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a call that is an element."""
    end = yield from source.one_of(ELEMENTS, at)
    if end == at:
        return None
    name, _, end = yield from _read_tag(source, end)
    known = context.tools.find(name)
    if not name or (known is None and not context.is_certain):
        return None
    arguments: dict[str, Any] = {}
    while True:
        end = yield from source.skip(end)
        if not arguments and (yield from source.starts_with("{", end)):
            found = yield from read_arguments(source, at, end, name, context)
            return (yield from _closed(source, found)) if found else None
        closed = yield from source.one_of(_CLOSERS, end)
        if closed > end or (yield from source.one_of(_OUTER, end)) > end:
            end = closed
            break
        if end == len(source.text):
            if arguments and not context.tools.lacks(known, arguments):
                break
            error = "It is cut off in the middle."
            return (yield from unreadable(source, at, context, error, known or name))
        opened = yield from source.one_of(_PARAMETERS, end)
        if opened == end:
            error = "Something stands between its arguments that is none."
            return (yield from unreadable(source, at, context, error, known or name))
        key, attributes, start = yield from _read_tag(source, opened)
        value = yield from _read_value(source, start)
        if not key or value is None:
            error = f"The argument {key!r} does not end."
            return (yield from unreadable(source, at, context, error, known or name))
        text, end = value
        arguments[key] = _typed(text, attributes, known, key, context)
    call = context.tools.call(name, arguments, source.text[at:end], context)
    return Found(end, [call] if call else [])


def read_children(source: SourceText, at: int, context: Context) -> Reading[Found | None]:
    """Read a call whose name and arguments are elements of their own."""
    end = at
    while (opened := (yield from source.one_of(_NAME_OPENERS, end))) > end:
        mark, end = source.text[end:opened], (yield from source.skip(opened))
        if mark in _NAME_TAGS:
            break
    else:
        return None
    name = yield from source.take(_NAME, end, _LONGEST_TAG)
    end = yield from source.skip(end + len(name))
    known = context.tools.find(name)
    if known is None or not (yield from source.starts_with(_NAME_TAGS[mark], end)):
        return None
    body = yield from source.skip(end + len(_NAME_TAGS[mark]))
    opened = yield from source.one_of(_BODY_OPENERS, body)
    if opened == body:
        return None
    closing = _BODY_TAGS[source.text[body:opened]]
    closed = yield from source.find(Marks(closing), opened)
    if closed is None:
        error = "It is cut off in the middle."
        return (yield from unreadable(source, at, context, error, known))
    written = source.text[opened : closed.start()].strip()
    end = closed.end()
    if not written.startswith("{"):
        arguments = {
            child[1]: _typed(child[2], "", known, child[1], context)
            for child in _CHILD.finditer(written)
        }
        return Found(end, [FunctionCall(known, arguments)])
    try:
        value = load_loose(written)
    except ValueError as reason:
        error = f"The arguments are not valid JSON: {reason}."
        return Found(end, [InvalidToolCall(source.text[at:end], error, known)])
    return Found(end, [FunctionCall(known, dict(value))])


def _read_tag(source: SourceText, at: int) -> Reading[tuple[str, str, int]]:
    """Read the rest of an opening tag: the name, other attributes, and where it ends."""
    if source.text[at - 1 : at] == "=":
        for quote in "\"'":
            if (yield from source.starts_with(quote, at)):
                at += 1
                break
    name = yield from source.take(_NAME, at, _LONGEST_TAG)
    at += len(name)
    start = at
    attributes = yield from source.take(_ATTRIBUTES, at, _LONGEST_TAG)
    at += len(attributes)
    if (yield from source.starts_with(">", at)):
        return name, attributes, at + 1
    if (yield from source.starts_with("{", start)):
        return name, "", start
    return "", "", at


def _read_value(source: SourceText, at: int) -> Reading[tuple[str, int] | None]:
    """Read the value of an argument, and where it ends."""
    start = at
    while True:
        found = yield from source.find(_VALUE_ENDS, at)
        if found is None:
            return None
        if found[0] not in _VALUE_CLOSERS.strings:
            return source.text[start : found.start()] + "\n" * found[0].startswith("\n"), (
                found.start()
            )
        after = yield from source.skip(found.end())
        next_end = yield from source.one_of(_AFTER_VALUE, after)
        if next_end > after or after == len(source.text):
            return source.text[start : found.start()], found.end()
        at = found.end()


def _closed(source: SourceText, found: Found) -> Reading[Found]:
    """Include the closing tag that follows the arguments."""
    at = yield from source.skip(found.end)
    end = yield from source.one_of(_CLOSERS, at)
    return Found(end if end > at else found.end, found.calls)


def read_key_values(
    source: SourceText, start: int, at: int, name: str, context: Context
) -> Reading[Found]:
    """Read arguments of which each key and each value is an element of its own.

    Args:
        source: The text.
        start: Where the tool's name begins.
        at: Where the first key begins.
        name: The name as written.
        context: Where it stands.
    """
    known = context.tools.find(name)
    arguments: dict[str, Any] = {}
    end = at
    while True:
        key_start = yield from source.one_of(ARGUMENT_KEYS, end)
        if key_start == end:
            break
        key_end = yield from source.find(_KEY_ENDS, key_start)
        if key_end is None:
            return (yield from unreadable(source, start, context, name=known or name))
        key = source.text[key_start : key_end.start()].strip()
        value_tag = yield from source.skip(key_end.end())
        value_start = yield from source.one_of(_VALUE_TAGS, value_tag)
        value = yield from _read_key_value(source, value_start)
        if value is None or value_start == value_tag:
            error = f"The argument {key!r} has no value that ends."
            return (yield from unreadable(source, start, context, error, known or name))
        text, value_end = value
        arguments[key] = _typed(text, "", known, key, context)
        end = yield from source.skip(value_end)
    if end == len(source.text) and context.tools.lacks(known, arguments):
        error = "It is cut off in the middle."
        return (yield from unreadable(source, start, context, error, known or name))
    call = context.tools.call(name, arguments, source.text[start:end], context)
    return Found(end, [call] if call else [])


def _read_key_value(source: SourceText, at: int) -> Reading[tuple[str, int] | None]:
    start = at
    while True:
        found = yield from source.find(_KEY_VALUE_ENDS, at)
        if found is None:
            return None
        after = yield from source.skip(found.end())
        next_end = yield from source.one_of(_AFTER_KEY_VALUE, after)
        if next_end > after or after == len(source.text):
            return source.text[start : found.start()], found.end()
        at = found.end()


def _typed(text: str, attributes: str, known: str | None, key: str, context: Context) -> Any:
    text = text.removeprefix("\n")
    text = text.removesuffix("\n")
    stripped = text.strip()
    if stripped.startswith("<![CDATA[") and stripped.endswith("]]>"):
        return stripped[9:-3]
    if said := _IS_STRING.search(attributes):
        if said[1] == "true":
            return text
        try:
            return load_loose(text)
        except ValueError:
            return text
    return typed_value(text, context.tools.schema(known, key) if known else {})
