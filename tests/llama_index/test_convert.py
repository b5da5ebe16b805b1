"""What becomes of the blocks of a message, seen from the model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    CitableBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from PIL import Image

from hfchat_base.errors import FileTooLargeError, InvalidRequestError
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from llama_index_huggingchat._convert import to_history
from tests.support import office
from tests.support.local_requests import messages_sent

buffer = io.BytesIO()
Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
PNG = buffer.getvalue()

WAV = b"RIFF\x04\x00\x00\x00WAVE"


@pytest.fixture
def seeing(server: LocalServer) -> HuggingChatLLM:
    """An LLM whose model sees images."""
    return HuggingChatLLM("echo/vision", base_url=server.base_url)


def say(*blocks: ContentBlock) -> list[ChatMessage]:
    """A user's message of some blocks."""
    return [ChatMessage(role=MessageRole.USER, blocks=list(blocks))]


def prompt_of(server: LocalServer) -> list[dict[str, Any]]:
    """What the model was sent last."""
    return server.prompts[-1].messages


def test_image_as_bytes(seeing: HuggingChatLLM) -> None:
    """An image given by its bytes is seen."""
    answer = seeing.chat(say(ImageBlock(image=PNG), TextBlock(text="What is it?")))
    assert str(answer.message.content) == (
        f"I see [('image/png', {len(PNG)})]. You said: What is it?"
    )


def test_image_as_path(seeing: HuggingChatLLM, tmp_path: Path) -> None:
    """An image given by its path is seen."""
    path = tmp_path / "red.png"
    path.write_bytes(PNG)
    answer = seeing.chat(say(TextBlock(text="?"), ImageBlock(path=path)))
    assert f"('image/png', {len(PNG)})" in str(answer.message.content)


async def test_image_as_data_url(seeing: HuggingChatLLM) -> None:
    """An image given by a data URL is seen, also asynchronously."""
    url = ImageBlock(image=PNG).inline_url()
    answer = await seeing.achat(say(TextBlock(text="?"), ImageBlock(url=url)))
    assert f"('image/png', {len(PNG)})" in str(answer.message.content)


def test_image_url_of_a_private_address(seeing: HuggingChatLLM, server: LocalServer) -> None:
    """An address within the local network is not asked, whoever wrote it into the message."""
    server.clear_requests()
    with pytest.raises(InvalidRequestError, match="not public"):
        seeing.chat(say(TextBlock(text="?"), ImageBlock(url=f"{server.base_url}/secret.png")))
    assert server.requests == []


IMAGE: list[ContentBlock] = [TextBlock(text="?"), ImageBlock(image=PNG)]


@pytest.mark.parametrize("name", ["echo/base", "base"], ids=["id", "short name"])
def test_image_for_a_model_without_vision(
    name: str, llm: HuggingChatLLM, server: LocalServer
) -> None:
    """An image for a named model that sees none is an error, and no other model answers."""
    for call in (llm.chat, lambda *a, **k: list(llm.stream_chat(*a, **k))):
        with pytest.raises(InvalidRequestError, match=r"echo/base.*not accept images.*echo/vision"):
            call(say(*IMAGE), model=name)
    assert not server.prompts


async def test_image_for_a_model_without_vision_asynchronously(server: LocalServer) -> None:
    """It is asynchronously, also where the object names the model."""
    llm = HuggingChatLLM("echo/base", base_url=server.base_url)
    with pytest.raises(InvalidRequestError, match="not accept images"):
        await llm.achat(say(*IMAGE))
    with pytest.raises(InvalidRequestError, match="not accept images"):
        [response async for response in await llm.astream_chat(say(*IMAGE))]


def test_image_without_a_named_model(llm: HuggingChatLLM) -> None:
    """Where no model is named, one that sees images answers."""
    assert llm.chat(say(*IMAGE)).additional_kwargs["model"] == "echo/vision"


async def test_switch_to_vision_model(server: LocalServer) -> None:
    """Another model answers if that is asked for."""
    llm = HuggingChatLLM("echo/base", base_url=server.base_url, switch_to_vision_model=True)
    assert llm.chat(say(*IMAGE)).additional_kwargs["model"] == "echo/vision"
    assert (await llm.achat(say(*IMAGE))).additional_kwargs["model"] == "echo/vision"


