"""The legacy web search: its events, and how its results reach the model.

No search takes place; the results are those of `hfchat_base/local/tools/scripted.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base.local.tools.scripted import SEARCH_RESULTS

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["search_events", "with_sources"]


def search_events(query: str) -> list[JsonObject]:
    """List the events of a search (S).

    Args:
        query: What is searched for.
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
    """Put the results into the last message, before the question.

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
