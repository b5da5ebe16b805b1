"""Messages on their way to the server, and answers as messages, chunks and content blocks."""

from __future__ import annotations

import base64
import pickle
from typing import Any, Final

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGenerationChunk

import hfchat_base as ours
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from langchain_huggingchat._convert import text_chunk
from tests.support import office
from tests.support.pictures import PNG


def streamed(model: ChatHuggingChat, text: str, **kwargs: Any) -> AIMessageChunk:
    """Stream an answer and add its chunks up."""
    first, *others = model.stream(text, **kwargs)
    whole = first + others
    assert isinstance(whole, AIMessageChunk)
    return whole


def kinds(message: AIMessage) -> list[str]:
    """The types of a message's content blocks."""
    return [block["type"] for block in message.content_blocks]


def test_no_argument_at_all(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server and model are found without being named."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
    model = ChatHuggingChat()
    message = model.invoke("Hello")
    assert message.text == "Hello, you said: Hello."
    assert message.response_metadata["model_name"] == "obedient/one"
    model.close()


@pytest.mark.parametrize("name", ["model", "model_name", "model_id"])
def test_model_aliases(server: LocalServer, name: str) -> None:
    """The model may be named as other chat models name theirs."""
    settings: dict[str, Any] = {"base_url": server.base_url, name: "echo/base"}
    assert ChatHuggingChat(**settings).model == "echo/base"


def test_both_generations(any_server: LocalServer) -> None:
    """A model on a server of each generation answers and streams the same."""
    model = ChatHuggingChat(base_url=any_server.base_url, model="echo/base")
    assert model.invoke("one two").text == "You said: one two"
    assert streamed(model, "one two").text == "You said: one two"
    model.close()


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_reasoning(server: LocalServer, version: str) -> None:
    """Thinking is a reasoning block before the text, streamed or not."""
    model = ChatHuggingChat(
        base_url=server.base_url, model="think/reasoner", output_version=version
    )
    for message in (model.invoke("why?"), streamed(model, "why?")):
        assert kinds(message) == ["reasoning", "text"]
        assert "think" in str(message.content_blocks[0])
        assert message.text == "After thinking, the answer is 42."
    model.close()


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_web_search(server: LocalServer, version: str) -> None:
    """Sources are citations of the text, and the search is a tool of the server's."""
    model = ChatHuggingChat(base_url=server.base_url, model="tools/agent", output_version=version)
    for message in (
        model.invoke("news", web_search=True),
        streamed(model, "news", web_search=True),
        model.bind_tools([{"type": "web_search"}]).invoke("news"),
    ):
        assert isinstance(message, AIMessage)
        assert not message.tool_calls
        blocks = {block["type"]: block for block in message.content_blocks}
        assert blocks["server_tool_call"]["name"] == "web_search_exa"  # type: ignore[typeddict-item]
        assert blocks["server_tool_result"]["status"] == "success"  # type: ignore[typeddict-item]
        texts = [b for b in message.content_blocks if b["type"] == "text" and "annotations" in b]
        (cited,) = texts
        assert cited["annotations"][0] == {
            "type": "citation",
            "url": "https://example.com/first",
            "title": "The first result",
        }
    model.close()


def test_mcp_tool(server: LocalServer) -> None:
    """A tool server is offered by init, call and bind arguments, in its own form or OpenAI's."""
    own = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
    openai = {"type": "mcp", "server_label": "local", "server_url": "http://127.0.0.1:9200/mcp"}
    model = ChatHuggingChat(base_url=server.base_url, model="tools/agent")
    offering = ChatHuggingChat(base_url=server.base_url, model="tools/agent", mcp_servers=[own])
    for message in (
        offering.invoke("seven"),
        model.invoke("seven", mcp_servers=[own]),
        model.bind_tools([openai]).invoke("seven"),
    ):
        assert "42 for seven" in message.text
    assert "42 for" not in model.invoke("seven").text
    model.close()
    offering.close()


def test_failing_mcp_tool(server: LocalServer) -> None:
    """A tool of the server's that fails is a result with an error."""
    model = ChatHuggingChat(
        base_url=server.base_url,
        model="tools/agent",
        mcp_servers=[{"name": "failing", "url": "http://127.0.0.1:9202/mcp"}],
    )
    (result,) = (b for b in model.invoke("go").content_blocks if b["type"] == "server_tool_result")
    assert result["status"] == "error"
    assert "tool exploded" in str(result["output"])
    model.close()


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_files(server: LocalServer, version: str) -> None:
    """A picture that was made is an image block with its bytes."""
    model = ChatHuggingChat(base_url=server.base_url, model="image/painter", output_version=version)
    for message in (model.invoke("a cat"), streamed(model, "a cat")):
        (image,) = (block for block in message.content_blocks if block["type"] == "image")
        assert image["mime_type"] == "image/png"
        assert image["base64"].startswith("iVBOR")
    model.close()


def test_router(server: LocalServer) -> None:
    """The model that a router has picked is in the metadata."""
    model = ChatHuggingChat(base_url=server.base_url, model="router/omni")
    metadata = streamed(model, "hi").response_metadata
    assert metadata["router"]["model"]
    assert metadata["model_name"] == "router/omni"
    model.close()


def test_metadata(server: LocalServer, model: ChatHuggingChat) -> None:
    """The metadata says once where the answer is kept."""
    metadata = streamed(model, "hi").response_metadata
    assert metadata["model_provider"] == "huggingchat"
    assert metadata["finish_reason"] == "stop"
    assert metadata["conversation_url"] == (
        f"{server.base_url}/conversation/{metadata['conversation_id']}"
    )
    assert metadata["message_id"]


def test_ephemeral_leaves_no_ids(server: LocalServer) -> None:
    """A conversation that was deleted is not pointed to."""
    model = ChatHuggingChat(base_url=server.base_url, ephemeral=True)
    assert "conversation_id" not in model.invoke("hi").response_metadata
    assert any(request.method == "DELETE" for request in server.requests)
    model.close()


async def test_history_is_shared_between_sync_and_async(
    server: LocalServer, model: ChatHuggingChat
) -> None:
    """A chat that `invoke` began goes on with `ainvoke`, in the same conversation."""
    first = model.invoke([SystemMessage("Be good."), HumanMessage("one")])
    history = [SystemMessage("Be good."), HumanMessage("one"), first, HumanMessage("two")]
    second = await model.ainvoke(history)
    assert first.response_metadata["conversation_id"] == second.response_metadata["conversation_id"]
    assert [m["role"] for m in server.prompts[-1].messages] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    await model.aclose()


def test_stop(server: LocalServer) -> None:
    """Nothing behind a stop sequence is returned, and the server's run is ended."""
    model = ChatHuggingChat(base_url=server.base_url, model="slow/drip")
    assert model.invoke("go", stop=["tok3"]).text == "tok0 tok1 tok2 "
    assert "".join(c.text for c in model.stream("go", stop=["k2"])) == "tok0 tok1 to"
    stops = [r for r in server.requests if r.path.endswith("/stop-generating")]
    assert len(stops) == 2
    model.close()


def test_batch(model: ChatHuggingChat) -> None:
    """A batch with bounded concurrency gets every answer, each from a conversation of its own."""
    questions: list[Any] = [f"question {number}" for number in range(6)]
    messages = model.batch(questions, config={"max_concurrency": 3})
    assert [m.text for m in messages] == [f"Hello, you said: {q}." for q in questions]
    assert len({m.response_metadata["conversation_id"] for m in messages}) == len(questions)


async def test_abatch(model: ChatHuggingChat) -> None:
    """Likewise asynchronously."""
    questions: list[Any] = [f"question {number}" for number in range(6)]
    messages = await model.abatch(questions, config={"max_concurrency": 3})
    assert [m.text for m in messages] == [f"Hello, you said: {q}." for q in questions]
    await model.aclose()


def test_text_files_are_shown(server: LocalServer, model: ChatHuggingChat) -> None:
    """A text file becomes part of the message, on servers of both generations."""
    blocks: list[Any] = [
        {"type": "text", "text": "Sum this up."},
        {"type": "text-plain", "text": "Once upon a time", "mime_type": "text/plain"},
        {"type": "file", "base64": "QSB0YWxl", "mime_type": "text/plain", "filename": "tale.txt"},
    ]
    model.invoke([HumanMessage(content_blocks=blocks)])
    said = server.prompts[-1].messages[-1]["content"]
    assert "Once upon a time" in said
    assert '<document name="tale.txt">\nA tale\n</document>' in said


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x.png", "http://[::1]/x.png", "http://10.0.0.1/", "file:///x"]
)
def test_private_addresses_are_not_fetched(model: ChatHuggingChat, address: str) -> None:
    """A picture's address does not lead into the private network."""
    picture: Any = {"type": "image", "url": address}
    with pytest.raises(ours.InvalidRequestError):
        model.invoke([HumanMessage(content_blocks=[picture])])


DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": DATA_URL},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "input_image", "image_url": DATA_URL},
        {"type": "image", "url": DATA_URL},
    ],
    ids=["image_url as a string", "image_url", "input_image", "image"],
)
@pytest.mark.parametrize("texts", [[], ["What is this?"]], ids=["without text", "with text"])
async def test_images(
    server: LocalServer, model: ChatHuggingChat, block: dict[str, Any], texts: list[str]
) -> None:
    """An image is sent in each form that LangChain's users write, with or without text."""
    message = HumanMessage([*({"type": "text", "text": text} for text in texts), block])
    model.invoke([message])
    await model.ainvoke([message])
    for prompt in server.prompts:
        content = prompt.messages[-1]["content"]
        assert sum(part["type"] == "image_url" for part in content) == 1
        assert all(text in str(content) for text in texts)
    await model.aclose()


async def test_image_string_is_fetched(server: LocalServer) -> None:
    """An address that is a plain string is fetched like any other."""
    fetched: list[str] = []

    def fetch(url: str) -> ours.Upload:
        fetched.append(url)
        return ours.Upload.from_source(PNG, name="x.png")

    model = ChatHuggingChat(base_url=server.base_url, fetch_file=fetch)
    image = {"type": "image_url", "image_url": "https://example.com/x.png"}
    model.invoke([HumanMessage([image])])
    await model.ainvoke([HumanMessage([image])])
    assert fetched == ["https://example.com/x.png"] * 2
    await model.aclose()


