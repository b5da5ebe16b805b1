"""The models of the endpoint behind the servers of the later recordings, as local models.

They repeat what they get, each in its own way, and their titles begin with "About".
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hfchat_base.local import (
    ChatRequest,
    FunctionBackend,
    LocalModel,
    LocalTool,
    ToolServer,
)
from hfchat_base.local.backends import ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local.backends import Piece

_DRIP_TOKENS: Final = 40
_ARTIFACT: Final = """Here is the page that you asked for.

<artifact identifier="hello-page" type="html" title="A hello page">
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Hello</title>
<style>
  body { font-family: sans-serif; margin: 3rem; }
  button { background: #16a34a; color: white; }
</style>
</head>
<body>
<h1>Hello — 世界 🌍</h1>
<p>You said: %s</p>
<button id="b">Count: 0</button>
<script>
  let n = 0;
  document.getElementById("b").onclick = (e) => { n += 1; e.target.textContent = `Count: ${n}`; };
</script>
</body>
</html>
</artifact>

It greets, and it counts."""


def endpoint_models(token_delay: float) -> list[LocalModel]:
    """List them, in the order of the endpoint."""
    models = {
        "echo/base": _echo,
        "echo/vision": _echo,
        "think/base": _think,
        "think/reasoner": _think,
        "slow/drip": _drip_every(token_delay),
        "tools/agent": _agent,
        "long/artifact": _write,
    }
    able: dict[str, dict[str, Any]] = {
        "echo/vision": {"multimodal": True},
        "think/base": {"supports_reasoning": True},
        "think/reasoner": {"supports_reasoning": True},
        "tools/agent": {"supports_tools": True, "providers": [_PROVIDER]},
        "long/artifact": {"supports_artifacts": True},
    }
    return [
        replace(
            LocalModel(name, FunctionBackend(function), title=_title),
            **able.get(name, {}),
        )
        for name, function in models.items()
    ]


_PROVIDER: Final = {"supports_tools": True, "provider": "local"}


def calculator() -> ToolServer:
    """The server's own MCP server."""
    parameters = {
        "type": "object",
        "properties": {
            "a": {"title": "A", "type": "number"},
            "b": {"title": "B", "type": "number"},
        },
        "required": ["a", "b"],
        "title": "addArguments",
    }
    add = LocalTool("add", lambda a, b: float(a + b), "Add two numbers.", parameters)
    return ToolServer("Calculator", "http://127.0.0.1:3111/mcp", [add], base=True)


def _title(prompt: str, _generation: Generation) -> str:
    return "About " + " ".join(prompt.split()[:3])


def _echo(request: ChatRequest) -> str:
    return f"You said: {request.last_user_text}"


def _think(request: ChatRequest) -> Iterator[str]:
    said = request.last_user_text
    yield "<think>"
    yield from re.findall(r"\S+\s*", f"Let me think about it. The user wrote: {said} ")
    yield "</think>"
    yield from re.findall(r"\S+\s*", f"After thinking: you said: {said}")


def _drip_every(seconds: float) -> Any:
    async def drip(_request: ChatRequest) -> AsyncIterator[str]:
        for number in range(1, _DRIP_TOKENS + 1):
            await asyncio.sleep(seconds)
            yield f"drop{number} "

    return drip


def _agent(request: ChatRequest) -> Iterator[Piece | str]:
    last = request.messages[-1]
    if last["role"] == "tool":
        yield from re.findall(r"\S+\s*", f"The tool says: {last['content']}")
    elif request.tools:
        yield from ("Let ", "me ", "check. ")
        a, b = (int(number) for number in re.findall(r"\d+", request.last_user_text))
        name = request.tools[0]["function"]["name"]
        yield ToolCall(name, json.dumps({"a": a, "b": b}), f"call_{secrets.token_hex(4)}")
    else:
        yield from re.findall(r"\S+\s*", f"No tools here. You said: {request.last_user_text}")


def _write(request: ChatRequest) -> str:
    return _ARTIFACT % request.last_user_text.replace("<", "&lt;")
