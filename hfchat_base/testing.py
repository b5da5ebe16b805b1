"""For tests of programs that use hfchat: a mode without pauses.

The server to test against is `hfchat_base.local.LocalServer`. What lives here changes how the
clients themselves behave, and is not meant for anything but tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hfchat_base._transport import interpreters

__all__ = ["no_pauses"]


@contextmanager
def no_pauses() -> Iterator[None]:
    """Let all clients of this process skip the pauses before another attempt.

    Deadlines stay as they are, and so does the limit per minute of a server that really has one.
    """
    before = interpreters.pause_factor
    interpreters.pause_factor = 0.0
    try:
        yield
    finally:
        interpreters.pause_factor = before
