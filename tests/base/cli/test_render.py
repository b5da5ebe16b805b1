"""Markdown that grows is printed once, and never differently from how it would be in the end."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from hfchat_base.cli.render import (
    AnswerMarkdown,
    PlainView,
    Tail,
    ending,
    first_code_block,
    settled_length,
)
from hfchat_base.cli.terminal import THEME, Terminal
from hfchat_base.types import Retry, RetryReason

TEXTS = [
    "One paragraph.\n\nAnother,\non two lines.\n\nA third.\n",
    "# Title\n\ntext\n- a\n- b\n\n  still b\n\n1. one\n2. two\n\nend",
    "before\n```python\nx = 1\n\n\ny = 2\n```\nafter\n\n```\nnever closed\n\n",
    "Setext\n===\n\n> quote\n> goes on\nlazily\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n***\n\nend\n",
    "text\n``` no fence ``` but code\nmore\n\n    indented\n\n    code\n\ndone\n",
    "",
    "\n\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_blocks_are_settled_as_they_end(text: str) -> None:
    """Printed bit by bit, at every split, a text has the blocks that it has as a whole."""
    printed, pending = [], ""
    for character in text:
        pending += character
        if length := settled_length(pending):
            printed.append(pending[:length])
            pending = pending[length:]
    printed.append(pending)
    assert [one for part in printed for one in blocks(part)] == blocks(text)


def test_only_the_last_block_is_pending() -> None:
    """What comes before the last block is settled, half a line is not."""
    assert settled_length("one\n\ntwo\n") == len("one\n\n")
    assert settled_length("one\n\ntwo") == 0


def test_the_ending_draws_the_same_lines() -> None:
    """The end of a long block looks as it does in the whole block, code as code."""
    code = "```python\n" + "".join(f"x{number} = 1\n" for number in range(99))
    for text in (code, "".join(f"- item {number}\n" for number in range(99))):
        cut = ending(text, 5)
        assert len(cut) < len(text) / 5
        assert render(cut).splitlines()[-5:] == render(text).splitlines()[-5:]


def test_blocks_bring_no_blank_lines_along() -> None:
    """Each kind of block begins and ends with a line of its own."""
    for block in ("text", "- a", "1. a", "> a", "|a|\n|---|\n|b|", "```\na\n```", "# a", "***"):
        lines = render(block).splitlines()
        assert lines[0].strip()
        assert lines[-1].strip()


def test_tags_are_text() -> None:
    """A tag outside of code is shown, not swallowed."""
    assert "a List<T> of <b>x</b>" in render("a List<T> of <b>x</b>")


def test_addresses_of_links_are_shown() -> None:
    """A link says where it leads."""
    assert "safe (http://evil.example)" in render("[safe](http://evil.example)")


def test_the_tail_fits() -> None:
    """Of what is too tall the end is shown."""
    console = Console(width=20, file=StringIO())
    with console.capture() as captured:
        console.print(Tail(Text("\n".join(map(str, range(9)))), 3))
    assert captured.get().split() == ["6", "7", "8"]


def blocks(text: str) -> list[str]:
    """The HTML of each block at the top level."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
    return [line for line in parser.render(text).splitlines() if line]


def render(text: str) -> str:
    """Markdown as it looks on a console of 60 columns."""
    console = Console(width=60)
    with console.capture() as captured:
        console.print(AnswerMarkdown(text))
    return captured.get()


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("pace", "Message limit reached; sending in 61 s (Ctrl-C cancels)"),
        ("limit", "The server asks for a pause; sending in 61 s (Ctrl-C cancels)"),
        ("overloaded", "The server is overloaded; trying again in 61 s (Ctrl-C cancels)"),
        ("connection", "No connection; trying again in 61 s (Ctrl-C cancels)"),
    ],
)
def test_a_wait_is_explained_in_a_pipe(reason: RetryReason, said: str) -> None:
    """Why and for how long is said once, on standard error; short waits are not worth a line."""
    out, err = Console(file=StringIO()), Console(file=StringIO(), theme=THEME, width=100)
    with PlainView(Terminal(out, err)) as view, err.capture() as captured:
        view.wait(Retry(reason, 1, 0.5))
        view.wait(Retry(reason, 1, 60.5))
    assert captured.get() == f"{said}\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```sh\nls\n```\n```\nx\n```", "ls\n"),
        ("a\n\n    indented\n", "indented\n"),
        ("- item\n  ```\n  in a list\n  ```", "in a list\n"),
        ("```\nnever closed", "never closed"),
        ("only `inline` code", None),
        ("Type ```sh\nls\n```", None),  # what opens and is empty is the fence that should close
        ("```\n```\n\n```\nx\n```", "x\n"),
    ],
)
def test_the_first_code_block(text: str, code: str | None) -> None:
    """The first block of code is found wherever it stands, without its fence."""
    assert first_code_block(text) == code


def test_code_is_coloured_for_dark_and_light_screens() -> None:
    """No bright colour: half of those cannot be read on a white background."""
    out = StringIO()
    code = "```python\nimport os\n@cached\nclass A:\n    def f(self): return int('x') + 1  # y\n```"
    Console(file=out, force_terminal=True, color_system="standard").print(AnswerMarkdown(code))
    codes = set(";".join(re.findall(r"\x1b\[([\d;]*)m", out.getvalue())).split(";"))
    assert {"32", "35", "36"} <= codes
    assert not {code for code in codes if re.fullmatch(r"(9|10)\d|3[34]", code)}
