"""Messages in a conversation that a caller holds: send one, regenerate an answer, edit one.

What lives here is what such a conversation remembers between its messages, and the guard that only
one run is active in it. `run.py` reads the answer; `histories.py` handles whole histories.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from hfchat_base._flows import conversations, discovery, settings
from hfchat_base._flows.attachments import is_recording, readable_messages
from hfchat_base._flows.commands import Flow, sleep
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.run import answer as run_answer
from hfchat_base._flows.run_state import AnswerOptions, RunState
from hfchat_base._forks import Lock
from hfchat_base._protocol.constants import STOP_MARKER_SECONDS
from hfchat_base._protocol.dialects import OutgoingMessage
from hfchat_base._protocol.requests import check_message_id, check_text
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base.errors import ConversationBusyError, InvalidRequestError
from hfchat_base.types import Answer, Attachment, ChatMessage, McpServer, Role


@dataclass(slots=True)
class ConversationState:
    """What a conversation object knows, shared between its flows.

    Attributes:
        id: The server's id.
        model: The id of its model.
        title: As the server last sent it.
        system_prompt: The one that it began with.
        message_id: Where the next message goes; None if that has to be read.
        run: The active run, or None.
        unsettled: A run that was closed early or stopped, so that its end is not known, and the
            message that began it; None if there is none.
    """

    id: str
    model: str = ""
    title: str = ""
    system_prompt: str = ""
    message_id: str | None = None
    run: RunState | None = None
    unsettled: tuple[RunState, OutgoingMessage] | None = None
    _lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def from_stored(cls, stored: StoredConversation) -> ConversationState:
        """Continue after the message that was written last."""
        state = cls(stored.id)
        state.note(stored)
        return state

    def note(self, stored: StoredConversation) -> None:
        """Take over what the server says."""
        self.model = stored.model or self.model
        self.title = stored.title or self.title
        self.system_prompt = stored.system_prompt
        self.message_id = stored.latest().id

    def hold(self, run: RunState) -> None:
        """Begin a run.

        Raises:
            ConversationBusyError: A run is in progress.
        """
        with self._lock:
            if self.run is not None:
                msg = (
                    "An answer is already running in this conversation, and two at once would lose"
                    " one. Read the first to its end, close it, or use another conversation."
                )
                raise ConversationBusyError(msg)
            self.run = run

    def release(self) -> None:
        """End a run."""
        with self._lock:
            self.run = None


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What is sent with a message, and how its answer is wanted."""

    files: Sequence[Attachment] = ()
    web_search: bool = False
    mcp_servers: Sequence[McpServer] = ()
    answer: AnswerOptions = field(default_factory=AnswerOptions)


def send_message(
    server: ServerInfo,
    state: ConversationState,
    run: RunState,
    text: str,
    options: SendOptions,
    *,
    parent_id: str | None,
) -> Flow[Answer]:
    """Send a message after the last one, or after another one: a branch."""
    return _run(server, state, run, text, options, parent_id)


def retry(
    server: ServerInfo,
    state: ConversationState,
    run: RunState,
    options: SendOptions,
    *,
    message_id: str | None,
) -> Flow[Answer]:
    """Answer again: a sibling of an assistant's message, by default the last one."""
    return _run(server, state, run, None, options, message_id, redoes="assistant")


def edit(
    server: ServerInfo,
    state: ConversationState,
    run: RunState,
    text: str,
    options: SendOptions,
    *,
    message_id: str | None,
) -> Flow[Answer]:
    """Say something else instead: a sibling of a user's message, by default the last one."""
    return _run(server, state, run, text, options, message_id, redoes="user")


