"""What a forked process must not share with its parent: connections, streams, and held locks.

A fork copies the process with all its sockets, but with one of its threads only. Whatever rests on
a socket being its owner's alone, or on a lock being released by the thread that holds it, registers
here and is called in the child. It then forgets what it has. Closing it the usual way would send
data on the parent's connections, and unwatch sockets in an event loop that both share.

Imports nothing of this package.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["Lock", "Sockets", "register"]

_CAN_FORK: Final = hasattr(os, "register_at_fork")


class ForkAware(Protocol):
    """Something that is called in the child of a fork."""

    def after_fork(self) -> None:
        """Forget what the parent has. Nothing may be sent or waited for."""


_registered: Final[WeakSet[ForkAware]] = WeakSet()


def register(thing: ForkAware) -> None:
    """Have something called in the child of a fork, as long as it lives."""
    _registered.add(thing)


def _tell_all() -> None:
    for thing in list(_registered):
        thing.after_fork()


if _CAN_FORK:
    os.register_at_fork(after_in_child=_tell_all)


class Lock:
    """A reentrant lock that is free in the child of a fork, whoever held it in the parent."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        register(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        """Start with a free lock: the thread that held the old one may not be in this process."""
        self._lock = threading.RLock()


class Sockets:
    """Sockets that libcurl owns, so that a child closes its copies of them.

    With a copy left open, a server would not notice that the parent has dropped the connection.
    libcurl closes sockets without telling, and their numbers are used again; a number is
    therefore closed only if it still refers to the same socket.
    """

    __slots__ = ("_inodes",)

    def __init__(self) -> None:
        self._inodes: dict[int, int] = {}

    def note(self, descriptor: int) -> None:
        """Take note of a socket; -1 means that there is none."""
        if _CAN_FORK and descriptor >= 0 and (inode := _socket_inode(descriptor)):
            self._inodes[descriptor] = inode

    def after_fork(self) -> None:
        """Close the child's copies. The parent's connections stay as they are."""
        for descriptor, inode in self._inodes.items():
            if _socket_inode(descriptor) == inode:
                os.close(descriptor)
        self._inodes.clear()


def _socket_inode(descriptor: int) -> int:
    """The number that identifies a socket; 0 where there is no such number."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return 0
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0
