"""A stored conversation: its messages as the tree that they form.

This module reads the messages that either generation sends, and finds messages in the tree. Both
generations store messages alike; how the data is wrapped differs (`dialects/`, `encodings.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from hfchat_base._protocol.decoder import unknown_names
from hfchat_base._protocol.encodings import Items, Wire, structure
from hfchat_base._protocol.thinking import split
from hfchat_base.errors import MessageNotFoundError, ProtocolError
from hfchat_base.types import (
    ConversationInfo,
    Message,
    MessageFile,
    MessageState,
    Role,
    RunningAnswer,
    Settings,
    User,
    branch_to,
)


def _only_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("not a date")  # noqa: TRY004 - what pydantic expects of a validator
    return value


Date = Annotated[datetime, Strict(strict=False), BeforeValidator(_only_text)]
"""A date, as the ISO text that it is on the wire."""


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
        path = branch_to(reversed(self.messages), message_id)
        above = path[0].parent_id if path else message_id
        if above is not None:
            self.message(above)  # which is not there, or the branch repeats
        return tuple(path)

    def latest(self) -> Message:
        """The last message of the newest branch, which is the one that chat-ui shows.

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


class _Update(Wire):
    """An event of a run, as it is stored with the message; `decoder.py` knows its fields."""

    model_config = ConfigDict(json_schema_extra={"opaque": True})

    type: str = ""
    status: str = ""


class _File(Wire):
    """A file that is stored with a message; ``value`` is its sha."""

    model_config = structure("type", current="name value mime", legacy="name value mime")

    name: str = ""
    value: str = ""
    mime: str = ""


class _Message(Wire):
    """A message as both generations store it."""

    model_config = structure(
        "updatedAt materializedSeq",
        current="id from content ancestors children createdAt",
        legacy="id from content ancestors children createdAt",
    )

    id: str = Field(min_length=1)
    from_: Role = Field("assistant", alias="from")
    content: str = ""
    reasoning: str = ""
    ancestors: list[Any] = Field(default_factory=list)
    children: Items[str] = Field(default_factory=list)
    files: Items[_File] = Field(default_factory=list)
    updates: Items[_Update] = Field(default_factory=list)
    created_at: Date | None = None
    generation_id: str | None = None
    interrupted: bool = False
    router_metadata: dict[str, Any] = Field(default_factory=dict)

    def to_message(self) -> Message:
        content, reasoning = self.content, self.reasoning
        if self.from_ == "assistant" and not reasoning:
            content, reasoning = split(content)
        parent = self.ancestors[-1] if self.ancestors else None
        return Message(
            id=self.id,
            role=self.from_,
            content=content,
            parent_id=parent if isinstance(parent, str) else None,
            children=tuple(self.children),
            reasoning=reasoning,
            files=tuple(MessageFile(name=f.name, sha=f.value, mime=f.mime) for f in self.files),
            created_at=self.created_at,
            generation_id=self.generation_id or None,
            state=self._state() if self.from_ == "assistant" else "complete",
            router={k: v for k, v in self.router_metadata.items() if isinstance(v, str)},
        )

    def _state(self) -> MessageState:
        """The state of the run that writes the message, according to the `updates` stored with it.

        They end with a final answer or an `error` (R). Current servers store them during the run,
        legacy ones only at its end, or when the reader's connection is lost, which also ends it
        (S). A message without updates was imported, or nothing of its run is stored yet.
        """
        if self.interrupted:
            return "interrupted"
        if any(update.status == "error" for update in self.updates):
            return "failed"
        if any(u.type == "finalAnswer" or u.status == "finished" for u in self.updates):
            return "complete"
        if not self.updates:
            return "complete" if self.content else "running"
        return "running" if self.generation_id else "interrupted"


class _Conversation(Wire):
    """A conversation as both generations hold it."""

    model_config = structure(
        "id updatedAt modelId shared deployedSpaces assistant",
        current="messages title model preprompt rootMessageId",
        legacy="messages title model preprompt rootMessageId",
    )

    messages: list[_Message]
    title: str = ""
    model: str = ""
    preprompt: str = ""
    root_message_id: str | None = None


