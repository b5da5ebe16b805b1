"""Answers as chat-ui writes them, line by line, for servers of faults to send."""

from __future__ import annotations

import json
from typing import Any, Final

STARTED: Final = {"type": "status", "status": "started"}
KEEP_ALIVE: Final = {"type": "status", "status": "keepAlive"}
FINISHED: Final = {"type": "status", "status": "finished"}


def token(text: str, width: int = 16) -> dict[str, Any]:
    """A stream token, padded as chat-ui does."""
    return {"type": "stream", "token": text.ljust(width, "\0")}


def final(text: str, **more: Any) -> dict[str, Any]:
    """A final answer."""
    return {"type": "finalAnswer", "text": text, "interrupted": False, **more}


def failure(message: str, **more: Any) -> dict[str, Any]:
    """The end of a run whose model has failed."""
    return {"type": "status", "status": "error", "message": message, **more}


def lines(*events: dict[str, Any]) -> bytes:
    """Events as the server writes them, with the 4096 spaces after each final answer."""
    raw = b""
    for event in events:
        raw += json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        if event["type"] == "finalAnswer":
            raw += b" " * 4096
    return raw
