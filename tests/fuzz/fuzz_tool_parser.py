"""A coverage-guided fuzzer of the parser that finds tool calls in a model's text.

    python -m tests.fuzz.fuzz_tool_parser tests/fuzz/corpus/tool_parser -max_total_time=600

See `fuzz_decoder.py`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

from hfchat_base.tools import Tool, ToolCallParser

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


def main() -> None:
    """Fuzz until told to stop."""
    atheris = importlib.import_module("atheris")  # untyped, and needed for nothing else
    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