def test_image_for_a_model_without_vision(server: LocalServer) -> None:
    """A named model that does not accept images is an error, unless another one is welcome."""
    image = HumanMessage([{"type": "image", "url": DATA_URL}])
    strict = ChatHuggingChat(base_url=server.base_url, model="echo/base")
    with pytest.raises(core.ModelInvalidRequestError, match="echo/base does not accept images"):
        strict.invoke([image])
    with pytest.raises(core.ModelInvalidRequestError, match="such as obedient/one"):
        ChatHuggingChat(base_url=server.base_url).invoke([image], model="base")
    assert server.prompts == []
    switching = strict.model_copy(update={"switch_to_vision_model": True})
    assert switching.invoke([image]).response_metadata["model_name"] == "obedient/one"
    strict.close()


def test_content_that_cannot_be_sent(model: ChatHuggingChat) -> None:
    """Content that no HuggingChat server takes is refused with what it takes."""
    film: Any = {"type": "video", "base64": "AAAA", "mime_type": "video/mp4"}
    with pytest.raises(core.ModelInvalidRequestError, match="no video content, only text, images"):
        model.invoke([HumanMessage(content_blocks=[film])])
    program: Any = {"type": "file", "base64": "AAAA", "mime_type": "application/x-executable"}
    with pytest.raises(core.ModelInvalidRequestError, match="extract the text"):
        model.invoke([HumanMessage(content_blocks=[program])])


