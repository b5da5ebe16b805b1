"""What the server says, as LangChain's messages and message chunks.

Text is a message's content. What a string cannot hold goes into `additional_kwargs`, as LangChain's
standard blocks: citations, server-run tools, files. `content_blocks` puts all of it together; the
translation is registered here, for the provider ``"huggingchat"``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.content import ContentBlock
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from hfchat_base import Answer, AnswerFile, ReasoningDelta, Sources, ToolCall, ToolError, ToolResult
from hfchat_base.events import Event
from hfchat_base.tools import CALL_OPEN, FunctionCall, InvalidToolCall, Piece
from hfchat_base.types import FetchedFile
from hfchat_base.unchecked import Template

__all__ = [
    "PROVIDER",
    "ChunkMaker",
    "broken_call_text",
    "metadata_of",
    "register_blocks",
    "with_errors",
]

PROVIDER: Final = "huggingchat"

_FIRST_INDEX: Final = 1 << 20
"""Blocks with equal indices are merged by core, and it counts text and reasoning from 0."""


_ERRORS: Final = "invalid_tool_call_errors"
"""What is wrong with invalid calls, by their ids: core's chunks have no room for it."""


class ChunkMaker:
    """Makes the chunks of one answer."""

    def __init__(self) -> None:
        self._next_index = _FIRST_INDEX
        self._has_calls = False
        self._missing_files: list[dict[str, str]] = []

    def make(self, piece: Piece) -> ChatGenerationChunk | None:
        """The chunk for a piece of the answer, or None if there is nothing to tell of it."""
        if isinstance(piece, str):
            return text_chunk(piece)
        if isinstance(piece, FunctionCall):
            arguments = json.dumps(piece.arguments, ensure_ascii=False)
            return self._call(piece.name, arguments, piece.id)
        if isinstance(piece, InvalidToolCall):
            chunk = self._call(piece.name, broken_call_text(piece), piece.id)
            chunk.message.additional_kwargs[_ERRORS] = {piece.id: piece.error}
            return chunk
        additional = self._additional(piece)
        return _chunk(additional) if additional else None

    def _additional(self, event: Event) -> dict[str, Any] | None:
        """What an event adds to `additional_kwargs`."""
        if isinstance(event, ReasoningDelta):
            return {"reasoning_content": event.text}
        if isinstance(event, Sources):
            citations = [
                {"type": "citation", "url": source.url, "title": source.title}
                for source in event.sources
            ]
            return {"citations": citations}
        if isinstance(event, (ToolCall, ToolResult, ToolError)):
            # Without an index: core would look for its equal among all that came before.
            return {"server_tools": [_tool_block(event)]}
        return None

    def all(self, pieces: Iterable[Piece]) -> Iterator[ChatGenerationChunk]:
        """The chunks for some pieces."""
        return (chunk for chunk in map(self.make, pieces) if chunk is not None)

    def files(self, fetched: Iterable[FetchedFile]) -> Iterator[ChatGenerationChunk]:
        """The chunks for the files of the answer; the last chunk names those that are missing."""
        for one in fetched:
            if one.data is None:
                self._missing_files.append(one.as_missing())
            else:
                yield self._file(one.file, one.data)

    def _file(self, file: AnswerFile, data: bytes) -> ChatGenerationChunk:
        block = {
            "type": "image" if file.mime.startswith("image/") else "file",
            "base64": base64.b64encode(data).decode("ascii"),
            "mime_type": file.mime,
            "extras": {"name": file.name},
        }
        return _chunk({"files": [{**block, "index": self._index()}]})

    def last(self, metadata: Mapping[str, Any]) -> ChatGenerationChunk:
        """The chunk that ends the answer.

        Args:
            metadata: What is known of the whole of it.
        """
        message = AIMessageChunk(
            content="", response_metadata=dict(metadata), chunk_position="last"
        )
        if self._has_calls:
            message.response_metadata["finish_reason"] = "tool_calls"
        if self._missing_files:
            message.response_metadata["missing_files"] = self._missing_files
        return ChatGenerationChunk(message=message)

    def _call(self, name: str | None, arguments: str, call_id: str) -> ChatGenerationChunk:
        self._has_calls = True
        chunk = tool_call_chunk(name=name, args=arguments, id=call_id, index=self._index())
        return ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[chunk]))

    def _index(self) -> int:
        self._next_index += 1
        return self._next_index


