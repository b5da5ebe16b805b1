"""What all forms share: which tools there are, and how a value is read from what a model wrote.

Forms differ in how they write values. JSON has types of its own. Python forms have literals. XML
forms have none: there the tool's JSON schema decides, so that a string stays a string even if it
looks like a number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hfchat_base.tools.forms.literals import read_literal
from hfchat_base.tools.types import FunctionCall, InvalidToolCall, Tool

__all__ = [
    "AnyCall",
    "Context",
    "Found",
    "ToolIndex",
    "load_json",
    "load_loose",
    "read_json",
    "typed_value",
]

AnyCall = FunctionCall | InvalidToolCall

_STRING_OR_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_PREFIXES: Final = ("functions.", "default_api.", "tools.", "api.")
_TYPES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "NoneType": "null",
}
_MOST_REFERENCES: Final = 8
_INTEGER: Final = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class Found:
    """What a form has read.

    Attributes:
        end: Where it ends.
        calls: The calls; none if it is text after all.
    """

    end: int
    calls: Sequence[AnyCall] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Where a form stands.

    Attributes:
        tools: The tools on offer.
        is_marked: Whether something around it marks it as a call.
        is_certain: Whether it is meant as a call even if it names no tool on offer: it is marked,
            and stands on a line of its own.
    """

    tools: ToolIndex
    is_marked: bool = True
    is_certain: bool = False


class ToolIndex:
    """The tools on offer, found also where a model writes their names a little differently.

    Args:
        tools: The tools.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._similar: dict[str, str] = {}
        for name in self._tools:
            self._similar.setdefault(_simplified(name), name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tools."""
        return tuple(self._tools)

    def find(self, name: object) -> str | None:
        """The tool's own name, or None if there is no such tool."""
        if not isinstance(name, str):
            return None
        if name in self._tools:
            return name
        return self._similar.get(_simplified(name))

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def needs_arguments(self, name: str) -> bool:
        """Whether a call of this tool without arguments makes no sense."""
        return bool(self._tools[name].required)

    def lacks(self, name: str | None, arguments: Mapping[str, Any]) -> bool:
        """Whether arguments that this tool needs are missing."""
        return name in self._tools and not set(self._tools[name].required).issubset(arguments)

    def argument_names(self, name: str) -> tuple[str, ...]:
        """The arguments of a tool, in the order of its schema."""
        return self._tools[name].argument_names if name in self._tools else ()

    def schema(self, name: str, argument: str) -> Mapping[str, Any]:
        """The JSON schema of a tool's argument; empty if it has none.

        Args:
            name: The tool's own name.
            argument: The name of the argument.
        """
        tool = self._tools.get(name)
        if tool is None:
            return {}
        properties = tool.parameters.get("properties")
        schema = properties.get(argument) if isinstance(properties, Mapping) else None
        return _resolved(schema, tool.parameters)

    def call(
        self, written_name: str, arguments: Mapping[str, Any], text: str, context: Context
    ) -> AnyCall | None:
        """Make a call; None if it names no tool on offer and may be text.

        Args:
            written_name: The tool's name as the model wrote it.
            arguments: The arguments.
            text: All that the model wrote of the call.
            context: Where it stands.
        """
        name = self.find(written_name)
        if name is not None:
            return FunctionCall(name, dict(arguments))
        return self.unknown(written_name, text) if context.is_certain else None

    def unknown(self, written_name: str, text: str) -> InvalidToolCall:
        """A call of a tool that is not on offer."""
        names = ", ".join(self._tools)
        error = f"There is no tool named {written_name!r}. The tools are: {names}."
        return InvalidToolCall(text, error, written_name)


def _simplified(name: str) -> str:
    name = name.strip()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.removesuffix(".call").rpartition(".")[2].replace("-", "_").casefold()