def _run(
    server: ServerInfo,
    state: ConversationState,
    run: RunState,
    text: str | None,
    options: SendOptions,
    message_id: str | None,
    *,
    redoes: Role | None = None,
) -> Flow[Answer]:
    """Hold the conversation for one run, which follows a message or does one of a role again."""
    if text is not None and not any(map(is_recording, options.files)):
        check_text(text)
    if message_id is not None:
        check_message_id(message_id)
    state.hold(run)
    try:
        yield from _settle(server, state)
        if message_id is None:
            message_id = yield from _target(server, state, redoes)
        yield from _check_options(server, state, run, options)
        files = options.files
        if text is not None:
            given = ChatMessage("user", text, files)
            (readable,) = yield from readable_messages(
                server, state.model, [given], provider=run.options.provider
            )
            text, files = check_text(readable.content), readable.files
        message = OutgoingMessage(
            conversation_id=state.id,
            message_id=message_id,
            text=text,
            generation_id=str(uuid.uuid4()),
            files=files,
            is_retry=redoes is not None,
            web_search=options.web_search,
            mcp_servers=options.mcp_servers,
            timezone=run.options.timezone or None,
        )
        ended = False
        try:
            answer = yield from run_answer(server, message, run, model=state.model)
            ended = True
        finally:
            is_unsettled = run.stop_requested or (not ended and run.is_running)
            state.unsettled = (run, message) if is_unsettled else None
            # Where the conversation stands after a failure is for the server to say.
            state.message_id = run.accumulator.message_id
        state.title = answer.title or state.title
        return answer
    finally:
        state.release()


def _target(server: ServerInfo, state: ConversationState, redoes: Role | None) -> Flow[str]:
    """The message to follow or to answer again if the caller names none."""
    if redoes is not None:
        return (yield from _last(server, state, redoes))
    if state.message_id is None:
        stored = yield from conversations.read(server, state.id)
        state.note(stored)
        return stored.latest().id
    return state.message_id


def _check_options(
    server: ServerInfo, state: ConversationState, run: RunState, options: SendOptions
) -> Flow[None]:
    """Check what goes with a message, and switch to a vision model if it needs one."""
    yield from _ensure_vision_model(server, state, options)
    run.wants(options.answer)
    yield from discovery.check_mcp_servers(
        server, options.mcp_servers, web_search=options.web_search
    )
    yield from settings.check(server, state.model, run.options)


def _ensure_vision_model(
    server: ServerInfo, state: ConversationState, options: SendOptions
) -> Flow[None]:
    """Switch the conversation to a vision model if there are images and its own has no vision."""
    if not any(upload.is_image for upload in options.files):
        return
    model = yield from discovery.vision_model(server, state.model or None)
    if model.id != state.model:
        yield from conversations.update(server, state.id, {"model": model.id})
        state.model = model.id


def _settle(server: ServerInfo, state: ConversationState) -> Flow[None]:
    """After a run that was closed early: wait until the server has finished it.

    The server stores the whole message list at the run's end, so a message sent before that would
    be lost (R: ``two_runs_in_one_conversation``).

    Raises:
        ConversationBusyError: The run did not finish in time.
    """
    if state.unsettled is None:
        return
    run, message = state.unsettled
    settling = server.policy.settling
    for _ in range(settling.looks):
        stored = yield from conversations.read(server, state.id)
        state.note(stored)
        if all(message.is_complete for message in stored.messages):
            break
        yield from sleep(settling.pause)
    else:
        raise ConversationBusyError(
            "The server is still writing the previous answer of this conversation. Wait for it, or"
            " use another conversation."
        )
    state.unsettled = None
    answer = run.stored_answer(stored, message)
    if run.stop_requested and (answer is None or not answer.interrupted):
        # The stop came after the end, seen or unseen: it would stop a message sent at once (S).
        yield from sleep(STOP_MARKER_SECONDS)


def _last(server: ServerInfo, state: ConversationState, role: Role) -> Flow[str]:
    """The id of the last message of a role on the branch that the conversation stands on."""
    stored = yield from conversations.read(server, state.id)
    path = stored.path_to(state.message_id or stored.latest().id)
    for message in reversed(path):
        if message.role == role:
            return message.id
    msg = f"The conversation holds no message of the {role} yet."
    raise InvalidRequestError(msg)
