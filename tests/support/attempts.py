"""What the tests of errors share: the shape of an attempt, and how most of them begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Operation = Callable[[Any], Any]
"""A step of an attempt: gets the client, or what the step before gave."""

Try = Callable[..., Any]
"""The fixture `attempt`: gets an address, steps, and a client's settings."""

MODEL: Final = "echo/base"


def begin(client: Any) -> Any:
    """Begin a conversation with the model that echoes."""
    return client.create_conversation(MODEL)
