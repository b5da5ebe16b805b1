"""The state of one local server: its options, its stores, and what is running.

Here: `Limits` and `Retention`, the recorded requests and prompts, the logs of runs, and
`ServerState`, which holds them all.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from hfchat_base.local.database import (
    BoundedStore,
    Conversations,
    Files,
    Sessions,
    Settings,
    StopMarker,
)
from hfchat_base.local.local_model import Generation
from hfchat_base.local.tool_servers import Elicitations
from hfchat_base.local.wire import text_size

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.tool_servers import ToolServer
    from hfchat_base.local.wire import JsonObject

RESUME_FLUSH_SECONDS: Final = 0.25
"""How often the log of a run merges and stores tokens (R: ``disconnect_and_resume``)."""

_MEBIBYTE: Final = 1_048_576
_MAX_FILE_BYTES: Final = 10 * _MEBIBYTE
"""The largest attachment, decoded (R: ``file_too_large``)."""

_MAX_BODY_BYTES: Final = 15 * _MEBIBYTE
"""The largest request body on HuggingChat (S: ``BODY_SIZE_LIMIT``)."""

_RATE_LIMIT_SECONDS: Final = 60.0
"""The window of the limit of messages per minute (R: ``usage_limits``)."""


@dataclass(frozen=True)
class Limits:
    """What the local server rejects. None stands for "no limit".

    chat-ui compares with "more than", so a limit of 2 conversations allows three.

    Attributes:
        messages_per_minute: Messages a minute from one user or address; each attempt counts.
        messages_per_conversation: Messages that a conversation may already have, including the
            system message.
        conversations: Conversations that a user may already have.
        message_length: UTF-16 code units of one message.
        body_bytes: Bytes of one request's body, on every route.
        file_bytes: Bytes of one attachment, decoded.
        window_seconds: Length of the "minute" above, in seconds; tests shorten it.
    """

    messages_per_minute: int | None = None
    messages_per_conversation: int | None = None
    conversations: int | None = None
    message_length: int | None = None
    body_bytes: int = _MAX_BODY_BYTES
    file_bytes: int = _MAX_FILE_BYTES
    window_seconds: float = _RATE_LIMIT_SECONDS


@dataclass(frozen=True)
class Retention:
    """How much the local server keeps in memory. It evicts the oldest.

    A conversation's age counts from its last change, a session's from its last use. An evicted
    conversation is treated like a deleted one.

    Attributes:
        requests: Entries of `LocalServer.requests`.
        prompts: Entries of `LocalServer.prompts`.
        conversations: Conversations, and as many shares.
        files: Attachments and files of answers.
        logs: Runs that a client can resume.
        sessions: Sessions with a login; and as many users, settings, pending logins, sessions
            without a login, and questions of tools.
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


