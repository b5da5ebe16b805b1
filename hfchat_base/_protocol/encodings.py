"""Data as chat-ui wraps it: superjson and devalue, and the base of models that read what is inside.

Only reading, and only as far as chat-ui uses them. Both encodings end in plain Python data; dates
stay the ISO strings that they are on the wire. What is then read by name is a `Wire` model.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic.alias_generators import to_camel

from hfchat_base.errors import ProtocolError

_T = TypeVar("_T")

_UNDEFINED: Final = -1
_HOLE: Final = -2
_SPECIAL: Final = {-3: float("nan"), -4: float("inf"), -5: float("-inf"), -6: -0.0}


class Wire(BaseModel):
    """What a server sends, as far as it is used; its fields are the wire's, in snake case.

    Unknown fields are ignored. A field of the wrong type counts as left out, so that a server's
    whim in one of them costs no more than that one; only a field without a default has to be right.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel)

    @field_validator("*", mode="wrap")
    @classmethod
    def _wrong_type_is_left_out(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return handler(value)
        except ValidationError:
            field = cls.model_fields[info.field_name or ""]
            if field.is_required():
                raise
            return field.get_default(call_default_factory=True)


def _valid_items(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Leave out the items of a list that are not valid."""
    try:
        return handler(value)
    except ValidationError:
        if not isinstance(value, list):
            raise
    items: list[Any] = []
    for item in value:
        try:
            items += handler([item])
        except ValidationError:
            continue
    return items


Items = Annotated[list[_T], WrapValidator(_valid_items)]
"""A list without the items that cannot be read."""


def parse_json(body: bytes | str, what: str) -> Any:
    """Parse JSON.

    Args:
        body: The text.
        what: What it should have been, for the error.

    Raises:
        ProtocolError: It is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        msg = f"The server's {what} is not JSON."
        raise ProtocolError(msg, excerpt=text[:80]) from error


def from_superjson(body: bytes | str, what: str) -> Any:
    """Read superjson: the data is under ``json``; ``meta`` only tells the types of strings (R).

    Raises:
        ProtocolError: It is not superjson.
    """
    payload = parse_json(body, what)
    if not isinstance(payload, dict) or "json" not in payload:
        msg = f"The server's {what} is not superjson."
        raise ProtocolError(msg)
    return payload["json"]


def from_devalue(values: Any, what: str) -> Any:
    """Read devalue: the first array holds everything, integers in it are indices (R).

    Raises:
        ProtocolError: It is not devalue, or refers to itself deeper than can be read.
    """
    if not isinstance(values, list) or not values:
        msg = f"The server's {what} is not devalue."
        raise ProtocolError(msg)
    try:
        return _Devalue(values).value(0)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        msg = f"The server's {what} is not devalue."
        raise ProtocolError(msg) from error


def from_sveltekit_data(body: bytes, what: str) -> list[dict[str, Any]]:
    """Read a ``__data.json``: the data of each node that was sent, in order.

    A refusal is not noticed here; see `refusals.check_data`.

    Raises:
        ProtocolError: It is not such a document.
    """
    nodes = sveltekit_document(body, what).get("nodes")
    if not isinstance(nodes, list):
        msg = f"The server's {what} is not SvelteKit data."
        raise ProtocolError(msg)
    data = [
        from_devalue(node.get("data"), what)
        for node in nodes
        if isinstance(node, dict) and node.get("type") == "data"
    ]
    return [node for node in data if isinstance(node, dict)]


def sveltekit_document(body: bytes, what: str) -> dict[str, Any]:
    """Parse a ``__data.json`` without reading its nodes.

    More lines than one may come, the later ones with deferred parts (R); only the first holds
    nodes.

    Raises:
        ProtocolError: It is not such a document.
    """
    first = parse_json(body.split(b"\n", 1)[0], what)
    if not isinstance(first, dict):
        msg = f"The server's {what} is not SvelteKit data."
        raise ProtocolError(msg)
    return first


class _Devalue:
    """Reads one devalue array; values that are referred to twice are read once."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self._known: dict[int, Any] = {}

    def value(self, index: Any) -> Any:
        if not isinstance(index, int) or isinstance(index, bool):
            msg = "an index is not an integer"
            raise TypeError(msg)
        if index < 0:
            return None if index in (_UNDEFINED, _HOLE) else _SPECIAL[index]
        if index not in self._known:
            self._read(index)
        return self._known[index]

    def _read(self, index: int) -> None:
        raw = self._values[index]
        if isinstance(raw, dict):
            members: dict[str, Any] = {}
            self._known[index] = members
            members.update({key: self.value(item) for key, item in raw.items()})
        elif isinstance(raw, list) and raw and isinstance(raw[0], str):
            self._known[index] = self._tagged(raw)
        elif isinstance(raw, list):
            items: list[Any] = []
            self._known[index] = items
            items.extend(self.value(item) for item in raw)
        else:
            self._known[index] = raw

    def _tagged(self, raw: list[Any]) -> Any:
        tag, *rest = raw
        if tag in ("Date", "BigInt"):
            return rest[0]
        if tag == "Set":
            return [self.value(item) for item in rest]
        if tag == "Map":
            return {
                self.value(k): self.value(v) for k, v in zip(rest[::2], rest[1::2], strict=True)
            }
        if tag == "null":
            return {key: self.value(item) for key, item in zip(rest[::2], rest[1::2], strict=True)}
        # Custom types, such as the ObjectId of a conversation: the tag and one index.
        return self.value(rest[0])
