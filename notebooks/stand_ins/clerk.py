"""A model that uses tools: it calls each one whose name shares a word with the question.

Tools of the caller are those that the first message tells of, tools of the server those of the
request. What they gave is all that it then says.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel
from hfchat_base.local.backends import Piece, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["models"]

_OFFER: Final = re.compile(r"<tools>\n(.*)\n</tools>", re.DOTALL)
_RESULT: Final = re.compile(r"<tool_response>\n(.*?)\n</tool_response>", re.DOTALL)
_NAME: Final = re.compile(r"(?<=[a-z] )[A-Z]\w+")


def models() -> list[LocalModel]:
    """The model, as a server lists it."""
    return [LocalModel("stand-in/clerk", FunctionBackend(_answer), supports_tools=True)]


def _answer(request: ChatRequest) -> Iterator[Piece | str]:
    last, question = request.messages[-1], request.last_user_text
    results = [json.loads(result) for result in _RESULT.findall(question)]
    told = [result["content"] for result in results if result["name"] != "handoff"]
    if last["role"] == "tool":
        yield f"The harbour says: {last['content']}"
    elif told:
        yield " ".join(told)
    else:
        yield from _calls(request, question)


def _calls(request: ChatRequest, question: str) -> Iterator[Piece | str]:
    announced = _OFFER.search("\n".join(str(message["content"]) for message in request.messages))
    for line in announced[1].splitlines() if announced else ():
        function = json.loads(line)["function"]
        if _fits(function, question):
            call = {"name": function["name"], "arguments": _arguments(function, question)}
            yield f"<tool_call>\n{json.dumps(call)}\n</tool_call>\n"
    for tool in request.tools:
        function = tool["function"]
        if _fits(function, question):
            arguments = json.dumps(_arguments(function, question))
            yield ToolCall(function["name"], arguments, id=f"call_{function['name']}")


def _fits(function: dict[str, Any], question: str) -> bool:
    words = re.findall(r"\w+", question.lower())
    return any(word in words for word in function["name"].split("_"))


def _arguments(function: dict[str, Any], question: str) -> dict[str, Any]:
    """Fill in the numbers and names of the question."""
    numbers = map(int, re.findall(r"\d+", question))
    names = iter(_NAME.findall(question))
    return {
        name: next(numbers, 1) if schema.get("type") == "integer" else next(names, question)
        for name, schema in function["parameters"]["properties"].items()
    }
