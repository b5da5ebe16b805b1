"""The JSON in an answer is found, and nothing else leaves."""

from __future__ import annotations

import json

import pytest

from hfchat_base.tools import JsonAnswer, schema_instructions


def found(text: str, *cuts: int) -> str:
    """The JSON in a text that comes in pieces."""
    answer = JsonAnswer()
    pieces = [
        answer.feed(text[start:end])
        for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True)
    ]
    return "".join(pieces) + answer.end()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('Sure!\n```json\n{"a": "}"}\n```\nAnything {else}?', '{"a": "}"}'),
        ('[1, {"b": 2}] and so on', '[1, {"b": 2}]'),
        ("I cannot do that.", "I cannot do that."),
        ('{"a": "cut of', '{"a": "cut of'),
        ("", ""),
    ],
)
def test_json_alone(text: str, expected: str) -> None:
    """The first object or list comes out, at every cut; text without any comes out whole."""
    for cut in range(len(text) + 1):
        assert found(text, cut) == expected
    assert found(text, *range(1, len(text))) == expected


def test_instructions_hold_the_schema_without_titles() -> None:
    """Titles that a schema gives to its parts are left out; a field may still be called title."""
    schema = {
        "title": "Book",
        "type": "object",
        "properties": {"title": {"type": "string", "title": "Title"}},
        "required": ["title"],
    }
    text = schema_instructions(schema)
    shown = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    assert shown == {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
    }
    assert "schema" not in schema_instructions()
