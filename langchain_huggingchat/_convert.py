"""LangChain's messages and tools → the base client's, and its answers → LangChain's chunks.

What goes in: `base_messages` turns each message and content block into what the server takes, and
`tool_set` sorts tools into those that the caller runs and those that the server runs.

What comes out: `ChunkMaker` makes a chunk of each piece of an answer. Text is the message's
content. What a string cannot hold goes into `additional_kwargs`, as LangChain's standard blocks:
citations, server-run tools, files. `content_blocks` puts all of it together; the translation is
registered here, for the provider ``"huggingchat"``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final, cast

from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ChatMessage as RoleMessage
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.content import ContentBlock
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from hfchat_base import (
    Answer,
    AnswerFile,
    ChatMessage,
    FetchedFile,
    InvalidRequestError,
    ReasoningDelta,
    Sources,
    ToolCall,
    ToolError,
    ToolResult,
    Upload,
)
from hfchat_base.documents import can_read_documents
from hfchat_base.events import Event
from hfchat_base.files import document
from hfchat_base.tools import (
    CALL_OPEN,
    FunctionCall,
    InvalidToolCall,
    Piece,
    assistant_text,
    openai_form,
    result_text,
)
from hfchat_base.tools.openai_form import ToolSet
from hfchat_base.types import ASSUMED_CONTEXT_WINDOW, AnswerReference, ModelDetails, Role

__all__ = [
    "PROVIDER",
    "ChunkMaker",
    "FetchFile",
    "as_openai_tool",
    "base_messages",
    "gathered",
    "has_web_files",
    "metadata_of",
    "profile_of",
    "register_blocks",
    "response_schema",
    "tool_set",
    "with_errors",
]

PROVIDER: Final = "huggingchat"

FetchFile = Callable[[str], Upload]
"""Fetches the file at a web address."""

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
_SILENT_BLOCKS: Final = frozenset(
    (
        "reasoning",  # never sent back: servers take earlier thinking out of the history
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
    )
)


def base_messages(messages: Sequence[BaseMessage], fetch: FetchFile) -> list[ChatMessage]:
    """Turn a LangChain history into the base client's.

    Args:
        messages: The history.
        fetch: Fetches the files that are given as web addresses.

    Raises:
        InvalidRequestError: Something in it cannot be sent to a HuggingChat server.
    """
    tool_names = {
        call["id"]: call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    converter = _Converter(fetch, tool_names)
    return [converter.convert(message) for message in messages]


def has_web_files(messages: Sequence[BaseMessage]) -> bool:
    """Whether a file has to be fetched from the web."""
    return any(
        not _is_data(_image_url(block) or "data:")
        for message in messages
        if not isinstance(message, AIMessage) and not isinstance(message.content, str)
        for block in message.content_blocks
    )


class _Converter:
    """Turns messages one by one.

    Args:
        fetch: Fetches files from the web.
        tool_names: The names of the tools that were called, by the ids of the calls.
    """

    def __init__(self, fetch: FetchFile, tool_names: Mapping[str | None, str]) -> None:
        self._fetch = fetch
        self._tool_names = tool_names

    def convert(self, message: BaseMessage) -> ChatMessage:
        """Turn one message."""
        if isinstance(message, AIMessage):
            return ChatMessage("assistant", _assistant_text(message), reference=_reference(message))
        text, files = self._content(message.content_blocks)
        if isinstance(message, ToolMessage):
            name = message.name or self._tool_names.get(message.tool_call_id) or "tool"
            is_error = message.status == "error"
            return ChatMessage("user", result_text(name, text, is_error=is_error), files)
        if isinstance(message, FunctionMessage):
            return ChatMessage("user", result_text(message.name, text), files)
        if isinstance(message, SystemMessage):
            return ChatMessage("system", text, files)
        if isinstance(message, HumanMessage):
            return ChatMessage("user", text, files)
        if isinstance(message, RoleMessage):
            return ChatMessage(_ROLES.get(message.role.lower(), "user"), text, files)
        raise InvalidRequestError(f"A {message.type} message cannot be sent to a model.")

    def _content(self, blocks: Iterable[Mapping[str, Any]]) -> tuple[str, tuple[Upload, ...]]:
        texts: list[str] = []
        files: list[Upload] = []
        for block in blocks:
            kind = block["type"]
            if kind in {"text", "text-plain"}:
                texts.append(_plain_text(block))
            elif kind in {"image", "file"}:
                _add_file(self._upload(block), texts, files)
            elif kind == "audio":
                files.append(self._upload(block).as_audio())
            elif kind == "non_standard":
                self._add_other(block["value"], texts, files)
            elif kind not in _SILENT_BLOCKS:
                raise InvalidRequestError(
                    f"A HuggingChat server takes no {kind} content, only text, images, recordings"
                    " and documents."
                )
        return "\n\n".join(text for text in texts if text), tuple(files)

    def _upload(self, block: Mapping[str, Any]) -> Upload:
        mime = block.get("mime_type")
        extras = block.get("extras") or {}
        name = extras.get("filename") or extras.get("name") or block.get("filename")
        url = block.get("url")
        if data := block.get("base64"):
            data_url = f"data:{mime or ''};base64,{_as_text(data)}"
            return Upload.from_source(data_url, name=name, mime=mime)
        if url:
            return (
                Upload.from_source(url, name=name, mime=mime) if _is_data(url) else self._fetch(url)
            )
        raise InvalidRequestError(
            "A file given by an id cannot be sent: give its bytes (base64) or its address (url)."
        )

    def _add_other(self, value: Mapping[str, Any], texts: list[str], files: list[Upload]) -> None:
        """Add a block that is not a standard block of LangChain."""
        if value.get("type") == "tool_result":  # Anthropic's form of a tool's result
            content = value.get("content") or ""
            inner = HumanMessage(content if isinstance(content, (str, list)) else str(content))
            text, more = self._content(inner.content_blocks)
            name = self._tool_names.get(value.get("tool_use_id")) or "tool"
            texts.append(result_text(name, text, is_error=bool(value.get("is_error"))))
            files += more
        elif url := _image_url({"type": "non_standard", "value": value}):
            _add_file(self._upload({"url": url}), texts, files)
        elif value.get("type") != "tool_use":
            texts.append(json.dumps(value, ensure_ascii=False, default=str))


def _add_file(upload: Upload, texts: list[str], files: list[Upload]) -> None:
    """Put a text file into the message, where it stands; the base client reads other files."""
    if upload.is_text:
        texts.append(upload.as_document())
    else:
        files.append(upload)


def _assistant_text(message: AIMessage) -> str:
    text = "".join(
        _plain_text(block) for block in message.content_blocks if block["type"] == "text"
    )
    calls: list[FunctionCall | InvalidToolCall] = [
        FunctionCall(call["name"], call["args"], call["id"] or "") for call in message.tool_calls
    ]
    calls += [
        InvalidToolCall(
            (call["args"] or "").removeprefix(CALL_OPEN), call["error"] or "", call["name"]
        )
        for call in message.invalid_tool_calls
    ]
    return assistant_text(text, calls)


def _reference(message: AIMessage) -> AnswerReference | None:
    """Where the server keeps a message, as `metadata_of` has noted it."""
    metadata = message.response_metadata
    ids = [metadata.get(name) for name in ("conversation_id", "message_id", "history_id")]
    if metadata.get("model_provider") != PROVIDER or not all(isinstance(id_, str) for id_ in ids):
        return None
    return AnswerReference(*map(str, ids))


def _plain_text(block: Mapping[str, Any]) -> str:
    text = block.get("text")
    if block["type"] == "text":
        return str(text or "")
    if text is None:
        raise InvalidRequestError("A text-plain block needs its text in the field 'text'.")
    return document(block.get("title") or "text", str(text))


def _is_data(url: str) -> bool:
    return url.startswith("data:")


def _image_url(block: Mapping[str, Any]) -> str | None:
    """The address of a block's file; also of OpenAI's image block with a plain string in it."""
    if block["type"] != "non_standard":
        return str(block.get("url") or "") or None
    value = block["value"]
    if value.get("type") not in {"image_url", "input_image"}:
        return None
    image = value.get("image_url")
    return image if isinstance(image, str) else None


def _as_text(data: str | bytes) -> str:
    return data.decode("ascii") if isinstance(data, bytes) else data


def tool_set(tools: Sequence[Any], choice: Any = None, *, parallel: bool = True) -> ToolSet:
    """Sort tools in any form that LangChain knows by who runs them.

    Args:
        tools: As given to `bind_tools`, or converted by it.
        choice: Whether one has to be called.
        parallel: Whether several calls at once are welcome.

    Raises:
        InvalidRequestError: A tool is one that neither the caller nor the server can run.
    """
    return ToolSet.from_openai(list(map(as_openai_tool, tools)), choice, parallel=parallel)


def as_openai_tool(tool: Any) -> dict[str, Any]:
    """Describe a tool in OpenAI's form.

    Raises:
        InvalidRequestError: LangChain cannot make a tool of it.
    """
    try:
        return convert_to_openai_tool(tool)
    except (ValueError, TypeError, AttributeError) as error:
        kind = type(tool).__name__
        raise InvalidRequestError(f"LangChain can make no tool of {kind}: {error}") from error


_FORMATS: Final = ("json_schema", "json_object", "text")


def response_schema(response_format: Any) -> Mapping[str, Any] | None:
    """The JSON schema that a `response_format` asks for.

    Args:
        response_format: OpenAI's form of it: ``{"type": "json_schema", "json_schema": …}`` or
            ``{"type": "json_object"}``, or a schema itself (a pydantic class or JSON schema).

    Returns:
        None if text is wanted; an empty schema if any JSON object will do.
    """
    is_mapping = isinstance(response_format, Mapping)
    if response_format is None or (is_mapping and response_format.get("type") in _FORMATS):
        return openai_form.response_schema(response_format)
    parameters: Mapping[str, Any] = convert_to_openai_tool(response_format)["function"].get(
        "parameters", {}
    )
    return parameters


_ERRORS: Final = "invalid_tool_call_errors"
"""Why calls are invalid, by their ids: LangChain's chunks have no room for it."""

