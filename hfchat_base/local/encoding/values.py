"""The values of JavaScript that Python lacks, and the two clocks and counters built on them.

Here: `UNDEFINED`, `ObjectId`, `Deferred`, dates with milliseconds, lengths in UTF-16 code units.
Not here: how any of them is written (the sibling modules).
"""

from __future__ import annotations

import itertools
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

__all__ = [
    "UNDEFINED",
    "Deferred",
    "JsonObject",
    "ObjectId",
    "Undefined",
    "iso",
    "now",
    "stored",
    "text_size",
    "utf16_length",
    "utf16_prefix",
    "whole_number",
]

_SAFE_DIGITS: Final = 15
_MAX_SAFE_INTEGER: Final = 2**53 - 1

JsonObject = dict[str, Any]
"""An object of the wire. A plain dict, because the order of its keys is part of what is sent."""


class Undefined:
    """JavaScript's ``undefined``: left out of JSON objects, told apart from null elsewhere."""

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()
"""The only instance."""

_counter = itertools.count(secrets.randbits(23))


class _Clock:
    """The latest time that anybody was told. Servers in several threads share it."""

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
        """Mint one: 4 bytes of seconds, 5 of this process, 3 of a counter."""
        return cls(f"{int(now().timestamp()):08x}{_PROCESS}{next(_counter) & 0xFFFFFF:06x}")


_PROCESS: Final = secrets.token_hex(5)


@dataclass(frozen=True)
class Deferred:
    """A promise that the page's data names now and the server resolves later.

    Attributes:
        number: The promise's number within one response.
        value: What it resolves to.
    """

    number: int
    value: Any


def now() -> datetime:
    """Tell the time in UTC, cut to whole milliseconds as JavaScript has it.

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
    """Cut a string after so many UTF-16 code units.

    Args:
        text: What to cut.
        units: Code units to keep. A cut through a surrogate pair keeps its lone first half, as
            JavaScript's ``slice`` does.
    """
    data = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return data.decode("utf-16-le", "surrogatepass")


def whole_number(digits: str) -> int:
    """Read decimal digits. However many there are, the number stays one that JavaScript has.

    Args:
        digits: One or more of them.
    """
    return int(digits) if len(digits) <= _SAFE_DIGITS else _MAX_SAFE_INTEGER


def text_size(value: Any) -> int:
    """Count the characters of all texts inside of a value: roughly its size in memory."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(text_size, value.values()))
    if isinstance(value, list):
        return sum(map(text_size, value))
    return 0


def stored(value: Any) -> Any:
    """Copy a value as the database keeps it: ``undefined`` inside of it becomes null."""
    if isinstance(value, dict):
        return {key: stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stored(item) for item in value]
    return None if value is UNDEFINED else value
