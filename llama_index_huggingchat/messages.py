"""LlamaIndex's chat messages → the history that `hfchat_base` answers.

What lives here: which role a message gets, and which of its blocks become text or attachments. What
the server is sent of it, and where, is decided in `hfchat_base/history.py`.

* ``system``, ``developer`` → system; ``assistant``, ``model``, ``chatbot`` → assistant; else user.
* An assistant's thinking, citations and files are left out: they are the server's own, which keeps
  them with the answer, and the text alone is what its history is known by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
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
    VideoBlock,
)

import hfchat_base
from hfchat_base.errors import InvalidRequestError
from hfchat_base.types import Role
from hfchat_base.uploads import Upload

__all__ = ["history_of"]

_ROLES: Final[dict[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
}


def history_of(messages: Iterable[ChatMessage]) -> list[hfchat_base.ChatMessage]:
    """Put LlamaIndex's messages into those of the base client.

    Args:
        messages: The whole history. It is not changed.

    Raises:
        InvalidRequestError: A block cannot be sent (sound, film), or an attachment cannot be read.
        FileTooLargeError: An attachment is larger than the server takes.
    """
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> hfchat_base.ChatMessage:
    role = _ROLES.get(message.role, "user")
    if role == "assistant":
        return hfchat_base.ChatMessage(role, _text_of(message.blocks))
    text, files = _contents(message.blocks)
    return hfchat_base.ChatMessage(role, text, tuple(files))


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
            files.append(_upload(block))
        elif isinstance(block, CitableBlock):
            text, attached = _contents(block.content)
            texts.append(f"{block.title} ({block.source}):\n{text}")
            files += attached
        elif isinstance(block, CitationBlock):
            text, attached = _contents([block.cited_content])
            texts.append(f"{text}\n({block.title}: {block.source})")
            files += attached
        elif not isinstance(block, (ThinkingBlock, ToolCallBlock, CachePoint)):
            kind = "sound" if isinstance(block, AudioBlock) else type(block).__name__
            kind = "film" if isinstance(block, VideoBlock) else kind
            msg = f"HuggingChat takes text, images and documents, but no {kind}."
            raise InvalidRequestError(msg)
    return "\n".join(texts), files


def _upload(block: ImageBlock | DocumentBlock) -> Upload:
    if isinstance(block, ImageBlock):
        data, mime, name = block.resolve_image().read(), block.image_mimetype, None
    else:
        data, mime = block.resolve_document().read(), block.document_mimetype
        name = block.title
    return Upload.of(data, name=name, mime=mime)
