"""An answer in the form of the Responses API, whole and streamed.

The output's items stand in the order in which their first piece came: thinking, text, calls, tools
that the server ran; pictures are last. If text goes on after another item, it is a further item, so
that what comes last is the answer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

from hfchat_base.api.failures import Failure
from hfchat_base.api.generation import ApiPiece, Generation
from hfchat_base.api.schema import ResponsesRequest
from hfchat_base.events import ReasoningDelta, ToolCall, ToolError, ToolResult
from hfchat_base.tools import FunctionCall
from hfchat_base.types import Source

__all__ = ["ResponseObject"]

_compact: Final = json.JSONEncoder(separators=(",", ":")).encode

Event = tuple[str, dict[str, Any]]

_ERROR_CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""OpenAI's codes for failed responses; the rest is `server_error`."""


class ResponseObject:
    """One answer.

    Args:
        generation: The answer while it is made.
        request: What was asked, which the answer repeats.
        remember: Gets the answer's id once it is whole, so that it can be continued; None if it
            will not be.
    """

    def __init__(
        self,
        generation: Generation,
        request: ResponsesRequest,
        *,
        remember: Callable[[str], None] | None,
    ) -> None:
        self._generation = generation
        self._request = request
        self._remember = remember
        self._id = _new_id("resp")
        self._created_at = int(time.time())
        self._output: list[dict[str, Any]] = []
        self._open: _TextItem | None = None
        self._runs: dict[str, ToolCall] = {}
        self._sequence = 0

    async def whole(self) -> dict[str, Any]:
        """Wait for the whole answer."""
        async for _ in self._steps():
            pass
        return self._response(self._outcome)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The events of the stream, each as bytes."""
        has_started = False
        async with aclosing(self._steps()) as steps:
            async for kind, data in steps:
                if not has_started:
                    has_started = True
                    yield self._started("response.created")
                    yield self._started("response.in_progress")
                yield self._event(kind, data)
        if not has_started:
            yield self._started("response.created")
        outcome = self._outcome
        yield self._event(f"response.{outcome}", {"response": self._response(outcome)})

    def failed(self, failure: Failure) -> bytes:
        """The event that ends a stream which did not end well."""
        code = _ERROR_CODES.get(failure.status, "server_error")
        error = {"code": code, "message": failure.message}
        response = {**self._response("failed"), "error": error}
        return self._event("response.failed", {"response": response})

    @property
    def _outcome(self) -> str:
        """The status of a response that has ended."""
        return "incomplete" if self._generation.is_incomplete else "completed"

    async def _steps(self) -> AsyncGenerator[Event, None]:
        """Make the output, and say with each event what is new in it."""
        generation = self._generation
        async with aclosing(generation.pieces()) as pieces:
            async for piece in pieces:
                for event in self._take(piece):
                    yield event
        for event in self._end_text(generation.sources):
            yield event
        for url in generation.data_urls():
            for event in self._add(_image(url.partition(",")[2])):
                yield event
        if self._remember is not None:
            self._remember(self._id)

    def _take(self, piece: ApiPiece) -> Iterator[Event]:
        if isinstance(piece, str):
            yield from self._text("message", piece)
        elif isinstance(piece, ReasoningDelta):
            yield from self._text("reasoning", piece.text)
        elif isinstance(piece, FunctionCall):
            yield from self._end_text()
            is_custom = piece.name in self._generation.prompt.custom_tools
            yield from self._custom_call(piece) if is_custom else self._function_call(piece)
        elif isinstance(piece, ToolCall):
            self._runs[piece.uuid] = piece
        elif isinstance(piece, (ToolResult, ToolError)):
            run = self._runs.pop(piece.uuid, None)
            yield from self._end_text()
            yield from self._add(_mcp_call(run, piece))

    def _text(self, kind: str, text: str) -> Iterator[Event]:
        if self._open is None or self._open.kind != kind:
            yield from self._end_text()
            self._open = _TextItem(kind, len(self._output))
            self._output.append(self._open.item("in_progress"))
            yield from self._open.begin()
        yield self._open.delta(text)

    def _end_text(self, sources: list[Source] | None = None) -> Iterator[Event]:
        if self._open is not None:
            done, self._open = self._open, None
            if sources and done.kind == "message":
                yield from done.annotate(sources)
            self._output[done.index] = done.item("completed")
            yield from done.end()

    def _function_call(self, call: FunctionCall) -> Iterator[Event]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        item = {
            "id": _new_id("fc"),
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": arguments,
        }
        begun = {**item, "status": "in_progress", "arguments": ""}
        what = "response.function_call_arguments"
        yield from self._add(
            item,
            begun,
            (f"{what}.delta", {"delta": arguments}),
            (f"{what}.done", {"name": call.name, "arguments": arguments}),
        )

    def _custom_call(self, call: FunctionCall) -> Iterator[Event]:
        text = call.arguments.get("input", "")
        text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
        item = {
            "id": _new_id("ctc"),
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "input": text,
        }
        what = "response.custom_tool_call_input"
        yield from self._add(
            item,
            {**item, "status": "in_progress", "input": ""},
            (f"{what}.delta", {"delta": text}),
            (f"{what}.done", {"input": text}),
        )

    def _add(
        self, item: dict[str, Any], begun: dict[str, Any] | None = None, *between: Event
    ) -> Iterator[Event]:
        """Add an item that came whole."""
        index = len(self._output)
        self._output.append(item)
        yield "response.output_item.added", {"output_index": index, "item": begun or item}
        for kind, data in between:
            yield kind, {"item_id": item["id"], "output_index": index, **data}
        yield "response.output_item.done", {"output_index": index, "item": item}

    def _started(self, kind: str) -> bytes:
        return self._event(kind, {"response": {**self._response("in_progress"), "output": []}})

    def _event(self, kind: str, data: dict[str, Any]) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **data}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), _compact(body).encode())

    def _response(self, status: str) -> dict[str, Any]:
        request = self._request
        choice = "auto" if request.tool_choice is None else request.tool_choice
        text_format = request.text.format if request.text else None
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "content_filter"} if status == "incomplete" else None,
            "instructions": request.instructions,
            "metadata": request.metadata or {},
            "model": self._generation.model,
            "output": list(self._output),
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "store": self._remember is not None,
            "temperature": None,
            "text": {"format": text_format or {"type": "text"}},
            "tool_choice": choice,
            "tools": request.tools or [],
            "top_p": None,
            "truncation": "disabled",
            "usage": None,
            "hfchat": self._generation.details,
        }


class _TextItem:
    """An item that comes piece by piece: a message, or thinking.

    Args:
        kind: ``message`` or ``reasoning``.
        index: Its place in the output.
    """

    def __init__(self, kind: str, index: int) -> None:
        self.kind = kind
        self.index = index
        is_message = kind == "message"
        self._id = _new_id("msg" if is_message else "rs")
        self._part_type = "output_text" if is_message else "reasoning_text"
        self._event = f"response.{self._part_type}"
        self._place = {"item_id": self._id, "output_index": index, "content_index": 0}
        self._texts: list[str] = []
        self._annotations: list[dict[str, Any]] = []

    def item(self, status: str) -> dict[str, Any]:
        """The item as it is now."""
        item: dict[str, Any] = {"id": self._id, "type": self.kind, "status": status}
        content = [] if status == "in_progress" else [self._part()]
        if self.kind == "message":
            return {**item, "role": "assistant", "content": content}
        return {**item, "summary": [], "content": content}

    def begin(self) -> Iterator[Event]:
        """The events before its first piece."""
        item = self.item("in_progress")
        yield "response.output_item.added", {"output_index": self.index, "item": item}
        yield "response.content_part.added", {**self._place, "part": self._part()}

    def delta(self, text: str) -> Event:
        """The event of a piece."""
        self._texts.append(text)
        more: dict[str, Any] = {"logprobs": []} if self.kind == "message" else {}
        return f"{self._event}.delta", {**self._place, "delta": text, **more}

    def annotate(self, sources: list[Source]) -> Iterator[Event]:
        """Add the pages that the text leans on; the server does not say which part of it."""
        end = len("".join(self._texts))
        for number, source in enumerate(sources):
            annotation = {
                "type": "url_citation",
                "url": source.url,
                "title": source.title,
                "start_index": 0,
                "end_index": end,
            }
            self._annotations.append(annotation)
            place = {**self._place, "annotation_index": number}
            yield f"{self._event}.annotation.added", {**place, "annotation": annotation}

    def end(self) -> Iterator[Event]:
        """The events after its last piece."""
        part = self._part()
        more: dict[str, Any] = {"logprobs": []} if self.kind == "message" else {}
        yield f"{self._event}.done", {**self._place, "text": part["text"], **more}
        yield "response.content_part.done", {**self._place, "part": part}
        item = self.item("completed")
        yield "response.output_item.done", {"output_index": self.index, "item": item}

    def _part(self) -> dict[str, Any]:
        part: dict[str, Any] = {"type": self._part_type, "text": "".join(self._texts)}
        if self.kind == "message":
            part |= {"annotations": list(self._annotations), "logprobs": []}
        return part


def _mcp_call(run: ToolCall | None, end: ToolResult | ToolError) -> dict[str, Any]:
    """A tool that the server ran; on which MCP server, it does not say."""
    error = end.message if isinstance(end, ToolError) else None
    return {
        "id": _new_id("mcp"),
        "type": "mcp_call",
        "status": "completed" if error is None else "failed",
        "server_label": "",
        "name": run.name if run else "",
        "arguments": json.dumps(run.arguments if run else {}, ensure_ascii=False),
        "output": end.output if isinstance(end, ToolResult) else None,
        "error": error,
    }


def _image(data: str) -> dict[str, Any]:
    return {
        "id": _new_id("ig"),
        "type": "image_generation_call",
        "status": "completed",
        "result": data,
    }


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