DOCUMENT: Final = base64.b64encode(office.pdf("Nine arches")).decode()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "file", "base64": DOCUMENT, "mime_type": "application/pdf"},
        {"type": "file", "url": f"data:application/pdf;base64,{DOCUMENT}"},
        {
            "type": "file",
            "file": {
                "filename": "report.pdf",
                "file_data": f"data:application/pdf;base64,{DOCUMENT}",
            },
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": DOCUMENT},
        },
    ],
    ids=["standard", "address", "OpenAI", "Anthropic"],
)
async def test_document(block: dict[str, Any], any_server: LocalServer) -> None:
    """A PDF is shown as its text, in every form that LangChain knows, on both generations."""
    model = ChatHuggingChat(base_url=any_server.base_url)
    message = HumanMessage([{"type": "text", "text": "How many?"}, block])
    model.invoke([message])
    await model.ainvoke([message])
    for prompt in any_server.prompts:
        assert "Nine arches" in str(prompt.messages[-1]["content"])
    assert len(any_server.prompts) == 2
    await model.aclose()


def test_document_of_a_tool(server: LocalServer) -> None:
    """A PDF that a tool gives is shown as its text, too."""
    model = ChatHuggingChat(base_url=server.base_url, model="echo/base")
    call = {"name": "read", "args": {}, "id": "1", "type": "tool_call"}
    pdf = {"type": "file", "base64": DOCUMENT, "mime_type": "application/pdf"}
    model.invoke(
        [
            HumanMessage("Read."),
            AIMessage("", tool_calls=[call]),
            ToolMessage([pdf], tool_call_id="1"),
        ]
    )
    assert "Nine arches" in str(server.prompts[-1].messages[-1]["content"])
    model.close()


SOUND: Final = base64.b64encode(b"RIFF\x04\x00\x00\x00WAVE").decode()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": SOUND, "mime_type": "audio/wav"},
        {"type": "audio", "url": f"data:audio/wav;base64,{SOUND}"},
        {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}},
    ],
    ids=["standard", "address", "OpenAI"],
)
async def test_recording(block: dict[str, Any], listening: LocalServer) -> None:
    """A recording is what is said in it, where the server can tell."""
    model = ChatHuggingChat(base_url=listening.base_url)
    message = HumanMessage([block])
    answers = [model.invoke([message]), await model.ainvoke([message])]
    assert [answer.text for answer in answers] == ["Hello, you said: 12 bytes of audio/wav."] * 2
    await model.aclose()


def test_recording_where_nobody_listens(model: ChatHuggingChat, server: LocalServer) -> None:
    """Where the server cannot, it is refused with that reason, and no message is sent."""
    sound: Any = {"type": "audio", "base64": SOUND, "mime_type": "audio/wav"}
    with pytest.raises(core.ModelInvalidRequestError, match="does not transcribe"):
        model.invoke([HumanMessage(content_blocks=[sound])])
    assert server.prompts == []


def test_text_chunk_is_an_ordinary_chunk() -> None:
    """A text chunk is what pydantic would have made, down to what was set."""
    ordinary = ChatGenerationChunk(message=AIMessageChunk(content="hello"))
    fast = text_chunk("hello")
    assert fast == ordinary
    assert fast.model_fields_set == ordinary.model_fields_set
    assert fast.message.model_fields_set == ordinary.message.model_fields_set
    assert repr(fast) == repr(ordinary)
    assert pickle.loads(pickle.dumps(fast)) == ordinary  # noqa: S301 - made right here


def test_text_chunks_share_nothing() -> None:
    """What is changed in one chunk is not changed in another."""
    first, second = text_chunk("a"), text_chunk("b")
    first.message.additional_kwargs["key"] = 1
    first.message.response_metadata["key"] = 1
    first.message.id = "x"
    assert second == ChatGenerationChunk(message=AIMessageChunk(content="b"))
    assert text_chunk("c") == ChatGenerationChunk(message=AIMessageChunk(content="c"))
    assert (first + second).text == "ab"


def test_message_takes_fields_of_anybody() -> None:
    """A message takes whatever field a caller gives it, and so does one in a text chunk."""
    message = text_chunk("a").message
    message.note = "x"  # type: ignore[attr-defined]
    assert message.model_dump()["note"] == "x"
    assert "note" not in text_chunk("a").message.model_dump()
