"""What the server stores, in memory: conversations, files, users, sessions and settings.

Every store is bounded (`BoundedStore`). It knows nothing of HTTP or of models.

A run works on a copy of its conversation and writes the whole list of messages back at its end, as
chat-ui does with its database. Two runs at once in one conversation therefore lose an answer; the
local server keeps that behaviour on purpose.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from hfchat_base.local.wire import (
    UNDEFINED,
    JsonObject,
    JsString,
    ObjectId,
    now,
    text_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


K = TypeVar("K")
V = TypeVar("V")


class BoundedStore(Generic[K, V]):
    """A mapping that forgets its oldest entries. Setting a key makes it the newest.

    It may be used from any thread.

    Args:
        most: How many entries it holds.
        most_bytes: How large they may be together; the newest one stays whatever its size.
        size: The size of a value, in bytes or characters.
    """

    def __init__(
        self, most: int, most_bytes: int = 0, *, size: Callable[[V], int] = lambda _value: 0
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._size = size
        self._lock = threading.RLock()
        self._entries: dict[K, tuple[V, int]] = {}
        self._bytes = 0

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self.pop(key)
            size = self._size(value)
            self._entries[key] = value, size
            self._bytes += size
            self._evict()

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return a value, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def update(self, key: K, value: V) -> None:
        """Replace a value, at its age, if it is still here.

        Args:
            key: Its key.
            value: The new value, or the same one with another size.
        """
        with self._lock:
            if key in self._entries:
                size = self._size(value)
                self._bytes += size - self._entries[key][1]
                self._entries[key] = value, size
                self._evict()

    def pop(self, key: K) -> V | None:
        """Take a value out, and return it, or None."""
        with self._lock:
            value, size = self._entries.pop(key, (None, 0))
            self._bytes -= size
            return value

    def items(self) -> list[tuple[K, V]]:
        """List keys and values, the oldest first."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._entries.items()]

    def values(self) -> list[V]:
        """List the values, the oldest first."""
        return [value for _, value in self.items()]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _evict(self) -> None:
        while len(self._entries) > self._most or (
            self._bytes > self._most_bytes and len(self._entries) > 1
        ):
            self.pop(next(iter(self._entries)))


CONVERSATIONS_PER_PAGE: Final = 30
"""Page size of the list of conversations (S)."""

NEW_TITLE: Final = "New Chat"
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
        """Return a message, or None if it is not here."""
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
        max_entries: How many conversations are kept, and as many shares.
        max_bytes: How large the conversations may be together, and the shares.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._own: BoundedStore[str, Conversation] = BoundedStore(
            max_entries, max_bytes, size=_size
        )
        self._shares: BoundedStore[str, Conversation] = BoundedStore(
            max_entries, max_bytes, size=_size
        )

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

    def get(self, owner: str, conversation_id: str) -> Conversation | None:
        """Return somebody's own conversation, or None.

        Args:
            owner: Whose it must be.
            conversation_id: Its id.
        """
        found = self._own.get(conversation_id)
        return found if found is not None and found.owner == owner else None

    def exists(self, conversation_id: str) -> bool:
        """Tell whether anybody has such a conversation."""
        return conversation_id in self._own

    def count(self, owner: str) -> int:
        """Count somebody's conversations."""
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
        """Forget a conversation."""
        self._own.pop(conversation.id)

    def delete_all(self, owner: str) -> int:
        """Forget all conversations of somebody.

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
        """Write one message of a run over the stored one, but for its place in the tree."""
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
        """Return a share, or None."""
        return self._shares.get(share_id)

    def imported(self, owner: str, shared: Conversation) -> Conversation | None:
        """Find what somebody has made out of a share before."""
        own = (c for c in self._own.values() if c.owner == owner and c.from_share == shared.id)
        return min(own, key=lambda made: made.id, default=None)

    def import_share(self, owner: str, shared: Conversation) -> Conversation:
        """Copy a share into somebody's conversations."""
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


@dataclass(frozen=True)
class StoredFile:
    """A file of a conversation.

    Attributes:
        name: The name it came with.
        mime: Media type.
        data: The bytes.
    """

    name: str
    mime: str
    data: bytes

    @property
    def sha(self) -> str:
        """The name of its content: SHA-256, in hexadecimal, of the bytes *read as text*.

        That is what chat-ui takes it of, also for images (R: ``image_upload``).
        """
        text = self.data.decode("utf-8-sig", "replace")
        return hashlib.sha256(text.encode()).hexdigest()

    def reference(self) -> JsonObject:
        """Describe it as a message's ``files`` do (R: ``image_upload``)."""
        return {"type": "hash", "value": self.sha, "mime": self.mime, "name": self.name}