def test_image_without_text(seeing: HuggingChatLLM) -> None:
    """An image alone is a message."""
    answer = seeing.chat(say(ImageBlock(image=PNG)))
    assert f"I see [('image/png', {len(PNG)})]" in str(answer.message.content)


async def test_image_without_text_in_a_chat(seeing: HuggingChatLLM) -> None:
    """So it is within a chat, with a system prompt, and asynchronously."""
    messages = [ChatMessage("Be brief.", role=MessageRole.SYSTEM), ChatMessage("hello")]
    messages += [(await seeing.achat(messages)).message, *say(ImageBlock(image=PNG))]
    answer = await seeing.achat(messages)
    assert f"I see [('image/png', {len(PNG)})]" in str(answer.message.content)


def test_text_document(llm: HuggingChatLLM, server: LocalServer) -> None:
    """A text file is shown to the model with its name, on both generations."""
    document = DocumentBlock(
        data=b"Nine arches, they say.", title="bridge.txt", document_mimetype="text/plain"
    )
    llm.chat(say(document, TextBlock(text="How many?")))
    assert prompt_of(server)[-1]["content"] == (
        '<document name="bridge.txt">\nNine arches, they say.\n</document>\nHow many?'
    )


@pytest.mark.parametrize("way", ["bytes", "path"])
async def test_document(way: str, llm: HuggingChatLLM, server: LocalServer, tmp_path: Path) -> None:
    """A model is shown the text of a PDF or an office document, on both generations."""
    path = tmp_path / "bridges.docx"
    path.write_bytes(office.word_document())
    blocks = {
        "bytes": DocumentBlock(data=path.read_bytes(), title="bridges.docx"),
        "path": DocumentBlock(path=path),
    }
    message = say(blocks[way], TextBlock(text="How many?"))
    llm.chat(message)
    await llm.achat(message)
    for prompt in server.prompts[-2:]:
        assert "| Old | 9 |" in str(prompt.messages[-1]["content"])
        assert "bridges.docx" in str(messages_sent(server)[-1].body)


def test_other_files_are_refused(llm: HuggingChatLLM) -> None:
    """A file that no model would be shown is refused, not dropped silently."""
    with pytest.raises(InvalidRequestError, match="application/x-executable"):
        llm.chat(say(DocumentBlock(data=b"\0\1", document_mimetype="application/x-executable")))


@pytest.mark.parametrize("kind", ["wav", "audio/wav", None])
async def test_recording(kind: str | None) -> None:
    """A recording is what is said in it, where the server can tell."""
    heard: list[tuple[bytes, str]] = []

    def listen(recording: bytes, mime: str) -> str:
        heard.append((recording, mime))
        return "Turn on the light."

    with LocalServer(transcribe=listen) as server:
        llm = HuggingChatLLM("echo/base", base_url=server.base_url)
        message = say(AudioBlock(audio=WAV, format=kind))
        llm.chat(message)
        await llm.achat(message)
        said = [prompt.messages[-1]["content"] for prompt in server.prompts]
    assert said == ["Turn on the light."] * 2
    assert [recording for recording, _ in heard] == [WAV]
    assert heard[0][1] in ("audio/wav", "audio/x-wav")


def test_recording_where_nobody_listens(llm: HuggingChatLLM, server: LocalServer) -> None:
    """Where the server cannot tell, it is refused with that reason, and nothing is asked."""
    with pytest.raises(InvalidRequestError, match=r"does not transcribe|no transcription"):
        llm.chat(say(AudioBlock(audio=WAV, format="wav")))
    assert server.prompts == []


def test_file_too_large(llm: HuggingChatLLM) -> None:
    """A file over the server's limit is refused before anything is sent."""
    with pytest.raises(FileTooLargeError):
        llm.chat(say(ImageBlock(image=PNG + bytes(11 * 2**20), image_mimetype="image/png")))


