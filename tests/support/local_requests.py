"""What a local server was asked, and how to script its answers."""

from __future__ import annotations

import json

from hfchat_base.local import LocalServer, RecordedRequest


def messages_sent(server: LocalServer) -> list[RecordedRequest]:
    """The requests that sent a message."""
    return [r for r in server.requests if r.method == "POST" and "/conversation/" in r.path]


def conversations_made(server: LocalServer) -> int:
    """How many conversations were begun."""
    return sum(r.method == "POST" and r.path == "/conversation" for r in server.requests)


def script(*replies: str) -> str:
    """A message to `script/agent`, which then answers word for word as told."""
    return f"SCRIPT: {json.dumps(replies)}"
