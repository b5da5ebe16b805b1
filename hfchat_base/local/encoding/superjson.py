"""The superjson dialect of ``/api/v2``: plain JSON beside notes on what JSON cannot say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.encoding.values import ObjectId, Undefined

__all__ = ["superjson_text"]


class _Notes:
    """Collects, along one walk, the types of the leaves and which ids are the same object."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.ids: dict[int, list[str]] = {}

    def walk(self, value: object, path: str) -> object:
        """Note everything below a path.

        Args:
            value: The value at the path.
            path: Keys from the root, joined with dots; a dot within a key is escaped.

        Returns:
            The value with every undefined replaced by null, as superjson keeps it.
        """
        if isinstance(value, dict):
            return {key: self.walk(item, _join(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, _join(path, str(index))) for index, item in enumerate(value)]
        if isinstance(value, Undefined):
            self.values[path] = ["undefined"]
            return None
        if isinstance(value, datetime):
            self.values[path] = ["Date"]
        elif isinstance(value, ObjectId):
            self.values[path] = [["custom", "ObjectId"]]
            self.ids.setdefault(id(value), []).append(path)
        return value

    @property
    def same(self) -> dict[str, list[str]]:
        return {paths[0]: paths[1:] for paths in self.ids.values() if len(paths) > 1}


def superjson_text(value: object) -> str:
    """Write a value as superjson, with ``meta`` only where there is something to note."""
    notes = _Notes()
    document: dict[str, Any] = {"json": notes.walk(value, "")}
    if notes.values:
        document["meta"] = {
            "values": notes.values,
            **({"referentialEqualities": notes.same} if notes.same else {}),
            "v": 1,
        }
    return json_text(document)


def _join(path: str, key: str) -> str:
    key = key.replace("\\", "\\\\").replace(".", "\\.")
    return f"{path}.{key}" if path else key
