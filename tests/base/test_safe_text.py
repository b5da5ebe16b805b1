"""Text from a server never becomes something that a terminal obeys."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from hfchat_base.safe_text import clean, clean_line, json_text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("a\rb\x08c\x00d\x9be", "abcde"),
        ("half a sequence \x1b", "half a sequence "),
        ("unended \x1b]0;title", "unended ]0;title"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("\u200emarks\u200f of \u061cdirection", "marks of direction"),
        ("\u2067isolates\u2069, \ufeffBOM, \u2060joiner", "isolates, BOM, joiner"),
        ("hidden\U000e0041\U000e0042 tags", "hidden tags"),
        ("line\u2028paragraph\u2029end", "line\nparagraph\nend"),
        ("\u0646\u0645\u06cc\u200c\u062e", "\u0646\u0645\u06cc\u200c\u062e"),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("kept:\ttab\nline é 🙂", "kept:\ttab\nline é 🙂"),
    ],
)
def test_controls_are_taken_out(hostile: str, shown: str) -> None:
    """Sequences and controls go, everything else stays."""
    assert clean(hostile) == shown


def test_no_invisible_character_is_left() -> None:
    """Of all controls and format characters, the tab, the line end and two joiners stay."""
    kept = {"\t", "\n", "\u200c", "\u200d"}
    left = set()
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}:
            continue
        if character in clean(f"a{character}b") and character not in kept:
            left.add(character)
    numbers = range(0x600, 0x606)
    seen = {*map(chr, numbers), *"\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"}
    assert left == seen & left
    assert all(unicodedata.category(character) == "Cf" for character in left)


HOSTILE = "\x9b2J \x1b[2J \x7f \u202e \u2066 \u200e \u061c \u2028 \ufeff \U000e0041 é 🙂 \u200d"


def test_json_for_a_program_is_exact() -> None:
    """What a program reads is the very text, unescaped as far as JSON allows."""
    text = json_text({"text": HOSTILE}, shown=False)
    assert json.loads(text) == {"text": HOSTILE}
    assert "é 🙂" in text
    assert "\u202e" in text


def test_json_on_a_terminal_is_escaped() -> None:
    """On a terminal nothing of it is obeyed or invisible, and it is still the same JSON."""
    text = json_text({"text": HOSTILE}, shown=True)
    assert json.loads(text) == {"text": HOSTILE}
    assert clean(text) == text
    assert "é 🙂" in text


@pytest.mark.parametrize(("value", "encoding"), [("lone \ud83d", "utf-8"), ("é", "ascii")])
def test_json_can_always_be_written(value: str, encoding: str) -> None:
    """What the stream's encoding lacks is escaped."""
    for shown in (True, False):
        text = json_text([value], shown=shown, encoding=encoding)
        assert json.loads(text.encode(encoding)) == [value]


def test_a_line_is_one_line() -> None:
    """A name with line ends and runs of spaces becomes one line, cut with an ellipsis."""
    assert clean_line("  a\n\nb \t c ") == "a b c"
    assert clean_line("abcdef", 4) == "abc…"
    assert clean_line("abcd", 4) == "abcd"
