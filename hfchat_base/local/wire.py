"""What a chat-ui server puts on the wire: JavaScript's values, and each form they are written in.

JSON as ``JSON.stringify`` writes it, superjson (``/api/v2``), devalue (``__data.json``), JavaScript
literals (pages), and the lines of an answer's stream. Pure functions; other modules decide what the
values mean.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from pydantic import InstanceOf

_SAFE_DIGITS: Final = 15
_MAX_SAFE_INTEGER: Final = 2**53 - 1

JsString: TypeAlias = InstanceOf[str]
"""A string as JavaScript has it, for pydantic, whose own strings reject lone surrogates."""

JsonObject = dict[str, Any]
"""A JSON object. A plain dict, because the order of its keys is part of what is sent."""


class Undefined:
    """JavaScript's ``undefined``: left out of JSON objects, distinct from null elsewhere."""

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()
"""The only instance."""

_counter = itertools.count(secrets.randbits(23))


class _Clock:
    """The latest time that `now` has returned, in any thread."""

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=timezone.utc)
        self._lock = threading.Lock()

    def later(self, moment: datetime) -> datetime:
        with self._lock:
            self._latest = max(self._latest, moment)
            return self._latest


_clock = _Clock()


class ObjectId(str):
    """A MongoDB object id: 24 hexadecimal digits, ordered by creation."""

    __slots__ = ()

    @classmethod
    def new(cls) -> ObjectId:
        """Create one: 4 bytes of seconds, 5 of this process, 3 of a counter."""
        return cls(f"{int(now().timestamp()):08x}{_PROCESS}{next(_counter) & 0xFFFFFF:06x}")


_PROCESS: Final = secrets.token_hex(5)


@dataclass(frozen=True)
class Deferred:
    """A promise in a page's data, which the server resolves later.

    Attributes:
        number: The promise's number within one response.
        value: What it resolves to.
    """

    number: int
    value: Any


def now() -> datetime:
    """Return the time in UTC, in whole milliseconds as in JavaScript.

    Never earlier than at the last call, even if the machine's clock is set back meanwhile: what is
    later must not look older.
    """
    moment = datetime.now(timezone.utc)
    return _clock.later(moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def iso(moment: datetime) -> str:
    """Write a date as ``Date.prototype.toISOString`` does."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def utf16_length(text: str) -> int:
    """Count UTF-16 code units, which is what JavaScript calls a string's length."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_prefix(text: str, units: int) -> str:
    """Return the first UTF-16 code units of a string.

    Args:
        text: What to cut.
        units: Code units to keep. A cut through a surrogate pair keeps its lone first half, as
            JavaScript's ``slice`` does.
    """
    data = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return data.decode("utf-16-le", "surrogatepass")


def whole_number(digits: str) -> int:
    """Parse decimal digits. A large number is limited to what JavaScript represents exactly.

    Args:
        digits: One or more of them.
    """
    return int(digits) if len(digits) <= _SAFE_DIGITS else _MAX_SAFE_INTEGER


def text_size(value: Any) -> int:
    """Count the characters of all strings inside a value: roughly its size in memory."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(text_size, value.values()))
    if isinstance(value, list):
        return sum(map(text_size, value))
    return 0


def stored(value: Any) -> Any:
    """Copy a value as the database stores it: ``undefined`` becomes null."""
    if isinstance(value, dict):
        return {key: stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stored(item) for item in value]
    return None if value is UNDEFINED else value


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: Any) -> str:
    """Write a value as compact JSON.

    U+2028 stays as it is, and a lone surrogate is escaped, both as in JavaScript.
    """
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> Any:
    """Convert a value to what JSON has: dates become strings, undefined keys are left out."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not UNDEFINED}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value is UNDEFINED else value


class _Notes:
    """Collects the types of the leaves, and which ids are the same object."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.ids: dict[int, list[str]] = {}

    def walk(self, value: object, path: str) -> object:
        """Note everything below a path.

        Args:
            value: The value at the path.
            path: Keys from the root, joined with dots; a dot within a key is escaped.

        Returns:
            The value with every undefined replaced by null, as superjson keeps it.
        """
        if isinstance(value, dict):
            return {key: self.walk(item, _join(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, _join(path, str(index))) for index, item in enumerate(value)]
        if isinstance(value, Undefined):
            self.values[path] = ["undefined"]
            return None
        if isinstance(value, datetime):
            self.values[path] = ["Date"]
        elif isinstance(value, ObjectId):
            self.values[path] = [["custom", "ObjectId"]]
            self.ids.setdefault(id(value), []).append(path)
        return value

    @property
    def same(self) -> dict[str, list[str]]:
        return {paths[0]: paths[1:] for paths in self.ids.values() if len(paths) > 1}


def superjson_text(value: object) -> str:
    """Write a value as superjson, with ``meta`` only if it is needed."""
    notes = _Notes()
    document: dict[str, Any] = {"json": notes.walk(value, "")}
    if notes.values:
        document["meta"] = {
            "values": notes.values,
            **({"referentialEqualities": notes.same} if notes.same else {}),
            "v": 1,
        }
    return json_text(document)


def _join(path: str, key: str) -> str:
    key = key.replace("\\", "\\\\").replace(".", "\\.")
    return f"{path}.{key}" if path else key


_UNDEFINED_INDEX = -1
_IDENTIFIER = re.compile(r"[_$a-zA-Z][_$a-zA-Z0-9]*")
_UNSAFE_IN_SCRIPT = {"<": "\\u003C", "\u2028": "\\u2028", "\u2029": "\\u2029"}


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
    """Write a value as a JavaScript expression that is safe inside a script element.

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
    return script_text(json_text(value))


def script_text(text: str) -> str:
    """Escape what a script element must not contain."""
    return "".join(_UNSAFE_IN_SCRIPT.get(character, character) for character in text)


def _key(item: object) -> tuple[type, object] | None:
    if item is None or isinstance(item, (bool, int, float)):
        return type(item), item
    return (str, str(item)) if isinstance(item, str) else None


def _js_key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else js_literal(key, deferred_object="")


_TOKEN_PADDING: Final = 16
"""Tokens are padded with NUL to this length, against traffic analysis (R)."""

_FINAL_ANSWER_SPACES: Final = b" " * 4096
"""What follows the line of a final answer, without a line feed of its own (R)."""


def wire_line(event: JsonObject) -> bytes:
    """Write an event as a line: tokens padded with NUL, the final answer followed by spaces."""
    if event["type"] == "stream":
        token = event["token"]
        event = {**event, "token": token + "\0" * (_TOKEN_PADDING - utf16_length(token))}
    line = json_text(event).encode() + b"\n"
    return line + _FINAL_ANSWER_SPACES if event["type"] == "finalAnswer" else line
