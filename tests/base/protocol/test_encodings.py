"""superjson, devalue, and SvelteKit's data."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import ProtocolError
from hfchat_base._protocol.encodings import (
    from_devalue,
    from_superjson,
    from_sveltekit_data,
    parse_json,
)
from hfchat_base.local.wire import devalue_text
from tests.support.recordings import body_of, load

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ('{"json":null}', None),
        ('{"json":[1],"meta":{"values":{"0":["Date"]},"v":1}}', [1]),
        (
            '{"json":{"at":"2026-11-22T06:38:29.307Z"},"meta":{}}',
            {"at": "2026-11-22T06:38:29.307Z"},
        ),
    ],
)
def test_superjson(body: str, data: Any) -> None:
    """The data is under `json`, with or without `meta`; dates stay as written."""
    assert from_superjson(body, "thing") == data


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", "{", "<html>", b"\xff", "[" * 9999])
def test_no_superjson(body: str | bytes) -> None:
    """What is no superjson is a protocol error that names the thing."""
    with pytest.raises(ProtocolError, match="The server's thing is not") as caught:
        from_superjson(body, "thing")
    assert len(caught.value.excerpt or "") <= 80


@pytest.mark.parametrize(
    ("values", "data"),
    [
        ([{"a": 1, "b": 2}, "x", [3, 3], True], {"a": "x", "b": [True, True]}),
        ([["Date", "2026-11-22T06:38:29.307Z"]], "2026-11-22T06:38:29.307Z"),
        ([["BigInt", "123"]], "123"),
        ([["Set", 1, 2], 1, 2], [1, 2]),
        ([["Map", 1, 2], "k", "v"], {"k": "v"}),
        ([["null", "k", 1], "v"], {"k": "v"}),
        ([["ObjectId", 1], "0" * 24], "0" * 24),
        ([[-1, -2]], [None, None]),
        ([[-4, -5, -6]], [math.inf, -math.inf, -0.0]),
        ([{"a": -1}], {"a": None}),
        (["text"], "text"),
    ],
)
def test_devalue(values: list[Any], data: Any) -> None:
    """Integers are indices, negative ones stand for what JSON lacks, tags for types."""
    assert from_devalue(values, "thing") == data


def test_not_a_number() -> None:
    """-3 stands for NaN."""
    assert math.isnan(from_devalue([[-3]], "thing")[0])


def test_value_that_holds_itself() -> None:
    """A value may refer to itself; it is read once."""
    value = from_devalue([{"me": 0}], "thing")
    assert value["me"] is value


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        "x",
        [[99]],
        [["Map", 1]],
        [[True]],
        [["Date"]],
        [[["x"]]],
        [[-9]],
        [{"a": "b"}],
    ],
)
def test_no_devalue(values: Any) -> None:
    """What is no devalue is a protocol error."""
    with pytest.raises(ProtocolError, match="The server's thing is not devalue"):
        from_devalue(values, "thing")


def test_devalue_that_is_too_deep() -> None:
    """Nesting that cannot be followed is a protocol error."""
    with pytest.raises(ProtocolError):
        from_devalue([[index + 1] for index in range(5000)] + ["end"], "thing")


@given(ANYTHING)
def test_devalue_is_read_as_it_was_written(data: Any) -> None:
    """What the local server writes, the client reads."""
    assert from_devalue(json.loads(devalue_text(data)), "thing") == data


@given(ANYTHING)
def test_anything_is_devalue_or_our_error(values: Any) -> None:
    """Whatever comes, nothing but a protocol error leaves the reader."""
    with suppress(ProtocolError):
        from_devalue(values, "thing")


def test_recorded_page_data() -> None:
    """A recorded conversation of a legacy server is read."""
    recording = load("legacy", "plain_answer")
    (node,) = from_sveltekit_data(body_of(recording.find("GET", "__data.json")), "conversation")
    assert [message["from"] for message in node["messages"]] == ["system"]


def test_later_lines_are_left_out() -> None:
    """Deferred parts, which come on lines of their own, are not read."""
    body = b'{"type":"data","nodes":[null,{"type":"data","data":[{"a":1},2]}]}\n{"type":"chunk"}\n'
    assert from_sveltekit_data(body, "thing") == [{"a": 2}]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"nodes":3}', b"<html>"])
def test_no_page_data(body: bytes) -> None:
    """What is no SvelteKit data is a protocol error."""
    with pytest.raises(ProtocolError, match="The server's thing is not"):
        from_sveltekit_data(body, "thing")


@given(st.binary())
def test_any_bytes_are_json_or_our_error(body: bytes) -> None:
    """Whatever comes, nothing but a protocol error leaves the reader."""
    with suppress(ProtocolError):
        parse_json(body, "thing")
