"""Calls of all known families are read, whole and in pieces; ordinary answers hold none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base.tools import FunctionCall, InvalidToolCall, ToolCallParser
from tests.support.tool_samples import (
    CITY,
    FAMILIES,
    FILE,
    ONE_CALL_ONLY,
    ORDINARY,
    ROOM,
    TIME,
    TOOLS,
    ToolUse,
)

Piece = str | FunctionCall | InvalidToolCall


def pieces_of(text: str, cuts: Sequence[int] = ()) -> list[Piece]:
    """What a parser makes of a text that comes in pieces."""
    parser = ToolCallParser(TOOLS)
    pieces: list[Piece] = []
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        pieces += parser.feed(text[start:end])
    return pieces + parser.end()


def read(text: str, cuts: Sequence[int] = ()) -> tuple[str, list[object]]:
    """The text, and the calls without their ids."""
    pieces = pieces_of(text, cuts)
    calls: list[object] = [
        (piece.name, piece.arguments)
        if isinstance(piece, FunctionCall)
        else (piece.name, piece.text, piece.error)
        for piece in pieces
        if not isinstance(piece, str)
    ]
    return "".join(piece for piece in pieces if isinstance(piece, str)), calls


def written(family: str, *uses: ToolUse) -> str:
    """Some calls as a family of models writes them."""
    return FAMILIES[family].write(uses)


@pytest.mark.parametrize("before", ["", "Let me look.\n", "So be it.\n</think>\n\n"])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_call(family: str, before: str) -> None:
    """A call is read with the types of its arguments, and nothing of its marks is left."""
    for use in FAMILIES[family].uses:
        said, calls = read(before + written(family, use))
        assert (said.strip(), calls) == (before.strip(), [use])


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ONE_CALL_ONLY])
def test_several_calls(family: str) -> None:
    """Several calls in one answer are all read, in order."""
    uses = [*FAMILIES[family].uses, CITY]
    assert read(written(family, *uses)) == ("", uses)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_cut(family: str) -> None:
    """What is read does not depend on how the answer was cut."""
    one = family in ONE_CALL_ONLY
    for text in (
        f"Hm.\n{written(family, CITY)}\nSo.",
        written(family, ROOM if one else FILE),
        written(family, *([TIME] if one else [TIME, CITY])),
    ):
        whole = read(text)
        for cut in range(len(text) + 1):
            assert read(text, [cut]) == whole, text[:cut]
        assert read(text, range(1, len(text))) == whole


@pytest.mark.parametrize("family", FAMILIES)
def test_call_that_is_cut_off(family: str) -> None:
    """An answer that ends within a call makes up no arguments, however it was cut."""
    text = written(family, FILE)
    for end in range(0, len(text), 7):
        part = text[:end]
        said, calls = read(part)
        assert calls in ([], [FILE]) or len(calls[0]) == 3  # type: ignore[arg-type]
        assert read(part, range(1, end)) == (said, calls)


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_answer(kind: str) -> None:
    """An ordinary answer comes out as it went in, at every cut."""
    text = ORDINARY[kind]
    for cut in range(len(text) + 1):
        assert read(text, [cut]) == (text, []), text[:cut]
    assert read(text, range(1, len(text))) == (text, [])


@pytest.mark.parametrize("kind", ORDINARY)
def test_call_after_an_ordinary_answer(kind: str) -> None:
    """A call that follows an ordinary answer is read, unless code is still open."""
    if kind.startswith("unfinished"):
        return
    said, calls = read(f"{ORDINARY[kind]}\n\n{written('Hermes, Qwen 2.5 and 3, Ernie 4.5', CITY)}")
    assert (said, calls) == (ORDINARY[kind].rstrip(), [CITY])


_PARTS = st.sampled_from(
    [
        *(written(family, use) for family in FAMILIES for use in (CITY, TIME)),
        *(written(family, ROOM)[:90] for family in FAMILIES),
        *ORDINARY.values(),
        "\n",
        "\n\n",
        " ",
        "`",
        "```\n",
        '"',
        "<|im_end|>",
        "<tool_response>",
        "Observation: ",
    ]
)


@given(st.lists(st.one_of(_PARTS, st.text(max_size=4)), max_size=5).map("".join), st.data())
def test_any_text_at_any_cut(text: str, data: st.DataObject) -> None:
    """Whatever a model writes, its cuts make no difference."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    assert read(text, cuts) == read(text)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\n{call}\n</tool_call><|im_end|>",
        "<tool_call>\n{call}\n</tool_call>\n</tool_call>",
        "<tool_call>\n{call}\n</tool_call>\n```",
        "```json\n<tool_call>\n{call}\n</tool_call>\n```",
        "```\n{call}\n```<|eot_id|>",
        "{call}</tool_call>",
        "{call}<|eom_id|>",
        "<tool_call><tool_call>\n{call}\n</tool_call></tool_call>",
        "<tool_call>\n{call}}\n</tool_call>",
        "<tool_call>\n{call}\n</tool_call>\n<tool_response>\nSunny\n</tool_response>",
        "[TOOL_CALLS] [{call}]</s>",
        "<|START_THINKING|><|END_THINKING|><|START_ACTION|>[{call}]<|END_ACTION|>",
    ],
)
def test_no_leftovers(text: str) -> None:
    """Nothing of wrappers, fences and special tokens stays in the text around a call."""
    call = '{"name": "get_weather", "arguments": {"city": "Lisbon"}}'
    assert read(text.replace("{call}", call)) == ("", [CITY])


