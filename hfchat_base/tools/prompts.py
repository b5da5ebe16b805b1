"""Every sentence about tools and JSON answers that a model reads; how calls and results look.

The form is Hermes': the tags and the JSON that Qwen, Hermes and many others were trained on. What
is announced here is what `assistant_text` and `result_text` write into the history, so that a model
sees its own earlier calls in the form that it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hfchat_base.tools.forms.values import load_json
from hfchat_base.tools.types import FunctionCall, InvalidToolCall, Tool, ToolConfig

__all__ = [
    "CALL_CLOSE",
    "CALL_OPEN",
    "RESULT_OPEN",
    "assistant_text",
    "before_the_query",
    "call_reminder",
    "call_text",
    "calls_in",
    "invalid_call_request",
    "is_result",
    "repair_request",
    "repetition_reminder",
    "result_text",
    "schema_instructions",
    "tool_instructions",
]

CALL_OPEN: Final = "<tool_call>"
CALL_CLOSE: Final = "</tool_call>"
RESULT_OPEN: Final = "<tool_response>"
RESULT_CLOSE: Final = "</tool_response>"

_INSTRUCTIONS: Final = f"""\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{{tools}}
</tools>

The result of each call will be given to you within {RESULT_OPEN}{RESULT_CLOSE} XML tags, with the \
function's name and its content, or the error if it failed. Never write a result yourself.

For each function call, return a json object with function name and arguments within \
{CALL_OPEN}{CALL_CLOSE} XML tags:
{CALL_OPEN}
{{{{"name": <function-name>, "arguments": <args-json-object>}}}}
{CALL_CLOSE}

{{choice}}"""

_FREE: Final = "Call the function whose description fits the query. If none fits, answer directly."
_FORCED: Final = "You must answer with a function call, and with nothing else."
_FORCED_ONE: Final = "You must answer with a call of the function {name}, and with nothing else."
_ONE_AT_A_TIME: Final = " Call at most one function at a time."

_REMINDER: Final = f"""\
Your answer held no function call. Answer with nothing but a call of {{names}}, in this form:
{CALL_OPEN}
{{{{"name": {{name}}, "arguments": <args-json-object>}}}}
{CALL_CLOSE}"""

_QUERY: Final = "{instructions}\n\nMy query:"

_REPETITION: Final = "My question was: {question}\nAnswer it in a sentence with the results above."
_REPETITION_OF_LONG: Final = "Answer my question in a sentence with the results above."
_LONG_QUESTION: Final = 2000
"""From how many characters on a question is not repeated."""

_ANY_OBJECT: Final = (
    "Answer with one JSON object and nothing else: no explanation, no code fence, no comments."
)
_WITH_SCHEMA: Final = """\
Answer with one JSON object and nothing else: no explanation, no code fence, no comments. It must \
fit this JSON schema:
{schema}
Give the object with its values, not the schema."""

_INVALID_CALL: Final = f"""\
Your function call could not be used:
{{errors}}

{{choice}} write the whole call again, corrected, in this form:
{CALL_OPEN}
{{{{"name": <function-name>, "arguments": <args-json-object>}}}}
{CALL_CLOSE}"""
_CORRECT_OR_ANSWER: Final = "Answer directly, or"
_CORRECT: Final = "Answer with nothing but a function call:"

_REPAIR: Final = """\
Your answer is not valid:
{error}

Give the whole answer again, corrected, in the same form."""


def tool_instructions(config: ToolConfig) -> str:
    """What the model is told about the tools, to stand before the user's first message."""
    tools = "\n".join(_signature(tool) for tool in config.tools)
    if not config.is_forced:
        choice = _FREE
    elif len(config.tools) == 1:
        choice = _FORCED_ONE.format(name=config.tools[0].name)
    else:
        choice = _FORCED
    if not config.is_parallel:
        choice += _ONE_AT_A_TIME
    return _INSTRUCTIONS.format(tools=tools, choice=choice)


def before_the_query(*instructions: str) -> str:
    """Instructions as the user says them before the query.

    They end with a label: without it, small models called functions that the query did not need.
    """
    return _QUERY.format(instructions="\n\n".join(instructions))


