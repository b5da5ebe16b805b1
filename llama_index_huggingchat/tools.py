"""LlamaIndex's tools and tool calls ↔ those of `hfchat_base.tools`.

What lives here is only the translation. What a model is told about tools, and how its calls are
found in what it writes, is known to `hfchat_base.tools`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

from hfchat_base.errors import InvalidRequestError
from hfchat_base.tools import FunctionCall, Tool, ToolChoice, ToolConfig

__all__ = ["calls_of", "offer_of", "partial_call", "selections_of", "tool_specs", "wire_calls"]


def tool_specs(tools: Iterable[BaseTool]) -> list[dict[str, Any]]:
    """Describe tools as plain data, in OpenAI's form, so that events can hold them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.metadata.get_name(),
                "description": tool.metadata.description,
                "parameters": tool.metadata.get_parameters_dict(),
            },
        }
        for tool in tools
    ]


def offer_of(
    tools: Sequence[BaseTool | Mapping[str, Any]] | None, choice: ToolChoice, *, parallel: bool
) -> ToolConfig:
    """Make an offer of what a call of `chat` got.

    Args:
        tools: LlamaIndex's tools, or descriptions in OpenAI's form.
        choice: Whether one of them has to be called.
        parallel: Whether several calls at once are welcome.

    Raises:
        InvalidRequestError: One is neither, or the choice names a tool that is not there.
    """
    return ToolConfig.from_choice([_tool(tool) for tool in tools or ()], choice, parallel=parallel)


def _tool(tool: Any) -> Tool:
    if isinstance(tool, BaseTool):
        (tool,) = tool_specs([tool])
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        msg = 'A tool is a LlamaIndex tool, or {"type": "function", "function": {"name": …}}.'
        raise InvalidRequestError(msg)
    return Tool(
        function["name"], function.get("description") or "", function.get("parameters") or {}
    )


def calls_of(message: ChatMessage) -> list[FunctionCall]:
    """The calls that an assistant's message holds, as blocks or in an older form."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if blocks:
        return [
            FunctionCall(block.tool_name, _arguments(block.tool_kwargs), block.tool_call_id or "")
            for block in blocks
        ]
    written = message.additional_kwargs.get("tool_calls") or ()
    calls = [_older_call(call) for call in written]
    return [call for call in calls if call is not None]


def _older_call(written: Any) -> FunctionCall | None:
    """Read a call as an LLM of OpenAI's or Anthropic's left it in a history."""
    call = written.model_dump() if isinstance(written, BaseModel) else written
    if not isinstance(call, Mapping):
        return None
    inner = call.get("function")
    function = inner if isinstance(inner, Mapping) else call
    arguments: Any = function.get("arguments", function.get("input"))
    name = function.get("name")
    return FunctionCall(name, _arguments(arguments), call.get("id") or "") if name else None


def wire_calls(calls: Iterable[FunctionCall]) -> list[dict[str, Any]]:
    """Calls in OpenAI's form, which LlamaIndex's older consumers look for beside the blocks."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.dumps(call.arguments, ensure_ascii=False),
            },
        }
        for call in calls
    ]


def selections_of(response: ChatResponse) -> list[ToolSelection]:
    """The calls of a response, as LlamaIndex runs them."""
    return [
        ToolSelection(tool_id=call.id, tool_name=call.name, tool_kwargs=call.arguments)
        for call in calls_of(response.message)
    ]


def partial_call(offer: ToolConfig, written: str) -> FunctionCall | None:
    """Read as much as there is of a call that is still being written.

    Args:
        offer: What was offered; partial calls are read only where one tool has to be called, as for
            structured output, because there nothing else is written.
        written: The model's text so far.

    Returns:
        The call with the arguments so far, or None if none can be told yet.
    """
    start = written.find("{")
    if not offer.is_forced or len(offer.tools) != 1 or start < 0:
        return None
    try:
        value = parse_partial_json(written[start:])
    except ValueError:
        return None
    (tool,) = offer.tools
    arguments = value.get("arguments", value.get("parameters"))
    if arguments is None and set(value) <= set(tool.argument_names):
        arguments = value
    return (
        FunctionCall(tool.name, arguments, "")
        if isinstance(arguments, dict) and arguments
        else None
    )


def _arguments(arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return {}
    return dict(arguments) if isinstance(arguments, Mapping) else {}
