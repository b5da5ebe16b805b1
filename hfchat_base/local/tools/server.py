"""Tool servers: what they offer, which of them a message has switched on, how a tool is run."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.tools.elicitation import ElicitationAnswer, ElicitationField

__all__ = ["LocalTool", "ToolContext", "ToolFailed", "ToolServer", "selected_servers"]

_QUERY_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}


class ToolFailed(Exception):  # noqa: N818 - says what happened
    """A tool raised; the message is what the model and the user are told."""


@dataclass(frozen=True)
class ToolContext:
    """What a tool can do while it runs. A tool gets one by having a parameter named ``ctx``.

    Attributes:
        server: Name of the tool's server.
    """

    server: str
    _progress: Callable[[JsonObject], None]
    _ask: Callable[[str, tuple[ElicitationField, ...]], Awaitable[ElicitationAnswer]]

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell the user how far the tool is.

        Args:
            progress: How much is done.
            total: How much there is to do, in the same unit.
            message: One line.
        """
        event: JsonObject = {"progress": progress}
        if total is not None:
            event["total"] = total
        if message is not None:
            event["message"] = message
        self._progress(event)
        await asyncio.sleep(0)

    async def elicit(self, message: str, fields: Sequence[ElicitationField]) -> ElicitationAnswer:
        """Ask the user something, and wait for the answer.

        Args:
            message: The question.
            fields: The form to fill in.
        """
        return await self._ask(message, tuple(fields))


@dataclass(frozen=True)
class LocalTool:
    """A tool.

    Attributes:
        name: Its name.
        function: Called with the model's arguments as keywords. It may be sync (it then runs in a
            thread) or async, may raise, and returns a text or an object. An async function with a
            parameter named ``ctx`` gets a `ToolContext`.
        description: What it does, for the model.
        parameters: JSON Schema of the arguments; one required text ``query`` by default.
    """

    name: str
    function: Callable[..., Any]
    description: str = ""
    parameters: JsonObject = field(default_factory=lambda: _QUERY_SCHEMA)

    def offer(self) -> JsonObject:
        """Describe it in OpenAI's form."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    async def run(self, arguments: JsonObject, context: ToolContext) -> JsonObject:
        """Run it.

        Args:
            arguments: What the model passes.
            context: What it can do meanwhile.

        Returns:
            Its output as the result event has it: ``text``, ``structured`` and ``content``.

        Raises:
            ToolFailed: The function raised.
        """
        wanted = inspect.signature(self.function).parameters
        extra = {"ctx": context} if "ctx" in wanted else {}
        try:
            if inspect.iscoroutinefunction(self.function):
                value = await self.function(**arguments, **extra)
            else:
                value = await asyncio.to_thread(self.function, **arguments, **extra)
        except Exception as error:
            raise ToolFailed(f"Error executing tool {self.name}: {error}") from error
        structured = value if isinstance(value, dict) else {"result": value}
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        return {
            "text": text,
            "structured": structured,
            "content": [{"type": "text", "text": text}],
        }


@dataclass(frozen=True)
class ToolServer:
    """A stand-in for an MCP server.

    Attributes:
        name: Its name.
        url: The URL that messages select it by. Nothing is ever sent there.
        tools: What it offers.
        base: Whether it is one of the server's own, which are on unless a message says otherwise.
    """

    name: str
    url: str
    tools: Sequence[LocalTool]
    base: bool = False

    def entry(self) -> JsonObject:
        """Describe it as ``/api/mcp/servers`` does (S)."""
        return {
            "id": f"base-{self.name}",
            "name": self.name,
            "url": self.url,
            "type": "base",
            "isLocked": False,
        }


def selected_servers(
    servers: Sequence[ToolServer],
    *,
    base_names: Sequence[str] | None,
    own: Sequence[tuple[str, str]],
) -> list[ToolServer]:
    """Pick the servers that a message has switched on.

    Args:
        servers: All there are.
        base_names: ``selectedMcpServerNames``; None, the key left out, means all.
        own: Name and URL of each of ``selectedMcpServers``. An unknown URL counts as a server that
            cannot be reached, and is skipped in silence.

    Returns:
        The servers under the names that the message gives them. A name selects nothing twice, and
        the message's own servers win.
    """
    by_url = {server.url: server for server in servers}
    by_name = {server.name: server for server in servers if server.base}
    for name, url in own:
        known = by_url.get(url)
        by_name.pop(name, None)
        if known is not None:
            by_name[name] = ToolServer(name, url, known.tools)
    return [server for name, server in by_name.items() if base_names is None or name in base_names]
