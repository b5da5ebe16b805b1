"""One answer from beginning to end: send a message, read the stream, and decide how it ended.

`stream_reader.py` reads one stream, `resume.py` handles a lost connection.

How runs end (R, S): current servers send `finished` or `error`. Legacy servers close the connection
after a final answer, and also after a stop, without any event. A run that asks the user something
may end, and continue as a new run once the reply is there. A connection that ends in any other way
was lost.

Also here: stopping a run, and cleaning up on the server when a caller leaves it.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from hfchat_base._flows import (
    context,
    conversations,
    discovery,
    resume,
    settings,
)
from hfchat_base._flows.commands import Deliver, Flow, Start, now, open_stream
from hfchat_base._flows.context import Deadlines, ServerInfo, after
from hfchat_base._flows.run_state import RunState
from hfchat_base._flows.stream_reader import (
    LineReader,
    collect_conversation,
    follow,
    read_early,
    read_refusal,
)
from hfchat_base._protocol import responses
from hfchat_base._protocol.dialects import OutgoingMessage
from hfchat_base._protocol.http import Request, Response
from hfchat_base.errors import (
    GenerationInterrupted,
    HuggingChatError,
    ProtocolError,
    RateLimitError,
    ServerError,
    StreamTruncated,
    TransportError,
)
from hfchat_base.types import Answer, FinishReason

__all__ = ["answer", "clean_up_run", "stop_run"]
_log = logging.getLogger("hfchat")


def answer(
    server: ServerInfo, message: OutgoingMessage, run: RunState, *, model: str = ""
) -> Flow[Answer]:
    """Send a message and read its answer to the end.

    Raises:
        ResponseError: The server refused the message.
        GenerationFailed: The model behind the server failed.
        OutOfCreditsError: The account cannot pay for the answer.
        SessionExpired: The account revoked its permission.
        GenerationInterrupted: Somebody else stopped the run.
        StreamStalled: It made no progress within the deadline.
        StreamTruncated: The connection was lost, and the rest could not be read.
        ProtocolError: The server did not speak the protocol.
    """
    run.begin(message, (yield from discovery.dialect(server)), model)
    try:
        yield from _read(server, message, run)
        while run.waits_for_reply:  # bounded by the questions
            message = yield from _continue_after_reply(server, message, run)
            yield from _read(server, message, run)
        yield from settings.release(server, run)
    except ProtocolError as error:
        error.partial = run.answer()
        raise
    finally:
        if run.settings_hold is not None and not run.settings_hold.before:
            run.settings_hold.release()  # else cleaning up restores them first
    yield Deliver(run.accumulator.end())
    finish_reason = _finish_reason(run)
    if run.reads_message_id and run.accumulator.message_id is None:
        run.found_message_id((yield from _message_id(server, message, run)))
    return run.answer(finish_reason)


def _read(server: ServerInfo, message: OutgoingMessage, run: RunState) -> Flow[None]:
    """Send a message, read its stream, and resume it where it was lost.

    The message is sent again, with a new run's id, only if the server shows no trace of it.
    """
    attempts = context.Attempts(server)
    while True:
        deadlines, lost = yield from _send(server, message, run, attempts)
        try:
            if not run.is_cut_off or (
                yield from resume.resume(server, message, run, deadlines, lost)
            ):
                return
        except StreamTruncated:
            if isinstance(lost, ServerError):
                raise lost from None  # it says more
            raise
        run.not_begun()
        if not attempts.fail():
            break
        _log.info("the server does not have the message; sending it again")
        message = replace(message, generation_id=str(uuid.uuid4()))
        run.not_begun(message.generation_id)
    if isinstance(lost, ServerError):
        raise lost
    raise StreamTruncated(
        "The connection was lost before the answer began; the server does not have the message.",
        partial=run.answer(),
    ) from lost


def _send(
    server: ServerInfo, message: OutgoingMessage, run: RunState, attempts: context.Attempts
) -> Flow[tuple[Deadlines | None, HuggingChatError | None]]:
    """Send a message and read its stream; return the deadlines, and how the connection was lost."""
    dialect = yield from discovery.dialect(server)
    request = dialect.send_message(server.endpoint, message, max_body_bytes=server.max_body_bytes)
    deadlines: Deadlines | None = None
    yield from settings.hold(server, run)
    try:
        head = yield from _open(server, run, request, attempts)
        deadlines = Deadlines(server.policy, head.at)
        yield from follow(server, run, LineReader(), deadlines)
    except TransportError as error:
        if not error.may_have_arrived:
            raise
        return deadlines, error
    except ServerError as error:
        if error.status not in context.OVERLOADED:
            raise
        run.may_have_begun()
        yield from context.wait_as_asked(server, error)
        return deadlines, error
    return deadlines, None


def _open(
    server: ServerInfo, run: RunState, request: Request, attempts: context.Attempts
) -> Flow[Response]:
    """Send a message until the server accepts it, as far as that is safe and allowed."""
    while True:
        yield from context.wait_for_rate_limit(server)
        run.sending()
        try:
            head = yield from open_stream(request)
            if head.status == 200 and not responses.is_page(head):  # noqa: PLR2004
                return head
            run.not_begun()
            whole = yield from read_refusal(server, head)
            responses.check_json(whole, request)
        except RateLimitError as error:
            is_gateway = responses.retry_after(head) is not None
            if not (yield from attempts.again_at_limit(error, is_gateway=is_gateway)):
                raise
        except TransportError as error:
            if error.may_have_arrived:
                run.may_have_begun()
                raise
            run.not_begun()
            if not (yield from attempts.again("connection", error)):
                raise


def _continue_after_reply(
    server: ServerInfo, message: OutgoingMessage, run: RunState
) -> Flow[OutgoingMessage]:
    """Continue a run that had ended to wait for the reply to a tool's question (S).

    The server continues whatever answer the request names (S), so that has to be the right one.

    Raises:
        StreamTruncated: The stored conversation does not show which one that is.
    """
    message_id = yield from _message_id(server, message, run)
    if message_id is None:
        raise StreamTruncated(
            "The answer waited for the reply to a tool's question, and cannot be found in its"
            " conversation any more. What had arrived is in .partial.",
            partial=run.answer(),
        )
    run.found_message_id(message_id)
    generation_id = str(uuid.uuid4())
    elicitation_id = run.continue_after_reply(generation_id)
    return replace(
        message,
        message_id=message_id,
        text=None,
        files=(),
        is_retry=False,
        generation_id=generation_id,
        resume_elicitation_id=elicitation_id,
    )


def _finish_reason(run: RunState) -> FinishReason:
    """How a run ended; nothing more will come of it."""
    run.finished()
    final = run.final
    if final is None:
        if run.stop_requested:
            return "interrupted"
        # A content filter ends a run without a final answer (S). So does an answer that is a file
        # alone, which has no final text.
        return "incomplete" if run.accumulator.streamed_characters else "stop"
    if not final.interrupted:
        return "stop"
    if run.stop_requested:
        return "interrupted"
    raise GenerationInterrupted(
        "The answer was stopped, and not by this client (another tab, or the server).",
        partial=run.answer("interrupted"),
    )


def _message_id(server: ServerInfo, message: OutgoingMessage, run: RunState) -> Flow[str | None]:
    """Find out the answer's ID, which the stream does not carry; None if no message is the answer.

    What is written later refers to it, so that another message's ID would be worse than none: the
    end of the branch that was written to last may be somebody else's.

    The conversation was requested while the answer came. It is read again only if the answer was
    not in it. The answer is whole by now, so a failure here is ignored, and both together are
    waited for no longer than one response: the answer would wait as well.
    """
    until = after((yield from now()), server.policy.timeouts.response)
    early = yield from read_early(server, run, until)
    if early is not None and (answer := run.stored_answer(early, message)) is not None:
        return answer.id
    dialect = yield from discovery.dialect(server)
    yield Start(dialect.get_conversation(run.conversation_id))
    stored = yield from collect_conversation(server, run, until)
    found = None if stored is None else run.stored_answer(stored, message)
    return None if found is None else found.id


def stop_run(server: ServerInfo, run: RunState) -> Flow[bool]:
    """Ask the server to stop a run; return whether one was running."""
    if not run.can_be_stopped:
        return False
    run.request_stop()
    try:
        yield from conversations.stop(
            server, run.conversation_id, run.generation_id, run.accumulator.streamed_units
        )
    except HuggingChatError:
        run.stop_failed()
        raise
    return True


def clean_up_run(server: ServerInfo, run: RunState, *, stops: bool) -> Flow[None]:
    """Stop a run that nobody reads any more, and delete its conversation if it was ephemeral.

    A failure here must not hide the error, or the success, with which the caller leaves.
    """
    if stops:
        try:
            yield from stop_run(server, run)
        except HuggingChatError as error:
            _log.debug("run %s could not be stopped: %s", run.generation_id, error)
    try:
        yield from settings.release(server, run)
    except HuggingChatError as error:
        _log.warning("the account's settings could not be restored: %s", error)
    if (conversation_id := run.take_to_delete()) is not None:
        try:
            yield from conversations.delete(server, conversation_id)
        except HuggingChatError as error:
            _log.warning("conversation %s could not be deleted: %s", conversation_id, error)