@dataclass(frozen=True)
class RecordedRequest:
    """One request, and the response so far.

    Attributes:
        method: HTTP method.
        path: Path with the base path, percent-decoded.
        query: Query string without the question mark.
        headers: Headers with lower-case names; of a repeated header, the last one.
        body: The whole body, or the beginning of one that was too large or incomplete. Like the
            headers it is not part of the `repr`, because of cookies.
        status: HTTP status, or None before the response begins.
        sent_bytes: Bytes of the response's body that were sent so far.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None = None
    sent_bytes: int = 0

    @property
    def json(self) -> Any:
        """The body as JSON (of a message's form, its part ``data``), or None if it is not JSON."""
        try:
            return json.loads(self._data())
        except (ValueError, RecursionError):
            return None

    def _data(self) -> Any:
        kind = self.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            return self.body
        head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1")
        form = BytesParser(policy=HTTP).parsebytes(head + self.body)
        for part in form.iter_parts():
            if part.get_param("name", header="content-disposition") == "data":
                return part.get_payload(decode=True)
        return b""


@dataclass(frozen=True)
class SentPrompt:
    """What was sent to a model.

    Attributes:
        model: The model's id.
        messages: Chat messages in OpenAI's form.
        tools: The tools that it may call, in OpenAI's form.
        reasoning_effort: How long it may think, or None if nobody has said so.
    """

    model: str
    messages: list[JsonObject]
    tools: list[JsonObject]
    reasoning_effort: str | None = None


class Records:
    """The requests that the server got, and the prompts that it sent. Thread-safe.

    Args:
        retention: How many of them are kept.
    """

    def __init__(self, retention: Retention) -> None:
        max_bytes = retention.total_bytes
        self._requests: BoundedStore[int, RecordedRequest] = BoundedStore(
            retention.requests, max_bytes, size=lambda request: len(request.body)
        )
        self._prompts: BoundedStore[int, SentPrompt] = BoundedStore(
            retention.prompts, max_bytes, size=lambda prompt: text_size(prompt.messages)
        )
        self._number = itertools.count()

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests, in order of arrival."""
        return self._requests.values()

    @property
    def prompts(self) -> list[SentPrompt]:
        """A copy of the prompts, in the order they were sent."""
        return self._prompts.values()

    def add_request(self, request: RecordedRequest) -> int:
        """Add a request.

        Returns:
            A key to update it with.
        """
        key = next(self._number)
        self._requests[key] = request
        return key

    def update_request(self, key: int, request: RecordedRequest) -> None:
        """Replace a request unless it was evicted.

        Args:
            key: What `add_request` returned.
            request: Its new state.
        """
        self._requests.update(key, request)

    def add_prompt(self, prompt: SentPrompt) -> None:
        """Add a prompt."""
        self._prompts[next(self._number)] = prompt

    def clear_requests(self) -> None:
        """Remove all requests and prompts."""
        self._requests.clear()
        self._prompts.clear()


RunStatus: TypeAlias = Literal["running", "completed", "interrupted", "error"]


class RunLog:
    """The events of one run, from which GET ``/conversation/{id}/stream`` is served.

    It merges the tokens of one flush interval and does not pad them, so its sequence numbers differ
    from the line numbers of the first stream (R: ``disconnect_and_resume``).

    Attributes:
        status: The status of the run.

    Args:
        flush_seconds: The flush interval.
    """

    def __init__(self, *, flush_seconds: float) -> None:
        self.status: RunStatus = "running"
        self._flush_seconds = flush_seconds
        self._flushed: list[JsonObject] = []
        self._pending: list[JsonObject] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """Its size in characters."""
        return sum(map(text_size, self._flushed))

    def push(self, event: JsonObject) -> None:
        """Add an event, unpadded."""
        last = self._pending[-1] if self._pending else None
        if last is not None and _same_channel(last, event):
            self._pending[-1] = {**last, "token": last["token"] + event["token"]}
        else:
            self._pending.append(event)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_seconds, self._flush)

    def flush(self) -> int:
        """Number all events so far, and return the number of the last one."""
        self._flush()
        return len(self._flushed)

    def finish(self, status: RunStatus) -> None:
        """Close the log with the status that the run ended with."""
        self._flush()
        self.status = status

    def after(self, sequence: int) -> list[tuple[int, JsonObject]]:
        """List the numbered events after a sequence number; the first event has number 1."""
        return list(enumerate(self._flushed[sequence:], start=sequence + 1))

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed += self._pending
        self._pending = []


def _same_channel(last: JsonObject, event: JsonObject) -> bool:
    """Return whether both events are tokens of the same channel."""
    return (
        "token" in last
        and "token" in event
        and (last["type"], last.get("subtype")) == (event["type"], event.get("subtype"))
    )


Transcribe: TypeAlias = "Callable[[bytes, str], str]"
"""Turns the bytes of a recording, of a media type, into text."""


class ActiveRun(Protocol):
    """What the server knows of a run that has not ended yet (`runs.py` has them)."""

    conversation_id: str

    def stop(self, marker: StopMarker) -> None:
        """End the run early."""


@dataclass
class ServerState:
    """The options and the state of one server.

    Attributes:
        generation: Which chat-ui it speaks as.
        models: Its models; the first is the default.
        login_required: Whether users have to log in.
        limits: What it rejects.
        tool_servers: Its stand-ins for MCP servers.
        base_path: What every path begins with: empty, or such as ``/chat``.
        flush_seconds: The flush interval of the logs of runs, in seconds.
        retention: How much it keeps.
        hosts: Further hosts that it answers to.
        transcribe: Turns a recording into text, or None.
        active_runs: The runs that have not ended yet.
        cuts: After how many pieces each of the next streams loses its connection.
        logs: The logs of its runs by conversation id and run id, the newest last.
    """

    generation: Generation
    models: Sequence[LocalModel]
    login_required: bool = False
    limits: Limits = field(default_factory=Limits)
    tool_servers: Sequence[ToolServer] = ()
    base_path: str = ""
    flush_seconds: float = RESUME_FLUSH_SECONDS
    retention: Retention = field(default_factory=Retention)
    hosts: Sequence[str] = ()
    transcribe: Transcribe | None = None
    active_runs: list[ActiveRun] = field(default_factory=list)
    cuts: deque[int] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _messages: deque[tuple[float, str]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        kept, max_bytes = self.retention, self.retention.total_bytes
        self.conversations = Conversations(kept.conversations, max_bytes)
        self.files = Files(kept.files, max_bytes)
        self.sessions = Sessions(kept.sessions)
        self.settings = Settings(self.models[0].id, kept.sessions, max_bytes)
        self.elicitations = Elicitations(kept.sessions)
        self.records = Records(kept)
        self.logs: BoundedStore[tuple[str, str], RunLog] = BoundedStore(
            kept.logs, max_bytes, size=lambda log: log.size
        )

    def model(self, model_id: str) -> LocalModel | None:
        """Return a model, or None if there is no such model."""
        return next((model for model in self.models if model.id == model_id), None)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start a task that outlives the request that caused it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def count_message(self, *who: str) -> bool:
        """Count an attempt to send a message.

        Args:
            who: The owner and the address that it counts for.

        Returns:
            Whether it is within the limit per minute.
        """
        limit = self.limits.messages_per_minute
        if limit is None:
            return True
        moment = time.monotonic()
        while self._messages and self._messages[0][0] < moment - self.limits.window_seconds:
            self._messages.popleft()
        self._messages += [(moment, name) for name in who]
        return all(sum(name == counted for _, counted in self._messages) <= limit for name in who)
