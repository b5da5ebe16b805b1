"""LangChain's messages as the base client takes them.

Here is what becomes of each kind of message and of each content block on its way to the server.
What comes back is put together in `chunks.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ChatMessage as RoleMessage

from hfchat_base import ChatMessage, InvalidRequestError, Upload
from hfchat_base.files import document
from hfchat_base.tools import CALL_OPEN, FunctionCall, InvalidToolCall, assistant_text, result_text
from hfchat_base.types import Role

__all__ = ["FetchFile", "base_messages", "has_web_files"]

FetchFile = Callable[[str], Upload]
"""From a web address to the file there."""

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
        fetch: Gets the files that are given by their web address.

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
    """Whether something has to be fetched from the web."""
    return any(
        not _is_data(str(block.get("url") or "data:"))
        for message in messages
        if not isinstance(message, AIMessage) and not isinstance(message.content, str)
        for block in message.content_blocks
    )


class _Converter:
    """Turns messages one by one.

    Args:
        fetch: Gets files from the web.
        tool_names: From the ids of calls to the tools that were called.
    """

    def __init__(self, fetch: FetchFile, tool_names: Mapping[str | None, str]) -> None:
        self._fetch = fetch
        self._tool_names = tool_names

    def convert(self, message: BaseMessage) -> ChatMessage:
        """Turn one message."""
        if isinstance(message, AIMessage):
            return ChatMessage("assistant", _assistant_text(message))
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
                self._add_file(block, texts, files)
            elif kind == "non_standard":
                self._add_other(block["value"], texts, files)
            elif kind not in _SILENT_BLOCKS:
                raise InvalidRequestError(
                    f"A HuggingChat server takes no {kind} content, only text, images and text"
                    " files."
                )
        return "\n\n".join(text for text in texts if text), tuple(files)

    def _add_file(self, block: Mapping[str, Any], texts: list[str], files: list[Upload]) -> None:
        upload = self._upload(block)
        if upload.is_image:
            files.append(upload)
        else:
            texts.append(upload.as_document())

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
        """Take what LangChain knows no standard block for."""
        if value.get("type") == "tool_result":  # Anthropic's form of a tool's result
            content = value.get("content") or ""
            inner = HumanMessage(content if isinstance(content, (str, list)) else str(content))
            text, more = self._content(inner.content_blocks)
            name = self._tool_names.get(value.get("tool_use_id")) or "tool"
            texts.append(result_text(name, text, is_error=bool(value.get("is_error"))))
            files += more
        elif value.get("type") != "tool_use":
            texts.append(json.dumps(value, ensure_ascii=False, default=str))


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


def _plain_text(block: Mapping[str, Any]) -> str:
    text = block.get("text")
    if block["type"] == "text":
        return str(text or "")
    if text is None:
        raise InvalidRequestError("A text-plain block needs its text in the field 'text'.")
    return document(block.get("title") or "text", str(text))


def _is_data(url: str) -> bool:
    return url.startswith("data:")


def _as_text(data: str | bytes) -> str:
    return data.decode("ascii") if isinstance(data, bytes) else data
