"""A tool's question as a form: each kind of field takes what the server takes, and nothing else."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from hfchat_base import ElicitationRequest
from hfchat_base.cli.form import fill_in
from hfchat_base.cli.terminal import THEME

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = [{"value": "r", "label": "Red"}, {"value": "g", "label": "Green"}]


def answer(fields: list[dict[str, Any]], *typed: str, **request: Any) -> tuple[Any, str]:
    """Fill in a form by typing these lines; return its content and what was shown."""
    lines: Iterator[str] = iter(typed)
    shown = StringIO()

    def read_line(prompt: str) -> str:
        shown.write(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    question = ElicitationRequest("1", "A question", tuple(fields), server="tool", **request)
    console = Console(file=shown, width=200, theme=THEME)
    return fill_in(question, console, read_line), shown.getvalue()


@pytest.mark.parametrize(
    ("field", "typed", "value"),
    [
        ({"kind": "string"}, ["text"], "text"),
        ({"kind": "string", "minLength": 3, "maxLength": 4}, ["ab", "abcde", "abc"], "abc"),
        ({"kind": "number"}, ["x", "nan", "1.5"], 1.5),
        ({"kind": "number"}, ["2,5"], 2.5),
        (
            {"kind": "number", "integer": True, "minimum": 1, "maximum": 5},
            ["0", "9", "1.5", "3"],
            3,
        ),
        ({"kind": "boolean"}, ["maybe", "Y"], True),
        ({"kind": "boolean"}, ["no"], False),
        ({"kind": "select", "options": OPTIONS}, ["3", "blue", "2"], "g"),
        ({"kind": "select", "options": OPTIONS}, ["Red"], "r"),
        ({"kind": "select", "options": OPTIONS, "multiple": True}, ["1, g"], ["r", "g"]),
        ({"kind": "string", "required": True}, ["", "text"], "text"),
        ({"kind": "number", "default": 2, "required": True}, [""], 2),
        ({"kind": "something newer"}, ["text"], "text"),
    ],
)
def test_a_field_is_asked_for_until_it_is_right(
    field: dict[str, Any], typed: list[str], value: object
) -> None:
    """What the server would refuse is asked for again; the value has the right type."""
    content, _ = answer([{"name": "it", **field}], *typed)
    assert content == {"it": value}
    assert type(content["it"]) is type(value)


def test_an_optional_field_may_be_left_out() -> None:
    """Enter alone leaves a field out that is neither required nor filled in beforehand."""
    assert answer([{"name": "it", "kind": "string"}], "")[0] == {}


def test_the_end_of_the_input_declines() -> None:
    """Ctrl-D declines."""
    content, shown = answer([{"name": "it", "kind": "string"}])
    assert content is None
    assert "Declined." in shown


def test_texts_of_the_tool_are_harmless() -> None:
    """Labels, help and options are shown without sequences, and markup as it is."""
    hostile = "\x1b[2J[red]x"
    field = {
        "name": "it",
        "kind": "select",
        "title": hostile,
        "description": hostile,
        "options": [{"value": "a", "label": hostile}],
    }
    _, shown = answer([field], "1")
    assert "\x1b" not in shown
    assert shown.count("[red]x") == 3


@pytest.mark.parametrize(("typed", "content"), [("y", {}), ("", None)])
def test_a_page_to_visit(typed: str, content: object) -> None:
    """A question that is settled on a page shows its address, and is accepted only by yes."""
    given, shown = answer([], typed, mode="url", url="https://example.com/pay")
    assert given == content
    assert "https://example.com/pay" in shown
