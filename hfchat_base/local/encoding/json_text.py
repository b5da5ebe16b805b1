"""JSON as JavaScript's ``JSON.stringify`` writes it, down to the byte.

Not here: superjson, which wraps such JSON (`superjson.py`).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from hfchat_base.local.encoding.values import UNDEFINED, iso

__all__ = ["json_text", "plain"]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: Any) -> str:
    """Write a value as compact JSON.

    U+2028 stays as it is, and a lone surrogate is escaped, both as in JavaScript.
    """
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> Any:
    """Turn a value into what JSON has: dates become text, undefined keys are left out."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not UNDEFINED}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value is UNDEFINED else value
