"""Conversations: trees of messages, and the collection they are kept in.

A run works on a copy and writes the whole list of messages back at its end, as chat-ui does with
its database. That is why two runs at once in one conversation lose an answer; it is kept so on
purpose.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hfchat_base._protocol.constants import CONVERSATIONS_PER_PAGE
from hfchat_base.local.encoding.values import JsonObject, ObjectId, now, text_size
from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from datetime import datetime

    from hfchat_base.local.limits import Retention

__all__ = ["NEW_TITLE", "Conversation", "Conversations", "StopMarker", "TreeError"]

NEW_TITLE = "New Chat"
"""What a conversation is called before its first message (R: ``plain_answer``)."""


_changes = itertools.count()


class TreeError(Exception):
    """A message was to be put where the tree has no place for it."""


@dataclass(frozen=True)
class StopMarker:
    """Somebody asked for a conversation's runs to stop.

    Attributes:
        at: When, in seconds of the event loop's clock.
        generation_id: The run that was meant, or None.
        seen: UTF-16 code units of the answer that the asker had seen, or None.
    """

    at: float
    generation_id: str | None = None
    seen: int | None = None


@dataclass
class Conversation:
    """One conversation, or a share of one.

    Attributes:
        id: An object id, or a share's short id.
        owner: Who it belongs to (`Session.owner`); nobody for a share.
        model: Id of its model.
        preprompt: The system prompt.
        root_message_id: Id of the system message.
        messages: All messages of the tree, oldest first.
        title: Its title.
        updated_at: Last change, in whole milliseconds; set by `touch`.
        change: Number of that change among all changes of all conversations. It tells the order of
            changes that share a millisecond.
        from_share: The share it was imported from, or None.
        stop_marker: A stop that no run has obeyed yet, or None.
    """

    id: str
    owner: str
    model: str
    preprompt: str
    root_message_id: str
    messages: list[JsonObject]
    title: str = NEW_TITLE
    updated_at: datetime = field(default_factory=now)
    change: int = field(default_factory=lambda: next(_changes))
    from_share: str | None = None
    stop_marker: StopMarker | None = None

    def touch(self) -> None:
        """Note that it was changed now."""
        self.updated_at = now()
        self.change = next(_changes)

    def copy(self) -> Conversation:
        """Copy it so far that changes of the copy's messages leave this one alone."""
        return replace(self, messages=[_copy_message(message) for message in self.messages])

    def find(self, message_id: str) -> JsonObject | None:
        """Return a message, or None if it is not here.

        Args:
            message_id: Its id.
        """
        return next((message for message in self.messages if message["id"] == message_id), None)

    def add_child(self, message: JsonObject, parent_id: str | None) -> JsonObject:
        """Append a message below another.

        Args:
            message: The message without its place.
            parent_id: Id of the message above.

        Raises:
            TreeError: There is no such message.
        """
        parent = self.find(parent_id) if parent_id else None
        if parent is None:
            raise TreeError("no such parent message")
        child = {
            **message,
            "ancestors": [*parent["ancestors"], parent["id"]],
            "id": str(uuid.uuid4()),
            "children": [],
        }
        parent["children"].append(child["id"])
        self.messages.append(child)
        return child

    def add_sibling(self, message: JsonObject, sibling: JsonObject) -> JsonObject:
        """Append a message beside another.

        Args:
            message: The message without its place.
            sibling: The message that it is an alternative to.

        Raises:
            TreeError: The other message is the root.
        """
        if not sibling["ancestors"]:
            raise TreeError("the root has no siblings")
        added = {
            **message,
            "id": str(uuid.uuid4()),
            "ancestors": list(sibling["ancestors"]),
            "children": [],
        }
        parent = self.find(sibling["ancestors"][-1])
        if parent is not None:
            parent["children"].append(added["id"])
        self.messages.append(added)
        return added

    def path_to(self, message: JsonObject) -> list[JsonObject]:
        """List the messages from the root down to a message, itself included.

        Args:
            message: The last one.
        """
        ancestors = (self.find(ancestor) for ancestor in message["ancestors"])
        return [*(found for found in ancestors if found is not None), message]

    def delete_below(self, message_id: str) -> bool:
        """Delete a message and everything below it.

        Args:
            message_id: Its id.

        Returns:
            Whether it was here.
        """
        if self.find(message_id) is None:
            return False
        self.messages = [
            message
            for message in self.messages
            if message["id"] != message_id and message_id not in message["ancestors"]
        ]
        for message in self.messages:
            message["children"] = [child for child in message["children"] if child != message_id]
        return True

    def switch_model(self, model: str) -> None:
        """Change the model, and note on the answers so far which one wrote them (R: ``manage``).

        Args:
            model: Id of the new model.
        """
        if model == self.model:
            return
        for message in self.messages:
            metadata = message.get("routerMetadata") or {}
            if message["from"] == "assistant" and not metadata.get("model"):
                message["routerMetadata"] = {"route": "", **metadata, "model": self.model}
        self.model = model


