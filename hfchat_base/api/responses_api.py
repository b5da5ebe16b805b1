"""An answer in the form of the Responses API, whole and streamed.

Clients that want a summary of the thinking look nowhere else for it, so they get the thinking
itself there. Otherwise it is the item's content.

The output's items stand in the order in which their first piece came: thinking, text, calls, tools
that the server ran; pictures are last. If text goes on after another item, it is a further item, so
that what comes last is the answer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from hfchat_base.api.failures import Failure
from hfchat_base.api.generation import ApiPiece, Generation, compact_json
from hfchat_base.api.schema import ResponsesRequest
from hfchat_base.api.stored_responses import response_id
from hfchat_base.events import ReasoningDelta, ToolCall, ToolError, ToolResult
from hfchat_base.tools import FunctionCall
from hfchat_base.types import Source

__all__ = ["ResponseObject"]


Event = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _TextKind:
    """How an item that comes piece by piece is sent.

    Attributes:
        item: The item's type.
        place: The item's list that has the text as its only part.
        part: The part's type.
        text_event: The beginning of the names of the events that bring the text.
        part_event: The beginning of the names of the events around them.
        index: The name of the part's place in the list.
        more: What else the events and the part have.
    """

    item: str
    place: str
    part: str
    text_event: str
    part_event: str
    index: str = "content_index"
    more: Mapping[str, Any] = field(default_factory=dict)


_MESSAGE: Final = _TextKind(
    "message",
    "content",
    "output_text",
    "response.output_text",
    "response.content_part",
    more={"logprobs": []},
)
_REASONING: Final = _TextKind(
    "reasoning", "content", "reasoning_text", "response.reasoning_text", "response.content_part"
)
_SUMMARY: Final = _TextKind(
    "reasoning",
    "summary",
    "summary_text",
    "response.reasoning_summary_text",
    "response.reasoning_summary_part",
    "summary_index",
)

_ERROR_CODES: Final = {
    "invalid_request_error": "invalid_prompt",
    "rate_limit_error": "rate_limit_exceeded",
}
"""OpenAI's codes for failed responses; the rest is `server_error`."""


