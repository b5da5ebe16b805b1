"""What a model is sent: chat messages from stored messages, attachments and search results.

The generations differ in how much of an attachment a model is shown.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hfchat_base.local.local_model import Generation
from hfchat_base.local.scripted import SEARCH_RESULTS

if TYPE_CHECKING:
    from hfchat_base.local.database import Files, StoredFile
    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.wire import JsonObject

_CLIPBOARD: Final = "application/vnd.chatui.clipboard"
_TEXT_TYPES: Final = ("application/json", "application/xml", "application/csv")
ARTIFACTS_PROMPT: Final = """\
Put a page, a drawing, a diagram, a document or a longer piece of code into a tag of its own:
<artifact identifier="a-name" type="html" title="A title">the whole content</artifact>
The type is html, svg, react, mermaid, markdown or code; code also has a language="…". To change one
of them, repeat its identifier with type="update" and pairs of <old_str>what it says</old_str> and
<new_str>what it should say</new_str>."""
"""What a model is told of artifacts. The real server's text is longer (4.9 kB)."""

_THINKING = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)


def chat_messages(
    path: list[JsonObject],
    *,
    conversation_id: str,
    model: LocalModel,
    files: Files,
    generation: Generation,
) -> list[JsonObject]:
    """Build the chat messages for a model.

    Args:
        path: Stored messages from the root down to the one to answer.
        conversation_id: The conversation, to whose files the messages refer.
        model: The model; only a multimodal one gets images.
        files: The stored attachments.
        generation: Only the current one sends text attachments to the model, and removes earlier
            thinking from the history.

    Returns:
        Messages in OpenAI's form, the system message first unless it is empty.
    """
    messages = []
    for message in path:
        if message["from"] == "system":
            if message["content"].strip():
                messages.append({"role": "system", "content": message["content"]})
        elif message["from"] == "assistant":
            messages += _assistant_message(message["content"], generation)
        else:
            attached = [
                (reference["value"], file)
                for reference in message.get("files", [])
                if (file := files.get(conversation_id, reference["value"])) is not None
            ]
            content = _user_content(
                message["content"], attached, conversation_id, model, generation
            )
            messages.append({"role": "user", "content": content})
    return messages


def tools_text(names: list[str], timezone: str) -> str:
    """Write what a model is told of its tools.

    Args:
        names: Their names.
        timezone: Where the user is, as an IANA name, or empty.

    Raises:
        ValueError: There is no such zone. The real server then silently answers without tools
            (R: ``timezone``).
    """
    text = f"You can call these tools: {', '.join(names)}. Call one only if it helps."
    if not timezone:
        return text
    try:
        moment = datetime.now(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no such time zone: {timezone}") from error
    return f"{text} It is {moment:%A, %d %B %Y, %H:%M}. User's timezone: {timezone}."


def with_system_text(messages: list[JsonObject], text: str) -> list[JsonObject]:
    """Prepend a text to the system message, or add it as the system message.

    Args:
        messages: Messages in OpenAI's form.
        text: The text.
    """
    if messages and messages[0]["role"] == "system":
        first = {"role": "system", "content": f"{text}\n\n{messages[0]['content']}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _assistant_message(content: str, generation: Generation) -> list[JsonObject]:
    if generation == "legacy":
        return [{"role": "assistant", "content": content}]
    thoughts = "\n".join(found for found in _THINKING.findall(content) if found.strip())
    visible = _THINKING.sub("", content).strip()
    if not visible and not thoughts:
        return []
    extra = {"reasoning_content": thoughts} if thoughts else {}
    return [{"role": "assistant", "content": visible, **extra}]


def _user_content(
    text: str,
    attached: list[tuple[str, StoredFile]],
    conversation_id: str,
    model: LocalModel,
    generation: Generation,
) -> str | list[Any]:
    pasted = [_decoded(file) for _, file in attached if file.mime == _CLIPBOARD]
    if pasted:
        text = "\n\n".join([*pasted, text])
    if generation == "current":
        documents = [
            f'<document name="{conversation_id}-{sha}" type="{file.mime}">\n'
            f"{_decoded(file)}\n</document>"
            for sha, file in attached
            if file.mime.startswith("text/") or file.mime in _TEXT_TYPES
        ]
        if documents:
            text = "\n\n".join([*documents, text])
    images = [file for _, file in attached if file.mime.startswith("image/")]
    if not model.multimodal or not images:
        return text
    detail = {"detail": "auto"} if generation == "current" else {}
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": _data_url(file), **detail}} for file in images
    ]
    text_part = {"type": "text", "text": text}
    return [text_part, *parts] if generation == "current" else [*parts, text_part]


def _decoded(file: StoredFile) -> str:
    return file.data.decode("utf-8", "replace")


def _data_url(file: StoredFile) -> str:
    return f"data:{file.mime};base64,{base64.b64encode(file.data).decode('ascii')}"


def search_events(query: str) -> list[JsonObject]:
    """List the events of a search (S).

    Args:
        query: The search query.
    """
    return [
        _update("Searching the local pages", query),
        _update("Browsing search results"),
        _update("Extracting relevant information"),
        {
            "type": "webSearch",
            "subtype": "sources",
            "message": "sources",
            "sources": [{"link": link, "title": title} for link, title, _ in SEARCH_RESULTS],
        },
        {"type": "webSearch", "subtype": "finished"},
    ]


def with_sources(messages: list[JsonObject]) -> list[JsonObject]:
    """Add the results to the last message, before the question.

    Args:
        messages: Chat messages in OpenAI's form.
    """
    sources = "\n".join(
        f"[{number}] {title} ({link}): {text}"
        for number, (link, title, text) in enumerate(SEARCH_RESULTS, start=1)
    )
    last = messages[-1]
    if not isinstance(last["content"], str):
        return messages
    content = f"Found on the web:\n{sources}\n\nThe question: {last['content']}"
    return [*messages[:-1], {**last, "content": content}]


def _update(message: str, *args: str) -> JsonObject:
    update: JsonObject = {"type": "webSearch", "subtype": "update", "message": message}
    return {**update, "args": list(args)} if args else update
