"""A scripted model that does as its prompt says, and knows nothing but that prompt.

It reads the messages that arrive at a model behind the local server, as a language model would:
they tell which functions there are and in which tags to call them, and then what is wanted. It
shares no code and no constants with the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from hfchat_base.local import ChatRequest

_CALL_TAGS: Final = re.compile(r"return a json object .*? within (<\w+>)(</\w+>) XML tags")
_RESULT_TAGS: Final = re.compile(r"result of each call .*? within (<\w+>)(</\w+>) XML tags")
_SCHEMA: Final = "JSON schema:"
_QUERY: Final = "My query:\n\n"
_ONE_FUNCTION: Final = re.compile(r"call of (?:the function )?(\w+)")
_NUMBER: Final = re.compile(r"-?\d+")
_QUOTED: Final = re.compile(r"'([^']+)'|\"([^\"]+)\"")
_WORD: Final = re.compile(r"[a-z]{3,}")


def obey(request: ChatRequest) -> str:
    """Answer a request as its messages say."""
    told = [_text(m).rpartition(_QUERY)[0] for m in request.messages if m["role"] != "assistant"]
    instructions = "\n".join(told)
    asked = _text(request.messages[-1]).rpartition(_QUERY)[2]
    if results := _results(instructions, asked):
        return f"The tools say: {'; '.join(results)}"
    wish = _wish(request)
    functions = _functions(instructions)
    if functions and (calls := _calls(instructions, asked, wish, functions)):
        return calls
    if "one JSON object" in instructions:
        return json.dumps(_object(_schema(instructions) or _keys_named_in(wish), wish))
    images = _images(request)
    seen = f" I see {images} images." if images else ""
    return f"Hello, you said: {wish[:200]}.{seen}"


def _wish(request: ChatRequest) -> str:
    """What the user wants, which a request to try again does not repeat."""
    texts = [_text(m) for m in request.messages if m["role"] == "user"]
    wishes = [text for text in texts if "Your answer" not in text]
    wish = (wishes or texts)[-1].rpartition(_QUERY)[2]
    return wish.rpartition("</transcript>")[2].strip()


def _results(instructions: str, asked: str) -> list[str]:
    tags = _RESULT_TAGS.search(instructions)
    if tags is None:
        return []
    found = re.findall(f"{tags[1]}(.*?){tags[2]}", asked, re.DOTALL)
    results = [json.loads(result) for result in found]
    return [str(result.get("content", result.get("error"))) for result in results]


def _functions(instructions: str) -> list[dict[str, Any]]:
    listed = instructions.partition("<tools>\n")[2].partition("\n</tools>")[0]
    return [json.loads(line)["function"] for line in listed.splitlines()]


def _calls(instructions: str, asked: str, wish: str, functions: list[dict[str, Any]]) -> str:
    must = "must answer with" in instructions or "nothing but a call" in asked
    named = _ONE_FUNCTION.search(instructions) if must else None
    wanted = [f for f in functions if named and f["name"] == named[1]]
    wanted = wanted or [f for f in functions if _is_about(f, wish)]
    if must and not wanted:
        wanted = functions[:1]
    tags = _CALL_TAGS.search(instructions)
    assert tags is not None, "the prompt does not say how to call"
    calls = [
        {"name": function["name"], "arguments": _object(function["parameters"], wish)}
        for function in (wanted[:1] if "at most one" in instructions else wanted)
    ]
    return "\n".join(
        f"{tags[1]}\n{json.dumps(call, ensure_ascii=False)}\n{tags[2]}" for call in calls
    )


def _is_about(function: dict[str, Any], wish: str) -> bool:
    return bool(set(_WORD.findall(function["name"].lower())) & set(_WORD.findall(wish.lower())))


def _schema(instructions: str) -> dict[str, Any] | None:
    _, found, rest = instructions.partition(_SCHEMA)
    if not found:
        return None
    schema: dict[str, Any] = json.JSONDecoder().raw_decode(rest.strip())[0]
    return schema


def _keys_named_in(wish: str) -> dict[str, Any]:
    return {"properties": {a or b: {"type": "string"} for a, b in _QUOTED.findall(wish)}}


def _object(schema: dict[str, Any], wish: str) -> dict[str, Any]:
    numbers = map(int, _NUMBER.findall(wish))
    quoted = (a or b for a, b in _QUOTED.findall(wish))
    return {
        name: _value(name, inner, schema.get("$defs", {}), wish, numbers, quoted)
        for name, inner in schema.get("properties", {}).items()
    }


def _value(
    name: str,
    schema: dict[str, Any],
    definitions: dict[str, Any],
    wish: str,
    numbers: Iterator[int],
    quoted: Iterator[str],
) -> Any:
    schema = schema.get("anyOf", [schema])[0]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return next((word for word in schema["enum"] if str(word) in wish), schema["enum"][0])
    kind = schema.get("type", "string")
    if kind in ("integer", "number"):
        return next(numbers, 3)
    if kind == "boolean":
        return True
    if kind == "array":
        return [_value(name, schema.get("items", {}), definitions, wish, numbers, quoted)]
    if kind == "object":
        return {
            key: _value(key, inner, definitions, wish, numbers, quoted)
            for key, inner in schema.get("properties", {}).items()
        }
    return next(quoted, f"the {name} of: {wish[:80]}")


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _images(request: ChatRequest) -> int:
    return sum(
        part["type"] == "image_url"
        for message in request.messages
        if isinstance(message["content"], list)
        for part in message["content"]
    )
