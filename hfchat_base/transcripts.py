"""A whole conversation as a text: Markdown for people, JSON for programs.

Nothing in either is obeyed by a terminal that shows it (`safe_text.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from hfchat_base.safe_text import clean, clean_line, json_text
from hfchat_base.types import FullConversation, Message, MessageFile

__all__ = ["files_of", "markdown_line", "to_json", "to_markdown"]

_NO_PATHS: Final[Mapping[str, str]] = MappingProxyType({})
_MARKS: Final = re.compile(r"([\\`*_\[\]<>#|])")


def files_of(conversation: FullConversation) -> Iterator[MessageFile]:
    """The files of all messages; one that is in several messages comes as often."""
    return (file for message in conversation.messages for file in message.files if file.sha)


def markdown_line(text: str) -> str:
    """One line of Markdown in which every character of a text stands for itself."""
    return _MARKS.sub(r"\\\1", clean_line(text))


def to_json(
    conversation: FullConversation,
    updated_at: datetime | None = None,
    paths: Mapping[str, str] = _NO_PATHS,
) -> str:
    """Write a conversation as JSON that `~hfchat_base.types.FullConversation` reads back.

    Args:
        conversation: The conversation.
        updated_at: When it was last used, or None.
        paths: Where the bytes of files are, by their `sha`; each file has its ``path``, or null.
    """
    document = conversation.model_dump(mode="json")
    for message in document["messages"]:
        for file in message["files"]:
            file["path"] = paths.get(file["sha"])
    document["updated_at"] = updated_at.isoformat() if updated_at else None
    return json_text(document, shown=True) + "\n"


def to_markdown(
    conversation: FullConversation,
    updated_at: datetime | None = None,
    paths: Mapping[str, str] = _NO_PATHS,
) -> str:
    """Write a conversation as Markdown: all branches, in the order in which they were written.

    Messages are numbered. One that does not follow the one above says which it follows, and one of
    several versions says which of them it is.

    Args:
        conversation: The conversation.
        updated_at: When it was last used, or None.
        paths: Where the bytes of files are, by their `sha`; the others are named only.
    """
    about = [markdown_line(conversation.model)]
    if updated_at:
        about.append(f"{updated_at:%Y-%m-%d %H:%M %Z}".strip())
    about.append(conversation.id)
    title = markdown_line(conversation.title) or conversation.id
    blocks = [f"# {title}", " · ".join(filter(None, about))]
    versions: dict[str | None, list[str]] = {}
    for message in conversation.messages:
        versions.setdefault(message.parent_id, []).append(message.id)
    numbers: dict[str, int] = {}
    above: str | None = None
    for message in conversation.messages:
        if not (message.content.strip() or message.reasoning or message.files):
            continue
        notes = []
        siblings = versions[message.parent_id]
        if len(siblings) > 1:
            notes.append(f"version {siblings.index(message.id) + 1} of {len(siblings)}")
        if message.parent_id in numbers and message.parent_id != above:
            notes.append(f"follows {numbers[message.parent_id]}")
        if message.state != "complete":
            notes.append(message.state)
        noted = f" ({', '.join(notes)})" if notes else ""
        numbers[message.id] = len(numbers) + 1
        blocks.append(f"## {numbers[message.id]}. {message.role.capitalize()}{noted}")
        blocks += _body(message, paths)
        above = message.id
    return clean("\n\n".join(blocks)) + "\n"


def _body(message: Message, paths: Mapping[str, str]) -> Iterator[str]:
    if message.reasoning:
        reasoning = message.reasoning.strip()
        yield f"<details><summary>Reasoning</summary>\n\n{reasoning}\n\n</details>"
    if message.content.strip():
        yield message.content.strip()
    for file in message.files:
        name = markdown_line(file.name) or "file"
        path = paths.get(file.sha)
        mark = "!" if file.mime.startswith("image/") else ""
        yield f"{mark}[{name}]({path})" if path else f"{name} (its bytes are not here)"
