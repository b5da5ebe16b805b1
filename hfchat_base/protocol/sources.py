"""Pages named in the result of a server-run tool.

Current servers have no event for sources: a search is a tool over MCP whose result is text or
structured data of the tool's own making. What is looked for is what search
tools commonly send: objects with a `url` or `link`, and lines such as ``Title: …`` / ``URL: …``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from hfchat_base.events import Source

_LABELLED: Final = re.compile(
    r"^[ \t*-]*(?P<label>title|url|link|source)\**[ \t]*:\**[ \t]*(?P<value>\S.*?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_WEB: Final = ("http://", "https://")


def sources_in(outputs: Iterable[dict[str, Any]]) -> tuple[Source, ...]:
    """Find the pages in a tool's result blocks, in order, each address once."""
    found: dict[str, Source] = {}
    for output in outputs:
        for source in _in_output(output):
            known = found.get(source.url)
            if known is None or (source.title and not known.title):
                found[source.url] = source
    return tuple(found.values())


def _in_output(output: dict[str, Any]) -> Iterator[Source]:
    yield from _in_data(output.get("structured"))
    yield from _in_data(output.get("content"))
    text = output.get("text")
    if isinstance(text, str):
        yield from _in_text(text)


def _in_data(data: Any) -> Iterator[Source]:
    # Not by recursion: a tool may nest its data deeper than Python's calls go.
    left = [data]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += reversed(item)
        elif isinstance(item, dict):
            url = next(
                (
                    value
                    for key in ("url", "link", "uri")
                    if isinstance(value := item.get(key), str) and value.startswith(_WEB)
                ),
                None,
            )
            if url:
                title = item.get("title", item.get("name"))
                yield Source(url, title if isinstance(title, str) else "")
            else:
                left += reversed(item.values())


def _in_text(text: str) -> Iterator[Source]:
    if text.lstrip().startswith(("{", "[")):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            yield from _in_data(data)
            return
    title = ""
    for match in _LABELLED.finditer(text):
        value = match["value"]
        if match["label"].lower() == "title":
            title = value
        elif value.startswith(_WEB):
            yield Source(value.split()[0], title)
            title = ""