def test_tool_result_with_an_image(seeing: HuggingChatLLM, server: LocalServer) -> None:
    """An image that a tool gave is seen, and the text next to it names the tool."""
    call = ToolCallBlock(tool_call_id="1", tool_name="camera", tool_kwargs={})
    result = ChatMessage(
        role=MessageRole.TOOL,
        blocks=[TextBlock(text="a bridge"), ImageBlock(image=PNG)],
        additional_kwargs={"tool_call_id": "1"},
    )
    asked = ChatMessage("What do you see?")
    seeing.chat([asked, ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]), result])
    content = prompt_of(server)[-1]["content"]
    (text,) = (part["text"] for part in content if part["type"] == "text")
    assert '{"name": "camera", "arguments": {}}' in text
    assert '{"name": "camera", "content": "a bridge"}' in text
    assert any(part["type"] == "image_url" for part in content)


@pytest.mark.parametrize(
    "call",
    [
        {"id": "1", "type": "function", "function": {"name": "camera", "arguments": '{"zoom": 2}'}},
        {"id": "1", "type": "tool_use", "name": "camera", "input": {"zoom": 2}},
    ],
    ids=["openai", "anthropic"],
)
def test_calls_of_other_llms(
    llm: HuggingChatLLM, server: LocalServer, call: dict[str, Any]
) -> None:
    """A history with another LLM's calls keeps them."""
    llm.chat(
        [
            ChatMessage("What do you see?"),
            ChatMessage(role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": [call]}),
            ChatMessage("A bridge.", role="tool", additional_kwargs={"tool_call_id": "1"}),
        ]
    )
    sent = prompt_of(server)[-1]["content"]
    assert '{"name": "camera", "arguments": {"zoom": 2}}' in sent
    assert '{"name": "camera", "content": "A bridge."}' in sent


def test_citable_block(llm: HuggingChatLLM, server: LocalServer) -> None:
    """Citable content is shown with its title and source."""
    block = CitableBlock(
        title="Bridges", source="https://example.com", content=[TextBlock(text="Nine arches.")]
    )
    llm.chat(say(block))
    assert prompt_of(server)[-1]["content"] == "Bridges (https://example.com):\nNine arches."


def test_roles(llm: HuggingChatLLM, server: LocalServer) -> None:
    """The system's words are the system prompt, also under the name of developer."""
    messages = [
        ChatMessage("Be brief.", role=MessageRole.SYSTEM),
        ChatMessage("Be kind.", role=MessageRole.DEVELOPER),
        ChatMessage("Hello"),
    ]
    llm.chat(messages)
    assert [(m["role"], m["content"]) for m in prompt_of(server)] == [
        ("system", "Be brief.\n\nBe kind."),
        ("user", "Hello"),
    ]


def test_restored_history_keeps_its_roles(llm: HuggingChatLLM, server: LocalServer) -> None:
    """A history that the server does not know goes along as a transcript with its roles."""
    messages = [
        ChatMessage("My cat is Mirabel."),
        ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[ThinkingBlock(content="A cat."), TextBlock(text="A fine name.")],
        ),
        ChatMessage("What is her name?"),
    ]
    llm.chat(messages)
    sent = prompt_of(server)[-1]["content"]
    assert "User: My cat is Mirabel.\n\nAssistant: A fine name." in sent
    assert sent.endswith("What is her name?")
    assert "A cat." not in sent


def test_messages_are_not_changed(seeing: HuggingChatLLM) -> None:
    """The caller's messages are not changed."""
    messages = say(TextBlock(text="?"), ImageBlock(image=PNG))
    before = [message.model_copy(deep=True) for message in messages]
    seeing.chat(messages)
    assert messages == before


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="a device of Unix")
def test_only_files_are_read(tmp_path: Path) -> None:
    """A path that is not a file is refused: its end may never come. A large file is not read."""
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidRequestError, match="a device or a pipe"):
        to_history([ChatMessage(role="user", blocks=[DocumentBlock(path="/dev/null")])])
    with pytest.raises(FileTooLargeError):
        to_history([ChatMessage(role="user", blocks=[DocumentBlock(path=large)])])
