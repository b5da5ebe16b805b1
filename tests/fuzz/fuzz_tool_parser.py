r"""A coverage-guided fuzzer of the parser that finds tool calls in a model's text.

    uv run --group fuzz python -m tests.fuzz.fuzz_tool_parser new tests/fuzz/corpus/tool_parser \
        -dict=tests/fuzz/tool_parser.dict -max_total_time=600 -timeout=5

See `fuzz_decoder.py`.
"""

from __future__ import annotations

from typing import Final

from hfchat_base.tools import Tool, ToolCallParser
from tests.fuzz.fuzzing import fuzz

TOOLS: Final = (
    Tool("get_weather", "Tells the weather.", {"type": "object", "properties": {"city": {}}}),
    Tool("now", "Tells the time.", {"type": "object", "properties": {}}),
)


def check(data: bytes) -> None:
    """Parse a text at once and in two pieces; a difference or an exception is a bug.

    Args:
        data: The first byte says where to cut the others.
    """
    cut, body = (data[0], data[1:]) if data else (0, b"")
    text = body.decode(errors="replace")
    assert _parse([text]) == _parse([text[:cut], text[cut:]])


def _parse(pieces: list[str]) -> list[object]:
    parser = ToolCallParser(TOOLS)
    parsed = [found for piece in pieces for found in parser.feed(piece)] + parser.end()
    joined: list[object] = []
    for found in parsed:
        if isinstance(found, str) and joined and isinstance(joined[-1], str):
            joined[-1] += found
        else:
            joined.append(found if isinstance(found, str) else _without_id(found))
    return joined


def _without_id(found: object) -> tuple[str, ...]:
    fields = {name: getattr(found, name) for name in getattr(found, "__slots__", ())}
    fields.pop("id", None)
    return (type(found).__name__, *map(repr, fields.values()))


if __name__ == "__main__":
    fuzz(check, "tests.fuzz.fuzz_tool_parser", "hfchat_base.tools")