class ResponseObject:
    """One answer.

    Args:
        generation: The answer while it is made.
        request: What was asked, which the answer repeats.
        remember: Gets the answer's id and its items once it is whole, so that they can be referred
            to; None if they will not be.
    """

    breaks_off = False  # `response.failed` is an end, and some clients show the connection's error

    def __init__(
        self,
        generation: Generation,
        request: ResponsesRequest,
        *,
        remember: Callable[[str, Sequence[Mapping[str, Any]]], None] | None,
    ) -> None:
        self._generation = generation
        self._request = request
        self._remember = remember
        wants_summary = request.reasoning is not None and request.reasoning.summary is not None
        self._thinking = _SUMMARY if wants_summary else _REASONING
        self._id: str | None = None
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
            async for step in steps:
                if not has_started:
                    has_started = True
                    yield self._started("response.created")
                    yield self._started("response.in_progress")
                yield self._delta_event(step) if isinstance(step, str) else self._event(*step)
        if not has_started:
            yield self._started("response.created")
        outcome = self._outcome
        yield self._event(f"response.{outcome}", {"response": self._response(outcome)})

    def failed(self, failure: Failure) -> bytes:
        """The event that ends a stream which did not end well."""
        code = _ERROR_CODES.get(failure.type, "server_error")
        error = {"code": code, "message": failure.message}
        response = {**self._response("failed"), "error": error}
        return self._event("response.failed", {"response": response})

    @property
    def _outcome(self) -> str:
        """The status of a response that has ended."""
        return "incomplete" if self._generation.is_incomplete else "completed"

    async def _steps(self) -> AsyncGenerator[Event | str, None]:
        """Make the output, and say with each event what is new in it.

        A str is more of the open message's text, which nearly all events are.
        """
        generation = self._generation
        async with aclosing(generation.pieces()) as pieces:
            async for piece in pieces:
                if piece.__class__ is str and self._open and self._open.kind is _MESSAGE:
                    self._open.texts.append(piece)
                    yield piece
                    continue
                if self._id is None and generation.prompt.streams:
                    self._identify()
                for event in self._take(piece):
                    yield event
        for event in self._end_text(generation.sources):
            yield event
        for url in generation.data_urls():
            for event in self._add(_image(url.partition(",")[2])):
                yield event
        if self._remember is not None:
            self._remember(self._identify(), self._output)

    def _identify(self) -> str:
        """Decide on the id: with the first event of a stream, otherwise in the end."""
        if self._id is None:
            answer = self._generation.answer
            self._id = response_id(None if self._remember is None else answer)
        return self._id

    def _take(self, piece: ApiPiece) -> Iterator[Event]:
        if isinstance(piece, str):
            yield from self._text(_MESSAGE, piece)
        elif isinstance(piece, ReasoningDelta):
            yield from self._text(self._thinking, piece.text)
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

    def _text(self, kind: _TextKind, text: str) -> Iterator[Event]:
        if self._open is None or self._open.kind is not kind:
            yield from self._end_text()
            self._open = _TextItem(kind, len(self._output))
            self._output.append(self._open.item("in_progress"))
            yield from self._open.begin()
        yield self._open.delta(text)

    def _end_text(self, sources: list[Source] | None = None) -> Iterator[Event]:
        if self._open is not None:
            done, self._open = self._open, None
            if sources and done.kind is _MESSAGE:
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
            **self._tool_name(call),
            "arguments": arguments,
        }
        begun = {**item, "status": "in_progress", "arguments": ""}
        what = "response.function_call_arguments"
        yield from self._add(
            item,
            begun,
            (f"{what}.delta", {"delta": arguments}),
            (f"{what}.done", {"name": item["name"], "arguments": arguments}),
        )

    def _custom_call(self, call: FunctionCall) -> Iterator[Event]:
        text = call.arguments.get("input", "")
        text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
        item = {
            "id": _new_id("ctc"),
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": call.id,
            **self._tool_name(call),
            "input": text,
        }
        what = "response.custom_tool_call_input"
        yield from self._add(
            item,
            {**item, "status": "in_progress", "input": ""},
            (f"{what}.delta", {"delta": text}),
            (f"{what}.done", {"input": text}),
        )

    def _tool_name(self, call: FunctionCall) -> dict[str, str]:
        namespace, name = self._generation.prompt.namespaces.get(call.name, (None, call.name))
        return {"name": name} if namespace is None else {"namespace": namespace, "name": name}

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

    def _delta_event(self, text: str) -> bytes:
        assert self._open is not None  # noqa: S101 - it gets the text
        begin, middle, end = self._open.frame
        event = b"%b%d%b%b%b" % (begin, self._sequence, middle, compact_json(text).encode(), end)
        self._sequence += 1
        return event

    def _event(self, kind: str, data: dict[str, Any]) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **data}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact_json(body).encode())

    def _response(self, status: str) -> dict[str, Any]:
        request = self._request
        choice = "auto" if request.tool_choice is None else request.tool_choice
        text_format = request.text.format if request.text else None
        return {
            "id": self._identify(),
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
        kind: Which of them.
        index: Its place in the output.

    Attributes:
        texts: The pieces of its text so far.
        frame: What stands in the event of a piece before the sequence number, between that and the
            text, and behind it.
    """

    def __init__(self, kind: _TextKind, index: int) -> None:
        self.kind = kind
        self.index = index
        self._id = _new_id("msg" if kind is _MESSAGE else "rs")
        self._place = {"item_id": self._id, "output_index": index, kind.index: 0}
        self.texts: list[str] = []
        name = f"{kind.text_event}.delta"
        place, more = compact_json(self._place)[1:-1], compact_json(dict(kind.more))[1:-1]
        self.frame = (
            f'event: {name}\ndata: {{"type":"{name}","sequence_number":'.encode(),
            f',{place},"delta":'.encode(),
            f"{',' if more else ''}{more}}}\n\n".encode(),
        )
        self._annotations: list[dict[str, Any]] = []

    def item(self, status: str) -> dict[str, Any]:
        """The item as it is now."""
        kind = self.kind
        item: dict[str, Any] = {"id": self._id, "type": kind.item, "status": status}
        if kind is _MESSAGE:
            item["role"] = "assistant"
        else:
            item["summary"] = []
        return {**item, kind.place: [] if status == "in_progress" else [self._part()]}

    def begin(self) -> Iterator[Event]:
        """The events before its first piece."""
        item = self.item("in_progress")
        yield "response.output_item.added", {"output_index": self.index, "item": item}
        yield f"{self.kind.part_event}.added", {**self._place, "part": self._part()}

    def delta(self, text: str) -> Event:
        """The event of a piece."""
        self.texts.append(text)
        return f"{self.kind.text_event}.delta", {**self._place, "delta": text, **self.kind.more}

    def annotate(self, sources: list[Source]) -> Iterator[Event]:
        """Add the web pages that the text is based on; the server does not say which part of it."""
        end = len("".join(self.texts))
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
            yield f"{self.kind.text_event}.annotation.added", {**place, "annotation": annotation}

    def end(self) -> Iterator[Event]:
        """The events after its last piece."""
        part = self._part()
        text = part["text"]
        yield f"{self.kind.text_event}.done", {**self._place, "text": text, **self.kind.more}
        yield f"{self.kind.part_event}.done", {**self._place, "part": part}
        item = self.item("completed")
        yield "response.output_item.done", {"output_index": self.index, "item": item}

    def _part(self) -> dict[str, Any]:
        part: dict[str, Any] = {"type": self.kind.part, "text": "".join(self.texts)}
        if self.kind is _MESSAGE:
            part["annotations"] = list(self._annotations)
        return {**part, **self.kind.more}


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