def _resolved(schema: object, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow the references of a schema to other parts of it."""
    for _ in range(_MOST_REFERENCES):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = root
        for key in reference.removeprefix("#/").split("/"):
            schema = schema.get(key) if isinstance(schema, Mapping) else None
    return {}


def load_json(text: str) -> Any:
    """Read JSON as models write it: raw line breaks in strings pass, NaN and the like do not.

    Raises:
        ValueError: It is not JSON; the message says where.
    """
    try:
        return json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(text: str) -> Any:
    """Read an answer that has to be JSON; a value that had to be guessed is never returned.

    Accepted beyond the standard, because small models write it and it can mean only one thing:

    * white space, a code fence and text around it, which `JsonAnswer` takes away;
    * a comma before a closing bracket;
    * raw line breaks inside strings.

    Everything else, such as JSON that breaks off, Python's ``True``, NaN or the same name twice in
    an object, is an error.

    Raises:
        ValueError: It is not such JSON; the message may be shown to the model.
    """
    text = _STRING_OR_TRAILING_COMMA.sub(lambda found: found[1] or "", text)
    try:
        return json.loads(
            text,
            strict=False,
            parse_constant=_refuse,
            parse_float=_finite,
            object_pairs_hook=_unambiguous,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unambiguous(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        _refuse(number)
    return value


def load_loose(text: str) -> Any:
    """Read JSON, also with Python's quotes and literals, or with a comma too many.

    Raises:
        ValueError: It is neither; the message says what is wrong with it as JSON.
    """
    try:
        return load_json(text)
    except ValueError as error:
        try:
            return read_literal(text)
        except ValueError:
            raise error from None


def typed_value(text: str, schema: Mapping[str, Any]) -> Any:
    """Read a value from a form that writes all values alike, as its schema wants it.

    A value that does not fit its schema stays a string, so that the tool itself can say what
    is wrong with it.

    Args:
        text: What the model wrote.
        schema: The JSON schema of the value; empty if there is none.
    """
    wanted = _types_of(schema)
    bare = text.strip()
    if not wanted:
        return _guessed(bare, text)
    if "null" in wanted and bare.lower() in {"null", "none"}:
        return None
    if "boolean" in wanted and bare.lower() in {"true", "false"}:
        return bare.lower() == "true"
    if "integer" in wanted and _INTEGER.fullmatch(bare):
        return int(bare)
    if wanted & {"integer", "number"} and (number := _number(bare, wanted)) is not None:
        return number
    if wanted & {"object", "array"}:
        structured = _structured(bare, wanted)
        if structured is not None:
            return structured
    return text if "string" in wanted else bare


def _types_of(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types that a schema allows; empty if it does not say."""
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else list(kind or ())
    for key in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(key) or ():
            if isinstance(part, Mapping):
                kinds += _types_of(part) or (["object"] if "$ref" in part else [])
    if not kinds:
        values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
        kinds = [type(value).__name__ for value in values]
    if not kinds and "properties" in schema:
        kinds = ["object"]
    return {_TYPES.get(kind, kind) for kind in kinds}


def _guessed(bare: str, text: str) -> Any:
    """A value without a schema: what looks like JSON is taken for it."""
    if bare.startswith(("{", "[", '"')) or bare in {"true", "false", "null"}:
        try:
            return load_json(bare)
        except ValueError:
            return text
    if bare in {"True", "False"}:
        return bare == "True"
    if _INTEGER.fullmatch(bare) and str(int(bare)) == bare:
        return int(bare)
    number = _number(bare, {"number"}) if "." in bare else None
    return text if number is None else number


def _number(bare: str, wanted: set[str]) -> float | int | None:
    try:
        value = float(bare)
    except ValueError:
        return None
    if not math.isfinite(value) or "_" in bare:
        return None
    if value.is_integer() and ("number" not in wanted or _INTEGER.fullmatch(bare)):
        return int(value)
    return value if "number" in wanted else None


def _structured(bare: str, wanted: set[str]) -> Any:
    try:
        value = load_loose(bare)
        if isinstance(value, str):
            value = load_loose(value)
    except ValueError:
        return None
    fits = ("object" in wanted and isinstance(value, dict)) or (
        "array" in wanted and isinstance(value, list)
    )
    return value if fits else None