def call_reminder(config: ToolConfig) -> str:
    """What a model reads that had to call a tool and did not."""
    names = " or ".join(config.names)
    name = json.dumps(config.names[0]) if len(config.names) == 1 else "<function-name>"
    return _REMINDER.format(names=names, name=name)


def repetition_reminder(question: str) -> str:
    """What a model reads that makes a call again, though it has the result already.

    Small models go on calling after correct calls. With the question once more behind the results
    they answer it.

    Args:
        question: What the user asked. A long one is not repeated.
    """
    if len(question) > _LONG_QUESTION:
        return _REPETITION_OF_LONG
    return _REPETITION.format(question=question)


def invalid_call_request(calls: Iterable[InvalidToolCall], config: ToolConfig) -> str:
    """What a model reads that has written calls which cannot be used.

    Args:
        calls: The calls.
        config: The tools that may be called, and whether one has to be.
    """
    return _INVALID_CALL.format(
        errors="\n".join(call.error for call in calls),
        choice=_CORRECT if config.is_forced else _CORRECT_OR_ANSWER,
    )


def repair_request(error: str) -> str:
    """What a model reads whose answer does not fit its schema.

    Args:
        error: What is wrong, such as a validation error.
    """
    return _REPAIR.format(error=error)


def schema_instructions(schema: Mapping[str, Any] | None = None) -> str:
    """What a model reads whose answer has to be JSON.

    Args:
        schema: The JSON schema that it has to fit, or None for any object.
    """
    if schema is None:
        return _ANY_OBJECT
    return _WITH_SCHEMA.format(schema=json.dumps(_without_titles(schema), ensure_ascii=False))


def _without_titles(schema: Any, *, names: bool = False) -> Any:
    """A schema without the titles that pydantic gives to everything; they confuse small models.

    Args:
        schema: The schema, or a part of it.
        names: Whether its keys are the names of fields, one of which may be "title".
    """
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _without_titles(value, names=key in {"properties", "$defs"} and not names)
        for key, value in schema.items()
        if names or key != "title"
    }


def call_text(call: FunctionCall | InvalidToolCall) -> str:
    """A call as the model was asked to write it."""
    if isinstance(call, InvalidToolCall):
        body = call.text.strip()
    else:
        body = _json({"name": call.name, "arguments": call.arguments})
    return f"{CALL_OPEN}\n{body}\n{CALL_CLOSE}"


def assistant_text(text: str, calls: Iterable[FunctionCall | InvalidToolCall]) -> str:
    """An assistant's turn, text and calls, as it stands in the history.

    The same for the same text and calls, whatever the model's own way of writing them was. The ids
    of calls do not matter.
    """
    parts = [text.strip(), *(call_text(call) for call in calls)]
    return "\n".join(part for part in parts if part)


def calls_in(text: str) -> list[Any]:
    """The calls of an assistant's turn that `assistant_text` has written.

    Returns:
        Of each call its name and arguments as a dict, or its text if it was invalid.
    """
    bodies = [part.partition(CALL_CLOSE)[0].strip() for part in text.split(CALL_OPEN)[1:]]
    calls: list[Any] = []
    for body in bodies:
        try:
            calls.append(load_json(body))
        except ValueError:
            calls.append(body)
    return calls


def is_result(text: str) -> bool:
    """Whether a user's turn is a tool's result that `result_text` has written."""
    return text.startswith(RESULT_OPEN)


def result_text(name: str, content: str, *, is_error: bool = False) -> str:
    """A tool's result as the model was told to expect it.

    Args:
        name: The tool.
        content: What it gave. If it is a JSON object or array, it is passed on as such.
        is_error: Whether it failed.
    """
    value = json.dumps(content, ensure_ascii=False)
    if content.lstrip()[:1] in ("{", "["):
        try:
            load_json(content)
        except ValueError:
            pass
        else:
            value = content.strip()
    key = "error" if is_error else "content"
    body = f'{{"name": {json.dumps(name, ensure_ascii=False)}, "{key}": {value}}}'
    # A result that holds the closing tag must not end early; in JSON the slash may be escaped.
    body = body.replace("</tool_", "<\\/tool_")
    return f"{RESULT_OPEN}\n{body}\n{RESULT_CLOSE}"


def _signature(tool: Tool) -> str:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return _json({"type": "function", "function": function})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
