"""Thinking is split off the text, however the text was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfchat_base import ReasoningDelta, TextDelta
from hfchat_base._protocol.thinking import ThinkSplitter, split


def split_in_pieces(pieces: list[str]) -> tuple[str, str]:
    """Split a text that comes in pieces into text and thinking."""
    splitter = ThinkSplitter()
    deltas = [delta for piece in pieces for delta in splitter.feed(piece)]
    deltas += splitter.end_of_segment()
    assert all(delta.text for delta in deltas)
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    thought = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
    return text, thought


@pytest.mark.parametrize(
    ("whole", "text", "thought"),
    [
        ("plain", "plain", ""),
        ("", "", ""),
        ("<think>why</think>because", "because", "why"),
        ("<think>\nwhy\n</think>\n\nbecause", "because", "\nwhy\n"),
        ("  <think>why</think>  because", "because", "why"),
        ("<think></think>because", "because", ""),
        ("<think>never closed", "", "never closed"),
        ("<think>a</think><think>b</think>c", "c", "ab"),
        ("<think>a</think>\n<think>b</think>c", "c", "ab"),
        ("hello\n<think>why</think>\nworld", "hello\n\nworld", "why"),
        ("Use the <think> tag.", "Use the <think> tag.", ""),
        ("the tag </think> alone", "the tag </think> alone", ""),
        ("<thinking>is another</thinking>", "<thinking>is another</thinking>", ""),
        ("<thin", "<thin", ""),
        ("<think>a</thin", "", "a</thin"),
        ("<think>a < b</think>c", "c", "a < b"),
        ("   ", "", ""),
        ("  text", "  text", ""),
        ("a\n\nb", "a\n\nb", ""),
        ("a\n  ", "a\n  ", ""),
        ("a\n <", "a\n <", ""),
    ],
)
def test_split(whole: str, text: str, thought: str) -> None:
    """A thought counts where one can begin; anything else is text."""
    assert split(whole) == (text, thought)
    assert split_in_pieces(list(whole)) == (text, thought)


MARKUP = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "think", ">", "/", "\n", " ", "a", "é", "\n\n"]),
    max_size=20,
).map("".join)


@given(MARKUP, st.lists(st.integers(0, 100), max_size=10))
@example("<think>a</think>b", [3, 9, 12])
@example("a\n <think>b", [2, 3, 4])
def test_cuts_do_not_matter(whole: str, cuts: list[int]) -> None:
    """The result is a function of the text alone."""
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    assert split_in_pieces(pieces) == split(whole)


@given(MARKUP)
def test_nothing_is_lost_but_tags_and_white_space(whole: str) -> None:
    """Each character comes out as text or thinking, but for tags and the white space around."""
    text, thought = split(whole)
    kept = (text + thought).replace(" ", "").replace("\n", "")
    plain = whole.replace(" ", "").replace("\n", "")
    for tag in ("<think>", "</think>"):
        plain = plain.replace(tag, "")
        kept = kept.replace(tag, "")
    assert sorted(kept.replace("<", "").replace(">", "").replace("/", "")) == sorted(
        plain.replace("<", "").replace(">", "").replace("/", "")
    )


@given(st.text(alphabet=st.characters(exclude_characters="<")))
def test_text_without_tags_is_untouched(whole: str) -> None:
    """A text without tags comes out as it is, if it is more than white space."""
    text, thought = split(whole)
    assert thought == ""
    assert text == whole or whole.isspace()


def test_tokens_are_passed_on_at_once() -> None:
    """Text that cannot be the beginning of a tag is not held back."""
    splitter = ThinkSplitter()
    assert splitter.feed("Hello") == [TextDelta("Hello")]
    assert splitter.feed(" world") == [TextDelta(" world")]
    assert splitter.feed("\n") == [TextDelta("\n")]
    assert splitter.feed("<thi") == []
    assert splitter.feed("s is a tag") == [TextDelta("<this is a tag")]


def test_thought_after_a_tool() -> None:
    """After a tool has run a thought may begin in the middle of a line."""
    splitter = ThinkSplitter()
    splitter.feed("Let me check. ")
    splitter.end_of_segment()
    assert splitter.feed("<think>hm</think>done") == [ReasoningDelta("hm"), TextDelta("done")]