_FIRST_INDEX: Final = 1 << 20
"""Blocks with equal indices are merged by core, and it counts text and reasoning from 0."""


class ChunkMaker:
    """Makes the chunks of one answer."""

    def __init__(self) -> None:
        self._next_index = _FIRST_INDEX
        self._has_calls = False
        self._missing_files: list[dict[str, str]] = []

    def make(self, piece: Piece) -> ChatGenerationChunk | None:
        """The chunk for a piece of the answer, or None if LangChain has no place for it."""
        if isinstance(piece, str):
            return text_chunk(piece)
        if isinstance(piece, FunctionCall):
            arguments = json.dumps(piece.arguments, ensure_ascii=False)
            return self._call(piece.name, arguments, piece.id)
        if isinstance(piece, InvalidToolCall):
            chunk = self._call(piece.name, _invalid_call_text(piece), piece.id)
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
            metadata: What is known of the whole answer.
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
    """The same chunks, with all `additional_kwargs` collected in one of them.

    Core adds chunks up one by one and copies the sum each time, which takes minutes for tens of
    thousands of tool events.

    Args:
        chunks: The chunks of a whole answer.
    """
    collected: dict[str, list[Any]] = {}
    last: ChatGenerationChunk | None = None
    for chunk in chunks:
        if last is not None:
            yield last
        message = chunk.message
        last = chunk
        has_calls = isinstance(message, AIMessageChunk) and message.tool_call_chunks
        if message.additional_kwargs and not message.content and not has_calls:
            for name, value in message.additional_kwargs.items():
                collected.setdefault(name, []).extend(value if isinstance(value, list) else [value])
            last = None
    if collected:
        yield _chunk(
            {
                name: "".join(values) if all(isinstance(v, str) for v in values) else values
                for name, values in collected.items()
            }
        )
    if last is not None:
        yield last


