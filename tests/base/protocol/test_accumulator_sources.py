"""Pages in what tools said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import Source
from hfchat_base._protocol.accumulator import sources_in

A, B = "https://a.example/x", "http://b.example"


@pytest.mark.parametrize(
    ("outputs", "sources"),
    [
        ([], []),
        ([{"text": "no page here"}], []),
        (
            [{"text": f"Title: One\nURL: {A}\nText: …\n\nTitle: Two\nURL: {B}"}],
            [(A, "One"), (B, "Two")],
        ),
        ([{"text": f"- **Title:** One\n- **URL:** {A}"}], [(A, "One")]),
        ([{"text": f"url: {A} (cached)"}], [(A, "")]),
        ([{"text": "url: ftp://a.example"}], []),
        ([{"text": json.dumps([{"url": A, "title": "One"}])}], [(A, "One")]),
        ([{"structured": {"results": [{"link": A, "name": "One"}]}}], [(A, "One")]),
        ([{"content": [{"uri": A}, {"uri": "file:///etc/passwd"}]}], [(A, "")]),
        ([{"text": f"URL: {A}"}, {"structured": {"url": A, "title": "One"}}], [(A, "One")]),
        ([{"text": "[not json", "structured": 3, "content": None}], []),
        ([{"text": 7}], []),
    ],
)
def test_sources(outputs: list[dict[str, Any]], sources: list[tuple[str, str]]) -> None:
    """Addresses are found in text and in data, in order, each once, with their titles."""
    assert sources_in(outputs) == tuple(Source(url, title) for url, title in sources)


@given(
    st.text(),
    st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)),
)
def test_anything_is_searched(text: str, data: Any) -> None:
    """Whatever a tool says, the search does not fail."""
    assert isinstance(sources_in([{"text": text, "structured": data, "content": data}]), tuple)


def test_deep_data() -> None:
    """Data that is nested deeper than calls go is searched all the same."""
    data: Any = {"url": "https://a.b"}
    for _ in range(5000):
        data = [{"more": data}]
    assert sources_in([{"structured": data}]) == (Source("https://a.b", ""),)


def test_text_too_deep_to_read() -> None:
    """JSON that is nested too deep for its reader does not fail the answer."""
    sources_in([{"text": "[" * 500_000 + "]" * 500_000}])
