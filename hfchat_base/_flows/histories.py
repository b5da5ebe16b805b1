"""An answer to a whole history: find or make the conversation, send what is new, read the answer.

`index.py` decides which conversation that is. What lives here is the order of the steps, and what
is done when the server has lost a conversation that the index counted on.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hfchat_base._flows import attachments, conversations, discovery, settings
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo, is_temporary
from hfchat_base._flows.index import ConversationIndex, Plan
from hfchat_base._flows.run import answer as run_answer
from hfchat_base._flows.run_state import AnswerOptions, RunState
from hfchat_base._protocol.dialects import OutgoingMessage
from hfchat_base._protocol.requests import check_conversation_id, check_message_id, check_text
from hfchat_base.errors import (
    AccessDeniedError,
    ConversationFullError,
    ConversationNotFoundError,
    HuggingChatError,
    MessageNotFoundError,
    ProtocolError,
    ResponseError,
    ServerError,
)
from hfchat_base.types import Answer, AnswerReference, AsHistory, ChatMessage, McpServer

_log = logging.getLogger("hfchat")

_GONE: Final = (
    ConversationNotFoundError,
    ConversationFullError,
    MessageNotFoundError,
    AccessDeniedError,
)
"""The errors after which a conversation cannot be continued."""


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """A caller's request for the answer to a history.

    Attributes:
        messages: The whole history.
        model: A model's id or short name, or None for the default.
        web_search: Whether to search the web first.
        mcp_servers: The tool servers to offer.
        as_history: Turns the answer into the history that the next call will pass; None for
            `messages` and the answer's text.
        may_switch_model: Whether another model may answer if there are images and the named one
            does not accept them.
        answer: How the answer is wanted.
    """

    messages: Sequence[ChatMessage]
    model: str | None = None
    web_search: bool = False
    mcp_servers: Sequence[McpServer] = ()
    as_history: AsHistory | None = None
    may_switch_model: bool = True
    answer: AnswerOptions = field(default_factory=AnswerOptions)


def answer_history(
    server: ServerInfo,
    index: ConversationIndex,
    request: HistoryRequest,
    run: RunState,
    *,
    ephemeral: bool,
) -> Flow[Answer]:
    """Answer a history.

    Args:
        server: The server.
        index: The client's index.
        request: The history, and how its answer is wanted.
        run: The run, which the driver and the stream read as well.
        ephemeral: Whether to delete the conversation at once, so that the account keeps no trace.

    Raises:
        HuggingChatError: See `conversations.create` and `run.answer`.
    """
    run.wants(request.answer)
    model = yield from _model_id(server, request)
    yield from discovery.check_mcp_servers(
        server, request.mcp_servers, web_search=request.web_search
    )
    yield from settings.check(server, model, request.answer)
    request = yield from _readable(server, request, model)
    yield from discovery.start_details(server, run, model)
    if ephemeral:
        return (yield from _ephemeral(server, request, run, model))
    plan = index.plan(model, request.messages)
    if plan.reference is not None:
        try:
            is_there = yield from _is_there(server, plan, plan.reference)
        finally:
            index.release(plan)
        if is_there:
            index.confirm(plan.reference)
        else:
            index.forget(plan.reference.conversation_id)
        plan = index.plan(model, request.messages)
    if plan.conversation_id is not None:
        try:
            return (yield from _send(server, index, request, run, model, plan))
        except HuggingChatError as error:
            if not (yield from _is_gone(server, plan, run, error)):
                raise
            _log.info("conversation %s cannot be continued (%s)", plan.conversation_id, error)
            index.forget(plan.conversation_id)
        plan = index.plan(model, request.messages, fresh=True)
    return (yield from _send(server, index, request, run, model, plan))


def _send(
    server: ServerInfo,
    index: ConversationIndex,
    request: HistoryRequest,
    run: RunState,
    model: str,
    plan: Plan,
) -> Flow[Answer]:
    answered = False
    conversation_id, parent_id = plan.conversation_id, plan.parent_id
    try:
        check_text(plan.text)
        if conversation_id is None or parent_id is None:
            created = yield from conversations.create(server, model, plan.system_prompt)
            conversation_id = created.id
            run.in_new_conversation()
            parent_id = created.root_message_id or created.latest().id
            if created.model and created.model != model:
                # It was a short name; the history is known under the model's id from now on.
                model = created.model
                plan = index.plan(model, request.messages, fresh=True)
        answer = yield from run_answer(
            server,
            _outgoing_message(request, plan, conversation_id, parent_id),
            run,
            model=model,
        )
        answered = True
    finally:
        if not answered:
            if run.is_running and conversation_id is not None:
                # Nobody knows when that run ends, and two at once would lose an answer.
                index.forget(conversation_id)
            index.release(plan)
    if run.stop_requested:
        # A stop that came after the end would stop the next run as well (S).
        index.forget(conversation_id)
        index.release(plan)
    else:
        known_as = request.as_history(answer) if request.as_history else None
        history_id = index.done(plan, conversation_id, answer, known_as)
        answer = answer.model_copy(update={"history_id": history_id})
    return answer


def _readable(server: ServerInfo, request: HistoryRequest, model: str) -> Flow[HistoryRequest]:
    """A request whose attachments a model can read."""
    readables = yield from attachments.prepare(
        server, model, request.messages, provider=request.answer.provider
    )
    if not readables:
        return request
    given = request.as_history
    return replace(
        request,
        messages=attachments.applied(readables, request.messages),
        as_history=(lambda answer: attachments.applied(readables, given(answer)))
        if given
        else None,
    )


def _is_there(server: ServerInfo, plan: Plan, reference: AnswerReference) -> Flow[bool]:
    """Ask the server whether an answer that a history refers to can be continued from.

    The reference comes with the history, so nothing is taken for granted: the conversation has to
    be ours, with the same model and system prompt, and no run may be in progress in it.

    Raises:
        ResponseError: The server asks to wait, which says nothing about the conversation.
    """
    try:
        check_message_id(reference.message_id)
        conversation_id = check_conversation_id(reference.conversation_id)
        stored = yield from conversations.read(server, conversation_id)
    except (ResponseError, ProtocolError) as error:
        if is_temporary(error):
            raise
        _log.info("conversation %r cannot be continued (%s)", reference.conversation_id, error)
        return False
    is_same_prompt = not plan.system_prompt or stored.system_prompt == plan.system_prompt
    return (
        stored.model == plan.model
        and is_same_prompt
        and all(message.is_complete for message in stored.messages)
        and any(m.id == reference.message_id and m.role == "assistant" for m in stored.messages)
    )


def _ephemeral(
    server: ServerInfo, request: HistoryRequest, run: RunState, model: str
) -> Flow[Answer]:
    plan = ConversationIndex().plan(model, request.messages)
    check_text(plan.text)
    created = yield from conversations.create(server, model, plan.system_prompt)
    run.in_new_conversation(to_delete=created.id)
    parent_id = created.root_message_id or created.latest().id
    message = _outgoing_message(request, plan, created.id, parent_id)
    return (yield from run_answer(server, message, run, model=model))


def _outgoing_message(
    request: HistoryRequest, plan: Plan, conversation_id: str, parent_id: str
) -> OutgoingMessage:
    return OutgoingMessage(
        conversation_id=conversation_id,
        message_id=parent_id,
        text=plan.text,
        generation_id=str(uuid.uuid4()),
        files=plan.files,
        web_search=request.web_search,
        mcp_servers=request.mcp_servers,
        timezone=request.answer.timezone or None,
    )


def _is_gone(server: ServerInfo, plan: Plan, run: RunState, error: HuggingChatError) -> Flow[bool]:
    """Return whether an error means that a conversation cannot be continued.

    If the message may have reached the conversation before that was deleted, sending it to another
    one is a second attempt: the result of the first is gone with its conversation.
    """
    if run.is_running and server.policy.retries.attempts == 1:
        return False
    if isinstance(error, _GONE):
        return True
    if not isinstance(error, ServerError) or plan.conversation_id is None:
        return False
    # A parent message that was deleted is answered with a bare 500 (R: `bad_requests`).
    try:
        stored = yield from conversations.read(server, plan.conversation_id)
    except _GONE:
        return True
    except HuggingChatError:
        return False
    return all(message.id != plan.parent_id for message in stored.messages)


def _model_id(server: ServerInfo, request: HistoryRequest) -> Flow[str]:
    if any(upload.is_image for message in request.messages for upload in message.files):
        return (
            yield from discovery.vision_model(
                server, request.model, may_switch=request.may_switch_model
            )
        ).id
    if request.model is None:
        return (yield from discovery.default_model(server)).id
    if server.wants_details or any(message.reference for message in request.messages):
        # Both belong to a model's id, which a short name is found by in the list.
        yield from discovery.models(server)
    return server.catalog.resolve(request.model).id if server.catalog else request.model