def gathered(chunks: Iterable[ChatGenerationChunk]) -> Iterator[ChatGenerationChunk]:
    """The same chunks, with all that stands beside the text in one of them.

    Core adds chunks up one by one and copies what there is at each, which for tens of thousands of
    tool events takes minutes.

    Args:
        chunks: The chunks of a whole answer.
    """
    beside: dict[str, list[Any]] = {}
    last: ChatGenerationChunk | None = None
    for chunk in chunks:
        if last is not None:
            yield last
        message = chunk.message
        last = chunk
        calls = isinstance(message, AIMessageChunk) and message.tool_call_chunks
        if message.additional_kwargs and not message.content and not calls:
            for name, value in message.additional_kwargs.items():
                beside.setdefault(name, []).extend(value if isinstance(value, list) else [value])
            last = None
    if beside:
        yield _chunk(
            {
                name: "".join(values) if all(isinstance(v, str) for v in values) else values
                for name, values in beside.items()
            }
        )
    if last is not None:
        yield last


_MESSAGE: Final = Template(AIMessageChunk(content=""))
_CHUNK: Final = Template(ChatGenerationChunk(message=AIMessageChunk(content="")))


def text_chunk(text: str) -> ChatGenerationChunk:
    """A chunk of nothing but text: most are such, and nothing in them needs checking."""
    return _CHUNK.filled(message=_MESSAGE.filled(content=text), text=text)


def _chunk(additional: dict[str, Any]) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content="", additional_kwargs=additional, response_metadata={"model_provider": PROVIDER}
    )
    return ChatGenerationChunk(message=message)


def broken_call_text(call: InvalidToolCall) -> str:
    """The text of a broken call, with its tag.

    Without the tag core would complete cut-off arguments when it adds up chunks, and make a call
    of them that nobody has written.
    """
    return f"{CALL_OPEN}\n{call.text}"


def with_errors(result: ChatResult) -> ChatResult:
    """Let the invalid calls of an answer say what is wrong with them."""
    for generation in result.generations:
        message = generation.message
        if isinstance(message, AIMessage):
            for call in message.invalid_tool_calls:
                call["error"] = message.additional_kwargs.get(_ERRORS, {}).get(call["id"])
    return result


def metadata_of(answer: Answer, base_url: str, *, is_kept: bool) -> dict[str, Any]:
    """What `response_metadata` tells of an answer.

    Args:
        answer: The whole answer.
        base_url: Address of the server.
        is_kept: Whether the conversation still exists on it.
    """
    metadata: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": answer.model,
        "finish_reason": answer.finish_reason or "stop",
    }
    if is_kept and answer.conversation_id:
        metadata["conversation_id"] = answer.conversation_id
        metadata["conversation_url"] = f"{base_url}/conversation/{answer.conversation_id}"
        if answer.message_id:
            metadata["message_id"] = answer.message_id
    if answer.title:
        metadata["title"] = answer.title
    if answer.router:
        metadata["router"] = dict(answer.router)
    return metadata


def _tool_block(event: ToolCall | ToolResult | ToolError) -> dict[str, Any]:
    if isinstance(event, ToolCall):
        return {
            "type": "server_tool_call",
            "id": event.uuid,
            "name": event.name,
            "args": event.arguments,
        }
    is_error = isinstance(event, ToolError)
    return {
        "type": "server_tool_result",
        "tool_call_id": event.uuid,
        "status": "error" if is_error else "success",
        "output": event.message if isinstance(event, ToolError) else event.output,
    }


def _blocks(message: AIMessage) -> list[ContentBlock]:
    """All that a message of ours holds, as standard blocks."""
    if not isinstance(message.content, str):
        raise NotImplementedError  # core then reads the list itself
    extra = message.additional_kwargs
    blocks: list[dict[str, Any]] = []
    if reasoning := extra.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": reasoning})
    blocks += extra.get("server_tools", [])
    citations = extra.get("citations")
    if message.content or citations:
        text: dict[str, Any] = {"type": "text", "text": message.content}
        blocks.append({**text, "annotations": citations} if citations else text)
    blocks += extra.get("files", [])
    if isinstance(message, AIMessageChunk) and message.chunk_position != "last":
        blocks += [{**chunk, "type": "tool_call_chunk"} for chunk in message.tool_call_chunks]
    else:
        blocks += [{**call, "type": "tool_call"} for call in message.tool_calls]
        errors = extra.get(_ERRORS, {})
        blocks += [
            {**call, "type": "invalid_tool_call", "error": errors.get(call["id"], call["error"])}
            for call in message.invalid_tool_calls
        ]
    return cast("list[ContentBlock]", blocks)


def register_blocks() -> None:
    """Tell langchain-core how messages of ours are read as standard blocks."""
    register_translator(PROVIDER, _blocks, _blocks)
