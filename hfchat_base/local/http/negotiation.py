"""Page or data: how SvelteKit reads an ``Accept`` header (S).

Whether a path that has both is asked for its page, and whether an error is told in JSON, are two
different questions; a header that mentions ``text/html`` at all may have surprising answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["wants_json_errors", "wants_page"]

_ENTRY = re.compile(r"([^/\s]+)/([^;\s]+)\s*(?:;\s*q=([0-9.]+))?")


class _Entry(NamedTuple):
    kind: str
    subtype: str
    quality: float

    def accepts(self, media: str) -> bool:
        kind, _, subtype = media.partition("/")
        return self.kind in {kind, "*"} and self.subtype in {subtype, "*"}


def wants_page(headers: Mapping[str, str]) -> bool:
    """Tell whether a GET or POST asks for the page of a path that also has data.

    Args:
        headers: The request's headers.
    """
    return _best(headers.get("accept", "*/*"), "*/*", "text/html") == "text/html"


def wants_json_errors(headers: Mapping[str, str]) -> bool:
    """Tell whether errors are told in JSON; everybody else gets a page.

    Args:
        headers: The request's headers.
    """
    accept = headers.get("accept", "text/html")
    return _best(accept, "application/json", "text/html") == "application/json"


def _best(accept: str, *candidates: str) -> str | None:
    """Pick the candidate that the earliest of the sorted entries accepts; the first wins a tie."""
    entries = []
    for text in accept.split(","):
        found = _ENTRY.search(text)
        if found:
            entries.append(_Entry(found[1], found[2], _quality(found[3])))
    entries.sort(key=lambda entry: (-entry.quality, entry.subtype == "*", entry.kind == "*"))
    ranked = [
        (rank, order, candidate)
        for order, candidate in enumerate(candidates)
        for rank, entry in enumerate(entries)
        if entry.accepts(candidate)
    ]
    return min(ranked)[2] if ranked else None


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
