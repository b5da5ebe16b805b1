"""One event of a run as bytes of the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base._protocol.constants import FINAL_ANSWER_SPACES, TOKEN_PADDING_CHARACTERS
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.values import utf16_length

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["wire_line"]

_SPACES = b" " * FINAL_ANSWER_SPACES


def wire_line(event: JsonObject) -> bytes:
    """Write an event as a line; tokens padded with NUL, the final answer followed by spaces.

    Args:
        event: What the run says.
    """
    if event["type"] == "stream":
        token = event["token"]
        event = {**event, "token": token + "\0" * (TOKEN_PADDING_CHARACTERS - utf16_length(token))}
    line = json_text(event).encode() + b"\n"
    return line + _SPACES if event["type"] == "finalAnswer" else line
