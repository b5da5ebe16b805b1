"""Resuming an answer whose connection was lost: the caller sees a stream that paused.

A current server continues the run, stores it, and keeps a log of it. The log is replayed from its
start, and what the caller has already seen is skipped. A legacy server stores what it had written
when it noticed the loss, and ends the run (seen on 0.9.5); behind a proxy that kept the connection
it finishes the run. There, and where the log is gone, this waits for the stored message and takes
the missing part from it. The message is sent a second time only if the server shows no trace of it.
"""

from __future__ import annotations

import logging
from typing import Literal

from hfchat_base._flows import context, conversations
from hfchat_base._flows.commands import Close, Deliver, Flow, now, open_stream, sleep
from hfchat_base._flows.context import Deadlines, ServerInfo
from hfchat_base._flows.run_state import RunState
from hfchat_base._flows.stream_reader import LogReader, follow, read_refusal
from hfchat_base._protocol import responses
from hfchat_base._protocol.dialects import OutgoingMessage, base
from hfchat_base.errors import (
    HuggingChatError,
    MissingAuthError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamTruncated,
    TransportError,
    UnexpectedPageError,
)
from hfchat_base.events import Event, FinalAnswer, ReasoningDelta, TextDelta
from hfchat_base.types import Message

_Outcome = Literal["lost", "capped", "absent", "waiting", "over"]
"""What one look found out, if the run did not end with it:

* ``lost``: nothing, because the connection was lost again.
* ``capped``: the log was read until the server closed it by its clock.
* ``absent``: the server shows no trace of the message.
* ``waiting``: the answer is stored, and the server is still writing it.
* ``over``: nothing more can be read.
"""

_log = logging.getLogger("hfchat")


def resume(
    server: ServerInfo,
    message: OutgoingMessage,
    run: RunState,
    deadlines: Deadlines | None,
    lost: HuggingChatError | None,
) -> Flow[bool]:
    """Get the rest of a run whose connection was lost.

    Args:
        server: The server.
        message: The message that was sent.
        run: The run.
        deadlines: The deadlines of the run; None if not even the response's head arrived.
        lost: The error that ended the connection; None if it was closed early.

    Returns:
        Whether the answer is whole now; False if the server shows no trace of the message.

    Raises:
        StreamTruncated: The rest could not be read.
        StreamStalled: The run makes no progress.
        GenerationFailed: The server reports that the model failed.
        ResponseError: The server does not know the run, and nothing of it was seen.
    """
    _log.info("the connection was lost during an answer; looking for the rest of it")
    policy = server.policy.resuming
    give_up_at = (yield from now()) + (server.policy.timeouts.total or policy.patience)
    looks = without_news = absent = 0
    while run.final is None and policy.allows(looks, without_news):
        yield from sleep(min(policy.first_pause * 2.0**without_news, policy.longest_pause))
        looks += 1
        without_news += 1
        seen = run.seen_characters, run.seen_events
        outcome, error = yield from _look(server, message, run, deadlines)
        lost = error or lost
        if not run.is_cut_off:
            return True
        if outcome == "over":
            break
        if outcome == "absent":
            absent += 1
        elif error is None:  # a failed look proves nothing
            absent = 0
        if absent >= policy.absent_looks and run.has_seen_nothing:
            return False
        if outcome == "waiting" and (yield from now()) < give_up_at:
            without_news = min(without_news, policy.looks_without_news - 2)
        elif outcome == "capped" or seen != (run.seen_characters, run.seen_events):
            without_news = 0
    if run.final is not None:
        yield from _drain(server, run, deadlines)
        return True
    raise StreamTruncated(
        "The connection was lost during the answer, and the rest of it could not be read. What had"
        " arrived is in .partial.",
        partial=run.answer(),
    ) from lost


