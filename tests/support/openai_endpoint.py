"""Models at OpenAI-compatible paths: servers behind a local server, or next to a client.

chat-ui has no such paths, and nor has the local server. Tests put one of these behind it, and the
benchmarks ask it through OpenAI's own clients.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.backends import ChatRequest, Finish, Reasoning, Text, ToolCall, UpstreamError
from hfchat_base.local.server import ServerThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from starlette.requests import Request
    from typing_extensions import Self

    from hfchat_base.local import LocalModel
    from hfchat_base.local.backends import Piece

    JsonObject = dict[str, Any]


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class OpenAIEndpoint:
    """Serves models at ``/v1/models`` and ``/v1/chat/completions``, on a free port of loopback.

    Args:
        models: The models.

    Attributes:
        headers: The headers of every request, in order.
        prompts: What the models were asked, in order.
    """

    def __init__(self, models: Sequence[LocalModel]) -> None:
        self._models = {model.id: model for model in models}
        self.headers: list[Mapping[str, str]] = []
        self.prompts: list[ChatRequest] = []

    @property
    def url(self) -> str:
        """Its URL, up to and with the version."""
        return f"http://{self._running.address}/v1"

    def __enter__(self) -> Self:
        app = Starlette(
            routes=[
                Route("/v1/models", self._list),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ]
        )
        self._running = ServerThread(app, "127.0.0.1", 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.stop(_nothing)

    async def _list(self, request: Request) -> Response:
        self.headers.append(request.headers)
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": "local"}
            for name in self._models
        ]
        return JSONResponse({"object": "list", "data": entries})

    async def _complete(self, request: Request) -> Response:
        self.headers.append(request.headers)
        body = await request.json()
        chat = ChatRequest(
            body["model"], body["messages"], body.get("tools") or [], body.get("temperature")
        )
        model = self._models.get(chat.model)
        if model is None:
            return _error(404, f"There is no model {chat.model}.")
        self.prompts.append(chat)
        if body.get("stream"):
            return StreamingResponse(
                _stream(model, chat), headers={"content-type": "text/event-stream"}
            )
        return await _whole(model, chat)


async def _nothing() -> None:
    """There is nothing to stop."""


async def _stream(model: LocalModel, chat: ChatRequest) -> AsyncIterator[str]:
    completion_id = _completion_id()
    finish = "stop"
    calls = 0

    def event(delta: JsonObject, finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = _envelope(completion_id, chat, "chat.completion.chunk", choice)
        return f"data: {_compact(chunk)}\n\n"

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
        yield f"data: {_compact({'error': {'message': str(error), 'code': error.status}})}\n\n"
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
    return JSONResponse(_envelope(_completion_id(), chat, "chat.completion", choice))


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
    return JSONResponse({"error": {"message": message, "code": status}}, status_code=status)
