"""Answers that have to be JSON: how a model is asked, and how the JSON is found in its answer.

chat-ui knows no response format. Models like to put prose and code fences around what they were
asked for; what leaves here is the JSON alone, as it streams.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hfchat_base.tools.scan import JsonScanner

__all__ = ["JsonAnswer", "schema_instructions"]

_ANY_OBJECT: Final = (
    "Answer with one JSON object and nothing else: no explanation, no code fence, no comments."
)
_WITH_SCHEMA: Final = """\
Answer with one JSON object and nothing else: no explanation, no code fence, no comments. It must \
fit this JSON schema:
{schema}
Give the object with its values, not the schema."""


def schema_instructions(schema: Mapping[str, Any] | None = None) -> str:
    """What the model is told whose answer has to be JSON.

    Args:
        schema: The JSON schema that it has to fit, or None for any object.
    """
    if schema is None:
        return _ANY_OBJECT
    return _WITH_SCHEMA.format(schema=json.dumps(_without_titles(schema), ensure_ascii=False))


def _without_titles(schema: Any, *, names: bool = False) -> Any:
    """A schema without the titles that pydantic gives to everything; they confuse small models.

    Args:
        schema: The schema, or a part of it.
        names: Whether its keys are the names of fields, one of which may be "title".
    """
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _without_titles(value, names=key in {"properties", "$defs"} and not names)
        for key, value in schema.items()
        if names or key != "title"
    }


class JsonAnswer:
    """Lets through the first JSON object or array of a growing text, or all of it if it has none.

    What comes out is the same however the text was cut into pieces.
    """

    def __init__(self) -> None:
        self._held = ""
        self._scanner: JsonScanner | None = None
        self._passed = 0
        self._is_over = False

    def feed(self, piece: str) -> str:
        """Take the next piece of text and return what is JSON."""
        if self._is_over:
            return ""
        self._held += piece
        if self._scanner is None:
            new = len(self._held) - len(piece)
            starts = [at for opener in "{[" if (at := self._held.find(opener, new)) >= 0]
            if not starts:
                return ""
            self._held = self._held[min(starts) :]
            self._scanner = JsonScanner(0)
        self._scanner.scan(self._held)
        end = self._scanner.end or self._scanner.illegal_at
        self._is_over = end is not None
        passed, self._passed = self._passed, len(self._held) if end is None else end
        return self._held[passed : self._passed]

    def end(self) -> str:
        """Say that the text is over: without any JSON, all of it comes now."""
        return self._held if self._scanner is None else ""
