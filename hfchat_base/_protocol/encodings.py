"""The two ways in which chat-ui wraps plain data: superjson and devalue.

Only reading, and only as far as chat-ui uses them. Both end in plain Python data; dates stay the
ISO strings that they are on the wire (`stored.py` reads those that matter).
"""

from __future__ import annotations

import json
from typing import Any, Final

from hfchat_base.errors import ProtocolError

_UNDEFINED: Final = -1
_HOLE: Final = -2
_SPECIAL: Final = {-3: float("nan"), -4: float("inf"), -5: float("-inf"), -6: -0.0}


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
            msg = "an index is no integer"
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
