"""What a server refuses, and how much it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from hfchat_base._protocol.constants import (
    MAX_BODY_BYTES,
    MAX_FILE_BYTES,
    RATE_LIMIT_WINDOW_SECONDS,
)

__all__ = ["Limits", "Retention"]

_MEBIBYTE = 1_048_576


@dataclass(frozen=True)
class Limits:
    """What the local server refuses. None stands for "without limit".

    chat-ui compares with "more than", so a limit of 2 conversations lets three be made.

    Attributes:
        messages_per_minute: Messages a minute from one user or address; each attempt counts.
        messages_per_conversation: Messages a conversation may already hold, the system's included.
        conversations: Conversations somebody may already have.
        message_length: UTF-16 code units of one message.
        body_bytes: Bytes of one request's body, on every route.
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


@dataclass(frozen=True)
class Retention:
    """How much the local server keeps in memory. What is older is forgotten.

    A conversation's age counts from its last change, a session's from its last use. A forgotten
    conversation is answered as one that was deleted.

    Attributes:
        requests: Entries of `LocalServer.requests`.
        prompts: Entries of `LocalServer.prompts`.
        conversations: Conversations, and as many shares.
        files: Attachments and files of answers.
        logs: Runs that a client can come back to.
        sessions: Sessions with a login; and as many users, settings, logins under way, sessions
            that wait for a login, and questions of tools.
        total_bytes: Bytes, or characters, of all bodies of the kept requests; and as many of all
            prompts, of all conversations, of all shares, of all files and of all logs.
    """

    requests: int = 10_000
    prompts: int = 10_000
    conversations: int = 10_000
    files: int = 10_000
    logs: int = 10_000
    sessions: int = 10_000
    total_bytes: int = 256 * _MEBIBYTE