def _drain(server: ServerInfo, run: RunState, deadlines: Deadlines | None) -> Flow[None]:
    """Read what follows the final answer. The answer is whole, so a failure is ignored."""
    policy = server.policy.resuming
    for attempt in range(policy.looks_after_final):
        yield from sleep(policy.first_pause * attempt)
        try:
            if (yield from _replay(server, run, deadlines)) is not None:
                break
        except (TransportError, ServerError, UnexpectedPageError):
            continue
        except HuggingChatError as error:
            _log.debug("what followed a final answer could not be read: %s", error)
            break
    run.finished()


def _look(
    server: ServerInfo, message: OutgoingMessage, run: RunState, deadlines: Deadlines | None
) -> Flow[tuple[_Outcome, HuggingChatError | None]]:
    """Look for the rest of a run once; return the outcome and the error, if there was one."""
    nothing_seen = run.has_seen_nothing
    try:
        return (yield from _look_once(server, message, run, deadlines)), None
    except (TransportError, UnexpectedPageError) as error:
        return "lost", error
    except ServerError as error:
        return (yield from _wait_or_give_up(server, error)), error
    except (ResponseError, MissingAuthError) as error:
        if isinstance(error, RateLimitError) and run.is_running and error.retry_after is not None:
            return (yield from _wait_or_give_up(server, error)), error
        if nothing_seen or not run.is_running:
            # Such as: the conversation has gone, and the message was refused as well; or the run
            # itself has ended with this error.
            raise
        return "over", error


def _wait_or_give_up(server: ServerInfo, error: ResponseError) -> Flow[_Outcome]:
    """Wait before the next look as long as a refusal asks; "over" if that is too long."""
    try:
        yield from context.wait_as_asked(server, error)
    except ResponseError:
        return "over"
    return "lost"


def _look_once(
    server: ServerInfo, message: OutgoingMessage, run: RunState, deadlines: Deadlines | None
) -> Flow[_Outcome]:
    """Look for the rest of a run once; a failure is raised."""
    if run.generation_id is not None:
        begun_at = yield from now()
        end = yield from _replay(server, run, deadlines)
        if not run.is_cut_off:
            return "lost"
        if end is None:
            lasted = (yield from now()) - begun_at
            return "capped" if lasted >= server.policy.resuming.log_cap else "lost"
    # A log that is "gone" may not exist yet; one that ended without a final answer was cleaned up.
    # In both cases the stored conversation shows how far the answer is.
    stored = yield from conversations.read(server, run.conversation_id)
    found = run.stored_answer(stored, message)
    if found is None:
        return "absent"
    if not found.is_complete:
        return "waiting"
    yield Deliver(_take_stored(run, found))
    return "over"


def _replay(server: ServerInfo, run: RunState, deadlines: Deadlines | None) -> Flow[str | None]:
    """Replay the log of a run; return how it ended, or None if it was cut off."""
    assert run.generation_id is not None  # noqa: S101 - legacy has no log
    request = base.resume(run.conversation_id, run.generation_id)
    head = yield from open_stream(request)
    if head.status != 200 or head.content_type != "text/event-stream":  # noqa: PLR2004
        whole = yield from read_refusal(server, head)
        responses.check_json(whole, request)
        return "gone"
    reader = LogReader(run)
    yield from follow(server, run, reader, deadlines or Deadlines(server.policy, head.at))
    if reader.end is None:
        yield Close()
    return reader.end


def _take_stored(run: RunState, message: Message) -> list[Event]:
    """Take the missing part out of a stored message that is complete."""
    run.found_message_id(message.id)
    events: list[Event] = []
    known = run.answer()
    if message.reasoning.startswith(known.reasoning) and message.reasoning != known.reasoning:
        events += run.accumulator.take(ReasoningDelta(message.reasoning[len(known.reasoning) :]))
    if message.state == "complete" or run.stop_requested:
        run.finished()
        return events + run.accumulator.take(FinalAnswer(message.content, message.interrupted))
    # The run failed, so the stored text is a part at most.
    seen = run.accumulator.streamed_text
    if message.content.startswith(seen) and message.content != seen:
        events += run.accumulator.take(TextDelta(message.content[len(seen) :]))
    return events
