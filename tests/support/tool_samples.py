"""What models of many families write when they call tools, and ordinary answers without calls.

The samples are made up for these tests, in the formats that the families' chat templates use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hfchat_base.tools import Tool

WEATHER_TOOL: Final = Tool(
    "get_weather",
    "Tells the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
NOW_TOOL: Final = Tool("now", "Tells the time.")
BOOK_TOOL: Final = Tool(
    "book_room",
    "Books a room.",
    {
        "type": "object",
        "properties": {
            "hotel": {"type": "string"},
            "zip_code": {"type": "string"},
            "nights": {"type": "integer"},
            "price": {"type": "number"},
            "breakfast": {"type": "boolean"},
            "guests": {"type": "array", "items": {"type": "string"}},
            "address": {"$ref": "#/$defs/Address"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["hotel"],
        "$defs": {"Address": {"type": "object", "properties": {"street": {"type": "string"}}}},
    },
)
WRITE_TOOL: Final = Tool(
    "write_file",
    "Writes a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)
TOOLS: Final = (WEATHER_TOOL, NOW_TOOL, BOOK_TOOL, WRITE_TOOL)

Arguments = Mapping[str, Any]
ToolUse = tuple[str, Arguments]

CITY: Final[ToolUse] = ("get_weather", {"city": "Lisbon"})
TIME: Final[ToolUse] = ("now", {})
ROOM: Final[ToolUse] = (
    "book_room",
    {
        "hotel": 'The "Old" Inn & Sons',
        "zip_code": "01099",
        "nights": 3,
        "price": 80.5,
        "breakfast": True,
        "guests": ["Ana", "Béla"],
        "address": {"street": "Hill 5"},
        "note": None,
    },
)
FILE: Final[ToolUse] = (
    "write_file",
    {"path": "a.html", "content": "<p class='x'>\n  if a < b:\n    \"ok\"\n</p>"},
)
TAGGED: Final[ToolUse] = (
    "write_file",
    {"path": "call.md", "content": "A <tool_call> tag, </parameter> and }]."},
)
USES: Final = (CITY, TIME, ROOM, FILE, TAGGED)


class Family(NamedTuple):
    """How a family of models writes calls.

    Attributes:
        write: Writes some calls.
        uses: What is tried.
    """

    write: Callable[[Sequence[ToolUse]], str]
    uses: Sequence[ToolUse] = USES


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(use: ToolUse, key: str = "arguments", name: str = "name") -> str:
    return _json({name: use[0], key: use[1]})


def _each(write: Callable[[ToolUse], str], between: str = "\n") -> Callable[..., str]:
    return lambda uses: between.join(map(write, uses))


def _listed(before: str, after: str = "", key: str = "arguments") -> Callable[..., str]:
    return lambda uses: f"{before}[{', '.join(_object(use, key) for use in uses)}]{after}"


def _python(use: ToolUse) -> str:
    return f"{use[0]}({', '.join(f'{key}={value!r}' for key, value in use[1].items())})"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _elements(use: ToolUse, before: str, argument: str, after: str, between: str = "\n") -> str:
    """A call of XML: `before` has room for the name, `argument` for key and value."""
    parts = [argument.format(key=key, value=_plain(value)) for key, value in use[1].items()]
    return between.join((before.format(name=use[0]), *parts, after))


def _qwen_coder(use: ToolUse) -> str:
    function = _elements(
        use, "<function={name}>", "<parameter={key}>\n{value}\n</parameter>", "</function>"
    )
    return f"<tool_call>\n{function}\n</tool_call>"


def _seed(use: ToolUse) -> str:
    function = _elements(
        use, "<function={name}>", "<parameter={key}>{value}</parameter>", "</function>"
    )
    return f"<seed:tool_call>\n{function}\n</seed:tool_call>"


def _invoke(use: ToolUse, prefix: str = "") -> str:
    return _elements(
        use,
        f'<{prefix}invoke name="{{name}}">',
        f'<{prefix}parameter name="{{key}}">{{value}}</{prefix}parameter>',
        f"</{prefix}invoke>",
    )


def _dsml(use: ToolUse) -> str:
    parts = [
        f'<｜DSML｜parameter name="{key}" string="{str(isinstance(value, str)).lower()}">'
        f"{_plain(value)}</｜DSML｜parameter>"
        for key, value in use[1].items()
    ]
    return "\n".join((f'<｜DSML｜invoke name="{use[0]}">', *parts, "</｜DSML｜invoke>"))


def _wrapped(before: str, write: Callable[[ToolUse], str], after: str) -> Callable[..., str]:
    return lambda uses: f"{before}{chr(10).join(map(write, uses))}{after}"


def _glm(use: ToolUse, between: str = "\n") -> str:
    argument = f"<arg_key>{{key}}</arg_key>{between}<arg_value>{{value}}</arg_value>"
    return _elements(use, "<tool_call>{name}", argument, "</tool_call>", between)


def _hunyuan3(use: ToolUse) -> str:
    argument = "<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>"
    return _elements(use, "<tool_call>{name}<tool_sep>", argument, "</tool_call>")


def _deepseek(use: ToolUse) -> str:
    return (
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{use[0]}\n```json\n{_json(use[1])}\n```"
        "<｜tool▁call▁end｜>"
    )


def _gemma(use: ToolUse, quote: str, before: str, after: str) -> str:
    def value(item: Any) -> str:
        if isinstance(item, str):
            return f"{quote}{item}{quote}"
        if isinstance(item, dict):
            return f"{{{','.join(f'{key}:{value(inner)}' for key, inner in item.items())}}}"
        if isinstance(item, list):
            return f"[{','.join(map(value, item))}]"
        return _json(item)

    return f"{before}call:{use[0]}{value(dict(use[1]))}{after}"


def _harmony(uses: Sequence[ToolUse]) -> str:
    calls = [
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{_json(arguments)}"
        for name, arguments in uses
    ]
    return "<|call|><|start|>assistant".join(calls) + "<|call|>"


def _react(uses: Sequence[ToolUse]) -> str:
    ((name, arguments),) = uses
    return f"Action: {name}\nAction Input: {_json(arguments)}"


FAMILIES: Final[Mapping[str, Family]] = {
    "Hermes, Qwen 2.5 and 3, Ernie 4.5": Family(
        _each(lambda use: f"<tool_call>\n{_object(use)}\n</tool_call>")
    ),
    "Hermes, with Python's quotes": Family(
        _each(lambda use: f"<tool_call>\n{ {'name': use[0], 'arguments': use[1]}!r}\n</tool_call>")
    ),
    "Qwen3-Coder, Nemotron 3, MiMo": Family(_each(_qwen_coder)),
    "Llama 3, JSON": Family(_each(lambda use: _object(use, "parameters"), "; ")),
    "Llama 3, marked": Family(
        lambda uses: (
            "<|python_tag|>" + "; ".join(_object(use, "parameters") for use in uses) + "<|eom_id|>"
        )
    ),
    "Llama 3.1, function tags": Family(
        _each(lambda use: f"<function={use[0]}>{_json(use[1])}</function>", "")
    ),
    "Llama 3.2 and 4, Python": Family(lambda uses: f"[{', '.join(map(_python, uses))}]"),
    "Functionary 3.2": Family(_each(lambda use: f">>>{use[0]}\n{_json(use[1])}")),
    "GLM 4": Family(_each(lambda use: f"{use[0]}\n{_json(use[1])}")),
    "GLM 4.5 and 4.6": Family(_each(_glm)),
    "GLM 4.7": Family(_each(lambda use: _glm(use, ""), "")),
    "Mistral, old": Family(_listed("[TOOL_CALLS] ")),
    "Mistral since v11": Family(
        _each(lambda use: f"[TOOL_CALLS]{use[0]}[ARGS]{_json(use[1])}", "")
    ),
    "Mistral since v11, without ARGS": Family(
        _each(lambda use: f"[TOOL_CALLS]{use[0]}{_json(use[1])}", "")
    ),
    "gpt-oss (harmony)": Family(_harmony),
    "DeepSeek V3 and R1": Family(
        _wrapped("<｜tool▁calls▁begin｜>", _deepseek, "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>")
    ),
    "DeepSeek V3.1": Family(
        _wrapped(
            "<｜tool▁calls▁begin｜>",
            lambda use: (
                f"<｜tool▁call▁begin｜>{use[0]}<｜tool▁sep｜>{_json(use[1])}<｜tool▁call▁end｜>"
            ),
            "<｜tool▁calls▁end｜>",
        )
    ),
    "DeepSeek V3.2": Family(
        _wrapped("<｜DSML｜function_calls>\n", _dsml, "\n</｜DSML｜function_calls>")
    ),
    "DeepSeek V4": Family(_wrapped("<｜DSML｜tool_calls>\n", _dsml, "\n</｜DSML｜tool_calls>")),
    "Kimi K2": Family(
        lambda uses: (
            "<|tool_calls_section_begin|>"
            + "".join(
                f"<|tool_call_begin|>functions.{name}:{number}<|tool_call_argument_begin|>"
                f"{_json(arguments)}<|tool_call_end|>"
                for number, (name, arguments) in enumerate(uses)
            )
            + "<|tool_calls_section_end|>"
        )
    ),
    "MiniMax M1": Family(_wrapped("<tool_calls>\n", _object, "\n</tool_calls>")),
    "MiniMax M2": Family(_wrapped("<minimax:tool_call>\n", _invoke, "\n</minimax:tool_call>")),
    "Anthropic": Family(_wrapped("<function_calls>\n", _invoke, "\n</function_calls>")),
    "MiniCPM": Family(
        _each(
            lambda use: _elements(
                use,
                '<function name="{name}">',
                '<param name="{key}">{value}</param>',
                "</function>",
                "",
            )
        )
    ),
    "name and arguments in elements": Family(
        _each(
            lambda use: (
                f"<tool_use>\n<name>{use[0]}</name>\n<arguments>{_json(use[1])}</arguments>\n"
                "</tool_use>"
            )
        )
    ),
    "Llama 4, marked": Family(
        lambda uses: f"<|python_start|>[{', '.join(map(_python, uses))}]<|python_end|>"
    ),
    "HyperCLOVA": Family(_listed("-> tool/function_call\n", "<|im_end|>")),
    "LFM2": Family(
        lambda uses: f"<|tool_call_start|>[{', '.join(map(_python, uses))}]<|tool_call_end|>"
    ),
    "OLMo 3": Family(_wrapped("<function_calls>\n", _python, "\n</function_calls>")),
    "Gemma 3": Family(lambda uses: "```tool_code\n" + "\n".join(map(_python, uses)) + "\n```"),
    "FunctionGemma": Family(
        _each(
            lambda use: _gemma(use, "<escape>", "<start_function_call>", "<end_function_call>"), ""
        )
    ),
    "Gemma 4": Family(_each(lambda use: _gemma(use, '<|"|>', "<|tool_call>", "<tool_call|>"), "")),
    "Seed-OSS": Family(_each(_seed)),
    "Apertus": Family(
        lambda uses: (
            f"<|tools_prefix|>[{', '.join(_json({n: a}) for n, a in uses)}]<|tools_suffix|>"
        )
    ),
    "Step 3": Family(
        lambda uses: (
            "<｜tool_calls_begin｜>"
            + "<｜tool_sep｜>".join(
                f"<｜tool_call_begin｜>function<｜tool_sep｜>{_invoke(use, 'steptml:')}"
                "<｜tool_call_end｜>"
                for use in uses
            )
            + "<｜tool_calls_end｜>"
        )
    ),
    "ReAct": Family(_react),
    "Command-R": Family(
        lambda uses: (
            "Action: ```json\n"
            + json.dumps([{"tool_name": n, "parameters": a} for n, a in uses], indent=4)
            + "\n```"
        )
    ),
    "Command R7B, Command A": Family(
        lambda uses: (
            "<|START_ACTION|>[\n"
            + ",\n".join(
                _json({"tool_call_id": str(i), "tool_name": n, "parameters": a})
                for i, (n, a) in enumerate(uses)
            )
            + "\n]<|END_ACTION|>"
        )
    ),
    "Granite 3": Family(_listed("<|tool_call|>")),
    "Granite 20B": Family(_each(lambda use: f"<function_call> {_object(use)}")),
    "Phi-4-mini": Family(_listed("functools")),
    "Phi-4-mini, marked": Family(_listed("<|tool_call|>", "<|/tool_call|>")),
    "xLAM": Family(_listed("")),
    "InternLM": Family(
        _each(lambda use: f"<|action_start|><|plugin|>\n{_object(use, 'parameters')}<|action_end|>")
    ),
    "Jamba": Family(_listed("<tool_calls>", "</tool_calls>")),
    "Nemotron": Family(_listed("<TOOLCALL>", "</TOOLCALL>")),
    "Hunyuan A13B": Family(_listed("<tool_calls>", "</tool_calls>\n</answer>")),
    "Hunyuan 3": Family(_wrapped("<tool_calls>\n", _hunyuan3, "\n</tool_calls>")),
    "LongCat": Family(_each(lambda use: f"<longcat_tool_call>{_object(use)}</longcat_tool_call>")),
    "GigaChat 3": Family(_each(lambda use: f"function call<|role_sep|>\n{_object(use)}")),
    "OpenAI": Family(
        lambda uses: _json(
            {
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": name, "arguments": _json(arguments)},
                    }
                    for name, arguments in uses
                ]
            }
        )
    ),
    "a code block of JSON": Family(
        lambda uses: "```json\n" + "\n".join(map(_object, uses)) + "\n```"
    ),
}
"""How the families write calls."""

ONE_CALL_ONLY: Final = frozenset(("ReAct",))
"""Families that write one call in an answer."""

_CALL: Final = '{"name": "get_weather", "arguments": {"city": "Lisbon"}}'

ORDINARY: Final[Mapping[str, str]] = {
    "greeting": "Hello! How can I help you today?",
    "list": "Buy:\n\n1. bread\n2. [milk](https://example.com)\n3. `eggs`\n\n- [ ] done\n- [x] paid",
    "Python": "```python\ndef now():\n    return datetime.now()\n\nprint(now())\n```\nRun it.",
    "Python call": "Call it like this:\n\n```python\nget_weather(city='Lisbon')\n```",
    "Python call in prose": "You may write get_weather(city='Lisbon') to get the weather.",
    "function's name": "now() returns the time.\nget_weather(city) needs a city.",
    "name at a line's start": "get_weather\nis the name of the tool.\n\nnow\n",
    "name and JSON": "get_weather\n{}\nare two words.",
    "JSON of a person": 'Here it is:\n\n```json\n{"name": "Ada", "age": 36}\n```',
    "bare JSON": '{"name": "Ada", "arguments": ["for", "against"]}',
    "JSON in prose": 'The body is {"city": "Lisbon"}, as I said.',
    "JSON list": '[{"name": "Ada"}, {"name": "Alan"}]',
    "call in inline code": f"The model writes `{_CALL}` then.",
    "tag in inline code": f"Use `<tool_call>{_CALL}</tool_call>` for that.",
    "lines in inline code": f"Use `<tool_call>\n{_CALL}\n</tool_call>` for that.",
    "backtick that nothing closes": f"The ` sign, <tool_call>{_CALL}</tool_call>\nis a quote.",
    "double backticks": f"Use ``<tool_call>{_CALL}</tool_call>`` for that.",
    "call in a block amid prose": f"It writes:\n\n```json\n{_CALL}\n```\n\nThen it waits.",
    "tags in a block amid prose": (
        f"It writes:\n\n```xml\n<tool_call>\n{_CALL}\n</tool_call>\n```\n\nThen it waits."
    ),
    "call in a block with tildes": f"It writes:\n\n~~~json\n{_CALL}\n~~~\n\nThen it waits.",
    "announced example": f"Here is an example of a call:\n\n```json\n{_CALL}\n```",
    "announced bare example": f"A call looks like this:\n\n{_CALL}\n\nThat is all.",
    "several formats": (
        f"OpenAI's:\n\n```json\n{_CALL}\n```\n\nand Anthropic's:\n\n```xml\n"
        '<invoke name="get_weather">\n<parameter name="city">Lisbon</parameter>\n</invoke>\n```'
    ),
    "what a model would do": f"A model would answer with:\n\n```\n{_CALL}\n```",
    "call in brackets": f"The answer (<tool_call>{_CALL}</tool_call>) is a call.",
    "tokens of harmony": "The tokens are <|channel|>, <|message|> and <|call|>.",
    "call and more in a block": f"```json\n{_CALL}\n// then comes the result\n```",
    "call in quotation marks": f'It answers "<tool_call>{_CALL}</tool_call>" to that.',
    "call in curly quotation marks": f"It answers “{_CALL}” to that.",
    "quoted line": f"The log says:\n\n> <tool_call>{_CALL}</tool_call>\n\nThat was it.",
    "call in the middle of a line": f"You would send {_CALL} to the server.",
    "tags named": "The <tool_call> tag opens a call, and </tool_call> closes it.",
    "line that begins with a tag": "<tool_call> opens a call.\n<function_calls> does, too.",
    "tokens named": "A turn ends with <|im_end|>, in Llama with <|eom_id|>, elsewhere with </s>.",
    "marks named": "Mistral has [TOOL_CALLS] and [ARGS], Llama has <|python_tag|>.",
    "result tag": "Results stand in <tool_response> tags.",
    "HTML": "```html\n<function name='x'><param name='y'>1</param></function>\n```\nThat is HTML.",
    "bare HTML": "<div>\n  <p>{{ name }}</p>\n</div>",
    "XML of another program": '<invoke name="other"><parameter name="x">1</parameter></invoke> is.',
    "C++": '```cpp\nstd::map<std::string, std::vector<int>> m = {{"a", {1}}};\n```',
    "shell": '```bash\ncurl -d \'{"name": "get_weather"}\' localhost\n```\nSend it.',
    "JavaScript": "```js\nconst f = async () => { await now(); };\n```",
    "schema": (
        '```json\n{"name": "get_weather", "parameters": {"type": "object", "properties": {}}}\n```'
    ),
    "signature": (
        '{"type": "function", "function": {"name": "now", "description": "Tells the time.",'
        ' "parameters": {"type": "object", "properties": {}}}}'
    ),
    "reasoning in text": "Thought: I should look.\nAction: wait for the train.\nAction Input: none",
    "action items": "Action: call the bank\nOwner: Ana\n\nAction items:\n- pay",
    "action without input": "Action: get_weather\n\nThat is how an agent begins.",
    "observation": "Observation: it rains a lot here.",
    "mathematics": "For f(x) = [a, b] and {x | x < 3}: \\[ x_{1} < y \\]",
    "table": "| tool | call |\n|---|---|\n| now | `now()` |\n| get_weather | `{}` |",
    "YAML": "```yaml\nname: get_weather\narguments:\n  city: Lisbon\n```",
    "unfinished block": "```python\nprint({'name': 'now'})",
    "unfinished things": "a { b [ c < d ` e `` f",
    "lists in lists": "[[1, 2], [3, 4]]\n[now]\n[get_weather]",
    "Markdown link with a tool's name": "[now](https://example.com/now) and [get_weather].",
    "dictionary": "{'name': 'Ada', 'arguments': {}}",
    "comparison": "1 <function=x> 2? No: <parameter=y> means nothing here.",
    "commentary": "He said: commentary to=functions.now is how gpt-oss calls.",
    "arrow": ">>> now()\n'12:00'\n>>> get_weather('Lisbon')",
}
"""Answers that hold no call."""