class Conversations:
    """All conversations and shares of a server.

    Args:
        retention: How much is kept.
    """

    def __init__(self, retention: Retention) -> None:
        most, most_bytes = retention.conversations, retention.total_bytes
        self._own: Recent[str, Conversation] = Recent(most, most_bytes, size=_size)
        self._shares: Recent[str, Conversation] = Recent(most, most_bytes, size=_size)

    def create(self, *, owner: str, model: str, preprompt: str) -> Conversation:
        """Make an empty conversation.

        Args:
            owner: Who it belongs to.
            model: Id of its model.
            preprompt: The system prompt, which becomes the root message.
        """
        root: JsonObject = {
            "id": str(uuid.uuid4()),
            "from": "system",
            "content": preprompt,
            "createdAt": now(),
            "updatedAt": now(),
            "children": [],
            "ancestors": [],
        }
        return self._keep(Conversation(ObjectId.new(), owner, model, preprompt, root["id"], [root]))

    def of(self, owner: str, conversation_id: str) -> Conversation | None:
        """Return somebody's own conversation, or None.

        Args:
            owner: Whose it must be.
            conversation_id: Its id.
        """
        found = self._own.get(conversation_id)
        return found if found is not None and found.owner == owner else None

    def exists(self, conversation_id: str) -> bool:
        """Tell whether anybody has such a conversation.

        Args:
            conversation_id: Its id.
        """
        return conversation_id in self._own

    def count(self, owner: str) -> int:
        """Count somebody's conversations.

        Args:
            owner: Whose.
        """
        return sum(conversation.owner == owner for conversation in self._own.values())

    def page(self, owner: str, number: int) -> tuple[list[Conversation], bool]:
        """List somebody's conversations, the last changed first.

        Args:
            owner: Whose.
            number: Page number, from 0.

        Returns:
            One page, and whether more follow.
        """
        mine = [found for found in self._own.values() if found.owner == owner]
        mine.sort(key=lambda found: (found.updated_at, found.change), reverse=True)
        start = max(number, 0) * CONVERSATIONS_PER_PAGE
        end = start + CONVERSATIONS_PER_PAGE
        return mine[start:end], len(mine) > end

    def delete(self, conversation: Conversation) -> None:
        """Forget a conversation.

        Args:
            conversation: Which.
        """
        self._own.pop(conversation.id)

    def delete_all(self, owner: str) -> int:
        """Forget all conversations of somebody.

        Args:
            owner: Whose.

        Returns:
            How many there were.
        """
        mine = [found for found in self._own.values() if found.owner == owner]
        for conversation in mine:
            self.delete(conversation)
        return len(mine)

    def save(self, run_copy: Conversation, messages: list[JsonObject]) -> None:
        """Write a run's whole list of messages over whatever is stored by now.

        A conversation that was deleted meanwhile stays deleted.

        Args:
            run_copy: The run's copy, whose title is written too.
            messages: The messages to store.
        """
        kept = self._own.get(run_copy.id)
        if kept is not None:
            kept.messages = [_copy_message(message) for message in messages]
            kept.title = run_copy.title
            kept.touch()
            self._keep(kept)

    def save_message(self, conversation_id: str, message: JsonObject) -> None:
        """Write one message of a run over the stored one, but for its place in the tree.

        Args:
            conversation_id: Where.
            message: The message.
        """
        kept = self._own.get(conversation_id)
        stored = kept.find(message["id"]) if kept is not None else None
        if stored is not None:
            place = {"ancestors", "children"}
            new = {key: value for key, value in message.items() if key not in place}
            stored.update(_copy_message(new))

    def save_title(self, conversation_id: str, title: str) -> None:
        """Store a title.

        Args:
            conversation_id: Whose.
            title: The title.
        """
        kept = self._own.get(conversation_id)
        if kept is not None:
            kept.title = title
            kept.touch()
            self._keep(kept)

    def share(self, conversation: Conversation, share_id: str) -> Conversation:
        """Keep a frozen copy that anybody may read.

        Args:
            conversation: What to share.
            share_id: The id to keep it under, unless the same state is already shared.
        """
        for known in self._shares.values():
            if (known.title, known.messages) == (conversation.title, conversation.messages):
                return known
        shared = replace(conversation.copy(), id=share_id, owner="")
        shared.touch()
        self._shares[share_id] = shared
        return shared

    def shared(self, share_id: str) -> Conversation | None:
        """Return a share, or None.

        Args:
            share_id: Its id.
        """
        return self._shares.get(share_id)

    def imported(self, owner: str, shared: Conversation) -> Conversation | None:
        """Find what somebody has made out of a share before.

        Args:
            owner: Who.
            shared: The share.
        """
        own = (c for c in self._own.values() if c.owner == owner and c.from_share == shared.id)
        return min(own, key=lambda made: made.id, default=None)

    def import_share(self, owner: str, shared: Conversation) -> Conversation:
        """Copy a share into somebody's conversations.

        Args:
            owner: Whose.
            shared: The share.
        """
        made = replace(shared.copy(), id=ObjectId.new(), owner=owner, from_share=shared.id)
        made.touch()
        return self._keep(made)

    def _keep(self, conversation: Conversation) -> Conversation:
        self._own[conversation.id] = conversation
        return conversation


def _size(conversation: Conversation) -> int:
    return text_size(conversation.preprompt) + text_size(conversation.messages)


def _copy_message(message: JsonObject) -> JsonObject:
    """Copy a message and its lists; what the lists hold is never changed in place."""
    return {
        key: list(value) if isinstance(value, list) else value for key, value in message.items()
    }
