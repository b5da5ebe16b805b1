"""The responses that an answer becomes: thinking, citations, files, and details of the answer."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    MessageRole,
    TextBlock,
)

from hfchat_base import McpServerConfig
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM

MAGIC: McpServerConfig = {"name": "local", "url": "http://127.0.0.1:9200/mcp"}
HELLO = [ChatMessage("hello there")]


@pytest.fixture
def agent_llm(current_server: LocalServer) -> HuggingChatLLM:
    """An LLM whose model uses the tools that the server offers it."""
    return HuggingChatLLM("tools/agent", base_url=current_server.base_url)


def test_text_alone(llm: HuggingChatLLM) -> None:
    """A streamed response of text holds the text so far, the new part of it, and nothing else."""
    first = next(iter(llm.stream_chat(HELLO)))
    text = first.delta or ""
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=text)])
    assert text
    assert first == ChatResponse(message=message, delta=text)


def test_responses_share_nothing(llm: HuggingChatLLM) -> None:
    """Changing one response of a stream changes no other."""
    text = ""
    for response in llm.stream_chat(HELLO):
        text += response.delta or ""
        assert response.message.blocks == [TextBlock(text=text)]
        assert "mine" not in response.message.additional_kwargs
        assert "mine" not in response.additional_kwargs
        response.additional_kwargs["mine"] = response.message.additional_kwargs["mine"] = 1
        response.message.blocks.append(TextBlock(text="more"))


def test_chat_tells_where_it_is_stored(llm: HuggingChatLLM) -> None:
    """A response holds its model, its end, and the ids to open or continue it by."""
    told = llm.chat(HELLO).additional_kwargs
    assert told["model"] == "echo/base"
    assert told["finish_reason"] == "stop"
    assert len(told["conversation_id"]) == 24
    assert told["message_id"]


def test_keywords_of_a_message(llm: HuggingChatLLM) -> None:
    """A message says where the server keeps it, and nothing else: LlamaIndex may print it."""
    keywords = llm.chat(HELLO).message.additional_kwargs
    assert list(keywords) == ["conversation_id", "message_id", "history_id"]


def test_reasoning_is_a_thinking_block(llm: HuggingChatLLM) -> None:
    """Thinking is a block of its own, before the text."""
    thinking, text = llm.chat(HELLO, model="think/tags").message.blocks
    assert thinking.block_type == "thinking"
    assert thinking.content is not None
    assert "The user wrote: hello there" in thinking.content
    assert text.block_type == "text"
    assert text.text == "After thinking, the answer is 42."


def test_reasoning_streams_as_thinking_deltas(llm: HuggingChatLLM) -> None:
    """Thinking streams separately from the text, where LlamaIndex's agents look for it."""
    responses = list(llm.stream_chat(HELLO, model="think/tags"))
    thinking = "".join(r.additional_kwargs.get("thinking_delta", "") for r in responses)
    assert "The user wrote: hello there" in thinking
    assert "".join(r.delta or "" for r in responses) == "After thinking, the answer is 42."


def test_generated_files_are_image_blocks(llm: HuggingChatLLM) -> None:
    """An image that the server made comes with its bytes."""
    response = llm.chat(HELLO, model="image/painter")
    image = response.message.blocks[-1]
    assert image.block_type == "image"
    assert image.image_mimetype == "image/png"
    assert image.resolve_image().read().startswith(b"\x89PNG")
    assert response.additional_kwargs["files"][0]["name"] == "picture.png"


def test_router_is_told(current_server: LocalServer) -> None:
    """What a router picked comes with the message (legacy servers do not say)."""
    llm = HuggingChatLLM(base_url=current_server.base_url)
    router = llm.chat(HELLO, model="router/omni").additional_kwargs["router"]
    assert router["model"] == "echo/base"


def test_sources_are_citations(agent_llm: HuggingChatLLM) -> None:
    """The pages that a web search found are citation blocks, and no part of the text."""
    response = agent_llm.chat(HELLO, web_search=True)
    cited = [block for block in response.message.blocks if isinstance(block, CitationBlock)]
    assert [(block.source, block.title) for block in cited] == [
        ("https://example.com/first", "The first result"),
        ("https://example.org/second", "The second result"),
        ("https://example.net/third", "The third result"),
    ]
    assert response.additional_kwargs["sources"][0]["url"] == "https://example.com/first"


def test_tools_of_the_server_are_told(agent_llm: HuggingChatLLM) -> None:
    """A tool that the server ran is reported with the message, and is not one of our calls."""
    response = agent_llm.chat(HELLO, mcp_servers=[MAGIC])
    (run,) = response.additional_kwargs["server_tool_runs"]
    assert run["name"] == "magic_number"
    assert run["output"] == "42 for hello there"
    assert agent_llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


def test_legacy_sources(legacy_server: LocalServer) -> None:
    """A legacy server's own web search gives citations as well."""
    response = HuggingChatLLM(base_url=legacy_server.base_url).chat(HELLO, web_search=True)
    assert any(isinstance(block, CitationBlock) for block in response.message.blocks)
