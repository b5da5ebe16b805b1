"""Stop sequences cut a text off, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base.tools import StopCutter


def cut(text: str, sequences: list[str], *cuts: int) -> tuple[str, str | None]:
    """What is left of a text that comes in pieces, and which sequence ended it."""
    cutter = StopCutter(sequences)
    pieces = [
        cutter.feed(text[start:end])
        for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True)
    ]
    return "".join(pieces) + cutter.end(), cutter.found


@pytest.mark.parametrize(
    ("text", "sequences", "left", "found"),
    [
        ("one two three", ["two"], "one ", "two"),
        ("one two three", ["three", "two"], "one ", "two"),
        ("one two three", ["four"], "one two three", None),
        ("one two thr", ["three"], "one two thr", None),
        ("aab", ["ab"], "a", "ab"),
        ("abc", ["", "c"], "ab", "c"),
        ("abc", [], "abc", None),
        ("x\nObservation: y", ["\nObservation"], "x", "\nObservation"),
    ],
)
def test_first_sequence_counts(
    text: str, sequences: list[str], left: str, found: str | None
) -> None:
    """Text ends before the first sequence in it, at every cut."""
    for at in range(len(text) + 1):
        assert cut(text, sequences, at) == (left, found)
    assert cut(text, sequences, *range(1, len(text))) == (left, found)


def test_text_is_held_back_no_longer_than_needed() -> None:
    """Only what may be the beginning of a stop sequence waits."""
    cutter = StopCutter(["<end>"])
    assert cutter.feed("text <e") == "text "
    assert cutter.feed("x") == "<ex"
    assert cutter.feed(" <end> more") == " "
    assert cutter.feed("and more") == ""


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_cuts_make_no_difference(text: str, sequences: list[str], cuts: list[int]) -> None:
    """The same is left of a text that comes at once and of one in pieces."""
    inside = sorted(at for at in cuts if at <= len(text))
    left, _ = cut(text, sequences, *inside)
    ends = [at for sequence in sequences if (at := text.find(sequence)) >= 0]
    assert left == text[: min(ends, default=len(text))]
