"""What a server says, compared with what this version knows of it: by names alone.

The known structure is that of the models which read it (`encodings.Wire`): their fields and types.
A model adds to its JSON schema which names it knows and leaves alone (``unused``), and which ones a
generation always sends (``sent``). No value of a server gets into a difference, and a name only if
it looks like one, because a server may use anything as a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from hfchat_base._protocol.http import Request, Response

__all__ = ["Probe", "differences", "shown_name"]

_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z_$.-]{0,30}[0-9]{0,3}[A-Za-z_$.-]{0,10}")
"""Ids hold more digits."""

_KINDS: Final[tuple[tuple[type, tuple[str, ...]], ...]] = (
    (bool, ("boolean",)),
    (int, ("integer", "number")),
    (float, ("number",)),
    (str, ("string",)),
    (list, ("array",)),
    (dict, ("object",)),
)


@dataclass(frozen=True)
class Probe:
    """A request that changes nothing, and what its response should look like.

    Attributes:
        route: Method and path, the dynamic parts of which are in braces.
        request: What to send.
        read: Unwraps the response. Raises a `HuggingChatError` if that cannot be done.
        known: The structure.
        refused: The status with which the server may refuse it, or None.
        further: Finds more differences in what was read.
    """

    route: str
    request: Request
    read: Callable[[Response], Any]
    known: TypeAdapter[Any]
    refused: int | None = None
    further: Callable[[Any], Iterator[str]] | None = None


def differences(raw: Any, probe: Probe, generation: str) -> tuple[str, ...]:
    """How what was read differs from the known structure, each difference once."""
    schema = probe.known.json_schema()
    found = list(_Comparison(schema.get("$defs", {}), generation).compare(raw, schema, ""))
    if probe.further is not None:
        found += probe.further(raw)
    return tuple(dict.fromkeys(found))


def shown_name(name: object) -> str:
    """A name as it may be shown: one that may be anything else is not."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "(not a plain name)"


class _Comparison:
    def __init__(self, definitions: Mapping[str, Any], generation: str) -> None:
        self._definitions = definitions
        self._generation = generation

    def compare(self, value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        if value is None:  # what JavaScript has not defined
            return
        schemas = [self._resolved(each) for each in schema.get("anyOf", [schema])]
        kinds = next(names for kind, names in _KINDS if isinstance(value, kind))
        fitting = next((s for s in schemas if s.get("type", kinds[0]) in kinds), None)
        where = path or "the whole"
        if fitting is None:
            wanted = " or ".join(str(s["type"]) for s in schemas if s["type"] != "null")
            yield f"changed: {where} is {kinds[0]}, not {wanted}"
        elif isinstance(value, list):
            for item in value:
                yield from self.compare(item, fitting.get("items", {}), f"{path}[]")
        elif isinstance(value, dict) and "properties" in fitting:
            yield from self._compare_object(value, fitting, f"{path}." if path else "")
        elif value not in fitting.get("enum", [value]):
            yield f"changed: {where} has a value that is not known"

    def _compare_object(
        self, value: Mapping[str, Any], schema: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        if schema.get("opaque"):
            return
        known = schema["properties"]
        unknown = value.keys() - known.keys() - set(schema.get("unused", ()))
        for name in sorted(map(shown_name, unknown)):
            yield f"new: {path}{name}"
        sent = schema.get("sent", {}).get(self._generation, ())
        for name in sorted({*schema.get("required", ()), *sent} - value.keys()):
            yield f"missing: {path}{name}"
        for name in [name for name in known if name in value]:
            yield from self.compare(value[name], known[name], f"{path}{name}")

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        resolved: Mapping[str, Any] = self._definitions.get(name, schema)
        return resolved
