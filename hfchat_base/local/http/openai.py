"""The same models at OpenAI-compatible paths, ``/v1/models`` and ``/v1/chat/completions``.

chat-ui has no such paths. They are here to compare clients on equal terms.
"""

from __future__ import annotations

import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.backends import ChatRequest, Finish, Reasoning, Text, ToolCall, UpstreamError
from hfchat_base.local.encoding.json_text import json_text
from hfchat_base.local.http.answers import Mishap, json_answer, json_body
from hfchat_base.local.records import SentPrompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.backends import Piece
    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.state import ServerState

__all__ = ["OpenAIRoutes"]


class OpenAIRoutes:
    """``/v1/models`` and ``/v1/chat/completions``.

    Args:
        state: The server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            Route("/models", self.models),
            Route("/chat/completions", self.complete, methods=["POST"]),
        ]

    async def models(self, _request: Request) -> Response:
        """List the models."""
        entries = [
            {"id": model.id, "object": "model", "created": 0, "owned_by": "local"}
            for model in self._state.models
        ]
        return json_answer({"object": "list", "data": entries})

    async def complete(self, request: Request) -> Response:
        """Complete a chat, streaming or not.

        Args:
            request: The request.
        """
        try:
            body = await json_body(request)
            model = self._state.model(body["model"])
            chat = ChatRequest(
                body["model"], body["messages"], body.get("tools") or [], body.get("temperature")
            )
        except (Mishap, KeyError, TypeError, AttributeError):
            return _error(400, "The body must be an object with model and messages.")
        if model is None:
            return _error(404, f"There is no model {chat.model}.")
        self._state.records.add_prompt(SentPrompt(chat.model, chat.messages, chat.tools))
        if body.get("stream"):
            return StreamingResponse(
                _stream(model, chat), headers={"content-type": "text/event-stream"}
            )
        return await _whole(model, chat)


async def _stream(model: LocalModel, chat: ChatRequest) -> AsyncIterator[str]:
    completion_id = _completion_id()
    finish = "stop"
    calls = 0

    def event(delta: JsonObject, finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = _envelope(completion_id, chat, "chat.completion.chunk", choice)
        return f"data: {json_text(chunk)}\n\n"

    yield event({"role": "assistant", "content": ""})
    try:
        async with aclosing(_pieces(model, chat)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    yield event({"content": piece.text})
                elif isinstance(piece, Reasoning):
                    yield event({"reasoning_content": piece.text})
                elif isinstance(piece, ToolCall):
                    yield event({"tool_calls": [{"index": calls, **_tool_call(piece)}]})
                    calls += 1
                    finish = "tool_calls"
                elif isinstance(piece, Finish):
                    finish = piece.reason
    except UpstreamError as error:
        yield f"data: {json_text({'error': {'message': str(error), 'code': error.status}})}\n\n"
        return
    yield event({}, finish)
    yield "data: [DONE]\n\n"


async def _whole(model: LocalModel, chat: ChatRequest) -> Response:
    text, thought = "", ""
    calls: list[JsonObject] = []
    finish = "stop"
    try:
        async with aclosing(_pieces(model, chat)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    text += piece.text
                elif isinstance(piece, Reasoning):
                    thought += piece.text
                elif isinstance(piece, ToolCall):
                    calls.append(_tool_call(piece))
                    finish = "tool_calls"
                elif isinstance(piece, Finish):
                    finish = piece.reason
    except UpstreamError as error:
        return _error(error.status or 500, str(error))
    message: JsonObject = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json_answer(_envelope(_completion_id(), chat, "chat.completion", choice))


def _pieces(model: LocalModel, chat: ChatRequest) -> AsyncGenerator[Piece, None]:
    """Open the model's stream as something that can be closed."""

    async def pieces() -> AsyncGenerator[Piece, None]:
        async for piece in model.backend.stream(chat):
            yield piece

    return pieces()


def _envelope(completion_id: str, chat: ChatRequest, kind: str, choice: JsonObject) -> JsonObject:
    return {
        "id": completion_id,
        "object": kind,
        "created": int(time.time()),
        "model": chat.model,
        "choices": [choice],
    }


def _tool_call(call: ToolCall) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _completion_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _error(status: int, message: str) -> Response:
    return json_answer({"error": {"message": message, "code": status}}, status=status)