class _Row(Wire):
    """A row of the conversation list; two spellings of two fields: current, then legacy (R)."""

    model_config = structure(
        "assistantId modelTools", current="id title model updatedAt", legacy="id title updatedAt"
    )

    id: str = ""
    id_: str = Field("", alias="_id")
    title: str = ""
    model: str = ""
    model_id: str = ""
    updated_at: Date | None = None


class _User(Wire):
    """Who the server thinks we are."""

    model_config = structure("isAdmin isEarlyAccess", current="id username", legacy="id username")

    id: str = ""
    username: str = ""
    email: str = ""
    avatar_url: str = ""


class _Settings(Settings):
    """The account's settings, by the server's names (current)."""

    model_config = ConfigDict(alias_generator=to_camel) | structure(
        "welcomeModalSeen welcomeModalSeenAt",
        current="activeModel customPrompts shareConversationsWithModelAuthors"
        " reasoningEffortOverrides artifactsOverrides providerOverrides billingOrganization",
    )


class _Flags(Wire):
    """What a server has switched on (current)."""

    model_config = structure(
        "enableAssistants isAdmin", current="loginEnabled transcriptionEnabled"
    )

    login_enabled: bool = False
    transcription_enabled: bool = False


class _Running(Wire):
    """An answer that is being written."""

    conversation_id: str = Field(min_length=1)
    title: str = ""


class _List(Wire):
    """A page of the conversation list (current)."""

    model_config = structure(current="conversations hasMore")

    conversations: list[_Row] = Field(default_factory=list)
    has_more: bool = False


CONVERSATION: Final = TypeAdapter(_Conversation)
"""The structure of a conversation."""
CONVERSATION_LIST: Final = TypeAdapter(_List)
"""The structure of a page of the conversation list (current)."""
CONVERSATION_ROWS: Final = TypeAdapter(list[_Row])
"""The structure of a page of the conversation list (legacy)."""
SETTINGS: Final = TypeAdapter(_Settings)
"""The structure of the account's settings (current)."""
FLAGS: Final = TypeAdapter(_Flags)
"""The structure of what is switched on (current)."""
USER: Final = TypeAdapter(_User)
"""The structure of who we are."""
_RUNNING: Final = TypeAdapter(Items[_Running])
_ROWS: Final = TypeAdapter(Items[_Row])


def read_conversation(raw: Any, conversation_id: str) -> StoredConversation:
    """Read a conversation out of parsed data.

    Raises:
        ProtocolError: It is not a conversation.
    """
    try:
        read = _Conversation.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ProtocolError(
            f"The server's conversation {conversation_id} cannot be read: {where}: {first['msg']}."
        ) from None
    return StoredConversation(
        id=conversation_id,
        title=read.title,
        model=read.model,
        system_prompt=read.preprompt,
        root_message_id=read.root_message_id,
        messages=tuple(message.to_message() for message in read.messages),
    )


def read_infos(raw: Any) -> Iterator[ConversationInfo]:
    """Read the rows of a conversation list; those without an id are left out."""
    if not isinstance(raw, list):
        return
    for row in _ROWS.validate_python(raw):
        if identity := row.id or row.id_:
            yield ConversationInfo(
                id=identity,
                title=row.title,
                model=row.model or row.model_id,
                updated_at=row.updated_at,
            )


def unknown_events(raw: Any) -> Iterator[str]:
    """What the events that are stored with a conversation's messages have that is not known."""
    for message in raw.get("messages", ()) if isinstance(raw, dict) else ():
        updates = message.get("updates") if isinstance(message, dict) else None
        for update in updates if isinstance(updates, list) else ():
            if isinstance(update, dict) and (names := unknown_names(update)):
                yield f"new: messages[].updates[] {', '.join(names)}"


def read_running(raw: Any) -> list[RunningAnswer]:
    """Read which answers are being written."""
    found = raw.get("running") if isinstance(raw, dict) else None
    rows = _RUNNING.validate_python(found) if isinstance(found, list) else []
    return [RunningAnswer(conversation_id=row.conversation_id, title=row.title) for row in rows]


def read_user(raw: Any) -> User | None:
    """Read who the server thinks we are; None for a guest."""
    if not isinstance(raw, dict):
        return None
    read = _User.model_validate(raw)
    return User(id=read.id, username=read.username, email=read.email, avatar_url=read.avatar_url)
