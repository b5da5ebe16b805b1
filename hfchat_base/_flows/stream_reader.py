"""Reading one stream of events: the answer itself, or the log that it is resumed from.

What lives here: what each event means for the run while it is read (progress, the end, a question),
and how a replayed log is reduced to what the caller has not seen. `run.py` and `resume.py` open the
streams.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from hfchat_base._flows import conversations, discovery, settings
from hfchat_base._flows.commands import (
    Chunk,
    Close,
    Deliver,
    Elicit,
    Flow,
    Read,
    Start,
    collect,
    now,
    read_all,
    send,
)
from hfchat_base._flows.context import OVERLOADED, Attempts, Deadlines, ServerInfo, after
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.artifacts import NOTHING
from hfchat_base._protocol.decoder import decode_line, decode_text
from hfchat_base._protocol.dialects import base
from hfchat_base._protocol.framing import LineBuffer, ServerSentEvents
from hfchat_base._protocol.http import ERROR_BYTES, Request, Response
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base.errors import (
    GenerationFailed,
    HuggingChatError,
    ProtocolError,
    ResponseError,
    StreamStalled,
    StreamTruncated,
    TransportError,
    UpstreamRateLimitError,
)
from hfchat_base.events import ElicitationRequest, Event, Status, TextDelta

_log = logging.getLogger("hfchat")

_UNAUTHORIZED = 401
_OUT_OF_CREDITS = 402
_RATE_LIMITED = 429
_ANSWERED_BEFORE = 409


class Reader(Protocol):
    """Bytes → events, in the form of one of the two streams."""

    def feed(self, data: bytes) -> Iterable[Event]:
        """Take the next bytes."""
        ...

    def rest(self) -> Event | None:
        """What follows the last newline, if it is a whole event."""
        ...


class LineReader:
    """Reads an answer: one event a line."""

    def __init__(self) -> None:
        self._lines = LineBuffer()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take the next bytes.

        Raises:
            ProtocolError: A line is not an event.
        """
        lines = self._lines.feed(data)
        number = self._lines.lines_seen - len(lines)
        for line in lines:
            number += 1
            event = decode_line(line, number)
            if event is not None:
                yield event

    def rest(self) -> Event | None:
        """What follows the last newline, if it is a whole event."""
        try:
            return decode_line(self._lines.rest, self._lines.lines_seen + 1)
        except ProtocolError:
            return None  # cut in the middle