_MESSAGE: Final = AIMessageChunk(content="")
_CHUNK: Final = ChatGenerationChunk(message=_MESSAGE)
_CONTAINERS: Final = tuple((n, type(v)) for n, v in vars(_MESSAGE).items() if v in ([], {}))
"""The fields of a message that no two messages may share, each with what makes a new one."""


def text_chunk(text: str) -> ChatGenerationChunk:
    """A chunk of nothing but text.

    Most chunks have only text, and nothing in them needs validation. Copying costs half as much.
    """
    message, chunk = copy(_MESSAGE), copy(_CHUNK)
    fields = vars(message)
    for name, new in _CONTAINERS:
        fields[name] = new()
    fields["content"] = text
    vars(chunk).update(message=message, text=text)
    return chunk


def _chunk(additional: dict[str, Any]) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content="", additional_kwargs=additional, response_metadata={"model_provider": PROVIDER}
    )
    return ChatGenerationChunk(message=message)


def _invalid_call_text(call: InvalidToolCall) -> str:
    """The text of an invalid call, with its tag.

    Without the tag core would complete cut-off arguments when it adds up chunks, and make a call
    of them that nobody has written.
    """
    return f"{CALL_OPEN}\n{call.text}"


def with_errors(result: ChatResult) -> ChatResult:
    """Set the reasons why calls of an answer are invalid."""
    for generation in result.generations:
        message = generation.message
        if isinstance(message, AIMessage):
            for call in message.invalid_tool_calls:
                call["error"] = message.additional_kwargs.get(_ERRORS, {}).get(call["id"])
    return result


