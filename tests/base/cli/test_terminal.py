"""Text from a server never becomes something that a terminal obeys."""

from __future__ import annotations

import pytest
from rich.console import Console

from hfchat_base.cli.terminal import clean, clean_line, note


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
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("kept:\ttab\nline é 🙂", "kept:\ttab\nline é 🙂"),
    ],
)
def test_controls_are_taken_out(hostile: str, shown: str) -> None:
    """Sequences and controls go, everything else stays."""
    assert clean(hostile) == shown


def test_a_line_is_one_line() -> None:
    """A name with line ends and runs of spaces becomes one line, cut with an ellipsis."""
    assert clean_line("  a\n\nb \t c ") == "a b c"
    assert clean_line("abcdef", 4) == "abc…"
    assert clean_line("abcd", 4) == "abcd"


def test_brackets_are_no_markup() -> None:
    """What looks like Rich markup is shown as it is."""
    console = Console(width=60)
    with console.capture() as captured:
        console.print(note("[bold]x[/bold] [/nonsense]"))
    assert captured.get() == "[bold]x[/bold] [/nonsense]\n"
