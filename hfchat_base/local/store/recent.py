"""What is kept of things that come without end: the newest ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recent"]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets its oldest entries. Setting a key makes it the newest.

    It may be used from any thread.

    Args:
        most: How many entries it holds.
        most_bytes: How large they may be together; the newest one stays whatever its size.
        size: The size of a value, in bytes or characters.
    """

    def __init__(
        self, most: int, most_bytes: int = 0, *, size: Callable[[V], int] = lambda _value: 0
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._size = size
        self._lock = threading.RLock()
        self._entries: dict[K, tuple[V, int]] = {}
        self._bytes = 0

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self.pop(key)
            size = self._size(value)
            self._entries[key] = value, size
            self._bytes += size
            self._forget()

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return a value, or None.

        Args:
            key: Its key.
        """
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def update(self, key: K, value: V) -> None:
        """Replace a value, at its age, if it is still here.

        Args:
            key: Its key.
            value: The new value, or the same one with another size.
        """
        with self._lock:
            if key in self._entries:
                size = self._size(value)
                self._bytes += size - self._entries[key][1]
                self._entries[key] = value, size
                self._forget()

    def pop(self, key: K) -> V | None:
        """Take a value out, and return it, or None.

        Args:
            key: Its key.
        """
        with self._lock:
            value, size = self._entries.pop(key, (None, 0))
            self._bytes -= size
            return value

    def items(self) -> list[tuple[K, V]]:
        """List keys and values, the oldest first."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._entries.items()]

    def values(self) -> list[V]:
        """List the values, the oldest first."""
        return [value for _, value in self.items()]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _forget(self) -> None:
        while len(self._entries) > self._most or (
            self._bytes > self._most_bytes and len(self._entries) > 1
        ):
            self.pop(next(iter(self._entries)))