def metadata_of(answer: Answer, base_url: str, *, is_kept: bool) -> dict[str, Any]:
    """The `response_metadata` of an answer.

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
        if answer.history_id:
            metadata["history_id"] = answer.history_id
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
    """A message of ours as standard blocks."""
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
    """Register with langchain-core how our messages become standard blocks."""
    register_translator(PROVIDER, _blocks, _blocks)


def profile_of(model: ModelDetails | None, provider: str | None = None) -> ModelProfile:
    """The profile of a model.

    `structured_output` is left unset: agents then use a tool call for it, which is validated and
    asked for again. So is `audio_inputs`: only the server knows whether it transcribes.

    Args:
        model: The model as far as it is known, or None.
        provider: Who runs it, if that is chosen.
    """
    window = model.context_window(provider) if model else None
    profile: dict[str, Any] = {
        "text_inputs": True,
        "text_outputs": True,
        "video_inputs": False,
        "pdf_inputs": can_read_documents(),
        "pdf_tool_message": can_read_documents(),
        "attachment": True,
        "temperature": False,
        "tool_calling": True,
        "tool_choice": True,
        "tool_call_streaming": True,
        "max_input_tokens": window or ASSUMED_CONTEXT_WINDOW,
    }
    if model is not None:
        profile |= {
            "name": model.name or model.id,
            "image_inputs": model.accepts_images,
            "image_url_inputs": model.accepts_images,
            "image_tool_message": model.accepts_images,
            "reasoning_output": model.supports_reasoning,
            "image_outputs": model.generates_images,
        }
        if model.reasoning_efforts:
            profile["reasoning_effort_levels"] = list(model.reasoning_efforts)
        if model.max_output_tokens:
            profile["max_output_tokens"] = model.max_output_tokens
    # Older versions of langchain-core do not know all of these.
    known = ModelProfile.__annotations__
    return cast("ModelProfile", {name: value for name, value in profile.items() if name in known})
