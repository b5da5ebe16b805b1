"""The JSON in which models write calls, and what of it is a call.

Known shapes, each seen of open models: ``{"name", "arguments"}`` (Hermes, Qwen, Mistral),
``{"name", "parameters"}`` (Llama 3), OpenAI's ``{"type": "function", "function": {…}}`` and
``{"tool_calls": […]}``, arguments as a JSON text instead of an object, and lists of all these.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hfchat_base.tools.offer import BrokenCall, Call, Tool

__all__ = ["Names", "calls_in", "could_become_call", "guess_name", "load_json"]

_NAME_KEYS: Final = ("name", "tool_name", "tool", "function")
_ARGUMENT_KEYS: Final = ("arguments", "parameters", "args", "input", "tool_input")
_OTHER_KEYS: Final = ("type", "id", "tool_calls")
_KEYS: Final = frozenset((*_NAME_KEYS, *_ARGUMENT_KEYS, *_OTHER_KEYS))

_NAME: Final = re.compile(r'"(?:name|tool_name|tool|function)"\s*:\s*"([^"\\]+)"')
_OPENING: Final = re.compile(
    r"""[\[ \t\r\n]*\{[ \t\r\n]*    # an object, perhaps the first of a list
        (?:"(?P<key>\w*)            # its first key
        (?:(?P<end>")[ \t\r\n]*
        (?::[ \t\r\n]*
        (?:"(?P<value>[^"\\]*)      # and that key's value, if it is a string
        (?P<value_end>")?)?)?)?)?""",
    re.VERBOSE,
)


class Names:
    """The names of the tools on offer, found also where a model writes them a little differently.

    Args:
        tools: The tools.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._plain: dict[str, str] = {}
        for name in self._tools:
            self._plain.setdefault(_plain(name), name)

    def find(self, name: object) -> str | None:
        """The tool's own name, or None if there is no such tool."""
        if not isinstance(name, str):
            return None
        if name in self._tools:
            return name
        return self._plain.get(_plain(name))

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def needs_arguments(self, name: str) -> bool:
        """Whether a call of this tool without arguments makes no sense."""
        return bool(self._tools[name].required)


def _plain(name: str) -> str:
    return name.rpartition(".")[2].replace("-", "_").casefold().strip()


def load_json(text: str) -> Any:
    """Read JSON as models write it: raw line breaks in strings pass, NaN and the like do not.

    Raises:
        ValueError: It is none; the message says where.
    """
    try:
        return json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        _refuse(number)
    return value


def calls_in(value: object, names: Names, *, any_name: bool = False) -> list[Call | BrokenCall]:
    """The calls that a JSON value stands for; empty if it is something else.

    Args:
        value: What was read.
        names: The tools on offer.
        any_name: Whether to take calls of tools that are not on offer. They are right where the
            model has marked them as calls: whoever runs the tools can tell it so.
    """
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if not isinstance(value, list):
        call = _call(value, names, any_name=any_name)
        return [call] if call else []
    calls = [_call(item, names, any_name=any_name) for item in value]
    return [call for call in calls if call] if all(calls) else []


def _call(value: Any, names: Names, *, any_name: bool) -> Call | BrokenCall | None:
    if not isinstance(value, Mapping):
        return None
    function = value.get("function")
    if isinstance(function, Mapping):
        value = function
    written = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    name = names.find(written)
    if name is None and not (any_name and written):
        return None
    key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if _is_signature(value, value.get(key)):
        return None
    if key is None:
        return _call_without_arguments(value, name, str(written), any_name=any_name, names=names)
    return _checked(name or str(written), value[key])


def _is_signature(value: Mapping[str, Any], arguments: object) -> bool:
    """Whether this describes a tool, as the instructions do, and calls none."""
    is_schema = isinstance(arguments, Mapping) and {"type", "properties"} <= arguments.keys()
    return is_schema or (arguments is not None and "description" in value)


def _call_without_arguments(
    value: Mapping[str, Any], name: str | None, written: str, *, any_name: bool, names: Names
) -> Call | None:
    rest = {key: item for key, item in value.items() if item != written and key not in _OTHER_KEYS}
    if rest:
        # Small models at times put the arguments right beside the name.
        return Call(name or written, rest) if any_name else None
    if any_name or (name and not names.needs_arguments(name)):
        return Call(name or written, {})
    return None


def _checked(name: str, arguments: object) -> Call | BrokenCall:
    text = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = load_json(arguments)
        except ValueError as error:
            return BrokenCall(text, f"The arguments are no valid JSON: {error}", name)
    if arguments is None or arguments == "":
        arguments = {}
    if not isinstance(arguments, dict):
        return BrokenCall(text, "The arguments are no JSON object.", name)
    return Call(name, arguments)


def guess_name(text: str, names: Names) -> str | None:
    """Find the tool that a broken call was meant for."""
    found = _NAME.search(text)
    return (names.find(found[1]) or found[1]) if found else None


def could_become_call(text: str, names: Names) -> bool:
    """Tell from its beginning whether an object, or a list of objects, may yet be a call.

    It stays with its answer: what is False for a text is False for all that begin so.
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
        return names.find(found["value"]) is not None
    return True
