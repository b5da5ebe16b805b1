"""A tool's question, shown to the user as a form.

Every value is checked here as the server checks it, because a refused reply ends the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from hfchat_base.cli.terminal import clean_line, note

if TYPE_CHECKING:
    from rich.console import Console

    from hfchat_base.events import ElicitationRequest

__all__ = ["ReadLine", "fill_in"]

ReadLine = Callable[[str], str]
"""Asks for a line with a prompt; raises EOFError or KeyboardInterrupt if there is none."""

_YES: Final = ("y", "yes", "true", "1")
_NO: Final = ("n", "no", "false", "0")
_Field = Mapping[str, Any]


def fill_in(
    request: ElicitationRequest, console: Console, read_line: ReadLine
) -> dict[str, Any] | None:
    """Ask the user what a tool wants to know.

    Args:
        request: The question.
        console: Where to show it.
        read_line: How to ask for a line.

    Returns:
        The filled-in fields, or None if the user declines (Ctrl-C, Ctrl-D).
    """
    who = clean_line(request.server) or "A tool"
    console.print()
    console.print(
        Text.assemble((f"{who} asks: ", "hfchat.accent"), (clean_line(request.message), "bold"))
    )
    try:
        if request.mode == "url":
            return _visit(request, console, read_line)
        console.print(note("Ctrl-C declines. Fields with * are required."))
        content = {}
        for field in request.fields:
            value = _ask(field, console, read_line)
            if value is not None:
                content[str(field.get("name", ""))] = value
    except (KeyboardInterrupt, EOFError):
        console.print()
        console.print(note("Declined."))
        return None
    return content


def _visit(
    request: ElicitationRequest, console: Console, read_line: ReadLine
) -> dict[str, Any] | None:
    console.print(Text.assemble("Open ", (clean_line(request.url or ""), "hfchat.link")))
    return {} if read_line("  Done? [y/N] ").strip().lower() in _YES else None


def _ask(field: _Field, console: Console, read_line: ReadLine) -> object:
    """Ask for one field until the server would accept the value; None if it is left empty."""
    if field.get("description"):
        console.print(note(f"  {clean_line(str(field['description']))}"))
    for number, option in enumerate(_options(field), 1):
        console.print(Text.assemble((f"  {number}. ", "hfchat.note"), option["label"]))
    prompt = _prompt(field)
    while True:
        typed = read_line(prompt).strip()
        if not typed:
            if (default := field.get("default")) is not None:
                return default
            if not field.get("required"):
                return None
            console.print(Text("  This field is required.", style="hfchat.bad"))
            continue
        try:
            return _value(field, typed)
        except ValueError as error:
            console.print(Text(f"  {error}", style="hfchat.bad"))


def _prompt(field: _Field) -> str:
    label = clean_line(str(field.get("title") or field.get("name") or "Answer"))
    star = "*" if field.get("required") else ""
    hints = []
    if field.get("kind") == "boolean":
        hints.append("y/n")
    if field.get("kind") == "select":
        hints.append("numbers, with commas" if field.get("multiple") else "a number")
    if (default := field.get("default")) is not None:
        hints.append(f"Enter for {clean_line(str(default), 40)}")
    hint = f" ({', '.join(hints)})" if hints else ""
    return f"  {label}{star}{hint}: "


def _value(field: _Field, typed: str) -> object:
    """Read a value.

    Raises:
        ValueError: The field does not take it; the message says why.
    """
    kind = field.get("kind")
    if kind == "boolean":
        return _boolean(typed)
    if kind == "number":
        return _number(field, typed)
    if kind == "select":
        return _choice(field, typed)
    return _string(field, typed)


def _boolean(typed: str) -> bool:
    if typed.lower() in _YES:
        return True
    if typed.lower() in _NO:
        return False
    raise ValueError("Please answer y or n.")


def _number(field: _Field, typed: str) -> float:
    try:
        value = float(typed.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("This is not a number.")
    if field.get("integer") and value != int(value):
        raise ValueError("A whole number, please.")
    low, high = field.get("minimum"), field.get("maximum")
    if isinstance(low, (int, float)) and value < low:
        raise ValueError(f"At least {low}, please.")
    if isinstance(high, (int, float)) and value > high:
        raise ValueError(f"At most {high}, please.")
    return int(value) if value == int(value) else value


def _string(field: _Field, typed: str) -> str:
    low, high = field.get("minLength"), field.get("maxLength")
    if isinstance(low, int) and len(typed) < low:
        raise ValueError(f"At least {low} characters, please.")
    if isinstance(high, int) and len(typed) > high:
        raise ValueError(f"At most {high} characters, please.")
    return typed


def _options(field: _Field) -> list[dict[str, str]]:
    """The options of a select, each with the value to send and the label to show."""
    options = field.get("options")
    return [
        {
            "value": str(option.get("value", "")),
            "label": clean_line(str(option.get("label") or option.get("value", ""))),
        }
        for option in (options if isinstance(options, (list, tuple)) else ())
        if isinstance(option, Mapping)
    ]


def _choice(field: _Field, typed: str) -> str | list[str]:
    options = _options(field)
    picked = []
    for part in typed.split(",") if field.get("multiple") else [typed]:
        word = part.strip()
        named = [one["value"] for one in options if word in (one["value"], one["label"])]
        if word.isdecimal() and 1 <= int(word) <= len(options):
            named = [options[int(word) - 1]["value"]]
        if not named:
            raise ValueError(f"Please choose from 1 to {len(options)}.")
        picked.append(named[0])
    return picked if field.get("multiple") else picked[0]
