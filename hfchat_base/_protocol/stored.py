"""A stored conversation: its messages as the tree that they form.

Reading them out of what either generation sends, and finding one's way in them. Both generations
store messages alike; they differ in how the data is wrapped, which is known to `flows/` and
`encodings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hfchat_base._protocol.thinking import split
from hfchat_base.errors import MessageNotFoundError, ProtocolError
from hfchat_base.types import ConversationInfo, Message, MessageFile, MessageState, Role


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation as the server holds it; see `Message` for the tree."""

    id: str
    title: str
    model: str
    system_prompt: str
    root_message_id: str | None
    messages: tuple[Message, ...]

    def message(self, message_id: str) -> Message:
        """Find a message by its id.

        Raises:
            MessageNotFoundError: There is none.
        """
        for message in self.messages:
            if message.id == message_id:
                return message
        msg = f"There is no message {message_id!r} in conversation {self.id}."
        raise MessageNotFoundError(msg)

    def written_by(self, generation_id: str) -> Message | None:
        """Find the answer of a run, or None."""
        runs = (m for m in reversed(self.messages) if m.generation_id == generation_id)
        return next(runs, None)

    def path_to(self, message_id: str) -> tuple[Message, ...]:
        """The messages from the root down to one of them.

        Raises:
            MessageNotFoundError: There is none with this id.
        """
        by_id = {message.id: message for message in reversed(self.messages)}
        path = [self.message(message_id)]
        while (parent := path[-1].parent_id) is not None and len(path) <= len(self.messages):
            path.append(by_id.get(parent) or self.message(parent))
        return tuple(reversed(path))

    def latest(self) -> Message:
        """The end of the branch that was written to last, as chat-ui shows it.

        Raises:
            MessageNotFoundError: The conversation holds no message at all.
        """
        if not self.messages:
            msg = f"Conversation {self.id} holds no messages."
            raise MessageNotFoundError(msg)
        by_id = {message.id: message for message in self.messages}
        message = by_id.get(self.root_message_id or "") or self.messages[0]
        for _ in self.messages:
            children = [by_id[child] for child in message.children if child in by_id]
            if not children:
                break
            message = children[-1]
        return message


def read_conversation(raw: Any, conversation_id: str) -> StoredConversation:
    """Read a conversation out of parsed data.

    Raises:
        ProtocolError: It is no conversation.
    """
    messages = raw.get("messages") if isinstance(raw, dict) else None
    if not isinstance(messages, list):
        msg = f"The server's conversation {conversation_id} holds no list of messages."
        raise ProtocolError(msg)
    root = raw.get("rootMessageId")
    return StoredConversation(
        id=conversation_id,
        title=_string(raw, "title"),
        model=_string(raw, "model"),
        system_prompt=_string(raw, "preprompt"),
        root_message_id=root if isinstance(root, str) else None,
        messages=tuple(_read_message(message) for message in _dicts(messages)),
    )


def read_infos(raw: Any) -> Iterator[ConversationInfo]:
    """Read the rows of a conversation list."""
    for row in _dicts(raw):
        identity = _string(row, "id") or _string(row, "_id")
        if identity:
            yield ConversationInfo(
                id=identity,
                title=_string(row, "title"),
                model=_string(row, "model") or _string(row, "modelId"),
                updated_at=_date(row.get("updatedAt")),
            )


def _read_message(raw: dict[str, Any]) -> Message:
    identity = _string(raw, "id")
    role: Role = raw["from"] if raw.get("from") in ("system", "user", "assistant") else "assistant"
    if not identity:
        msg = "The server sent a message without an id."
        raise ProtocolError(msg)
    content, reasoning = _string(raw, "content"), _string(raw, "reasoning")
    if role == "assistant" and not reasoning:
        content, reasoning = split(content)
    ancestors = raw.get("ancestors")
    parent = ancestors[-1] if isinstance(ancestors, list) and ancestors else None
    children = raw.get("children")
    router = raw.get("routerMetadata")
    return Message(
        id=identity,
        role=role,
        content=content,
        parent_id=parent if isinstance(parent, str) else None,
        children=tuple(c for c in children if isinstance(c, str))
        if isinstance(children, list)
        else (),
        reasoning=reasoning,
        files=tuple(
            MessageFile(_string(f, "name"), _string(f, "value"), _string(f, "mime"))
            for f in _dicts(raw.get("files"))
        ),
        created_at=_date(raw.get("createdAt")),
        generation_id=_string(raw, "generationId") or None,
        state=_state(raw) if role == "assistant" else "complete",
        router={k: v for k, v in router.items() if isinstance(v, str)}
        if isinstance(router, dict)
        else {},
    )


def _state(raw: dict[str, Any]) -> MessageState:
    """Tell what has become of the run that writes a message, by the `updates` stored with it.

    They end in a final answer or an `error` (R). Current servers store them while the run goes on;
    legacy ones only at its end, or when the reader's connection is lost, which ends it as well
    (S). A message without updates was imported, or nothing of its run was stored yet.
    """
    updates = list(_dicts(raw.get("updates")))
    if raw.get("interrupted") is True:
        return "interrupted"
    if any(update.get("status") == "error" for update in updates):
        return "failed"
    if any(
        update.get("type") == "finalAnswer" or update.get("status") == "finished"
        for update in updates
    ):
        return "complete"
    if not updates:
        return "complete" if raw.get("content") else "running"
    return "running" if raw.get("generationId") else "interrupted"


def _dicts(raw: Any) -> Iterable[dict[str, Any]]:
    return (item for item in raw if isinstance(item, dict)) if isinstance(raw, list) else ()


def _string(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _date(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        # Python 3.10 does not read the final Z.
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
