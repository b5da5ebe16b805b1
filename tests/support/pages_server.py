"""The server that the documentation's code talks to: models with real names, which do as asked.

What they answer is of no interest; that everything a page shows is possible, is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

from hfchat_base.local import (
    ChatRequest,
    ElicitationField,
    FunctionBackend,
    LocalModel,
    LocalServer,
    LocalTool,
    ToolContext,
    ToolServer,
    scripted_tool_servers,
)
from hfchat_base.local.backends import Piece, Reasoning, Text, ToolCall
from hfchat_base.local.scripted import default_models
from tests.support.obedient import obey

_DAY: Final = ElicitationField("string", "date", "Date", required=True)


async def _think_and_obey(request: ChatRequest) -> AsyncIterator[Piece]:
    """Think, call the first tool that the server offers, and do else what the prompt says."""
    last = request.messages[-1]
    yield Reasoning("Let me see. ")
    if last["role"] == "tool":
        yield Text(f"The tool said: {last['content']}")
    elif request.tools:
        arguments = json.dumps({"query": request.last_user_text})
        yield ToolCall(request.tools[0]["function"]["name"], arguments, "call_1")
    else:
        yield Text(obey(request))


async def _book(query: str, ctx: ToolContext) -> str:
    answer = await ctx.elicit("For which day?", [_DAY])
    return f"{query}: {answer.content.get('date', answer.action)}"


def make_server() -> LocalServer:
    """Make the server, not started."""
    backend = FunctionBackend(_think_and_obey)
    return LocalServer(
        models=[
            LocalModel("openai/gpt-oss-120b", backend, supports_tools=True),
            LocalModel("Qwen/Qwen3-VL-235B-A22B-Instruct", backend, multimodal=True),
            LocalModel("meta-llama/Llama-3.3-70B-Instruct", FunctionBackend(obey)),
            *default_models(token_delay=0.01),
        ],
        tool_servers=[
            *scripted_tool_servers(),
            ToolServer("tables", "https://mcp.example.com/mcp", [LocalTool("book_table", _book)]),
        ],
    )
