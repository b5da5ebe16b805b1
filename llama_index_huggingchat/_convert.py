"""LlamaIndex's messages, tools and tool calls ↔ those of `hfchat_base`.

In: a message's role, and which of its blocks become text or attachments.

* ``system``, ``developer`` → system; ``assistant``, ``model``, ``chatbot`` → assistant; else user.
* A tool's result becomes a user message, in the form that the model was told to expect.
* An assistant's thinking, citations and files are not sent: the server stores them with the answer,
  and finds the answer by its text alone.

What the server receives, and in which conversation, is decided by `HuggingChat.stream_chat`; what a
model reads about tools, and how its calls are found in its text, by `hfchat_base.tools`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

import hfchat_base
from hfchat_base.errors import InvalidRequestError
from hfchat_base.files import Upload, fetch_public_file
from hfchat_base.tools import (
    FunctionCall,
    Tool,
    ToolChoice,
    ToolConfig,
    assistant_text,
    result_text,
)
from hfchat_base.types import AnswerReference, Role

__all__ = [
    "openai_tool_calls",
    "partial_call",
    "to_history",
    "to_history_async",
    "to_tool_config",
    "tool_calls",
    "tool_descriptions",
    "tool_selections",
    "without_references",
]

_ROLES: Final[dict[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
}

_RESULT_ROLES: Final = (MessageRole.TOOL, MessageRole.FUNCTION)

_WRITTEN_REFERENCE: Final = re.compile(
    r"(\n\{|, )'conversation_id': '[0-9a-f]{24}', 'message_id': '[0-9a-f-]{36}',"
    r" 'history_id': '[0-9a-f]{40}'\}"
)
"""An `AnswerReference` as it stands at the end of a message's additional keywords."""

# --- messages -------------------------------------------------------------------------------------


def to_history(messages: Sequence[ChatMessage]) -> list[hfchat_base.ChatMessage]:
    """Convert LlamaIndex's messages to those of the base client.

    Args:
        messages: The whole history. It is not changed.

    Raises:
        InvalidRequestError: A block cannot be sent (video), or an attachment cannot be read.
        FileTooLargeError: An attachment is larger than the server accepts.
    """
    names = {call.id: call.name for message in messages for call in tool_calls(message)}
    return [_to_message(message, names) for message in messages]


async def to_history_async(messages: Sequence[ChatMessage]) -> list[hfchat_base.ChatMessage]:
    """Convert messages without blocking the event loop on files; see `to_history`."""
    if any(not isinstance(block, TextBlock) for message in messages for block in message.blocks):
        return await asyncio.to_thread(to_history, messages)
    return to_history(messages)


def _to_message(message: ChatMessage, names: Mapping[str, str]) -> hfchat_base.ChatMessage:
    role = _ROLES.get(message.role, "user")
    if role == "assistant":
        texts = [block.text for block in message.blocks if isinstance(block, TextBlock)]
        text = assistant_text("\n".join(texts), tool_calls(message))
        return hfchat_base.ChatMessage(role, text, reference=_reference(message))
    text, files = _text_and_files(message.blocks)
    if message.role in _RESULT_ROLES:
        text = result_text(_tool_name(message, names), text)
    return hfchat_base.ChatMessage(role, text, tuple(files))


def _reference(message: ChatMessage) -> AnswerReference | None:
    """Where the server keeps an answer, as its message says."""
    details = message.additional_kwargs
    ids = [details.get(field.name) for field in fields(AnswerReference)]
    if not all(isinstance(id_, str) for id_ in ids):
        return None
    return AnswerReference(*map(str, ids))


def without_references(text: str) -> str:
    """A prompt without the references that LlamaIndex has written into it.

    It writes the additional keywords of messages into the prompts that condense a chat. The ids
    among them mean nothing to a model.
    """
    if _WRITTEN_REFERENCE.search(text) is None:
        return text
    return _WRITTEN_REFERENCE.sub(lambda found: "" if found[1] == "\n{" else "}", text)


def _tool_name(message: ChatMessage, names: Mapping[str, str]) -> str:
    details = message.additional_kwargs
    return names.get(details.get("tool_call_id", "")) or details.get("name") or "tool"


def _text_and_files(blocks: Sequence[Any]) -> tuple[str, list[Upload]]:
    texts: list[str] = []
    files: list[Upload] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            texts.append(without_references(block.text))
        elif isinstance(block, (ImageBlock, DocumentBlock)):
            upload = _upload(block)
            if upload.is_text:
                texts.append(upload.as_document())
            else:
                files.append(upload)  # the base client reads it
        elif isinstance(block, AudioBlock):
            files.append(_upload(block).as_audio())
        elif isinstance(block, CitableBlock):
            text, attached = _text_and_files(block.content)
            texts.append(f"{block.title} ({block.source}):\n{text}")
            files += attached
        elif isinstance(block, CitationBlock):
            text, attached = _text_and_files([block.cited_content])
            texts.append(f"{text}\n({block.title}: {block.source})")
            files += attached
        elif not isinstance(block, (ThinkingBlock, ToolCallBlock, CachePoint)):
            raise InvalidRequestError(
                "HuggingChat accepts text, images, recordings and documents, but no"
                f" {block.block_type}."
            )
    return "\n".join(texts), files


