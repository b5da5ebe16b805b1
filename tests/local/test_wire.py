"""Values written down as JavaScript would."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hfchat_base.local.wire import (
    UNDEFINED,
    Deferred,
    ObjectId,
    devalue_text,
    iso,
    js_literal,
    json_text,
    stored,
    superjson_text,
    utf16_length,
    utf16_prefix,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=timezone.utc)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _revive(slots: list[Any], index: int) -> Any:
    """Read devalue's flat form back."""
    value = slots[index]
    if isinstance(value, dict):
        return {key: _revive(slots, place) for key, place in value.items()}
    if isinstance(value, list):
        return [_revive(slots, place) for place in value]
    return value


@given(JSON_VALUES)
def test_json_is_json(value: Any) -> None:
    """Whatever is written can be read again."""
    assert json.loads(json_text(value)) == value


@given(JSON_VALUES)
def test_devalue_can_be_read_back(value: Any) -> None:
    """The flat form holds the whole value."""
    assert _revive(json.loads(devalue_text(value)), 0) == value


@given(JSON_VALUES)
def test_superjson_holds_the_json(value: Any) -> None:
    """A value that JSON can hold needs no notes."""
    assert json.loads(superjson_text(value)) == {"json": value}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_utf16_lengths_are_those_of_javascript(text: str) -> None:
    """Lengths and cuts count code units, whatever the text."""
    assert utf16_length(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2
    for units in range(utf16_length(text) + 1):
        assert utf16_length(utf16_prefix(text, units)) == units


def test_json_of_what_json_lacks() -> None:
    """Undefined is left out or null, dates are text, whole floats have no point."""
    value = {"a": UNDEFINED, "b": [UNDEFINED], "c": MOMENT, "d": 2.0, "e": 2.5}
    assert json_text(value) == '{"b":[null],"c":"2026-01-02T03:04:05.006Z","d":2,"e":2.5}'


def test_json_keeps_separators_and_escapes_halves() -> None:
    """U+2028 stays as it is, half a surrogate pair is escaped."""
    assert json_text("\u2028\ud83d\x7f") == '"\u2028\\ud83d\x7f"'


def test_superjson_notes_types_and_identity() -> None:
    """Dates, undefined and ids are noted, and which ids are one and the same."""
    one = ObjectId.new()
    document = json.loads(superjson_text({"a.b": UNDEFINED, "x": one, "y": one, "z": MOMENT}))
    assert document["json"] == {"a.b": None, "x": one, "y": one, "z": iso(MOMENT)}
    assert document["meta"] == {
        "values": {
            "a\\.b": ["undefined"],
            "x": [["custom", "ObjectId"]],
            "y": [["custom", "ObjectId"]],
            "z": ["Date"],
        },
        "referentialEqualities": {"x": ["y"]},
        "v": 1,
    }


def test_devalue_tells_types_apart() -> None:
    """True is not 1, undefined has no place, dates and promises are marked."""
    assert devalue_text([True, 1, 1, UNDEFINED, MOMENT, Deferred(1, [])]) == (
        '[[1,2,2,-1,3,4],true,1,["Date","2026-01-02T03:04:05.006Z"],["Promise",2]]'
    )


def test_literal_of_everything() -> None:
    """A literal has void 0, new Date, bare and quoted keys, and no closing tag."""
    value = {"a": UNDEFINED, "b-c": [MOMENT, None, True, 1.0, "</x>\u2028"], "d": Deferred(3, 0)}
    assert js_literal(value, deferred_object="p") == (
        '{a:void 0,"b-c":[new Date(1767323045006),null,true,1,"\\u003C/x>\\u2028"],d:p.defer(3)}'
    )


def test_stored_values_have_no_undefined() -> None:
    """The database keeps null where JavaScript had undefined."""
    assert stored({"a": [UNDEFINED, {"b": UNDEFINED}]}) == {"a": [None, {"b": None}]}


def test_object_ids_ascend() -> None:
    """Ids are 24 digits, and later ones are greater."""
    ids = [ObjectId.new() for _ in range(3)]
    assert all(len(one) == 24 for one in ids)
    assert ids == sorted(ids)
