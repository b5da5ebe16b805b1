"""Data scraped out of pages."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import ProtocolError
from hfchat_base._protocol.encodings import (
    fetched_responses,
    from_superjson,
    legacy_active_model,
    legacy_models,
    parse_literal,
)
from hfchat_base._protocol.models import read_models
from tests.support.recordings import body_of, load


def test_recorded_current_page() -> None:
    """The recorded page of a current server holds the model list."""
    html = body_of(load("current", "home_page_html").exchanges[0]).decode()
    responses = fetched_responses(html)
    body = next(body for path, body in responses.items() if path.endswith("/api/v2/models"))
    recorded = body_of(load("current", "models").find("GET", "/api/v2/models"))
    ids = [model.id for model in read_models(from_superjson(body, "models"))]
    assert ids
    assert (
        ids == [model.id for model in read_models(from_superjson(recorded, "models"))][: len(ids)]
    )


def test_recorded_legacy_page() -> None:
    """The recorded page of a legacy server holds the model list."""
    html = body_of(load("legacy", "home_page_html").exchanges[0]).decode()
    models = read_models(legacy_models(html))
    assert "echo/base" in [model.id for model in models]


@pytest.mark.parametrize(
    ("literal", "data"),
    [
        ("[]", []),
        ("{a:1,\"b\":'x'}", {"a": 1, "b": "x"}),
        ("[void 0, undefined, null, NaN, -Infinity]", [None] * 5),
        ("[true,false]", [True, False]),
        ("[1,-2,.5,1.5e3,10n]", [1, -2, 0.5, 1500, 10]),
        ("new Date(1700000000000)", "1700000000000"),
        ('[new Date("2026-01-01")]', ["2026-01-01"]),
        (r'"\x41\u0042\u{43}\n\"\'\/\0"', "ABC\n\"'/\0"),
        ('"a\\\nb"', "ab"),
        ("{truely:1,nullish:2,$x_1:3}", {"truely": 1, "nullish": 2, "$x_1": 3}),
        ('{a:[{b:void 0}]}, rest("of the script")', {"a": [{"b": None}]}),
        (r'"<\/script>"', "</script>"),
    ],
)
def test_literal(literal: str, data: Any) -> None:
    """A literal is read up to its end, with all that JSON does not have."""
    assert parse_literal(literal) == data


@pytest.mark.parametrize(
    "literal", ["", "[", "{a:b}", "[f(x)]", "{a:1", "[1 2]", "]", '"open', "[`x`]", "[" * 9999]
)
def test_what_is_no_literal(literal: str) -> None:
    """An expression that is not data is a protocol error."""
    with pytest.raises(ProtocolError):
        parse_literal(literal)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_is_a_literal(data: Any) -> None:
    """Whatever JSON can say is read the same."""
    assert parse_literal(json.dumps(data)) == data
    assert parse_literal(json.dumps(data, ensure_ascii=False)) == data


@given(st.text(alphabet="[]{}:,\"'\\ux01an voidNfeE.+-\n"))
def test_any_script_is_data_or_our_error(script: str) -> None:
    """Whatever stands there, nothing but a protocol error leaves the parser."""
    with suppress(ProtocolError):
        parse_literal(script)


@given(st.text())
def test_any_page(html: str) -> None:
    """A page without data has none."""
    assert isinstance(fetched_responses(html), dict)
    assert legacy_models(html) is None or "models" in html


def test_active_model() -> None:
    """The account's choice is in the settings of a legacy page."""
    assert legacy_active_model('settings:{activeModel:"a\\u002fb",x:1}') == "a/b"
    assert legacy_active_model("settings:{activeModel:void 0}") is None
    assert legacy_active_model("<html>") is None


def test_scripts_that_are_broken() -> None:
    """A script that is not JSON is left out, and the others are read."""
    html = (
        '<script type="application/json" data-sveltekit-fetched data-url="/a">{nope</script>'
        '<script type="application/json" data-sveltekit-fetched'
        ' data-url="http://h/chat/b?x=1">{"status":200,"body":"B"}</script>'
        "<script>var x = 1</script>"
    )
    assert fetched_responses(html) == {"/chat/b": "B"}
