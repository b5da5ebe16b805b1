"""A message list → the server-side conversation that already holds its beginning.

Frameworks hand over the whole history at every call. chat-ui takes one user message at a time and
keeps the rest itself, so sending a history again and again would cost quadratic traffic and lose
the roles. What lives here is an index from "this beginning of a history" to "this message in that
conversation", in memory, bounded, one per client, safe between threads and tasks. It decides what
is new and where it goes; it sends nothing (`_flows/histories.py` does).

The rules:

* Model and system prompt belong to the beginning: another one of them is another conversation.
* What follows the longest known beginning is sent as a child of its last message. An edited history
  therefore branches.
* A history without a known beginning starts a conversation: its leading system messages become the
  system prompt, the rest one clearly marked transcript (or the bare text, if it is one message).
* A conversation in use by one call is never used by another (two runs at once lose an answer, R:
  `two_runs_in_one_conversation`): the other call gets a conversation of its own.
* A conversation that is gone, is full, or was left in the middle of a run is forgotten.
* A message of a history may refer to the server's message that it is (`AnswerReference`). If the
  index does not know the beginning that ends with it, the plan names the reference. A reference
  fits one beginning only, model and system prompt included, and whoever carries out the plan asks
  the server whether it holds. So a conversation can continue in another process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hfchat_base._forks import Lock, register
from hfchat_base.errors import InvalidRequestError
from hfchat_base.policy import Limits
from hfchat_base.types import Answer, AnswerReference, Attachment, ChatMessage

_Key = bytes


@dataclass(slots=True)
class _Conversation:
    """A conversation on the server, and whether a call is using it."""

    conversation_id: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """A message in a conversation: where a known beginning ends."""

    conversation: _Conversation
    message_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send for a history, and where.

    Attributes:
        model: The model that will answer.
        conversation_id: A conversation that holds the beginning, or None for a new one.
        parent_id: The message to continue from, or None in a new conversation.
        system_prompt: For a new conversation.
        text: What the user says.
        files: What is attached to it.
        reference: Where a longer beginning than the known one should be, or None.
        end: The key of the whole history, for the index.
        held: The conversation that the plan holds, for the index; None for a new one.
    """

    model: str
    conversation_id: str | None
    parent_id: str | None
    system_prompt: str
    text: str
    files: tuple[Attachment, ...]
    reference: AnswerReference | None
    end: _Key
    held: _Conversation | None


class ConversationIndex:
    """The index of one client.

    Args:
        max_entries: How many beginnings to remember; the least recently used go first.
    """

    def __init__(self, max_entries: int = Limits().beginnings) -> None:
        self._max_entries = max_entries
        self._places: OrderedDict[_Key, _Place] = OrderedDict()
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()
        register(self)

    def after_fork(self) -> None:
        """Forget all conversations: the parent of this process continues them.

        Two processes in one conversation would take each other's runs for their own. Nothing is
        lost, since every call brings its whole history.
        """
        for place in self._places.values():
            self._forgotten[place.conversation.conversation_id] = None
        self._places = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def plan(self, model: str, messages: Sequence[ChatMessage], *, fresh: bool = False) -> Plan:
        """Decide what to send, and hold the conversation that it goes to.

        A plan that holds a conversation has to be given back with `done`, `release` or `forget`.

        Args:
            model: The id of the model that will answer.
            messages: The whole history.
            fresh: Whether to begin a new conversation whatever is known.

        Raises:
            InvalidRequestError: There is nothing to answer.
        """
        system_prompt, history = _split_system_prompt(messages)
        if not history:
            msg = "There is no message to answer: the history has only system messages, or none."
            raise InvalidRequestError(msg)
        keys = _keys(model, system_prompt, history)
        with self._lock:
            known = None if fresh else self._longest_known(keys, history)
            reference = None if fresh else self._reference(keys, history, known[0] if known else 0)
            if known is None:
                text, files = render(history)
                return Plan(
                    model, None, None, system_prompt, text, files, reference, keys[-1], None
                )
            index, place = known
            place.conversation.busy = True
        text, files = render(history[index:], continues=True)
        return Plan(
            model,
            place.conversation.conversation_id,
            place.message_id,
            system_prompt,
            text,
            files,
            reference,
            keys[-1],
            place.conversation,
        )

    def done(
        self,
        plan: Plan,
        conversation_id: str,
        answer: Answer,
        known_as: Sequence[ChatMessage] | None = None,
    ) -> str | None:
        """Remember where an answered history ends, and release its conversation.

        Args:
            plan: What was sent.
            conversation_id: Where it was sent to.
            answer: The answer; without its id nothing can be continued from there.
            known_as: The history, answer included, that the caller will pass next; by default
                the planned one and the answer's text.

        Returns:
            What identifies that history; None if it cannot be continued.
        """
        with self._lock:
            conversation = plan.held or _Conversation(conversation_id)
            conversation.busy = False
            if answer.message_id is None:
                return None
            if known_as is None:
                key = _extend(plan.end, ChatMessage("assistant", answer.text))
            else:
                key = _keys(plan.model, *_split_system_prompt(known_as))[-1]
            self._remember(key, _Place(conversation, answer.message_id))
            return key.hex()

    def confirm(self, reference: AnswerReference) -> None:
        """Remember a beginning that a plan has referred to, now that the server has confirmed it.

        Args:
            reference: `Plan.reference`.
        """
        with self._lock:
            known = (place.conversation for place in self._places.values())
            same = (c for c in known if c.conversation_id == reference.conversation_id)
            conversation = next(same, None) or _Conversation(reference.conversation_id)
            assert reference.history_id is not None  # noqa: S101 - a plan has put it in
            key = bytes.fromhex(reference.history_id)
            self._places.setdefault(key, _Place(conversation, reference.message_id))
            self._remember(key, self._places[key])

    def release(self, plan: Plan) -> None:
        """Release a plan's conversation, which stays as it was before."""
        if plan.held is not None:
            with self._lock:
                plan.held.busy = False

    def forget(self, conversation_id: str) -> None:
        """Forget a conversation: it is gone, or nobody knows what is still running in it."""
        with self._lock:
            self._places = OrderedDict(
                (key, place)
                for key, place in self._places.items()
                if place.conversation.conversation_id != conversation_id
            )
            self._forgotten[conversation_id] = None
            while len(self._forgotten) > self._max_entries:
                self._forgotten.popitem(last=False)

    def _remember(self, key: _Key, place: _Place) -> None:
        self._places[key] = place
        self._places.move_to_end(key)
        while len(self._places) > self._max_entries:
            self._places.popitem(last=False)

    def _reference(
        self, keys: Sequence[_Key], history: Sequence[ChatMessage], known: int
    ) -> AnswerReference | None:
        """The reference of the longest beginning that is longer than the known one."""
        candidates = list(zip(keys[1:-1], history[:-1], strict=True))[known:]
        for key, message in reversed(candidates):
            if key in self._places:
                return None  # it is in use
            reference = message.reference
            if (
                reference is not None
                and reference.history_id in (key.hex(), None)
                and reference.conversation_id not in self._forgotten
            ):
                return replace(reference, history_id=key.hex())
        return None

    def forget_all(self) -> None:
        """Forget all conversations: they are gone."""
        with self._lock:
            self._places = OrderedDict()

    def _longest_known(
        self, keys: Sequence[_Key], history: Sequence[ChatMessage]
    ) -> tuple[int, _Place] | None:
        # The last message is what is to be answered, so it is never part of the beginning.
        for index, key in reversed(list(enumerate(keys[: len(history)]))[1:]):
            place = self._places.get(key)
            if place is not None and not place.conversation.busy:
                self._places.move_to_end(key)
                return index, place
        return None


