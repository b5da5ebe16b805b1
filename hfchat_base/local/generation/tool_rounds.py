"""Answering with tools: the model calls, the server runs, the model goes on (current only)."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Final

from hfchat_base.local.backends import OutputFile, Reasoning, Routed, Text, ToolCall
from hfchat_base.local.generation.prompt import with_system_text
from hfchat_base.local.generation.thinking import ThinkJoiner
from hfchat_base.local.tools.server import ToolContext, ToolFailed

if TYPE_CHECKING:
    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.generation.turn import Emit, Turn
    from hfchat_base.local.tools import (
        ElicitationAnswer,
        ElicitationField,
        LocalTool,
        ToolServer,
    )

__all__ = ["answer_with_tools"]

_MAX_ROUNDS: Final = 10
_ETA_SECONDS: Final = 10


async def answer_with_tools(turn: Turn, emit: Emit) -> bool:
    """Answer in rounds of tool calls.

    Args:
        turn: What to do.
        emit: Takes the events.

    Returns:
        Whether this was a turn for tools; if not, nothing was emitted or asked.
    """
    tools = {tool.name: (server, tool) for server in turn.tool_servers for tool in server.tools}
    if not tools or not turn.model.supports_tools:
        return False
    offers = [tool.offer() for _, tool in tools.values()]
    messages = with_system_text(
        turn.messages(), f"You can call these tools: {', '.join(tools)}. Call one only if it helps."
    )
    said = ""
    for _ in range(_MAX_ROUNDS):
        said, calls = await _one_round(turn, emit, messages, offers)
        if not calls:
            break
        results = await _run_calls(turn, emit, tools, calls, said)
        messages = [*messages, _assistant_message(said, calls), *results]
    emit({"type": "finalAnswer", "text": said, "interrupted": False})
    return True


async def _one_round(
    turn: Turn, emit: Emit, messages: list[JsonObject], offers: list[JsonObject]
) -> tuple[str, list[ToolCall]]:
    joiner = ThinkJoiner()
    said = ""
    calls: list[ToolCall] = []
    async with turn.ask(messages, offers) as pieces:
        async for piece in pieces:
            if isinstance(piece, (Text, Reasoning)):
                token = joiner.join(piece)
                said += token
                if not calls:
                    emit({"type": "stream", "token": token})
            elif isinstance(piece, ToolCall):
                calls.append(piece)
            elif isinstance(piece, (OutputFile, Routed)):
                emit(turn.side_event(piece))
    closing = joiner.close()
    if closing:
        emit({"type": "stream", "token": closing})
    return said + closing, calls


async def _run_calls(
    turn: Turn,
    emit: Emit,
    tools: dict[str, tuple[ToolServer, LocalTool]],
    calls: list[ToolCall],
    said: str,
) -> list[JsonObject]:
    """Run all calls of a round side by side.

    Returns:
        The tool messages for the model, in the order of the calls.
    """
    runs = []
    for index, call in enumerate(calls):
        run = _CallRun(turn, emit, call)
        run.announce(said.strip() if index == 0 else "")
        runs.append(run)
    return list(await asyncio.gather(*(run.run(tools.get(run.call.name)) for run in runs)))


def _assistant_message(said: str, calls: list[ToolCall]) -> JsonObject:
    return {
        "role": "assistant",
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
        "content": said,
    }


class _CallRun:
    """One call of a tool, with all its events."""

    def __init__(self, turn: Turn, emit: Emit, call: ToolCall) -> None:
        self.call = call
        self._turn = turn
        self._emit = emit
        self._uuid = str(uuid.uuid4())
        self._arguments = _parsed(call.arguments)
        self._shown = {
            key: value
            for key, value in (self._arguments or {}).items()
            if isinstance(value, (str, int, float))
        }

    def announce(self, said: str) -> None:
        """Emit the call and how long it may take.

        Args:
            said: What the model said before it, for the first call of a round.
        """
        raw = {} if self._arguments is None else {"argumentsRaw": self.call.arguments}
        self._tool_event(
            "call",
            call={"name": self.call.name, "parameters": self._shown},
            originalId=self.call.id,
            **raw,
            **({"content": said} if said else {}),
        )
        self._tool_event("eta", eta=_ETA_SECONDS)

    async def run(self, found: tuple[ToolServer, LocalTool] | None) -> JsonObject:
        """Run the tool and emit what comes of it.

        Args:
            found: The tool and its server, or None if the model made the name up.

        Returns:
            The tool message for the model.
        """
        try:
            output = await self._output(found)
        except ToolFailed as failure:
            self._tool_event("error", message=str(failure))
            return self._message(f"Error: {failure}")
        result = {
            "status": "success",
            "call": {"name": self.call.name, "parameters": self._shown},
            "outputs": [output],
            "display": True,
        }
        self._tool_event("result", result=result)
        return self._message(output["text"])

    async def _output(self, found: tuple[ToolServer, LocalTool] | None) -> JsonObject:
        if self._arguments is None:
            raise ToolFailed("The arguments of the call are no JSON object.")
        if found is None:
            raise ToolFailed(f"Unknown MCP function: {self.call.name}")
        server, tool = found

        def progress(event: JsonObject) -> None:
            self._tool_event("progress", **event)

        async def ask(question: str, fields: tuple[ElicitationField, ...]) -> ElicitationAnswer:
            return await self._elicit(server.name, question, fields)

        return await tool.run(self._arguments, ToolContext(server.name, progress, ask))

    async def _elicit(
        self, server: str, question: str, fields: tuple[ElicitationField, ...]
    ) -> ElicitationAnswer:
        asked = self._turn.state.elicitations.ask(self._turn.conversation_id, fields)
        self._emit(
            {
                "type": "elicitation",
                "subtype": "request",
                "request": {
                    "server": server,
                    "mode": "form",
                    "message": question,
                    "fields": [field.shown() for field in fields],
                    "elicitationId": asked.id,
                },
                "expiresAt": int(asked.expires_at * 1000),
                "toolUuid": self._uuid,
            }
        )
        answer = await asked.answered()
        self._emit(
            {
                "type": "elicitation",
                "subtype": "resolved",
                "elicitationId": asked.id,
                "action": answer.action,
                "resolution": "user" if answer.by_user else "timeout",
                **({"content": dict(answer.content)} if answer.action == "accept" else {}),
            }
        )
        return answer

    def _tool_event(self, subtype: str, **details: object) -> None:
        self._emit({"type": "tool", "subtype": subtype, "uuid": self._uuid, **details})

    def _message(self, content: str) -> JsonObject:
        return {"role": "tool", "tool_call_id": self.call.id, "content": content}


def _parsed(arguments: str) -> JsonObject | None:
    """Read a call's arguments; None if they are no JSON object."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
