"""One run of a model: it emits events, stores what they say, and feeds the stream and the log.

A run belongs to the server, not to the request that started it. When the client disconnects, a
current run continues and is stored; a legacy run ends and is stored as far as it got. Not here: the
events of the answer itself (`answers.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import TYPE_CHECKING, Final

from hfchat_base.local.answers import answer_current, answer_legacy
from hfchat_base.local.database import NEW_TITLE
from hfchat_base.local.state import RunLog
from hfchat_base.local.wire import (
    UNDEFINED,
    JsonObject,
    now,
    stored,
    utf16_length,
    utf16_prefix,
    wire_line,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.answers import RunRequest
    from hfchat_base.local.database import Conversation, StopMarker
    from hfchat_base.local.state import RunStatus

_STARTED: Final = {"type": "status", "status": "started"}
_KEEP_ALIVE: Final = {"type": "status", "status": "keepAlive"}
_FINISHED: Final = {"type": "status", "status": "finished"}

_KEEP_ALIVE_SECONDS: Final = 0.1
"""How often a run sends a keepAlive (R)."""

_STALE_MARKER_SECONDS: Final = 5.0
"""A stop that no run has carried out is dropped after this long (S)."""

_MARKER_POLL_SECONDS: Final = 0.3
"""How soon a run carries out a stop that was requested before it began (S)."""

_SNAPSHOT_TICKS: Final = 30
"""The unfinished answer is stored each time this many keepAlives were sent (S: 3 s)."""

_MAX_QUEUED: Final = 100
"""No keepAlive is queued for a client that has this many lines to read."""

_NO_OUTPUT: Final = "No output was generated. Something went wrong."
_THINK_TAG: Final = re.compile(r"</?think>", re.IGNORECASE)


class Run:
    """One run of a model, from its start to the stored answer.

    Attributes:
        generation_id: Its id.
        conversation_id: The conversation it writes to.

    Args:
        request: What to answer.
        conversation: The run's own copy of the conversation, with the empty answer.
        message: That answer, within the copy.
        generation_id: Its id.
        id_from_client: Whether the client chose the id; only then can a stop say where in the
            answer the client stopped reading.
    """

    def __init__(
        self,
        request: RunRequest,
        conversation: Conversation,
        message: JsonObject,
        *,
        generation_id: str,
        id_from_client: bool,
    ) -> None:
        self.generation_id = generation_id
        self.conversation_id = conversation.id
        self._request = request
        self._state = request.state
        self._current = request.state.generation == "current"
        self._conversation = conversation
        self._message = message
        self._message.setdefault("updates", [])
        self._content_before: str = message["content"]
        self._parts: list[str] = []
        self._id_from_client = id_from_client
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._connected = True
        self._client_left = False
        self._stop_marker: StopMarker | None = None
        self._producer: asyncio.Task[None] | None = None
        self._log = RunLog(flush_seconds=request.state.flush_seconds)

    def start(self) -> None:
        """Start the run in the background."""
        self._state.logs[self.conversation_id, self.generation_id] = self._log
        self._state.active_runs.append(self)
        self._state.spawn(self._execute())

    async def lines(self) -> AsyncIterator[bytes]:
        """Stream to the client that started the run.

        Yields:
            Whole lines: all that are queued.
        """
        ended = False
        try:
            while not ended:
                queued = [await self._lines.get()]
                while not self._lines.empty():
                    queued.append(self._lines.get_nowait())
                ended = queued[-1] is None
                yield b"".join(line for line in queued if line is not None)
        finally:
            self._connected = False
            if not ended:
                self._save()
                self._on_disconnect()

    def stop(self, marker: StopMarker) -> None:
        """End the run early.

        Args:
            marker: The request to stop.
        """
        self._stop_marker = marker
        self._request.stop_requested = True
        if self._current and self._producer is not None:
            self._producer.cancel()

    def _on_disconnect(self) -> None:
        """The client has disconnected: a current run continues, a legacy run ends here.

        As seen on chat-ui 0.9.5, the stored answer then has neither a final answer nor an error.
        """
        if not self._current and self._producer is not None:
            self._client_left = True
            self._producer.cancel()

    async def _execute(self) -> None:
        keep_alive: asyncio.Task[None] | None = None
        try:
            self._emit(_STARTED)
            self._emit(_KEEP_ALIVE)
            self._emit_title()
            keep_alive = asyncio.create_task(self._keep_alive())
            self._obey_earlier_stop()
            status = await self._answer()
            self._save()
            self._log.finish(status)
            if status == "interrupted":
                self._clear_stop_marker()
        finally:
            if keep_alive is not None:
                keep_alive.cancel()
            if self._log.status == "running":
                self._log.finish("interrupted")
            self._state.logs.update((self.conversation_id, self.generation_id), self._log)
            self._state.active_runs.remove(self)
            self._lines.put_nowait(None)

    async def _answer(self) -> RunStatus:
        answer = answer_current if self._current else answer_legacy
        self._producer = asyncio.create_task(answer(self._request, self._emit))
        if self._current and self._stop_marker is not None:
            self._producer.cancel()
        failure: Exception | None = None
        try:
            await self._producer
        except asyncio.CancelledError:
            if self._stop_marker is None and not self._client_left:
                raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its failure
            failure = error
        if not self._current:
            return self._finish_legacy(failure)
        return self._finish_current(failure)

    def _finish_current(self, failure: Exception | None) -> RunStatus:
        if self._stop_marker is not None and "interrupted" not in self._message:
            self._parts = [self._text_before(self._stop_marker)]
            self._emit({"type": "finalAnswer", "text": self._parts[0], "interrupted": True})
        elif failure is not None:
            self._emit(_error_event(failure, with_status=True))
            return "error"
        elif self._stop_marker is None and self._is_empty:
            self._emit({"type": "status", "status": "error", "message": _NO_OUTPUT})
            return "error"
        self._emit(_FINISHED)
        return "interrupted" if self._stop_marker is not None else "completed"

    def _finish_legacy(self, failure: Exception | None) -> RunStatus:
        if failure is not None:
            self._emit(_error_event(failure, with_status=False))
        elif self._is_empty and not self._client_left:
            self._emit({"type": "status", "status": "error", "message": _NO_OUTPUT})
        return "completed"

    @property
    def _is_empty(self) -> bool:
        """Whether the run produced nothing, not even a question to the user."""
        has_question = any(update["type"] == "elicitation" for update in self._message["updates"])
        return not has_question and not any(self._parts)

    def _text_before(self, marker: StopMarker) -> str:
        """Return the text that the client had seen when it requested the stop."""
        streamed = "".join(self._parts)
        if (
            marker.seen is None
            or not self._id_from_client
            or marker.generation_id != self.generation_id
        ):
            return streamed
        return utf16_prefix(streamed, max(marker.seen - utf16_length(self._content_before), 0))

    def _emit_title(self) -> None:
        first = next((m for m in self._conversation.messages if m["from"] == "user"), None)
        if self._conversation.title == NEW_TITLE and first is not None:
            title = self._request.model.title(first["content"], self._state.generation)
            self._emit({"type": "title", "title": title})

    def _obey_earlier_stop(self) -> None:
        """Carry out a stop that came too late for the previous run (current)."""
        stored_conversation = self._state.conversations.get(
            self._conversation.owner, self.conversation_id
        )
        if (
            not self._current
            or stored_conversation is None
            or stored_conversation.stop_marker is None
        ):
            return
        loop = asyncio.get_running_loop()
        if loop.time() - stored_conversation.stop_marker.at > _STALE_MARKER_SECONDS:
            stored_conversation.stop_marker = None
        else:
            loop.call_later(_MARKER_POLL_SECONDS, self.stop, stored_conversation.stop_marker)

    def _clear_stop_marker(self) -> None:
        stored_conversation = self._state.conversations.get(
            self._conversation.owner, self.conversation_id
        )
        if stored_conversation is not None:
            stored_conversation.stop_marker = None

    async def _keep_alive(self) -> None:
        for tick in itertools.count(1):
            await asyncio.sleep(_KEEP_ALIVE_SECONDS)
            self._emit(_KEEP_ALIVE)
            if self._current and tick % _SNAPSHOT_TICKS == 0:
                snapshot = {**self._message, **self._progress()}
                self._state.conversations.save_message(self.conversation_id, snapshot)

    def _emit(self, event: JsonObject) -> None:
        """Add one event to the stored answer, the log and the stream."""
        if event["type"] == "stream":
            if not event["token"]:
                return
            self._parts.append(event["token"])
        elif event is not _KEEP_ALIVE:
            self._apply(event)
        if event is not _KEEP_ALIVE:
            self._append_update(event)
            self._log.push(event)
        if self._current:
            self._message["updatedAt"] = now()
        reader_is_slow = self._lines.qsize() >= _MAX_QUEUED
        if self._connected and not (event is _KEEP_ALIVE and reader_is_slow):
            self._lines.put_nowait(wire_line(event))

    def _apply(self, event: JsonObject) -> None:
        """Apply an event other than a token to the answer and its conversation."""
        message = self._message
        if event["type"] == "finalAnswer":
            message["interrupted"] = event["interrupted"]
            self._parts = [self._final_content(event["text"])]
        elif event["type"] == "title":
            title = event["title"]
            self._conversation.title = _THINK_TAG.sub("", title).strip() if self._current else title
            self._state.conversations.save_title(self.conversation_id, self._conversation.title)
        elif event["type"] == "file":
            reference = {"type": "hash", "name": event["name"], "value": event["sha"]}
            message.setdefault("files", []).append({**reference, "mime": event["mime"]})
        elif event["type"] == "reasoning" and "token" in event:
            message["reasoning"] = message.get("reasoning", "") + event["token"]
        elif event["type"] == "routerMetadata":
            self._store_route(event)

    def _store_route(self, event: JsonObject) -> None:
        """Store the route of a router, or the provider of another model."""
        routed = self._request.model.is_router
        if not routed and event["provider"] is UNDEFINED:
            return
        self._message["routerMetadata"] = {
            "route": event["route"] if routed else "",
            "model": event["model"] if routed else "",
            "provider": stored(event["provider"]),
        }

    def _final_content(self, text: str) -> str:
        """Return the content to store once the final text is known.

        After tool calls the final text lacks the text before them (R: ``tool_call``).
        """
        streamed = "".join(self._parts)
        used_tools = any(update["type"] == "tool" for update in self._message["updates"])
        if not used_tools or not streamed or text.startswith(streamed):
            return text
        if text and streamed.endswith(text):
            return streamed
        gap = "" if streamed.endswith("\n\n") or text.startswith("\n") else "\n\n"
        return streamed + gap + text

    def _append_update(self, event: JsonObject) -> None:
        """Add an event to the stored ``updates``.

        Of a token, the current generation stores the length only, and the legacy one nothing.
        """
        updates = self._message["updates"]
        if event["type"] == "stream":
            if self._current:
                length = utf16_length(event["token"])
                updates.append({"type": "stream", "token": "", "len": length})
        elif self._current or "token" not in event:
            updates.append(stored(event))

    def _progress(self) -> JsonObject:
        """Return the content so far, and the number of the last event that it includes."""
        progress: JsonObject = {"content": self._content_before + "".join(self._parts)}
        if self._current:
            progress["materializedSeq"] = self._log.flush()
        return progress

    def _save(self) -> None:
        """Store the run's whole copy, over anything that others have stored meanwhile."""
        self._message.update(self._progress())
        messages = self._conversation.messages
        if self._current:
            messages = [{**message, "updates": message.get("updates", [])} for message in messages]
        self._state.conversations.save(self._conversation, messages)


def _error_event(failure: Exception, *, with_status: bool) -> JsonObject:
    event: JsonObject = {"type": "status", "status": "error", "message": str(failure)}
    status = getattr(failure, "status", None)
    return {**event, "statusCode": status} if with_status and status else event