@pytest.mark.parametrize(
    "before", ["I will look for an example.", "This should work:", "Here is the call:"]
)
def test_block_that_ends_the_answer(before: str) -> None:
    """A code block that ends the answer is a call, unless the line above calls it an example."""
    assert read(f"{before}\n\n{written('a code block of JSON', CITY)}") == (before, [CITY])


def test_messages_of_harmony() -> None:
    """Heads of messages are dropped, and thinking and preambles are text."""
    call = (
        '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "X"}'
    )
    said, calls = read(
        "<|channel|>analysis<|message|>The weather.<|end|><|start|>assistant"
        f"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{call}<|call|>"
    )
    assert calls == [("get_weather", {"city": "X"})]
    assert said == "The weather.I look."


@pytest.mark.parametrize("thought", ["[THINK]{call}[/THINK]", "<seed:think>{call}</seed:think>"])
def test_thoughts_hold_no_calls(thought: str) -> None:
    """What looks like a call in a thought is not one; the call after it is."""
    call = written("Mistral since v11", CITY)
    thought = thought.replace("{call}", f"Perhaps {call}?")
    assert read(f"{thought}\n{call}") == (thought, [CITY])


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("[write_file(path='a', content='sed -n '1,2p' x')]", "sed -n '1,2p' x"),
        ("[write_file('a', 'two\nlines')]", "two\nlines"),
        (r"[write_file(path='a', content='it\'s \x41 \u00e9\n')]", "it's A é\n"),
        ("[write_file(path='a', content=r'a\\nb')]", "a\\nb"),
        ('[write_file(path="a", content="""x"y""")]', 'x"y'),
    ],
)
def test_strings_of_python(text: str, arguments: str) -> None:
    """Strings are read as Python has them, and also where Python would refuse them."""
    uses: list[object] = [("write_file", {"path": "a", "content": arguments})]
    assert read(f"<|tool_call_start|>{text}<|tool_call_end|>") == ("", uses)


@pytest.mark.parametrize(
    "value", ["f(1)", "x", "b'x'", "1e999", "open('x')", "(1", "__import__('os')"]
)
def test_python_that_is_no_literal(value: str) -> None:
    """Only literals are arguments; nothing is run."""
    (call,) = pieces_of(f"<|tool_call_start|>[get_weather(city={value})]<|tool_call_end|>")
    assert isinstance(call, InvalidToolCall)
    assert call.name == "get_weather"


@pytest.mark.parametrize(
    ("piece", "released"),
    [
        ("No call", "No call"),
        ("```python\nx = ", "```python\nx ="),
        ('```json\n{"name": "Ada"', '```json\n{"name": "Ada"'),
        ("<tool_call> is", "<tool_call> is"),
        ("<b", "<b"),
        ("[link](x", "[link](x"),
        ("`<tool_call>", "`<tool_call>"),
        ("Action: wait", "Action: wait"),
        ("now it", "now it"),
        ("{x", "{x"),
    ],
)
def test_text_is_released_early(piece: str, released: str) -> None:
    """Text that cannot become a call any more is passed on at once."""
    assert "".join(map(str, ToolCallParser(TOOLS).feed(f"{piece} y")))[: len(released)] == released
