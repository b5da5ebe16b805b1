"""The limits a server puts on its users. None of them is on unless asked for."""

from __future__ import annotations

from dataclasses import dataclass

from hfchat_base._protocol.constants import (
    MAX_BODY_BYTES,
    MAX_FILE_BYTES,
    RATE_LIMIT_WINDOW_SECONDS,
)

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What the local server refuses. None stands for "without limit".

    chat-ui compares with "more than", so a limit of 2 conversations lets three be made.

    Attributes:
        messages_per_minute: Messages a minute from one user or address; each attempt counts.
        messages_per_conversation: Messages a conversation may already hold, the system's included.
        conversations: Conversations somebody may already have.
        message_length: UTF-16 code units of one message.
        body_bytes: Bytes of one request's body.
        file_bytes: Bytes of one attachment, decoded.
        window_seconds: Length of the "minute" above, in seconds; tests shorten it.
    """

    messages_per_minute: int | None = None
    messages_per_conversation: int | None = None
    conversations: int | None = None
    message_length: int | None = None
    body_bytes: int = MAX_BODY_BYTES
    file_bytes: int = MAX_FILE_BYTES
    window_seconds: float = RATE_LIMIT_WINDOW_SECONDS
