"""Calls are found in every shape in which models write them, however the text was cut."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base.tools import FunctionCall, InvalidToolCall, ToolCallParser
from tests.support.tool_shapes import NOW, PARIS, SHAPES, TOOLS, WEATHER

LEFT_ALONE: Final = {
    "prose about tags": "The <tool_call> tag holds {braces}, [lists] and `code`, like <this>.",
    "a call of another program's": 'Say <tool_call>{"name": "f", "arguments": {}}</tool_call> so.',
    "JSON": 'Here you are: {"name": "Ada", "age": 36} and [{"name": "Bob"}]',
    "a fenced call of another program's": '```json\n{"name": "f", "arguments": {"x": 1}}\n```\nSo.',
    "code": f"```python\nprint({PARIS})\n```\nThis prints it.",
    "the name alone": "```json\n" + '{"name": "get_weather"}' + "\n```",
    "a tool's signature": (
        '{"type": "function", "function": {"name": "now", "description": "Tells the time.",'
        ' "parameters": {"type": "object", "properties": {}}}}'
    ),
    "unfinished things": "a { b [ c < d ` e `` f",
    "white space around it": "  \n hello \n ",
    "a Markdown link": "[{text}](https://example.com) and [TOOL",
    "a tag at the end": "This ends with <tool_",
    "white space that JSON has not": '[\x0b\u2003{"name"\x0c: "now", "arguments": {}}]',
}
"""Text without any call."""


def parse(text: str, *cuts: int) -> tuple[str, list[FunctionCall | InvalidToolCall]]:
    """Parse a text that comes in pieces, and return the text and the calls in it."""
    parser = ToolCallParser(TOOLS)
    parsed: list[str | FunctionCall | InvalidToolCall] = []
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        parsed += parser.feed(text[start:end])
    parsed += parser.end()
    said = "".join(piece for piece in parsed if isinstance(piece, str))
    return said, [piece for piece in parsed if not isinstance(piece, str)]


def plain(calls: list[FunctionCall | InvalidToolCall]) -> list[Any]:
    """Calls without their ids."""
    return [
        (call.name, call.arguments) if isinstance(call, FunctionCall) else (call.name, call.text)
        for call in calls
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    """Each shape gives its calls, and the text without them, at every cut in two and in pieces."""
    text, said, calls = SHAPES[shape]
    for cut in range(len(text) + 1):
        got, found = parse(text, cut)
        assert (got, plain(found)) == (said, calls), text[:cut]
    for size in (1, 2, 3, 7):
        got, found = parse(text, *range(size, len(text), size))
        assert (got, plain(found)) == (said, calls)


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_text_that_is_no_call(kind: str) -> None:
    """Code and prose that merely look like calls come out as they went in, at every cut."""
    text = LEFT_ALONE[kind]
    for cut in range(len(text) + 1):
        assert parse(text, cut) == (text, [])
    assert parse(text, *range(1, len(text))) == (text, [])


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (
            '<tool_call>{"name": "get_weather", "arguments": {"city": Paris}}</tool_call>',
            '{"name": "get_weather", "arguments": {"city": Paris}}',
        ),
        ("<tool_call>get_weather(Paris)</tool_call>", "get_weather(Paris)"),
        (
            '<tool_call>{"name": "get_weather", "arguments": {"city": "Par',
            '{"name": "get_weather", "arguments": {"city": "Par',
        ),
        (
            '{"name": "get_weather", "arguments": {"city": "Par',
            '{"name": "get_weather", "arguments": {"city": "Par',
        ),
        (
            '{"name": "get_weather", "arguments": ["Paris"]}',
            '{"name": "get_weather", "arguments": ["Paris"]}',
        ),
        (
            '<tool_call>{"name": "get_weather", "arguments": {"city": NaN}}</tool_call>',
            '{"name": "get_weather", "arguments": {"city": NaN}}',
        ),
        (
            '<tool_call>{"name": "get_weather", "arguments": {"city": 1e999}}</tool_call>',
            '{"name": "get_weather", "arguments": {"city": 1e999}}',
        ),
    ],
)
def test_broken_calls(text: str, broken: str) -> None:
    """A call that cannot be read is reported as such, with its text, at every cut."""
    for cut in range(len(text) + 1):
        said, (call,) = parse(text, cut)
        assert isinstance(call, InvalidToolCall)
        assert (said, call.text) == ("", broken)
        assert call.error


def test_unknown_tool_on_a_line_of_its_own() -> None:
    """A marked call of a tool that is not on offer is invalid, and says which tools there are."""
    text = '<tool_call>{"name": "fly", "arguments": {"to": "Mars"}}</tool_call>'
    for cut in range(len(text) + 1):
        said, (call,) = parse(text, cut)
        assert isinstance(call, InvalidToolCall)
        assert (said, call.name) == ("", "fly")
        assert "get_weather, now" in call.error


@pytest.mark.parametrize("rest", ['{"x": 1}', "[1, 2]", "{", "So."])
def test_block_that_goes_on_after_a_call(rest: str) -> None:
    """A code block that holds anything but calls is code."""
    text = f"```json\n{PARIS}\n{rest}\n```"
    for cut in range(len(text) + 1):
        assert parse(text, cut) == (text, []), text[:cut]


@pytest.mark.parametrize(
    "again",
    [
        "[\n",
        '{"name": ',
        '{"name": ["',
        "```\n",
        "<tool_call>",
        "[TOOL_CALLS]",
        "<",
        " ",
        f"{NOW}\n",
        f"{NOW[:-1]}\n",
        f"<tool_call>{NOW[:-1]},",
        "<function=now>",
        "<function=now><parameter=x>",
        '<invoke name="get_weather"><parameter name="city">',
        "<tool_call>now<arg_key>x</arg_key><arg_value>",
        "<|channel|>",
        "<|channel|>commentary to=functions.now<|message|>",
        '<|tool_call>call:now{x:<|"|>',
        "[now(",
        "[now(x='",
        "now(",
        "now\n",
        "now\n{",
        "Action: now\n",
        "Action: ```json\n[",
        "`",
        "``<",
        "> \n",
        '"<tool_call>',
        "~~~\n",
        f"```\n{NOW}\n```\n",
        "</tool_call>",
    ],
)
def test_repetition_takes_linear_time(again: str) -> None:
    """A model that repeats itself for ever holds nobody up: squared, this would take minutes."""
    text = again * (25_000 // len(again))
    for size in (3, len(text)):
        parse(text, *range(size, len(text), size))


def test_call_is_emitted_when_it_is_whole() -> None:
    """Nobody waits for the closing tag."""
    parser = ToolCallParser(TOOLS)
    assert parser.feed(f"<tool_call>\n{PARIS[:-1]}") == []
    (call,) = parser.feed("}")
    assert isinstance(call, FunctionCall)


def test_text_streams_on() -> None:
    """Text that is certain to be none of a call is not held back."""
    parser = ToolCallParser(TOOLS)
    assert parser.feed("Let me") == ["Let me"]
    assert parser.feed(" look.") == [" look."]
    assert "".join(map(str, parser.feed(' {"x'))) == ' {"x'


def test_ids_are_unique() -> None:
    """Two calls that are alike have two ids."""
    _, (first, second) = parse(f"{PARIS}\n{PARIS}")
    assert first.id != second.id


def test_without_tools_all_text_is_text() -> None:
    """A parser without tools hands everything on at once."""
    parser = ToolCallParser(())
    assert parser.feed(f"<tool_call>{PARIS}") == [f"<tool_call>{PARIS}"]


_FRAGMENTS = st.sampled_from(
    (
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "[TOOL_CALLS]",
        "<|python_tag|>",
        "```json\n",
        "```",
        PARIS,
        NOW,
        PARIS[:30],
        '{"name": "now"',
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        ",",
        "\n",
        " ",
        "word",
    )
)
_TEXTS = st.lists(st.one_of(_FRAGMENTS, st.text(max_size=5)), max_size=12).map("".join)


@given(_TEXTS, st.data())
def test_any_text_at_any_cut(text: str, data: st.DataObject) -> None:
    """No output of a model crashes the parser, and its cuts make no difference."""
    whole = parse(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    said, calls = parse(text, *cuts)
    assert (said, plain(calls)) == (whole[0], plain(whole[1]))
    for call in calls:
        if isinstance(call, FunctionCall):
            json.dumps(call.arguments, allow_nan=False)


@given(st.text(alphabet="abc .\n", max_size=20), st.text(alphabet="abc .\n", max_size=20))
def test_no_tag_leaks(before: str, after: str) -> None:
    """Around a call that is recognised, nothing of its tags is left."""
    said, calls = parse(f"{before}<tool_call>\n{PARIS}\n</tool_call>{after}")
    assert plain(calls) == [WEATHER]
    assert "".join(said.split()) == "".join((before + after).split())
