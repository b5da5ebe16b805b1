"""The state of a run: one message's way from being sent to its whole answer.

The states and every step between them live here, and nothing else writes them::

              sending(), may_have_begun()           finished()
    begin() ──► IDLE ────────────────────► RUNNING ───────────► ENDED
                ▲ ▲         not_begun()       │                   │
                │ └───────────────────────────┤                   │
                └─────────────────────────────┴───────────────────┘
                            continue_after_reply()

* IDLE: nothing was sent, or it is known that the server has not begun.
* RUNNING: the server may be writing the answer, whatever became of the connection. Only in this
  state is there something to stop, to resume, or to wait for.
* ENDED: nothing will be added to the answer.

A step that is not drawn is a bug of the caller and raises a `RuntimeError`. Besides its state a run
has what was seen of it, in a form that both streams of the server can be compared by: tokens are
cut differently in the answer and in the log that it is resumed from, so text is counted in
characters and everything else in events (R: ``disconnect_and_resume``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Final, Literal

from hfchat_base._protocol.accumulator import Accumulator
from hfchat_base._protocol.artifacts import NOTHING, ArtifactHistory, history_of
from hfchat_base._protocol.dialects import Dialect, OutgoingMessage
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base.errors import MessageNotFoundError
from hfchat_base.events import Event, FinalAnswer, Status, TextDelta
from hfchat_base.types import Answer, ArtifactsOption, FinishReason, Message, ReasoningEffort


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How an answer is wanted, as far as it is not part of the message. None: not said.

    Attributes:
        artifacts: See `hfchat_base.types.ArtifactsOption`.
        reasoning_effort: How long the model may think.
        provider: Who runs the model.
        bill_to: The organisation that pays.
        restores_settings: Whether the account gets back what it had before.
        timezone: Where the user is, as an IANA name; False for nowhere.
    """

    artifacts: ArtifactsOption | None = None
    reasoning_effort: ReasoningEffort | None = None
    provider: str | None = None
    bill_to: str | None = None
    restores_settings: bool | None = None
    timezone: str | Literal[False] | None = None

    @property
    def changes_account(self) -> bool:
        """Whether they are settings of the account, which are written before the message."""
        wanted = (self.reasoning_effort, self.provider, self.bill_to)
        return isinstance(self.artifacts, bool) or any(value is not None for value in wanted)

    def over(self, defaults: AnswerOptions) -> AnswerOptions:
        """These options, and the defaults for what they do not say."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return AnswerOptions(
            **{n: getattr(defaults, n) if v is None else v for n, v in values.items()}
        )


@dataclass(eq=False)  # without slots: locks know their holder weakly
class SettingsHold:
    """The account's settings, held for a message (`_flows/settings.py`).

    Attributes:
        take_lock: Takes their lock for this holder if it is free; returns whether it has it.
        release_lock: Releases it.
        before: The settings to restore, by name.
    """

    take_lock: Callable[[SettingsHold], bool]
    release_lock: Callable[[SettingsHold], None]
    before: dict[str, Any] = field(default_factory=dict)

    def take(self) -> bool:
        """Take the lock if nobody else holds it; return whether this holder has it now."""
        return self.take_lock(self)

    def release(self) -> None:
        """Release the lock; may be called again."""
        self.release_lock(self)


class State(Enum):
    """The states of a run; see the drawing above."""

    IDLE = "idle"
    RUNNING = "running"
    ENDED = "ended"


_STEPS: Final = {
    "sending": {State.IDLE: State.RUNNING},
    "may_have_begun": {State.IDLE: State.RUNNING, State.RUNNING: State.RUNNING},
    "not_begun": {State.RUNNING: State.IDLE, State.IDLE: State.IDLE},
    "finished": {State.RUNNING: State.ENDED, State.ENDED: State.ENDED},
    "continue_after_reply": {State.RUNNING: State.IDLE, State.ENDED: State.IDLE},
}


class RunState:
    """One run, as the flow that reads it, its driver and its caller see it.

    Attributes:
        accumulator: What has arrived.
        conversation_id: The conversation that it runs in, once that is known.
        generation_id: Its own id; None on servers that do not name runs.
        reads_message_id: Whether to find out the answer's id at the end.
        to_delete: A conversation to delete when the caller is done with it, whatever happens.
        options: How the answer is wanted.
        settings_hold: The account's settings, as far as they are held for it.
        model: The id of the model that answers.
        details_of: The model whose details are being fetched during the run, or None.
        early: The conversation as it was read while the answer came, or None.
        earlier_artifacts: The artifacts of the messages before, if they are known.
    """

    def __init__(self, *, reads_message_id: bool = True) -> None:
        self.accumulator = Accumulator()
        self.conversation_id = ""
        self.generation_id: str | None = None
        self.reads_message_id = reads_message_id
        self.to_delete: str | None = None
        self.options = AnswerOptions()
        self.earlier_artifacts: ArtifactHistory | None = None
        self.early: StoredConversation | None = None
        self.settings_hold: SettingsHold | None = None
        self.details_of: str | None = None
        self.model = ""
        self._message: OutgoingMessage | None = None
        self._state = State.IDLE
        self._dialect: Dialect | None = None
        self._stop_requested = False
        self._stop_failed = False
        self._open_elicitation: str | None = None
        self._questions = 0
        self._asked_for_id = False
        self._seen_events = 0
        self._characters_before = 0

    def __repr__(self) -> str:
        return f"<run {self.generation_id or self.conversation_id}: {self._state.value}>"

    # --- steps ------------------------------------------------------------------------------------

    def wants(self, options: AnswerOptions) -> None:
        """How the answer is wanted; said before the message is sent."""
        self.options = options

    def in_new_conversation(self, *, to_delete: str | None = None) -> None:
        """The message begins a conversation, so no artifacts came before it.

        Args:
            to_delete: The conversation, if it is deleted once the caller is done with it. Then
                nobody needs the answer's id.
        """
        self.earlier_artifacts = NOTHING
        if to_delete is not None:
            self.to_delete = to_delete
            self.reads_message_id = False

    def begin(self, message: OutgoingMessage, dialect: Dialect, model: str) -> None:
        """Prepare for a message that is about to be sent."""
        self._state = State.IDLE
        self._dialect = dialect
        self._message = message
        self.model = model
        self.early = None
        self.conversation_id = message.conversation_id
        self.generation_id = message.generation_id if dialect.names_runs else None
        self.accumulator = Accumulator(
            model=model,
            conversation_id=message.conversation_id,
            generation_id=self.generation_id,
            raw_artifacts=self.options.artifacts == "raw",
            history=self.earlier_artifacts,
        )
        self._asked_for_id = False
        self._forget_seen()

    def sending(self) -> None:
        """From now on the server may be at work, whatever becomes of the connection."""
        self._step("sending")

    def may_have_begun(self) -> None:
        """A gateway, or a lost connection, leaves open whether the message has arrived."""
        self._step("may_have_begun")

    def not_begun(self, generation_id: str | None = None) -> None:
        """It is known that the server has not begun.

        Args:
            generation_id: The id of the run that is tried next, if it is another one.
        """
        self._step("not_begun")
        if generation_id is not None and self.generation_id is not None:
            self.generation_id = generation_id

    def finished(self) -> None:
        """Nothing will be added to the answer: it is whole, it failed, or it was given up."""
        self._step("finished")

    def hold_settings(self, hold: SettingsHold) -> SettingsHold:
        """The account's settings are held for it from now on."""
        self.settings_hold = hold
        return hold

    def take_to_delete(self) -> str | None:
        """The conversation to delete; it is returned once."""
        conversation_id, self.to_delete = self.to_delete, None
        return conversation_id

    def found_message_id(self, message_id: str | None) -> None:
        """The answer's id, read from the stored conversation."""
        self.accumulator.message_id = message_id

    def read_early(self, stored: StoredConversation) -> None:
        """The conversation, read while the answer came."""
        self.early = stored

    def request_stop(self) -> None:
        """This client asks the server to stop."""
        self._stop_requested = True
        self._stop_failed = False

    def stop_failed(self) -> None:
        """The server may not have heard of the stop, so it can be asked again."""
        self._stop_failed = True

    def ask_for_details(self, model: str) -> None:
        """Note that a model's details are being fetched during the run."""
        self.details_of = model

    def take_details(self) -> str | None:
        """The model whose details are being fetched; returned once."""
        model, self.details_of = self.details_of, None
        return model

    def ask_for_message_id(self) -> bool:
        """Whether to ask for the answer's id now; once a run, and not if it is known."""
        asks = self.reads_message_id and not self._asked_for_id
        self._asked_for_id = True
        return asks and self.accumulator.message_id is None

    def count_question(self) -> int:
        """Count a question that a tool puts to the caller; return how many there were."""
        self._questions += 1
        return self._questions

    def wait_for_reply(self, elicitation_id: str) -> None:
        """The server ends this run, and continues in another one after the user's reply (S)."""
        self._open_elicitation = elicitation_id

    def continue_after_reply(self, generation_id: str) -> str:
        """Go on in another run with the same answer; return the id of the question."""
        self._step("continue_after_reply")
        elicitation_id, self._open_elicitation = self._open_elicitation or "", None
        self.generation_id = generation_id
        self._asked_for_id = False
        self.early = None
        self._forget_seen()
        return elicitation_id

    def _step(self, name: str) -> None:
        following = _STEPS[name].get(self._state)
        if following is None:
            raise RuntimeError(f"a run that is {self._state.value} cannot take the step {name!r}")
        self._state = following

    def _forget_seen(self) -> None:
        self._characters_before = self.accumulator.streamed_characters
        self._seen_events = 0

    # --- what was seen ----------------------------------------------------------------------------

    def take(self, event: Event) -> list[Event]:
        """Add an event and return what the caller should see of it."""
        is_sign_of_life = isinstance(event, Status) and event.status == "keepAlive"
        if not is_sign_of_life and not isinstance(event, TextDelta):
            self._seen_events += 1
        return self.accumulator.take(event)

    def answer(self, finish_reason: FinishReason | None = None) -> Answer:
        """What has arrived of the answer by now."""
        return self.accumulator.answer(finish_reason)

    def stored_answer(self, stored: StoredConversation, message: OutgoingMessage) -> Message | None:
        """The message that the run writes to, in the stored conversation; None if none is there."""
        if self._dialect is None:
            return None
        return self._dialect.find_answer(stored, message, self.generation_id)

    def artifacts_before(self, stored: StoredConversation) -> ArtifactHistory:
        """The artifacts of the messages that the run answers, in the stored conversation."""
        message = self._message
        if message is None:
            return NOTHING
        answer = self.stored_answer(stored, message)
        try:
            path = stored.path_to((answer and answer.parent_id) or message.message_id)
        except MessageNotFoundError:
            return NOTHING
        if answer is None and message.is_retry and message.text is None:
            path = path[:-1]  # the answer that is done again
        return history_of(path)

    @property
    def seen_characters(self) -> int:
        """How many characters of the run's stream tokens were taken."""
        return self.accumulator.streamed_characters - self._characters_before

    @property
    def seen_events(self) -> int:
        """How many other events were taken, `keepAlive` left out."""
        return self._seen_events

    @property
    def has_seen_nothing(self) -> bool:
        """Whether nothing at all of the run was seen yet."""
        return self.seen_characters == 0 and self._seen_events == 0

    # --- what it means ----------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the server may be writing the answer."""
        return self._state is State.RUNNING

    @property
    def final(self) -> FinalAnswer | None:
        """The server's final answer, once it has arrived."""
        return self.accumulator.final

    @property
    def is_cut_off(self) -> bool:
        """Whether its stream has ended before the run did, so that something is missing."""
        return (
            self.is_running
            and self._dialect is not None
            and self._dialect.is_cut_off(
                has_final_answer=self.final is not None, stop_requested=self._stop_requested
            )
        )

    @property
    def waits_for_reply(self) -> bool:
        """Whether another run continues the answer after the reply to a question."""
        return self._open_elicitation is not None and self.final is None

    @property
    def stop_requested(self) -> bool:
        """Whether this client has asked the server to stop."""
        return self._stop_requested

    @property
    def can_be_stopped(self) -> bool:
        """Whether a stop would still find the run at work.

        With the final answer it is over, whatever may follow: a stop that comes then would abort
        the next run (S).
        """
        is_asked = self._stop_requested and not self._stop_failed
        return self.is_running and self.final is None and not is_asked
