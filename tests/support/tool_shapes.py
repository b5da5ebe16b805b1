"""The shapes in which open models write tool calls, and what each amounts to."""

from __future__ import annotations

from typing import Any, Final

from hfchat_base.tools import Tool

_CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Final = (Tool("get_weather", "Tells the weather.", _CITY), Tool("now", "Tells the time."))

PARIS: Final = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
NOW: Final = '{"name": "now", "arguments": {}}'
WEATHER: Final = ("get_weather", {"city": "Paris"})
TIME: Final[tuple[str, dict[str, Any]]] = ("now", {})

SHAPES: Final[dict[str, tuple[str, str, list[tuple[str, dict[str, Any]]]]]] = {
    "Hermes": (f"<tool_call>\n{PARIS}\n</tool_call>", "", [WEATHER]),
    "Hermes, never closed": (f"<tool_call>\n{PARIS}", "", [WEATHER]),
    "Hermes, several": (
        f"<tool_call>\n{PARIS}\n</tool_call>\n<tool_call>\n{NOW}\n</tool_call>",
        "",
        [WEATHER, TIME],
    ),
    "Hermes, several in one tag": (f"<tool_call>{PARIS}\n{NOW}</tool_call>", "", [WEATHER, TIME]),
    "Hermes, a list": (f"<tool_call>[{PARIS}, {NOW}]</tool_call>", "", [WEATHER, TIME]),
    "prose before and after": (
        f"Let me look.\n\n<tool_call>\n{PARIS}\n</tool_call>\nOne moment.",
        "Let me look.\nOne moment.",
        [WEATHER],
    ),
    "prose on the same line": (f"Look: <tool_call>{PARIS}</tool_call>", "Look:", [WEATHER]),
    "bare": (PARIS, "", [WEATHER]),
    "bare, several": (f"{PARIS}\n{NOW}", "", [WEATHER, TIME]),
    "bare, a list": (f"[{PARIS}, {NOW}]", "", [WEATHER, TIME]),
    "bare, after prose": (f"I'll call this: {PARIS}", "I'll call this:", [WEATHER]),
    "fenced": (f"Sure:\n```json\n{PARIS}\n```", "Sure:", [WEATHER]),
    "fenced, several": (f"```\n{PARIS}\n{NOW}\n```", "", [WEATHER, TIME]),
    "fenced, in tags": (f"```xml\n<tool_call>\n{PARIS}\n</tool_call>\n```", "", [WEATHER]),
    "tags around a fence": (f"<tool_call>\n```json\n{PARIS}\n```\n</tool_call>", "", [WEATHER]),
    "fenced, several in tags": (
        f"```\n<tool_call>{PARIS}</tool_call>\n<tool_call>{NOW}</tool_call>\n```",
        "",
        [WEATHER, TIME],
    ),
    "Llama 3": ('{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [WEATHER]),
    "Llama 3, marked": (
        '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}<|eom_id|>',
        "",
        [WEATHER],
    ),
    "Llama 3, several": (f"<|python_tag|>{PARIS}; {NOW}", "", [WEATHER, TIME]),
    "Mistral": (f"[TOOL_CALLS] [{PARIS}, {NOW}]", "", [WEATHER, TIME]),
    "Mistral, one": (f"[TOOL_CALLS]{NOW}", "", [TIME]),
    "OpenAI": (f'{{"type": "function", "function": {PARIS}}}', "", [WEATHER]),
    "OpenAI, a whole message": (
        f'{{"tool_calls": [{{"id": "1", "type": "function", "function": {PARIS}}}]}}',
        "",
        [WEATHER],
    ),
    "arguments as text": (
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
        "",
        [WEATHER],
    ),
    "arguments left out": ('<tool_call>{"name": "now"}</tool_call>', "", [TIME]),
    "arguments null": ('{"name": "now", "arguments": null}', "", [TIME]),
    "arguments next to the name": (
        '<tool_call>{"name": "get_weather", "city": "Paris"}</tool_call>',
        "",
        [WEATHER],
    ),
    "a bracket missing": (
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}</tool_call>',
        "",
        [WEATHER],
    ),
    "brackets, quotes and tags in a string": (
        '<tool_call>{"name": "get_weather", "arguments": {"city": "}\\"]</tool_call>{"}}',
        "",
        [("get_weather", {"city": '}"]</tool_call>{'})],
    ),
    "a line break in a string": (
        '{"name": "get_weather", "arguments": {"city": "Pa\nris"}}',
        "",
        [("get_weather", {"city": "Pa\nris"})],
    ),
    "Unicode": (
        '{"name": "get_weather", "arguments": {"city": "東京 \U0001f5fc \\u00e9"}}',
        "",
        [("get_weather", {"city": "東京 \U0001f5fc é"})],
    ),
    "another way to write the name": (
        '<tool_call>{"name": "functions.Get-Weather", "arguments": {"city": "Paris"}}</tool_call>',
        "",
        [WEATHER],
    ),
    "a made-up result": (
        f"<tool_call>{PARIS}</tool_call>\n<tool_response>\nSunny\n</tool_response>\nIt is sunny.",
        "",
        [WEATHER],
    ),
}
"""What a model writes: the text and the calls that it amounts to."""