class LogReader:
    """Reads a run's log from its start, and skips what has been seen.

    The log merges tokens and does not pad them, and holds no `keepAlive` (R:
    ``disconnect_and_resume``), so what was seen is counted in characters of text and in other
    events.

    Args:
        run: The run, for what was seen.

    Attributes:
        end: How the log ended: completed, interrupted, error, gone; None while it has not.
    """

    def __init__(self, run: RunState) -> None:
        self._frames = ServerSentEvents()
        self._skip_characters = run.seen_characters
        self._skip_events = run.seen_events
        self.end: str | None = None

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take the next bytes.

        Raises:
            ProtocolError: A frame is not an event.
        """
        for frame in self._frames.feed(data):
            if frame.event == "update":
                event = self._unseen(decode_text(frame.data))
                if event is not None:
                    yield event
            elif frame.event == "end":
                raw = encodings.parse_json(frame.data, "end of the log")
                status = raw.get("status") if isinstance(raw, dict) else None
                self.end = status if isinstance(status, str) else "gone"

    def rest(self) -> Event | None:
        """Nothing: a frame ends with an empty line."""
        return None

    def _unseen(self, event: Event) -> Event | None:
        if not isinstance(event, TextDelta):
            if self._skip_events:
                self._skip_events -= 1
                return None
            return event
        text = event.text[self._skip_characters :]
        self._skip_characters -= len(event.text) - len(text)
        return TextDelta(text) if text else None


def follow(  # noqa: C901, PLR0912 - the loop of every token, which makes few calls
    server: ServerInfo, run: RunState, reader: Reader, deadlines: Deadlines
) -> Flow[None]:
    """Read the open stream to its end and deliver its events.

    Raises:
        TransportError: The connection was lost.
        GenerationFailed: The server reports that the model failed.
        OutOfCreditsError: It reports that the account cannot pay for the answer.
        SessionExpired: It reports that the account has taken its permission back.
        StreamStalled: There was no progress within the deadline.
        ProtocolError: What came is not the protocol.
    """
    take_text = run.accumulator.take_text
    has_asked = False
    while isinstance(result := (yield Read(deadlines.next)), Chunk):
        events: list[Event] = []
        progress_at: float | None = None
        try:
            for event in reader.feed(result.data):
                if event.__class__ is TextDelta:
                    events += take_text(event)
                    progress_at = progress_at or result.at
                    continue
                if run.accumulator.wants_history:
                    events += yield from _take_artifacts(server, run)
                events += run.take(event)
                if isinstance(event, ElicitationRequest):
                    yield Deliver(events)
                    events = []
                    progress_at = yield from _answer_elicitation(server, run, event)
                elif isinstance(event, Status):
                    if run.settings_hold is not None and event.status == "started":
                        yield from settings.release(server, run)
                    _take_status(server, run, event, deadlines, result.at)
                else:
                    progress_at = progress_at or result.at
            if run.accumulator.wants_history:
                events += yield from _take_artifacts(server, run)
        except HuggingChatError:
            yield Deliver(events)
            raise
        if events:
            yield Deliver(events)
        if progress_at is not None:
            deadlines.progress(progress_at)
            if not has_asked:
                has_asked = True
                yield from _ask_for_message_id(server, run)
        elif deadlines.passed(result.at):
            break
    if result is not None:  # progress is overdue
        yield Close()
        if run.is_running:
            raise stalled(run, deadlines)
        # The answer is whole; only the end of the response is missing.
    rest = reader.rest()
    if rest is not None:
        yield Deliver(run.take(rest))


def _ask_for_message_id(server: ServerInfo, run: RunState) -> Flow[None]:
    """Read the conversation while the answer comes, for the answer's id.

    Its message is stored before the first token (seen on 0.20 and 0.9.5), so nobody has to wait
    for a request after the last one.
    """
    yield from discovery.take_details(server, run)
    if run.ask_for_message_id() and server.dialect is not None:
        yield Start(server.dialect.get_conversation(run.conversation_id))


def _take_artifacts(server: ServerInfo, run: RunState) -> Flow[list[Event]]:
    """Find out which artifacts there were before the first one of an answer.

    An update changes the latest version, and a version has a number. The conversation is read in
    any case while the answer arrives, so this costs no further request.
    """
    yield from _ask_for_message_id(server, run)
    until = after((yield from now()), server.policy.timeouts.response)
    stored = yield from read_early(server, run, until)
    if stored is None:
        try:
            stored = yield from conversations.read(server, run.conversation_id)
        except HuggingChatError as error:
            _log.warning("the artifacts before an answer could not be read: %s", error)
            return run.accumulator.take_history(NOTHING)
    return run.accumulator.take_history(run.artifacts_before(stored))


def read_early(
    server: ServerInfo, run: RunState, until: float | None
) -> Flow[StoredConversation | None]:
    """The conversation as it was while the answer came; None if it could not be read in time."""
    stored = yield from collect_conversation(server, run, until)
    if stored is not None:
        run.read_early(stored)
    return run.early


def collect_conversation(
    server: ServerInfo, run: RunState, until: float | None
) -> Flow[StoredConversation | None]:
    """The run's conversation, which was requested before; None if it cannot be read in time."""
    yield from discovery.take_details(server, run)
    try:
        left = None if until is None else max(0.0, until - (yield from now()))
        response = yield from collect(left)
        if response is None:
            return None
        dialect = yield from discovery.dialect(server)
        request = dialect.get_conversation(run.conversation_id)
        return dialect.parse_conversation(response, request, run.conversation_id)
    except HuggingChatError as error:
        _log.debug("the conversation could not be read while an answer came: %s", error)
        return None


