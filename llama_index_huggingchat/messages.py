"""LlamaIndex's chat messages → the history that `hfchat_base` answers.

What lives here: which role a message gets, and which of its blocks become text or attachments. What
the server is sent of it, and where, is decided in `hfchat_base/_flows/index.py`.

* ``system``, ``developer`` → system; ``assistant``, ``model``, ``chatbot`` → assistant; else user.
* A tool's result is what the user says, in the form that the model was told to expect.
* An assistant's thinking, citations and files are left out: they are the server's own, which keeps
  them with the answer, and the text alone is what its history is known by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

import hfchat_base
from hfchat_base.errors import InvalidRequestError
from hfchat_base.files import Upload, fetch_public_file
from hfchat_base.tools import assistant_text, result_text
from hfchat_base.types import Role
from llama_index_huggingchat.tools import calls_of

__all__ = ["history_of"]

_ROLES: Final[dict[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
}


def history_of(messages: Sequence[ChatMessage]) -> list[hfchat_base.ChatMessage]:
    """Put LlamaIndex's messages into those of the base client.

    Args:
        messages: The whole history. It is not changed.

    Raises:
        InvalidRequestError: A block cannot be sent (audio, video), or an attachment cannot be read.
        FileTooLargeError: An attachment is larger than the server takes.
    """
    names = {call.id: call.name for message in messages for call in calls_of(message)}
    return [_message(message, names) for message in messages]


def _message(message: ChatMessage, names: Mapping[str, str]) -> hfchat_base.ChatMessage:
    role = _ROLES.get(message.role, "user")
    if role == "assistant":
        text = assistant_text(_text_of(message.blocks), calls_of(message))
        return hfchat_base.ChatMessage(role, text)
    text, files = _contents(message.blocks)
    if message.role in (MessageRole.TOOL, MessageRole.FUNCTION):
        text = result_text(_tool_name(message, names), text)
    return hfchat_base.ChatMessage(role, text, tuple(files))


def _tool_name(message: ChatMessage, names: Mapping[str, str]) -> str:
    told = message.additional_kwargs
    return names.get(told.get("tool_call_id", "")) or told.get("name") or "tool"


def _text_of(blocks: Iterable[Any]) -> str:
    """Join the text blocks, as `ChatMessage.content` does."""
    return "\n".join(block.text for block in blocks if isinstance(block, TextBlock))


def _contents(blocks: Sequence[Any]) -> tuple[str, list[Upload]]:
    texts: list[str] = []
    files: list[Upload] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            texts.append(block.text)
        elif isinstance(block, (ImageBlock, DocumentBlock)):
            upload = _upload(block)
            if upload.is_image:
                files.append(upload)
            else:
                texts.append(upload.as_document())
        elif isinstance(block, CitableBlock):
            text, attached = _contents(block.content)
            texts.append(f"{block.title} ({block.source}):\n{text}")
            files += attached
        elif isinstance(block, CitationBlock):
            text, attached = _contents([block.cited_content])
            texts.append(f"{text}\n({block.title}: {block.source})")
            files += attached
        elif not isinstance(block, (ThinkingBlock, ToolCallBlock, CachePoint)):
            msg = f"HuggingChat takes text, images and text files, but no {block.block_type}."
            raise InvalidRequestError(msg)
    return "\n".join(texts), files


def _upload(block: ImageBlock | DocumentBlock) -> Upload:
    if isinstance(block, ImageBlock):
        content, mime, name = block.image, block.image_mimetype, None
    else:
        content, mime, name = block.data, block.document_mimetype, block.title
    if content is None and block.path is None and block.url is not None:
        url = str(block.url)
        is_data = url.startswith("data:")
        return Upload.from_source(url, name=name) if is_data else fetch_public_file(url)
    try:
        if isinstance(block, ImageBlock):
            data = block.resolve_image().read()
        else:
            data = block.resolve_document().read()
    except (OSError, ValueError) as error:
        msg = f"The {block.block_type} cannot be read: {error}"
        raise InvalidRequestError(msg) from error
    if block.path is not None:
        name = Path(block.path).name
    return Upload.from_source(data, name=name, mime=mime)
