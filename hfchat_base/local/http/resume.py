"""Coming back to a run: its log as server-sent events (current only)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base._protocol.constants import RESUME_CAP_SECONDS
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.values import whole_number
from hfchat_base.local.http.lookup import own_conversation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.generation.log import RunLog
    from hfchat_base.local.state import ServerState

__all__ = ["ResumeRoutes"]


class ResumeRoutes:
    """GET ``/conversation/{id}/stream``.

    Args:
        state: The server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [Route("/conversation/{id}/stream", self.resume)]

    async def resume(self, request: Request) -> Response:
        """Stream a run's log from wherever the client left off.

        Args:
            request: The request.
        """
        conversation = own_conversation(request, self._state)
        name = request.query_params.get("generationId")
        if name is None:
            runs = (key for key, _ in reversed(self._state.logs.items()))
            name = next((run for owner, run in runs if owner == conversation.id), "")
        log = self._state.logs.get((conversation.id, name))
        position = request.headers.get("last-event-id") or request.query_params.get("fromSeq")
        return StreamingResponse(
            _frames(log, _number(position), self._state.flush_seconds),
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache, no-transform",
            },
        )


async def _frames(log: RunLog | None, position: int, interval: float) -> AsyncIterator[str]:
    """Yield what the log has, then what it gets, until the run or the connection's time is over."""
    if log is None:
        yield _end("gone")
        return
    deadline = time.monotonic() + RESUME_CAP_SECONDS
    slept = False
    while time.monotonic() < deadline:
        status = log.status
        events = log.after(position)
        for number, event in events:
            yield f"id: {number}\nevent: update\ndata: {json_text(event)}\n\n"
        position += len(events)
        if status != "running":
            yield _end(status)
            return
        if slept and not events:
            yield ": heartbeat\n\n"
        await asyncio.sleep(interval)
        slept = True


def _end(status: str) -> str:
    return f"event: end\ndata: {json_text({'status': status})}\n\n"


def _number(text: str | None) -> int:
    """Read a number as ``parseInt`` does; whatever is none, or negative, counts as 0."""
    digits = re.match(r"\s*\+?([0-9]+)", text or "")
    return whole_number(digits[1]) if digits else 0