def _take_status(
    server: ServerInfo, run: RunState, status: Status, deadlines: Deadlines, at: float
) -> None:
    if status.status == "finished":
        run.finished()
        deadlines.finish(at)
    elif status.status == "error":
        run.finished()
        raise _failed(server, run, status)


def read_refusal(server: ServerInfo, head: Response) -> Flow[Response]:
    """Read the body of a response that is not a stream of events."""
    until = after(head.at, server.policy.timeouts.response)
    body = yield from read_all(until, ERROR_BYTES)
    return replace(head, body=body)


def stalled(run: RunState, deadlines: Deadlines) -> StreamStalled:
    """Say that a run makes no progress."""
    return StreamStalled(
        f"The answer made no progress within {deadlines.limit:g} s"
        " (keepAlive does not count). What had arrived is in .partial.",
        partial=run.answer(),
    )


def _failed(server: ServerInfo, run: RunState, status: Status) -> HuggingChatError:
    """Say why the server has ended a run, as it says itself (S)."""
    message = status.message or "no reason given"
    base_url = server.endpoint.base_url
    if status.status_code == _OUT_OF_CREDITS:
        return responses.out_of_credits(base_url, message, run.answer())
    if status.status_code == _UNAUTHORIZED and responses.is_revocation(message):
        return responses.revoked(base_url, message, run.answer())
    if status.status_code == _RATE_LIMITED:
        return UpstreamRateLimitError(
            f"The model behind the server refused the request (rate limit): {message}",
            partial=run.answer(),
        )
    return GenerationFailed(
        f"The model behind the server failed: {message}",
        partial=run.answer(),
        upstream_status=status.status_code,
    )


def _answer_elicitation(
    server: ServerInfo, run: RunState, question: ElicitationRequest
) -> Flow[float]:
    """Put a tool's question to the caller and send the reply, while the stream stays open.

    Returns:
        When the server had taken the reply, on the driver's clock.

    Raises:
        ProtocolError: There were too many questions.
        StreamTruncated: The reply could not be sent.
    """
    most = server.policy.limits.questions
    if run.count_question() > most:
        msg = f"The tools of the server asked more than {most} questions in one answer."
        raise ProtocolError(msg)
    content = yield Elicit(question)
    request = base.answer_elicitation(
        server.endpoint, run.conversation_id, question.elicitation_id, content
    )
    try:
        response = yield from _reply(server, request)
    except (TransportError, ResponseError) as error:
        # Neither was the answer's connection lost, so there is nothing to resume, nor was its
        # message refused, so there is nothing to send again.
        raise StreamTruncated(
            "The reply to a tool's question could not be sent, and the answer waits for it. What"
            " had arrived is in .partial.",
            partial=run.answer(),
        ) from error
    raw = encodings.parse_json(response.body, "reply to an elicitation")
    if isinstance(raw, dict) and raw.get("resume") is True:
        run.wait_for_reply(question.elicitation_id)
    return response.at


def _reply(server: ServerInfo, request: Request) -> Flow[Response]:
    """Send a reply until it is known to have arrived; without one the run waits for an hour.

    That is safe, because the first one that arrives counts, and a further one is a 409 (S).
    """
    attempts = Attempts(server)
    while True:
        try:
            response = yield from send(request)
        except TransportError as error:
            if not (yield from attempts.again("connection", error)):
                raise
            continue
        if response.status in OVERLOADED:
            refusal = responses.refusal(response, request)
            if not (yield from attempts.again("overloaded", refusal)):
                raise refusal
            continue
        if attempts.failed and response.status == _ANSWERED_BEFORE:
            return response
        return responses.check(response, request)
