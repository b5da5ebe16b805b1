"""One answer: send a message, read what the server says, and tell how it ended.

What lives here is the life of a run: its deadlines, the questions that tools ask in the middle of it,
and which end is a good one. What the bytes mean is known to `decode.py`, what the events add up to is
known to `transcript.py`.

How runs end (R, S): current servers send `finished` or `error`; legacy servers close the connection
after a final answer, and also, with no word, after they were stopped. A connection that ends
otherwise has lost something.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from hfchat_base.errors import (
    GenerationFailed,
    GenerationInterrupted,
    HuggingChatError,
    ProtocolError,
    StreamStalled,
    StreamTruncated,
    TransportError,
    UpstreamRateLimitError,
)
from hfchat_base.events import ElicitationRequest, Event, Status, TextDelta
from hfchat_base.protocol import refusals, requests
from hfchat_base.protocol.decode import decode_line
from hfchat_base.protocol.facts import Generation
from hfchat_base.protocol.flow import (
    Ask,
    Chunk,
    Close,
    Deliver,
    Flow,
    Response,
    TimedOut,
    open_stream,
    read,
    read_all,
    send,
)
from hfchat_base.protocol.flows import conversations, discovery
from hfchat_base.protocol.lines import LineBuffer
from hfchat_base.protocol.requests import Turn
from hfchat_base.protocol.server import Server
from hfchat_base.protocol.transcript import Transcript
from hfchat_base.types import Answer, FinishReason

_log = logging.getLogger("hfchat")

_RATE_LIMITED: Final = 429
_AFTER_THE_END_SECONDS: Final = 2.0
"""How long to wait, after `finished`, for the server to end the response properly."""


@dataclass(slots=True)
class Run:
    """A run as the driver sees it: what is known so far, and what the caller wants of it.

    Attributes:
        transcript: What has arrived.
        conversation_id: Where it runs, once that is known.
        generation_id: Its own id; None on legacy servers, which know none.
        model: The model that was asked.
        is_running: Whether the server is writing the answer, as far as we know.
        stop_requested: Whether this client has asked the server to stop.
        reads_message_id: Whether to find out the answer's id at the end.
        to_delete: A conversation to delete when the caller is done with it, whatever happens.
    """

    transcript: Transcript = field(default_factory=Transcript)
    conversation_id: str = ""
    generation_id: str | None = None
    model: str = ""
    is_running: bool = False
    stop_requested: bool = False
    reads_message_id: bool = True
    to_delete: str | None = None

    def begin(self, turn: Turn, kind: Generation, model: str) -> None:
        """Point to the turn that is about to be sent."""
        self.conversation_id = turn.conversation_id
        self.generation_id = turn.generation_id if kind == "current" else None
        self.model = model
        self.transcript = Transcript(
            model=model,
            conversation_id=turn.conversation_id,
            generation_id=turn.generation_id,
        )


    @property
    def stop_came_late(self) -> bool:
        """Whether the answer was whole before the server heard of the stop."""
        final = self.transcript.final
        return self.stop_requested and final is not None and not final.interrupted


def answer(server: Server, turn: Turn, run: Run, *, model: str = "") -> Flow[Answer]:
    """Send a turn and read its answer to the end.

    Raises:
        ResponseError: The server refused the message.
        GenerationFailed: The model behind the server failed.
        GenerationInterrupted: Somebody else stopped the run.
        StreamStalled: It made no progress within the deadline.
        StreamTruncated: The connection ended before the answer did.
        ProtocolError: What came is not the protocol.
    """
    kind = yield from discovery.generation(server)
    run.begin(turn, kind, model)
    request = requests.send_turn(kind, server.endpoint, turn, max_body_bytes=server.max_body_bytes)
    # From here on the server may be at work, whatever becomes of the connection.
    run.is_running = True
    try:
        head = yield from open_stream(request)
    except TransportError as error:
        run.is_running = error.may_have_arrived
        raise
    if head.status != 200 or refusals.is_page(head):  # noqa: PLR2004
        run.is_running = False
        body = yield from read_all(_after(head.at, server.timeouts.response), refusals.MAX_ERROR_BYTES)
        whole = Response(head.status, head.headers, body, head.at, head.had_session)
        refusals.check_json(whole, request)
    yield from _read_events(server, run, head.at)
    finish_reason = _judge(run)
    if run.reads_message_id:
        run.transcript.message_id = yield from _message_id(server, run)
    return run.transcript.answer(finish_reason)


def _read_events(server: Server, run: Run, opened_at: float) -> Flow[None]:
    """Read events until the run is over, and deliver them."""
    lines = LineBuffer()
    deadlines = _Deadlines(server, opened_at)
    while True:
        try:
            result = yield from read(deadlines.next)
        except TransportError as error:
            _log.debug("the connection was lost during an answer: %s", error)
            result = None
        if isinstance(result, TimedOut):
            yield Close()
            if not run.is_running:  # all is said, only the end of the response is missing
                yield Deliver(_last_events(run, lines))
                return
            raise _stalled(run, deadlines)
        if result is None:
            yield Deliver(_last_events(run, lines))
            return
        yield from _take_chunk(server, run, lines, deadlines, result)


def _take_chunk(
    server: Server, run: Run, lines: LineBuffer, deadlines: _Deadlines, chunk: Chunk
) -> Flow[None]:
    events: list[Event] = []
    progress = False
    transcript = run.transcript
    try:
        complete = lines.feed(chunk.data)
        number = lines.lines_seen - len(complete)
        for line in complete:
            number += 1
            event = decode_line(line, number)
            if event is None:
                continue
            if event.__class__ is TextDelta:  # nearly every line
                progress = True
                events += transcript.take(event)
                continue
            events += transcript.take(event)
            if isinstance(event, Status):
                progress = progress or event.status != "keepAlive"
                if event.status == "error":
                    run.is_running = False
                    yield Deliver(events)
                    raise _failed(run, event)
                if event.status == "finished":
                    run.is_running = False
                    deadlines.finish(chunk.at)
            elif isinstance(event, ElicitationRequest):
                yield Deliver(events)
                events = []
                yield from _answer_elicitation(server, run, event)
                progress = True
            else:
                progress = True
    except ProtocolError:
        yield Deliver(events)
        raise
    if events:
        yield Deliver(events)
    if progress:
        deadlines.progress(chunk.at)
    elif deadlines.passed(chunk.at):
        yield Close()
        raise _stalled(run, deadlines)


def _last_events(run: Run, lines: LineBuffer) -> list[Event]:
    """Take what stands behind the last newline, if it is whole, and what was held back."""
    events: list[Event] = []
    try:
        event = decode_line(lines.rest, lines.lines_seen + 1)
    except ProtocolError:
        event = None  # cut in the middle; how bad that is, `_judge` tells
    if event is not None:
        events += run.transcript.take(event)
    return events + run.transcript.end()


def _judge(run: Run) -> FinishReason:
    """Tell how a run ended whose connection is over."""
    final = run.transcript.final
    finished = not run.is_running
    run.is_running = False
    if final is not None:
        if not final.interrupted:
            return "stop"
        if run.stop_requested:
            return "interrupted"
        raise GenerationInterrupted(
            "The answer was stopped, and not by this client (another tab, or the server).",
            partial=run.transcript.answer("interrupted"),
        )
    if run.stop_requested:
        return "interrupted"
    if finished:
        # A content filter can end a run without a final answer (S).
        return "stop"
    run.is_running = True
    raise StreamTruncated(
        "The connection ended before the answer did. What had arrived is in .partial.",
        partial=run.transcript.answer(),
    )


def _failed(run: Run, status: Status) -> GenerationFailed:
    message = status.message or "no reason given"
    partial = run.transcript.answer()
    if status.status_code == _RATE_LIMITED:
        return UpstreamRateLimitError(
            f"The model behind the server takes no more requests for now: {message}",
            partial=partial,
        )
    return GenerationFailed(
        f"The model behind the server failed: {message}",
        partial=partial,
        upstream_status=status.status_code,
    )


def _stalled(run: Run, deadlines: _Deadlines) -> StreamStalled:
    return StreamStalled(
        f"The answer made no progress within {deadlines.limit:g} seconds"
        " (keepAlive is none). What had arrived is in .partial.",
        partial=run.transcript.answer(),
    )


def _answer_elicitation(server: Server, run: Run, question: ElicitationRequest) -> Flow[None]:
    """Put a tool's question to the caller and send the reply, while the stream stays open."""
    content = yield Ask(question)
    request = requests.answer_elicitation(
        server.endpoint, run.conversation_id, question.elicitation_id, content
    )
    refusals.check((yield from send(request)), request)


