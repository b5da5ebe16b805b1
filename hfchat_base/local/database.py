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
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

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
    """A mapping that evicts its oldest entries. Setting a key makes it the newest. Thread-safe.

    Args:
        max_entries: How many entries it may hold.
        max_bytes: How large they may be together; the newest one stays whatever its size.
        size: The size of a value, in bytes or characters.
    """

    def __init__(
        self, max_entries: int, max_bytes: int = 0, *, size: Callable[[V], int] = lambda _value: 0
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
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
        """Replace a value without making it newer; do nothing if it was evicted.

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
        """Remove a value and return it, or None."""
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
        """Remove all entries."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _evict(self) -> None:
        while len(self._entries) > self._max_entries or (
            self._bytes > self._max_bytes and len(self._entries) > 1
        ):
            self.pop(next(iter(self._entries)))


CONVERSATIONS_PER_PAGE: Final = 30
"""Page size of the list of conversations (S)."""

NEW_TITLE: Final = "New Chat"
"""What a conversation is called before its first message (R: ``plain_answer``)."""


_changes = itertools.count()


class TreeError(Exception):
    """A message cannot be placed in the tree of its conversation."""


@dataclass(frozen=True)
class StopMarker:
    """A request to stop the runs of a conversation.

    Attributes:
        at: When, in seconds of the event loop's clock.
        generation_id: The run to stop, or None for any.
        seen: UTF-16 code units of the answer that the client had seen, or None.
    """

    at: float
    generation_id: str | None = None
    seen: int | None = None


@dataclass
class Conversation:
    """One conversation, or a share of one.

    Attributes:
        id: An object id, or a share's short id.
        owner: Its owner (`Session.owner`); empty for a share.
        model: Id of its model.
        preprompt: The system prompt.
        root_message_id: Id of the system message.
        messages: All messages of the tree, oldest first.
        title: Its title.
        updated_at: Last change, in whole milliseconds; set by `touch`.
        change: Number of that change, counted over all conversations; it orders changes that share
            a millisecond.
        from_share: The share it was imported from, or None.
        stop_marker: A stop that no run has carried out yet, or None.
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
        """Record that it changed now."""
        self.updated_at = now()
        self.change = next(_changes)

    def copy(self) -> Conversation:
        """Copy it with its messages, so that changes to the copy do not show here."""
        return replace(self, messages=[_copied(message) for message in self.messages])

    def find(self, message_id: str) -> JsonObject | None:
        """Return a message, or None if the conversation has no such message."""
        return next((message for message in self.messages if message["id"] == message_id), None)

    def add_child(self, message: JsonObject, parent_id: str | None) -> JsonObject:
        """Append a message below another.

        Args:
            message: The message, without its place in the tree.
            parent_id: Id of the parent message.

        Raises:
            TreeError: There is no such parent.
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
        """Append a message as a sibling of another.

        Args:
            message: The message, without its place in the tree.
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

    def delete_subtree(self, message_id: str) -> bool:
        """Delete a message and its descendants.

        Returns:
            Whether there was such a message.
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
        """Change the model, and note on earlier answers which model wrote them (R: ``manage``).

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
        """Create an empty conversation.

        Args:
            owner: Its owner.
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
        return self._put(Conversation(ObjectId.new(), owner, model, preprompt, root["id"], [root]))

    def get(self, owner: str, conversation_id: str) -> Conversation | None:
        """Return a conversation if it belongs to the owner, or None."""
        found = self._own.get(conversation_id)
        return found if found is not None and found.owner == owner else None

    def exists(self, conversation_id: str) -> bool:
        """Return whether any owner has such a conversation."""
        return conversation_id in self._own

    def count(self, owner: str) -> int:
        """Count the conversations of an owner."""
        return sum(conversation.owner == owner for conversation in self._own.values())

    def page(self, owner: str, number: int) -> tuple[list[Conversation], bool]:
        """List the conversations of an owner, the last changed first.

        Args:
            owner: The owner.
            number: Page number, from 0.

        Returns:
            The page, and whether more follow.
        """
        mine = [found for found in self._own.values() if found.owner == owner]
        mine.sort(key=lambda found: (found.updated_at, found.change), reverse=True)
        start = max(number, 0) * CONVERSATIONS_PER_PAGE
        end = start + CONVERSATIONS_PER_PAGE
        return mine[start:end], len(mine) > end

    def delete(self, conversation: Conversation) -> None:
        """Delete a conversation."""
        self._own.pop(conversation.id)

    def delete_all(self, owner: str) -> int:
        """Delete all conversations of an owner, and return how many there were."""
        mine = [found for found in self._own.values() if found.owner == owner]
        for conversation in mine:
            self.delete(conversation)
        return len(mine)

    def save(self, run_copy: Conversation, messages: list[JsonObject]) -> None:
        """Overwrite the stored messages with those of a run, whatever happened meanwhile.

        A conversation that was deleted meanwhile stays deleted.

        Args:
            run_copy: The run's copy of the conversation; its title is stored too.
            messages: The messages to store.
        """
        conversation = self._own.get(run_copy.id)
        if conversation is not None:
            conversation.messages = [_copied(message) for message in messages]
            conversation.title = run_copy.title
            conversation.touch()
            self._put(conversation)

    def save_message(self, conversation_id: str, message: JsonObject) -> None:
        """Overwrite one stored message with a run's copy, except its place in the tree."""
        conversation = self._own.get(conversation_id)
        stored = conversation.find(message["id"]) if conversation is not None else None
        if stored is not None:
            place = {"ancestors", "children"}
            new = {key: value for key, value in message.items() if key not in place}
            stored.update(_copied(new))

    def save_title(self, conversation_id: str, title: str) -> None:
        """Store the title of a conversation."""
        conversation = self._own.get(conversation_id)
        if conversation is not None:
            conversation.title = title
            conversation.touch()
            self._put(conversation)

    def share(self, conversation: Conversation, share_id: str) -> Conversation:
        """Store a frozen copy that anybody may read.

        Args:
            conversation: The conversation.
            share_id: The id of the share, unless the same state is already shared.
        """
        for share in self._shares.values():
            if (share.title, share.messages) == (conversation.title, conversation.messages):
                return share
        shared = replace(conversation.copy(), id=share_id, owner="")
        shared.touch()
        self._shares[share_id] = shared
        return shared

    def shared(self, share_id: str) -> Conversation | None:
        """Return a share, or None."""
        return self._shares.get(share_id)

    def find_import(self, owner: str, shared: Conversation) -> Conversation | None:
        """Return the conversation that an owner has already made of a share, or None."""
        own = (c for c in self._own.values() if c.owner == owner and c.from_share == shared.id)
        return min(own, key=lambda copy: copy.id, default=None)

    def import_share(self, owner: str, shared: Conversation) -> Conversation:
        """Copy a share into the conversations of an owner."""
        copy = replace(shared.copy(), id=ObjectId.new(), owner=owner, from_share=shared.id)
        copy.touch()
        return self._put(copy)

    def _put(self, conversation: Conversation) -> Conversation:
        self._own[conversation.id] = conversation
        return conversation


def _size(conversation: Conversation) -> int:
    return text_size(conversation.preprompt) + text_size(conversation.messages)


def _copied(message: JsonObject) -> JsonObject:
    """Copy a message and its lists; the items of the lists are never changed in place."""
    return {
        key: list(value) if isinstance(value, list) else value for key, value in message.items()
    }


@dataclass(frozen=True)
class StoredFile:
    """A file of a conversation.

    Attributes:
        name: Its file name.
        mime: Media type.
        data: The bytes.
    """

    name: str
    mime: str
    data: bytes

    @property
    def sha(self) -> str:
        """SHA-256 of the bytes *decoded as text*, in hexadecimal.

        chat-ui computes it that way, also for images (R: ``image_upload``).
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
        """Store all files of one conversation for another one as well."""
        for (conversation_id, _), file in self._files.items():
            if conversation_id == source_id:
                self.keep(target_id, file)


@dataclass(frozen=True)
class User:
    """A user who has logged in.

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
    """The session of one browser or program.

    Attributes:
        secret: The cookie's value.
        user: The user, or None for a guest.
    """

    secret: str
    user: User | None = None

    @property
    def owner(self) -> str:
        """The key under which conversations and settings of this session are stored."""
        return self.user.id if self.user else self.secret


class Sessions:
    """All sessions and users of a server.

    Where guests are allowed, a guest's session is not stored: its cookie is all there is to it.

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
            user: The user, or None for a guest.
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
                if (session := sessions.get(secret)) is not None:
                    sessions[secret] = session  # the most recently used one now
                    return session
        if accept_unknown:
            return Session(str(uuid.uuid4()) if secret is None else secret)
        return self.create()

    def user(self, username: str) -> User:
        """Return a user by name, or create one."""
        user = self._users.get(username) or User(username)
        self._users[username] = user
        return user

    def end(self, secret: str) -> None:
        """End a session, given the value of its cookie."""
        self._sessions.pop(secret)
        self._anonymous.pop(secret)

    def end_all(self) -> None:
        """End all sessions. Users and what they own stay."""
        self._sessions.clear()
        self._anonymous.clear()


class _UserSettings(BaseModel):
    """The settings of one user (S: ``/api/v2/user/settings``). Unknown keys are dropped."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    active_model: JsString
    streaming_mode: Literal["raw", "smooth"] = "smooth"
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
    reasoning_effort_overrides: dict[Any, Literal["low", "medium", "high"]] = {}
    reasoning_overrides: dict[Any, bool] = {}
    billing_organization: JsString = cast("str", UNDEFINED)  # left out until it is set


class _LegacySettings(BaseModel):
    """The settings that only the legacy generation has (S: ``/settings``)."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)

    hide_emoji_on_sidebar: bool = False
    disable_stream: bool = False


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
        self._legacy: BoundedStore[str, _LegacySettings] = BoundedStore(max_entries)

    def read(self, owner: str) -> JsonObject:
        """Return a user's settings, as ``/api/v2/user/settings`` writes them (R: ``manage``)."""
        return self._stored.get(owner) or self._document({}, welcome_seen_at=None)

    def write(self, owner: str, body: JsonObject) -> None:
        """Store a user's settings. Like chat-ui, it resets every setting that the body leaves out.

        The organisation to bill is the exception (R: ``settings``).

        Raises:
            ValidationError: A value has the wrong type.
        """
        before = self.read(owner)
        is_seen = body.get("welcomeModalSeen") or body.get("ethicsModalAccepted")
        seen_at = now() if is_seen else before["welcomeModalSeenAt"]
        payer = before["billingOrganization"]
        body = body if payer is UNDEFINED else {"billingOrganization": payer, **body}
        own = _LegacySettings.model_validate(body)
        self._stored[owner] = self._document(body, welcome_seen_at=seen_at)
        self._legacy[owner] = own

    def _document(self, body: JsonObject, *, welcome_seen_at: datetime | None) -> JsonObject:
        settings = _UserSettings.model_validate({"activeModel": self._default_model, **body})
        return {
            "welcomeModalSeen": welcome_seen_at is not None,
            "welcomeModalSeenAt": welcome_seen_at,
            **{to_camel(name): value for name, value in settings},
        }

    def read_legacy(self, owner: str) -> JsonObject:
        """Return a user's settings as the data of the legacy pages has them (R: ``settings``)."""
        settings = self.read(owner)
        own = self._legacy.get(owner) or _LegacySettings()
        return {
            "searchEnabled": False,
            "ethicsModalAccepted": settings["welcomeModalSeen"],
            "ethicsModalAcceptedAt": settings["welcomeModalSeenAt"],
            "activeModel": settings["activeModel"],
            "hideEmojiOnSidebar": own.hide_emoji_on_sidebar,
            "shareConversationsWithModelAuthors": settings["shareConversationsWithModelAuthors"],
            "customPrompts": settings["customPrompts"],
            "assistants": [],
            "tools": [],
            "disableStream": own.disable_stream,
            "directPaste": settings["directPaste"],
        }