def render(
    history: Sequence[ChatMessage], *, continues: bool = False
) -> tuple[str, tuple[Attachment, ...]]:
    """Write messages as the one message that the server takes.

    User messages alone are joined by blank lines. A mix of roles becomes a marked transcript. What
    the user said last follows it, so that small models see what they have to answer. A preamble
    comes first.

    Args:
        history: The messages, without leading system messages.
        continues: Whether they follow messages that the server has.
    """
    files = tuple(upload for message in history for upload in message.files)
    if history and history[0].is_preamble:
        rest, _ = render(history[1:], continues=continues)
        return "\n\n".join(filter(None, (history[0].content, rest))), files
    if all(message.role == "user" for message in history):
        return "\n\n".join(message.content for message in history) or _attached(files), files
    heading = (
        "The conversation went on as follows" if continues else "This is our conversation so far"
    )
    count = next(i for i, message in enumerate(reversed(history)) if message.role != "user")
    before, asked = history[: len(history) - count], history[len(history) - count :]
    if asked:
        request = "\n\n".join(message.content for message in asked)
    elif history[-1].role == "system":
        before, request = history[:-1], _labelled(history[-1])
    else:
        request = "Go on with your last message from where it ends."
    transcript = "\n\n".join(_labelled(message) for message in before)
    return f"{heading}:\n\n<transcript>\n{transcript}\n</transcript>\n\n{request}", files


def _labelled(message: ChatMessage) -> str:
    return " ".join(
        filter(None, [f"{message.role.capitalize()}:", message.content, _attached(message.files)])
    )


def _attached(files: Sequence[Attachment]) -> str:
    # A server takes no message without text.
    return " ".join(f"[attached: {upload.name}]" for upload in files)


def _split_system_prompt(messages: Sequence[ChatMessage]) -> tuple[str, Sequence[ChatMessage]]:
    """The leading system messages as one text, and the messages that follow them."""
    count = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    system_prompt = "\n\n".join(m.content for m in messages[:count] if m.content)
    return system_prompt, messages[count:]


def _keys(model: str, system_prompt: str, history: Sequence[ChatMessage]) -> list[_Key]:
    """The key of each beginning: keys[i] stands for the first i messages."""
    key = hashlib.blake2b(_packed(model, system_prompt), digest_size=20).digest()
    keys = [key]
    for message in history:
        key = _extend(key, message)
        keys.append(key)
    return keys


def _extend(key: _Key, message: ChatMessage) -> _Key:
    # What an assistant said may come back with its outer white space trimmed by an output parser.
    content = message.content.strip() if message.role == "assistant" else message.content
    digest = hashlib.blake2b(key, digest_size=20)
    digest.update(_packed(message.role, content))
    for upload in message.files:
        digest.update(_packed(upload.name, upload.mime))
        digest.update(hashlib.blake2b(upload.data, digest_size=20).digest())
    return digest.digest()


def _packed(*texts: str) -> bytes:
    """Texts as bytes, each after its length, so that no other texts give the same bytes."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
