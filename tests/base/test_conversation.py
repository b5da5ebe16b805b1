"""Conversations on the server: what can be done with them besides sending messages."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    ConversationNotFoundError,
    HuggingChat,
    InvalidRequestError,
    Upload,
)
from hfchat_base.local import LocalModel, LocalServer
from hfchat_base.local.backends import FunctionBackend

if TYPE_CHECKING:
    from pathlib import Path

    from hfchat_base._protocol.constants import Generation

MODEL = "echo/base"


def png() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_known_of_a_conversation(client: HuggingChat) -> None:
    """A conversation knows its id, model, system prompt and title."""
    conversation = client.create_conversation(MODEL, "Be terse.")
    assert len(conversation.id) == 24
    assert (conversation.model, conversation.system_prompt) == (MODEL, "Be terse.")
    answer = conversation.send("hello")
    assert conversation.title == answer.title
    assert conversation.message_id == answer.message_id
    assert conversation.id in repr(conversation)


def test_default_model(client: HuggingChat) -> None:
    """Without a name the server's first model is used."""
    assert client.create_conversation().model == client.default_model == MODEL


def test_model_of_the_client(server: LocalServer) -> None:
    """A client may have a default of its own, by its short name too."""
    with HuggingChat(server.base_url, model="painter") as client:
        assert client.default_model == "image/painter"
        assert client.create_conversation().model == "image/painter"


