"""The JSON in an answer is found, and nothing else leaves."""

from __future__ import annotations

import json

import pytest

from hfchat_base.tools import JsonAnswer, read_json, schema_instructions


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": ",}", "b": "\\",]"}', {"a": ",}", "b": '",]'}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
    ],
    ids=["plain", "trailing commas", "commas in strings", "raw line break"],
)
def test_json_that_can_mean_only_one_thing(text: str, value: object) -> None:
    """JSON is read, also with a comma too many at an end or a raw line break in a string."""
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "cut of',
        '{"a": 1',
        '{"a": True}',
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"a": 1} and more',
        "[" * 100_000,
        "",
    ],
    ids=[
        *("in a string", "in an object", "Python's literals", "Python's quotes", "NaN"),
        *("infinite", "a name twice", "text behind", "deep", "nothing"),
    ],
)
def test_json_that_would_have_to_be_guessed(text: str) -> None:
    """Everything else is an error, and never a value."""
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
