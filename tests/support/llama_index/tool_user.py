"""How the model of these tests uses tools, going by nothing but what its system prompt says.

Three ways of announcing tools are understood, as any instructed model would understand them: JSON
signatures with calls in tags, LlamaIndex's ReAct prompt, and its prompt for agents that write code.
A tool is used when its name or description shares a word with the question, and its arguments are
filled in with what of their kind stands in the question: numbers, listed words, names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

_RESULT: Final = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
_CALL: Final = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_REACT_TOOL: Final = re.compile(
    r"^> Tool Name: (.+)\nTool Description: ((?:.|\n)*?)\nTool Args: (\{.*\})", re.MULTILINE
)
_PYTHON_TOOL: Final = re.compile(
    r"^def (\w+)\((.*?)\)(?: -> .*)?:\n\s+\"\"\"\n(.+)\n", re.MULTILINE
)
_AGENT: Final = re.compile(r"'(\w+)': '([^']*)'")
_NUMBER: Final = re.compile(r"-?\d+")
_IGNORED: Final = frozenset(
    ("a", "an", "the", "of", "is", "in", "and", "what", "for", "to", "with")
)


class Tool(NamedTuple):
    """A tool as the prompt describes it."""

    name: str
    description: str
    schema: dict[str, Any]


def use_tools(instructions: str, messages: Sequence[tuple[str, str]]) -> str | None:
    """Answer with a call, or with what the calls gave; None if no tools were announced or fit.

    Args:
        instructions: What stands before the user's first words.
        messages: Role and text of each.
    """
    if "<tools>" in instructions:
        return _call_in_tags(instructions, messages)
    system = "\n".join(text for role, text in messages if role == "system")
    if "Action Input:" in system:
        return _reason_and_act(system, messages)
    if "<execute>" in system:
        return _write_code(system, messages)
    return None


def _call_in_tags(instructions: str, messages: Sequence[tuple[str, str]]) -> str | None:
    signatures = instructions.rpartition("<tools>\n")[2].partition("\n</tools>")[0].splitlines()
    functions = [json.loads(line)["function"] for line in signatures]
    tools = [Tool(f["name"], f["description"], f["parameters"]) for f in functions]
    asked, since = _task(messages, lambda text: "<tool_response>" in text)
    done = {json.loads(call)["name"] for _, text in since for call in _CALL.findall(text)}
    must = "You must answer with" in instructions
    calls = [
        {"name": tool.name, "arguments": fill(tool.schema, asked)}
        for tool in tools
        if tool.name not in {*done, "handoff"} and (must or _fits(tool, asked))
    ]
    if not calls and not since:
        calls = _hand_off(tools, asked)
    if "at most one function" in instructions:
        calls = calls[:1]
    if calls:
        return "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)
    results = [json.loads(result) for _, text in since for result in _RESULT.findall(text)]
    said = [
        str(result.get("content", result.get("error")))
        for result in results
        if result["name"] != "handoff"
    ]
    return "; ".join(said) if said else None


def _hand_off(tools: Sequence[Tool], asked: str) -> list[dict[str, Any]]:
    for tool in tools:
        agents = _AGENT.findall(tool.description)
        fitting = [name for name, about in agents if _fits(Tool(name, about, {}), asked)]
        if tool.name == "handoff" and fitting:
            return [{"name": "handoff", "arguments": {"to_agent": fitting[0], "reason": "it fits"}}]
    return []


def _reason_and_act(system: str, messages: Sequence[tuple[str, str]]) -> str:
    tools = [
        Tool(name, about, json.loads(args)) for name, about, args in _REACT_TOOL.findall(system)
    ]
    asked, since = _task(messages, lambda text: text.startswith("Observation:"))
    seen = [text.removeprefix("Observation: ") for role, text in since if role == "user"]
    tool = next((tool for tool in tools if _fits(tool, asked)), None)
    if tool is not None and not seen:
        arguments = json.dumps(fill(tool.schema, asked))
        return f"Thought: I need to use a tool.\nAction: {tool.name}\nAction Input: {arguments}"
    answer = "; ".join(seen) or "I don't know."
    return f"Thought: I can answer without using any more tools.\nAnswer: {answer}"


def _write_code(system: str, messages: Sequence[tuple[str, str]]) -> str:
    role, last = messages[-1]
    if role == "user" and "executing the code" in last:
        return f"It is {_NUMBER.findall(last)[-1]}."
    for name, _, about in _PYTHON_TOOL.findall(system):
        if _fits(Tool(name, about, {}), last):
            numbers = ", ".join(_NUMBER.findall(last))
            return f"<execute>\nprint({name}({numbers}))\n</execute>"
    return "I don't know."


def _task(
    messages: Sequence[tuple[str, str]], is_result: Callable[[str], bool]
) -> tuple[str, Sequence[tuple[str, str]]]:
    """The last thing that the user wants, and what has happened since."""
    at = max(i for i, (role, text) in enumerate(messages) if role == "user" and not is_result(text))
    return messages[at][1], messages[at + 1 :]


def _fits(tool: Tool, question: str) -> bool:
    words = set(re.findall(r"[a-z]+", f"{tool.name} {tool.description}".lower()))
    return bool(words & set(re.findall(r"[a-z]+", question.lower())) - _IGNORED)


def fill(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Make an object that fits a schema out of a text."""
    numbers = iter(_NUMBER.findall(text))
    names = iter(re.findall(r"(?<!^)(?<!\. )\b[A-Z][a-z]+\b", text))
    definitions = schema.get("$defs", {})
    return {
        name: _value(inner, definitions, text, numbers, names)
        for name, inner in schema.get("properties", {}).items()
    }


def _value(
    schema: dict[str, Any], definitions: dict[str, Any], question: str, numbers: Any, names: Any
) -> Any:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return next(word for word in schema["enum"] if str(word) in question)
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return int(next(numbers, "0"))
    if kind == "array":
        return list(names)
    if kind == "object":
        return {
            name: _value(inner, definitions, question, numbers, names)
            for name, inner in schema["properties"].items()
        }
    return next(names, question)