def test_model_of_the_environment(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names address and model."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
    monkeypatch.setenv("HUGGINGCHAT_MODEL", "slow/drip")
    with HuggingChat() as client:
        assert client.base_url == server.base_url
        assert client.create_conversation().model == "slow/drip"


def test_generation_is_told(generation: Generation, server: LocalServer) -> None:
    """Which protocol a server speaks is unknown at first, and known once it has answered."""
    with HuggingChat(server.base_url) as client:
        assert client.generation is None
        client.get_models()
        assert client.generation == generation


def test_models_by_what_they_can(client: HuggingChat) -> None:
    """Models are distinguished by what they can do."""
    assert client.vision_models == ["echo/vision"]
    assert client.default_vision_model == "echo/vision"
    assert client.image_models == ["image/painter"]
    assert "image/painter" not in client.text_models
    assert client.model_aliases["drip"] == "slow/drip"
    assert [m.id for m in client.get_models() if m.supports_tools] == ["tools/agent"]


async def test_models_have_to_be_awaited(async_client: AsyncHuggingChat) -> None:
    """Properties of the asynchronous client want the list to have been read."""
    with pytest.raises(Exception, match=r"await get_models\(\) first"):
        _ = async_client.default_model
    await async_client.get_models()
    assert async_client.default_model == MODEL


def test_list_is_read_as_it_is_needed(client: HuggingChat, server: LocalServer) -> None:
    """The list comes page by page, the newest first, and no page too many is read."""
    made = [client.create_conversation(MODEL).id for _ in range(31)]
    server.clear_requests()
    listing = client.list_conversations()
    assert next(listing).id == made[-1]
    assert len(server.requests) == 1
    assert [info.id for info in listing] == made[-2::-1]
    assert len(server.requests) == 2


async def test_list_asynchronously(async_client: AsyncHuggingChat) -> None:
    """The asynchronous list is the same."""
    made = [(await async_client.create_conversation(MODEL)).id for _ in range(3)]
    assert [info.id async for info in async_client.list_conversations()] == made[::-1]


def test_rename(client: HuggingChat) -> None:
    """A title is stored, and known at once."""
    conversation = client.create_conversation(MODEL)
    conversation.rename("Things")
    assert conversation.title == "Things"
    (info,) = client.list_conversations()
    assert (info.title, info.model) == ("Things", MODEL)
    assert info.updated_at is not None


def test_share_and_import(client: HuggingChat, server: LocalServer) -> None:
    """A share can be imported by its address or its id, by somebody else."""
    conversation = client.create_conversation(MODEL)
    conversation.send("hello")
    address = conversation.share()
    assert address.startswith(f"{server.base_url}/r/")
    for share in (address, address.rpartition("/")[2]):
        with HuggingChat(server.base_url) as other:
            imported = other.import_share(share)
            assert [m.content for m in imported.messages()][-1] == "You said: hello"
            assert imported.send("more").text == "You said: more"


def test_delete(client: HuggingChat) -> None:
    """A deleted conversation is gone."""
    conversation = client.create_conversation(MODEL)
    conversation.delete()
    assert list(client.list_conversations()) == []
    with pytest.raises(ConversationNotFoundError):
        conversation.messages()


def test_image_is_seen(client: HuggingChat, server: LocalServer) -> None:
    """An image reaches a model that sees, whose answer says so."""
    answer = client.create_conversation("echo/vision").send("what?", png())
    assert answer.text.startswith("I see [('image/png'")
    assert server.prompts[-1].model == "echo/vision"


def test_image_needs_eyes(client: HuggingChat, server: LocalServer) -> None:
    """A conversation whose model sees nothing is given one that does, once."""
    conversation = client.create_conversation(MODEL)
    conversation.send("what?", [png(), Upload("b.png", png())])
    assert conversation.model == "echo/vision"
    assert server.prompts[-1].model == "echo/vision"
    assert client.get_conversation(conversation.id).model == "echo/vision"


def test_nobody_sees(generation: Generation) -> None:
    """Where no model accepts images, an image is refused before it is sent."""
    blind = LocalModel("a/blind", FunctionBackend(lambda _: "hm"))
    with (
        LocalServer(generation=generation, models=[blind]) as server,
        HuggingChat(server.base_url) as client,
        pytest.raises(InvalidRequestError, match="This server has no vision model"),
    ):
        client.create_conversation().send("what?", png())


def test_text_file(client: HuggingChat, tmp_path: Path) -> None:
    """A text file goes with its name, odd characters and all."""
    path = tmp_path / 'a "b" é.txt'
    path.write_text("content")
    conversation = client.create_conversation(MODEL)
    conversation.send("look", path)
    user = next(m for m in conversation.messages() if m.role == "user")
    assert [file.mime for file in user.files] == ["text/plain"]


def test_picture_is_downloaded(client: HuggingChat) -> None:
    """A file of an answer is reported as data, and fetched by its sha."""
    conversation = client.create_conversation("image/painter")
    (file,) = conversation.send("a cat").files
    assert (file.mime, file.conversation_id) == ("image/png", conversation.id)
    data = conversation.download(file)
    assert Image.open(io.BytesIO(data)).size == (8, 8)
    assert conversation.download(file.sha) == data


def test_router_is_told(current_server: LocalServer) -> None:
    """Which model a router chose is part of the answer."""
    with HuggingChat(current_server.base_url) as client:
        answer = client.create_conversation("router/omni").send("hello")
    assert answer.model == "router/omni"
    assert answer.router["model"] == "echo/base"


def test_branches(client: HuggingChat) -> None:
    """A message may follow any other, and the conversation then stands on that branch."""
    conversation = client.create_conversation(MODEL)
    first = conversation.send("one")
    conversation.send("two")
    branch = conversation.send("TWO", parent_id=first.message_id)
    last = conversation.send("three")
    by_id = {message.id: message for message in conversation.messages()}
    user = by_id[by_id[last.message_id or ""].parent_id or ""]
    assert user.parent_id == branch.message_id


def test_retry_of_an_earlier_answer(client: HuggingChat) -> None:
    """Any answer can be done again, and the conversation then stands on the new one."""
    conversation = client.create_conversation(MODEL)
    first = conversation.send("one")
    conversation.send("two")
    again = conversation.retry(first.message_id)
    assert again.text == "You said: one"
    assert conversation.message_id == again.message_id != first.message_id


def test_edit_of_an_earlier_message(client: HuggingChat) -> None:
    """Any message of the user can be said otherwise."""
    conversation = client.create_conversation(MODEL)
    conversation.send("one")
    conversation.send("two")
    user = next(m for m in conversation.messages() if m.content == "one")
    assert conversation.edit("ONE", user.id).text == "You said: ONE"


async def test_conversation_asynchronously(async_client: AsyncHuggingChat) -> None:
    """The asynchronous conversation does the same things."""
    conversation = await async_client.create_conversation(MODEL, "Be terse.")
    first = await conversation.send("one")
    assert (await conversation.retry()).text == "You said: one"
    assert (await conversation.edit("ONE")).text == "You said: ONE"
    await conversation.send("two", parent_id=first.message_id)
    await conversation.rename("Things")
    imported = await async_client.import_share(await conversation.share())
    assert len(await imported.messages()) == len(await conversation.messages())
    again = await async_client.get_conversation(conversation.id)
    assert again.title == "Things"
    assert await async_client.fetch_message_id(conversation.id) == again.message_id
    users = [m for m in await again.messages() if m.role == "user"]
    await again.delete_message(users[-1].id)
    await conversation.delete()
    with pytest.raises(ConversationNotFoundError):
        await conversation.messages()


def test_twins_share_what_they_know(client: HuggingChat) -> None:
    """The twin of a client has its session, its models and its history."""
    first = client.chat("one", model=MODEL)
    history = [
        ChatMessage("user", "one"),
        ChatMessage("assistant", first.text),
        ChatMessage("user", "two"),
    ]

    async def go_on() -> str:
        async with client.to_async() as twin:
            return (await twin.chat(history, model=MODEL)).conversation_id

    assert asyncio.run(go_on()) == first.conversation_id
    twin = client.to_sync()
    assert [info.id for info in twin.list_conversations()] == [first.conversation_id]
    twin.close()