class Files:
    """All files of a server.

    Args:
        max_entries: How many are kept.
        max_bytes: How large they may be together.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._files: BoundedStore[tuple[str, str], StoredFile] = BoundedStore(
            max_entries, max_bytes, size=lambda file: len(file.data)
        )

    def keep(self, conversation_id: str, file: StoredFile) -> None:
        """Store a file.

        Args:
            conversation_id: The conversation it belongs to.
            file: The file.
        """
        self._files[conversation_id, file.sha] = file

    def get(self, conversation_id: str, sha: str) -> StoredFile | None:
        """Return a file, or None.

        Args:
            conversation_id: The conversation, or share, it must belong to.
            sha: Its digest (`StoredFile.sha`).
        """
        return self._files.get((conversation_id, sha))

    def copy(self, source_id: str, target_id: str) -> None:
        """Give all files of a conversation to another.

        Args:
            source_id: Whose files.
            target_id: Who gets them too.
        """
        for (conversation_id, _), file in self._files.items():
            if conversation_id == source_id:
                self.keep(target_id, file)


@dataclass(frozen=True)
class User:
    """Somebody who has logged in.

    Attributes:
        username: Unique name.
        id: Object id.
    """

    username: str
    id: ObjectId = field(default_factory=ObjectId.new)

    @property
    def email(self) -> str:
        """An address that receives no mail."""
        return f"{self.username}@example.com"

    @property
    def avatar_url(self) -> str:
        """Where a picture would be."""
        return f"http://127.0.0.1/{self.username}.png"


@dataclass
class Session:
    """One browser or program.

    Attributes:
        secret: The cookie's value.
        user: Who has logged in, or None for a guest.
    """

    secret: str
    user: User | None = None

    @property
    def owner(self) -> str:
        """The key that conversations and settings of this session are kept under."""
        return self.user.id if self.user else self.secret


class Sessions:
    """All sessions and users of a server.

    Where guests are let in, a guest's session is kept nowhere: its cookie says it all.

    Args:
        max_entries: How many sessions are kept, and as many users.
    """

    def __init__(self, max_entries: int) -> None:
        self._sessions: BoundedStore[str, Session] = BoundedStore(max_entries)
        self._anonymous: BoundedStore[str, Session] = BoundedStore(max_entries)
        self._users: BoundedStore[str, User] = BoundedStore(max_entries)

    def create(self, user: User | None = None) -> Session:
        """Start a session.

        Args:
            user: Who it is logged in as, or None for a guest.
        """
        session = Session(str(uuid.uuid4()), user)
        sessions = self._anonymous if user is None else self._sessions
        sessions[session.secret] = session
        return session

    def resolve(self, secret: str | None, *, accept_unknown: bool) -> Session:
        """Find the session of a cookie, or start one.

        Args:
            secret: The cookie's value, or None without cookie.
            accept_unknown: Whether an unknown value becomes a guest's session; if not, a new one
                replaces it.
        """
        if secret is not None:
            for sessions in (self._sessions, self._anonymous):
                if (known := sessions.get(secret)) is not None:
                    sessions[secret] = known  # now the one that was used last
                    return known
        if accept_unknown:
            return Session(str(uuid.uuid4()) if secret is None else secret)
        return self.create()

    def user(self, username: str) -> User:
        """Find a user by name, or sign them up."""
        user = self._users.get(username) or User(username)
        self._users[username] = user
        return user

    def end(self, secret: str) -> None:
        """Throw a session away.

        Args:
            secret: Its cookie's value.
        """
        self._sessions.pop(secret)
        self._anonymous.pop(secret)

    def end_all(self) -> None:
        """Throw all sessions away; users and what they own stay."""
        self._sessions.clear()
        self._anonymous.clear()


class _UserSettings(BaseModel):
    """The settings of one user (S: ``/api/v2/user/settings``). Unknown keys are dropped."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    active_model: JsString
    streaming_mode: JsString = "smooth"
    direct_paste: bool = False
    haptics_enabled: bool = True
    hide_prompt_examples: dict[Any, bool] = {}
    share_conversations_with_model_authors: bool = True
    custom_prompts: dict[Any, JsString] = {}
    custom_prompts_enabled: dict[Any, bool] = {}
    multimodal_overrides: dict[Any, bool] = {}
    tools_overrides: dict[Any, bool] = {}
    artifacts_overrides: dict[Any, bool] = {}
    provider_overrides: dict[Any, JsString] = {}
    reasoning_effort_overrides: dict[Any, JsString] = {}
    reasoning_overrides: dict[Any, bool] = {}
    billing_organization: JsString = cast("str", UNDEFINED)  # left out until it is set


class Settings:
    """The settings of all users of a server.

    Args:
        default_model: Id of the model that is active until a user picks another.
        max_entries: Of how many users they are kept.
        max_bytes: How large they may be together.
    """

    def __init__(self, default_model: str, max_entries: int, max_bytes: int) -> None:
        self._default_model = default_model
        self._stored: BoundedStore[str, JsonObject] = BoundedStore(
            max_entries, max_bytes, size=text_size
        )

    def read(self, owner: str) -> JsonObject:
        """Return a user's settings, as ``/api/v2/user/settings`` writes them (R: ``manage``)."""
        return self._stored.get(owner) or self._document({}, welcome_seen_at=None)

    def write(self, owner: str, body: JsonObject) -> None:
        """Store a user's settings. Like chat-ui, it resets every setting that the body leaves out.

        Raises:
            ValidationError: A value has the wrong type.
        """
        seen_at = now() if body.get("welcomeModalSeen") else self.read(owner)["welcomeModalSeenAt"]
        self._stored[owner] = self._document(body, welcome_seen_at=seen_at)

    def _document(self, body: JsonObject, *, welcome_seen_at: datetime | None) -> JsonObject:
        settings = _UserSettings.model_validate({"activeModel": self._default_model, **body})
        return {
            "welcomeModalSeen": welcome_seen_at is not None,
            "welcomeModalSeenAt": welcome_seen_at,
            **{to_camel(name): value for name, value in settings},
        }
