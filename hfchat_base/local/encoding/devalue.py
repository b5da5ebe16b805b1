"""devalue: one flat array of values in which integers are indices, and JavaScript literals.

SvelteKit sends page data in the first form (``__data.json``) and in the second (its HTML).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.values import Deferred, Undefined, iso

__all__ = ["devalue_text", "js_literal"]

_UNDEFINED_INDEX = -1
_IDENTIFIER = re.compile(r"[_$a-zA-Z][_$a-zA-Z0-9]*")
_UNSAFE = {"<": "\\u003C", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def devalue_text(value: object) -> str:
    """Write a value in devalue's flat form.

    Equal strings, numbers, booleans and null share one place; objects, arrays and dates never do,
    because what comes out of the database is a tree.
    """
    places: dict[tuple[type, object], int] = {}
    slots: list[Any] = []

    def place(item: object) -> int:
        if isinstance(item, Undefined):
            return _UNDEFINED_INDEX
        known = _key(item)
        if known is not None and known in places:
            return places[known]
        index = len(slots)
        slots.append(item)
        if known is not None:
            places[known] = index
        elif isinstance(item, dict):
            slots[index] = {key: place(child) for key, child in item.items()}
        elif isinstance(item, list):
            slots[index] = [place(child) for child in item]
        elif isinstance(item, datetime):
            slots[index] = ["Date", iso(item)]
        elif isinstance(item, Deferred):
            slots[index] = ["Promise", place(item.number)]
        return index

    place(value)
    return json_text(slots)


def js_literal(value: object, *, deferred_object: str) -> str:
    """Write a value as a JavaScript expression that is safe inside of a script element.

    Args:
        value: The value.
        deferred_object: Name of the page's object whose ``defer(n)`` stands for a promise.
    """
    if isinstance(value, Undefined):
        return "void 0"
    if isinstance(value, Deferred):
        return f"{deferred_object}.defer({value.number})"
    if isinstance(value, datetime):
        return f"new Date({int(value.timestamp() * 1000)})"
    if isinstance(value, dict):
        pairs = (
            f"{_js_key(key)}:{js_literal(item, deferred_object=deferred_object)}"
            for key, item in value.items()
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(js_literal(v, deferred_object=deferred_object) for v in value) + "]"
    return "".join(_UNSAFE.get(character, character) for character in json_text(value))


def _key(item: object) -> tuple[type, object] | None:
    if item is None or isinstance(item, (bool, int, float)):
        return type(item), item
    return (str, str(item)) if isinstance(item, str) else None


def _js_key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else js_literal(key, deferred_object="")
