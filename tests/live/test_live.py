"""What any HuggingChat server should do for us, of either generation, real or local.

    HUGGINGCHAT_BASE_URL=https://… pytest tests/live

Models are chosen by what they can do, or named by HUGGINGCHAT_TEST_MODEL and, in place of TEST,
TEST_VISION, TEST_REASONING and TEST_SLOW. What a model says is its own affair; what is looked at is
what the server stores and how it answers. Every conversation that is made is deleted again.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    ChatMessage,
    Conversation,
    ConversationNotFoundError,
    HuggingChat,
    Model,
    TextDelta,
    Upload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG_TASK = "Count from one to three hundred in words, and leave none out."


@pytest.fixture
def begin(live_client: HuggingChat) -> Iterator[Callable[..., Conversation]]:
    """Begin conversations that are deleted at the end of the test."""
    begun: list[Conversation] = []

    def begin(model: str | None = None, system_prompt: str | None = None) -> Conversation:
        model = model or os.environ.get("HUGGINGCHAT_TEST_MODEL")
        conversation = live_client.create_conversation(model, system_prompt)
        begun.append(conversation)
        return conversation

    yield begin
    for conversation in begun:
        live_client.delete_conversation(conversation.id)


def choose(client: HuggingChat, what: str, fits: Callable[[Model], bool]) -> str:
    """Choose a model by what it can do, or skip the test."""
    if named := os.environ.get(f"HUGGINGCHAT_TEST_{what.upper()}_MODEL"):
        return named
    model = next((model for model in client.get_models() if fits(model)), None)
    if model is None:
        pytest.skip(f"the server has no {what} model")
    return model.id


def white_png() -> bytes:
    """Draw a white picture of 64 by 64."""
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff" * 3 * 64) * 64
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_models_are_listed(live_client: HuggingChat) -> None:
    """The model list holds the default model, and its short names lead to models."""
    ids = [model.id for model in live_client.get_models()]
    assert live_client.default_model in ids
    assert set(live_client.model_aliases.values()) <= set(ids)
    assert set(live_client.vision_models) <= set(ids)


def test_guest_or_account(live_client: HuggingChat) -> None:
    """The server says who we are: somebody with a name, or nobody."""
    user = live_client.whoami()
    assert user is None or user.username or user.email


def test_turn_is_answered_and_stored(begin: Callable[..., Conversation]) -> None:
    """An answer has a text, an end and an id, and is stored under that id."""
    conversation = begin(system_prompt="Answer in one short sentence.")
    answer = conversation.send("Say hello — héllo 世界 🌍.")
    assert answer.text
    assert answer.finish_reason == "stop"
    system, user, assistant = conversation.messages()
    assert (system.role, system.content) == ("system", "Answer in one short sentence.")
    assert (user.role, user.content) == ("user", "Say hello — héllo 世界 🌍.")
    assert assistant.id == answer.message_id
    assert assistant.content == answer.text
    assert assistant.is_complete


def test_streamed_text_is_the_answer(begin: Callable[..., Conversation]) -> None:
    """The pieces that stream add up to the answer."""
    with begin().stream("Say hello.") as stream:
        pieces = [event.text for event in stream if isinstance(event, TextDelta)]
    # The server trims the end of its final text.
    assert "".join(pieces).rstrip() == stream.answer.text.rstrip()


def test_title_is_told(begin: Callable[..., Conversation]) -> None:
    """The first turn brings a title."""
    conversation = begin()
    answer = conversation.send("Say hello.")
    assert answer.title
    assert conversation.title == answer.title


def test_three_turns_are_one_chain(begin: Callable[..., Conversation]) -> None:
    """Each message follows the answer before it."""
    conversation = begin()
    answers = [conversation.send(text) for text in ("One.", "Two.", "Three.")]
    by_id = {message.id: message for message in conversation.messages()}
    chain = [by_id[answers[-1].message_id or ""]]
    while chain[-1].parent_id is not None:
        chain.append(by_id[chain[-1].parent_id])
    users = [message.content for message in reversed(chain) if message.role == "user"]
    ids = [message.id for message in reversed(chain) if message.role == "assistant"]
    assert users == ["One.", "Two.", "Three."]
    assert ids == [answer.message_id for answer in answers]


def test_branch(begin: Callable[..., Conversation]) -> None:
    """Two messages after one answer are siblings, and each has its answer."""
    conversation = begin()
    first = conversation.send("One.")
    left = conversation.send("Two, left.", parent_id=first.message_id)
    right = conversation.send("Two, right.", parent_id=first.message_id)
    by_id = {message.id: message for message in conversation.messages()}
    siblings = [by_id[by_id[answer.message_id or ""].parent_id or ""] for answer in (left, right)]
    assert [message.content for message in siblings] == ["Two, left.", "Two, right."]
    assert {message.parent_id for message in siblings} == {first.message_id}


def test_retry_makes_a_sibling(begin: Callable[..., Conversation]) -> None:
    """Answering again keeps the old answer next to the new one."""
    conversation = begin()
    old = conversation.send("Say hello.")
    new = conversation.retry()
    by_id = {message.id: message for message in conversation.messages()}
    assert new.message_id != old.message_id
    assert new.text
    parents = {by_id[answer.message_id or ""].parent_id for answer in (old, new)}
    assert len(parents) == 1


def test_edit_makes_a_sibling(begin: Callable[..., Conversation]) -> None:
    """An edited message stands next to the old one, and has an answer of its own."""
    conversation = begin()
    old = conversation.send("Say hello.")
    new = conversation.edit("Say goodbye.")
    by_id = {message.id: message for message in conversation.messages()}
    before = by_id[by_id[old.message_id or ""].parent_id or ""]
    after = by_id[by_id[new.message_id or ""].parent_id or ""]
    assert (before.content, after.content) == ("Say hello.", "Say goodbye.")
    assert before.parent_id == after.parent_id


def test_conversation_is_taken_up_again(
    live_client: HuggingChat, begin: Callable[..., Conversation]
) -> None:
    """A conversation that is fetched by its id goes on where it stood."""
    conversation = begin()
    first = conversation.send("One.")
    again = live_client.get_conversation(conversation.id)
    assert again.message_id == first.message_id == live_client.fetch_message_id(conversation.id)
    again.send("Two.")
    assert [m.content for m in again.messages() if m.role == "user"] == ["One.", "Two."]


def test_history_is_continued(live_client: HuggingChat) -> None:
    """A history that grows goes on in one conversation."""
    model = os.environ.get("HUGGINGCHAT_TEST_MODEL")
    history = [ChatMessage("system", "Be terse."), ChatMessage("user", "One.")]
    first = live_client.chat(history, model=model)
    history += [ChatMessage("assistant", first.text), ChatMessage("user", "Two.")]
    second = live_client.chat(history, model=model)
    stored = live_client.get_conversation(first.conversation_id).messages()
    live_client.delete_conversation(first.conversation_id)
    assert second.conversation_id == first.conversation_id
    assert [m.content for m in stored if m.role == "user"] == ["One.", "Two."]


def test_vision(live_client: HuggingChat, begin: Callable[..., Conversation]) -> None:
    """An image is stored with its message, and a model that sees answers it."""
    model = choose(live_client, "vision", lambda model: model.accepts_images)
    conversation = begin(model)
    answer = conversation.send("What colour is this?", Upload("white.png", white_png()))
    user = next(message for message in conversation.messages() if message.role == "user")
    assert answer.text
    assert [(file.name, file.mime) for file in user.files] == [("white.png", "image/png")]


def test_image_brings_a_model_that_sees(
    live_client: HuggingChat, begin: Callable[..., Conversation]
) -> None:
    """A conversation whose model sees no images is given one that does."""
    choose(live_client, "vision", lambda model: model.accepts_images)
    blind = choose(live_client, "text", lambda m: not (m.accepts_images or m.is_router))
    conversation = begin(blind)
    conversation.send("What colour is this?", white_png())
    assert conversation.model in live_client.vision_models


def test_text_attachment(begin: Callable[..., Conversation]) -> None:
    """A text file goes with the message."""
    conversation = begin()
    answer = conversation.send(
        "What is in the file?", Upload.from_source(b"Nothing.", name="note.txt")
    )
    user = next(message for message in conversation.messages() if message.role == "user")
    assert answer.text
    assert [file.name for file in user.files] == ["note.txt"]


def test_reasoning_is_apart(live_client: HuggingChat, begin: Callable[..., Conversation]) -> None:
    """What a model thinks is not part of what it says, streamed or stored."""
    # Few servers say which of their models think, but names do.
    ids = [model.id for model in live_client.get_models()]
    model = choose(
        live_client,
        "reasoning",
        lambda model: model.supports_reasoning or model.id == _named_as_thinking(ids),
    )
    conversation = begin(model)
    answer = conversation.send("How much is six times seven?")
    stored = next(m for m in conversation.messages() if m.id == answer.message_id)
    assert answer.reasoning.strip()
    assert answer.text.strip()
    assert "<think>" not in answer.text + answer.reasoning
    assert stored.content == answer.text
    assert stored.reasoning.strip()


def test_stop_keeps_what_was_said(
    live_client: HuggingChat, begin: Callable[..., Conversation]
) -> None:
    """A stopped run ends as interrupted, with its text, and the conversation goes on after it."""
    conversation = begin(_slow_model(live_client))
    with conversation.stream(LONG_TASK) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                assert stream.stop()
                break
        answer = stream.result()
    assert answer.finish_reason == "interrupted"
    assert answer.text
    conversation.send("Thanks.")
    assert [m.content for m in conversation.messages() if m.role == "user"] == [
        LONG_TASK,
        "Thanks.",
    ]


def test_leaving_stops_the_run(
    live_client: HuggingChat, begin: Callable[..., Conversation]
) -> None:
    """A run that is left writes no more, and the conversation goes on after it."""
    conversation = begin(_slow_model(live_client))
    with conversation.stream(LONG_TASK) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break
    conversation.send("Thanks.")
    user, *_ = (m for m in conversation.messages() if m.content == "Thanks.")
    left, *_ = (m for m in conversation.messages() if m.role == "assistant")
    assert left.is_complete
    assert user.parent_id == left.id


def test_management(live_client: HuggingChat, begin: Callable[..., Conversation]) -> None:
    """A conversation is renamed, listed, shared, imported and deleted."""
    conversation = begin()
    answer = conversation.send("Say hello.")
    title = f"Renamed {uuid.uuid4()}"
    conversation.rename(title)
    listed = {info.id: info for info in live_client.list_conversations()}
    assert listed[conversation.id].title == title

    imported = live_client.import_share(conversation.share())
    try:
        assert imported.id != conversation.id
        contents = [message.content for message in imported.messages()]
        assert contents[-2:] == ["Say hello.", answer.text]
        assert imported.send("And again.").text
    finally:
        imported.delete()
    with pytest.raises(ConversationNotFoundError):
        imported.messages()


def test_message_is_deleted(begin: Callable[..., Conversation]) -> None:
    """Deleting a message deletes what follows it too."""
    conversation = begin()
    conversation.send("One.")
    conversation.send("Two.")
    second = next(m for m in conversation.messages() if m.content == "Two.")
    conversation.delete_message(second.id)
    assert [m.content for m in conversation.messages() if m.role == "user"] == ["One."]
    conversation.send("Three.")
    assert [m.content for m in conversation.messages() if m.role == "user"] == ["One.", "Three."]


def _named_as_thinking(ids: list[str]) -> str | None:
    # Legacy servers recognise thinking in tags only from models that are known for it.
    named = [name for name in ids if name.startswith("think/")]
    return "think/tags" if "think/tags" in named else next(iter(named), None)


def _slow_model(client: HuggingChat) -> str | None:
    slow = (model.id for model in client.get_models() if model.id.startswith("slow/"))
    return os.environ.get("HUGGINGCHAT_TEST_SLOW_MODEL") or next(slow, None)