def _message_id(server: Server, run: Run) -> Flow[str | None]:
    """Find out the answer's own id: a stream carries none.

    The answer is whole by now, so a failure here must not take it away.
    """
    try:
        stored = yield from conversations.read(server, run.conversation_id)
        written = stored.written_by(run.generation_id) if run.generation_id else None
        return (written or stored.latest()).id
    except HuggingChatError as error:
        _log.debug("the id of an answer could not be read: %s", error)
        return None


class _Deadlines:
    """When to give up waiting, on the driver's clock."""

    def __init__(self, server: Server, opened_at: float) -> None:
        self._timeouts = server.timeouts
        self._total = _after(opened_at, server.timeouts.total)
        self.limit = 0.0
        self.next: float | None = None
        self._set(opened_at, server.timeouts.first_event)

    def progress(self, at: float) -> None:
        """Something came that is progress."""
        self._set(at, self._timeouts.progress)

    def finish(self, at: float) -> None:
        """The server has said that it is done."""
        self._timeouts = type(self._timeouts)(progress=_AFTER_THE_END_SECONDS)
        self._set(at, _AFTER_THE_END_SECONDS)

    def passed(self, at: float) -> bool:
        """Tell whether waiting has taken too long, although something (keepAlive) came."""
        return self.next is not None and at > self.next

    def _set(self, at: float, seconds: float | None) -> None:
        self.next = _after(at, seconds)
        self.limit = seconds or 0.0
        if self._total is not None and (self.next is None or self._total < self.next):
            self.next = self._total
            self.limit = self._timeouts.total or 0.0


def _after(at: float, seconds: float | None) -> float | None:
    return None if seconds is None else at + seconds