def _upload(block: ImageBlock | DocumentBlock | AudioBlock) -> Upload:
    name: str | None = None
    read: Callable[[], Any]
    if isinstance(block, ImageBlock):
        content, mime, read = block.image, block.image_mimetype, block.resolve_image
    elif isinstance(block, AudioBlock):
        mime = f"audio/{block.format.removeprefix('audio/')}" if block.format else None
        content, read = block.audio, block.resolve_audio
    else:
        content, mime, name = block.data, block.document_mimetype, block.title
        read = block.resolve_document
    if content is None and block.path is None and block.url is not None:
        url = str(block.url)
        is_data = url.startswith("data:")
        return Upload.from_source(url, name=name) if is_data else fetch_public_file(url)
    if content is None and block.path is not None:
        return Upload.from_source(Path(block.path), mime=mime)  # the block would read any size
    try:
        data = read().read()
    except (OSError, ValueError) as error:
        msg = f"The {block.block_type} cannot be read: {error}"
        raise InvalidRequestError(msg) from error
    if block.path is not None:
        name = Path(block.path).name
    return Upload.from_source(data, name=name, mime=mime)


# --- tools ----------------------------------------------------------------------------------------


def tool_descriptions(tools: Iterable[BaseTool]) -> list[dict[str, Any]]:
    """Describe tools as plain data, in OpenAI's form, so that events can hold them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.metadata.get_name(),
                "description": tool.metadata.description,
                "parameters": tool.metadata.get_parameters_dict(),
            },
        }
        for tool in tools
    ]


def to_tool_config(
    tools: Sequence[BaseTool | Mapping[str, Any]] | None, choice: ToolChoice, *, parallel: bool
) -> ToolConfig:
    """Convert the tool arguments of a `chat` call.

    Args:
        tools: LlamaIndex's tools, or descriptions in OpenAI's form.
        choice: Whether one of them has to be called.
        parallel: Whether one answer may hold several calls.

    Raises:
        InvalidRequestError: A tool is neither, or the choice names a tool that is not offered.
    """
    return ToolConfig.from_choice(
        [_to_tool(tool) for tool in tools or ()], choice, parallel=parallel
    )


def _to_tool(tool: Any) -> Tool:
    if isinstance(tool, BaseTool):
        (tool,) = tool_descriptions([tool])
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        msg = 'A tool is a LlamaIndex tool, or {"type": "function", "function": {"name": …}}.'
        raise InvalidRequestError(msg)
    return Tool(
        function["name"], function.get("description") or "", function.get("parameters") or {}
    )


# --- tool calls -----------------------------------------------------------------------------------


def tool_calls(message: ChatMessage) -> list[FunctionCall]:
    """The calls in an assistant's message, as blocks or in an older form."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if blocks:
        return [
            FunctionCall(block.tool_name, _arguments(block.tool_kwargs), block.tool_call_id or "")
            for block in blocks
        ]
    older = message.additional_kwargs.get("tool_calls") or ()
    calls = [_from_older_form(call) for call in older]
    return [call for call in calls if call is not None]


def _from_older_form(written: Any) -> FunctionCall | None:
    """Read a call as an OpenAI or Anthropic LLM stored it in a history."""
    call = written.model_dump() if isinstance(written, BaseModel) else written
    if not isinstance(call, Mapping):
        return None
    inner = call.get("function")
    function = inner if isinstance(inner, Mapping) else call
    arguments: Any = function.get("arguments", function.get("input"))
    name = function.get("name")
    return FunctionCall(name, _arguments(arguments), call.get("id") or "") if name else None


def openai_tool_calls(calls: Iterable[FunctionCall]) -> list[dict[str, Any]]:
    """Calls in OpenAI's form, which older parts of LlamaIndex read instead of the blocks."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.dumps(call.arguments, ensure_ascii=False),
            },
        }
        for call in calls
    ]


def tool_selections(response: ChatResponse) -> list[ToolSelection]:
    """The calls of a response, as LlamaIndex runs them."""
    return [
        ToolSelection(tool_id=call.id, tool_name=call.name, tool_kwargs=call.arguments)
        for call in tool_calls(response.message)
    ]


def partial_call(config: ToolConfig, text: str) -> FunctionCall | None:
    """Read a call that is still being written.

    Only where exactly one tool has to be called, as for structured output: there the answer is
    nothing but the call. The result is a preview and never run.

    Args:
        config: The tools.
        text: The model's text so far.

    Returns:
        The call with its arguments so far, or None if there are none yet.
    """
    start = text.find("{")
    if not config.is_forced or len(config.tools) != 1 or start < 0:
        return None
    try:
        value = parse_partial_json(text[start:])
    except ValueError:
        return None
    (tool,) = config.tools
    arguments = value.get("arguments", value.get("parameters"))
    if arguments is None and set(value) <= set(tool.argument_names):
        arguments = value
    if not isinstance(arguments, dict) or not arguments:
        return None
    return FunctionCall(tool.name, arguments, "")


def _arguments(arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return {}
    return dict(arguments) if isinstance(arguments, Mapping) else {}
