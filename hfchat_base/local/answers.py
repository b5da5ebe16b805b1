"""How a model's output becomes the events of an answer, in both generations.

Plain answers, thinking, and rounds of tool calls. Not here: status events, the title, storage and
the stream (`runs.py`), and what the model is sent (`model_input.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from hfchat_base.local.backends import (
    ChatRequest,
    Finish,
    OutputFile,
    Reasoning,
    Routed,
    Text,
    ToolCall,
)
from hfchat_base.local.database import StoredFile
from hfchat_base.local.model_input import (
    ARTIFACTS_PROMPT,
    chat_messages,
    search_events,
    tools_text,
    with_sources,
    with_system_text,
)
from hfchat_base.local.state import SentPrompt
from hfchat_base.local.tool_servers import ToolContext, ToolError
from hfchat_base.local.wire import UNDEFINED, JsonObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from hfchat_base.local.backends import Piece
    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.tool_servers import (
        ElicitationAnswer,
        ElicitationField,
        LocalTool,
        ToolServer,
    )

Emit: TypeAlias = Callable[[JsonObject], None]
"""Takes an event of the run."""


@dataclass
class RunRequest:
    """What a run has to answer.

    Attributes:
        state: The server.
        model: The model that answers.
        conversation_id: The conversation.
        path: The stored messages from the root to the one to answer.
        tool_servers: The tool servers that the message has switched on.
        web_search: Whether the legacy web search is on.
        timezone: Where the user is, as an IANA name, or empty (current).
        artifacts: Whether the model is told how to write artifacts (current).
        reasoning_effort: How long it may think, or None (current).
        stop_requested: Set when a legacy run is to end after its next token.
    """

    state: ServerState
    model: LocalModel
    conversation_id: str
    path: list[JsonObject]
    tool_servers: Sequence[ToolServer] = ()
    web_search: bool = False
    timezone: str = ""
    artifacts: bool = False
    reasoning_effort: str | None = None
    stop_requested: bool = field(default=False, init=False)

    def prompt(self) -> list[JsonObject]:
        """Build the messages for the model."""
        messages = chat_messages(
            self.path,
            conversation_id=self.conversation_id,
            model=self.model,
            files=self.state.files,
            generation=self.state.generation,
        )
        return with_system_text(messages, ARTIFACTS_PROMPT) if self.artifacts else messages

    @asynccontextmanager
    async def call_model(
        self, messages: list[JsonObject], tools: list[JsonObject] | None = None
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        """Send the model a request, and close its stream at the end, however it ends.

        Args:
            messages: Chat messages.
            tools: The tools that it may call.

        Yields:
            The stream of its pieces.
        """
        effort = self.reasoning_effort
        request = ChatRequest(self.model.id, messages, tools or [], reasoning_effort=effort)
        self.state.records.add_prompt(
            SentPrompt(request.model, request.messages, request.tools, effort)
        )
        stream = self.model.backend.stream(request)
        try:
            yield stream
        finally:
            aclose = getattr(stream, "aclose", None)
            if aclose is not None:
                await aclose()

    def to_event(self, piece: OutputFile | Routed) -> JsonObject:
        """Convert a piece other than text to its event; store it if it is a file."""
        if isinstance(piece, Routed):
            return {
                "type": "routerMetadata",
                "route": piece.route,
                "model": piece.model,
                "provider": UNDEFINED if piece.provider is None else piece.provider,
            }
        file = StoredFile(piece.name, piece.mime, piece.data)
        self.state.files.keep(self.conversation_id, file)
        return {"type": "file", "name": file.name, "sha": file.sha, "mime": file.mime}


async def answer_current(request: RunRequest, emit: Emit) -> None:
    """Answer as chat-ui 0.20 does: with tools if any are on, and once more after a failure.

    Args:
        request: What to answer.
        emit: Takes the events.
    """
    emitted = False

    def emit_and_note(event: JsonObject) -> None:
        nonlocal emitted
        emitted = True
        emit(event)

    try:
        if not await answer_with_tools(request, emit_and_note):
            await _generate(request, emit)
    except Exception:
        if emitted:
            raise
        # The real server retries a failed plain answer as well: tokens then come twice
        # (R: `upstream_cut_midstream`).
        await _generate(request, emit)


async def answer_legacy(request: RunRequest, emit: Emit) -> None:
    """Answer as chat-ui 0.9 does: after a web search if it is on, with reasoning as events.

    Args:
        request: What to answer.
        emit: Takes the events.
    """
    messages = request.prompt()
    if request.web_search:
        for event in search_events(request.path[-1]["content"]):
            emit(event)
        messages = with_sources(messages)
    tag_reader = ThinkTagReader() if request.model.legacy_reasoning else None
    text = ""
    filtered = False
    async with request.call_model(messages) as pieces:
        async for piece in pieces:
            if isinstance(piece, Text):
                text += piece.text
                for event in tag_reader.split(piece.text) if tag_reader else [_token(piece.text)]:
                    emit(event)
            elif isinstance(piece, OutputFile):
                emit(request.to_event(piece))
            elif isinstance(piece, Finish):
                filtered = piece.reason == "content_filter"
            if request.stop_requested:
                return
    if text and not filtered:
        final = text.rstrip()
        emit(
            {
                "type": "finalAnswer",
                "text": tag_reader.without_thinking(final) if tag_reader else final,
                "interrupted": False,
                "webSources": UNDEFINED,
            }
        )


async def _generate(request: RunRequest, emit: Emit) -> None:
    """Answer without tools (current)."""
    tag_writer = ThinkTagWriter()
    text = ""
    filtered = False
    async with request.call_model(request.prompt()) as pieces:
        async for piece in pieces:
            if isinstance(piece, (Text, Reasoning)):
                token = tag_writer.join(piece)
                text += token
                emit(_token(token))
            elif isinstance(piece, (OutputFile, Routed)):
                emit(request.to_event(piece))
            elif isinstance(piece, Finish):
                filtered = piece.reason == "content_filter"
    if text and not filtered:
        emit({"type": "finalAnswer", "text": text.rstrip(), "interrupted": False})


def _token(text: str) -> JsonObject:
    return {"type": "stream", "token": text}


_BEGIN: Final = "<think>"
_END: Final = "</think>"


class ThinkTagWriter:
    """Writes a model's reasoning into its text, between think tags (current).

    Attributes:
        open: Whether a tag is open.
    """

    def __init__(self) -> None:
        self.open = False
        self._blank = ""

    def join(self, piece: Text | Reasoning) -> str:
        """Return the token for a piece.

        Args:
            piece: Text or reasoning. Blank reasoning opens no tag; it is held back.
        """
        if isinstance(piece, Reasoning):
            if self.open:
                return piece.text
            if not piece.text.strip():
                self._blank += piece.text
                return ""
            self.open = True
            opening, self._blank = _BEGIN + self._blank, ""
            return opening + piece.text
        if not self.open or not piece.text:
            return piece.text
        return self.close() + piece.text

    def close(self) -> str:
        """Return the closing tag if one is open."""
        was_open, self.open = self.open, False
        return _END if was_open else ""


class ThinkTagReader:
    """Turns ``<think>`` tokens in a model's text into reasoning events (legacy).

    As on the real server, the opening tag must be a token of its own.
    """

    def __init__(self) -> None:
        self._thinking = False
        self._thought = ""
        self._started = time.monotonic()

    def split(self, token: str) -> list[JsonObject]:
        """Return the events for a token."""
        if token in (_BEGIN, _END):
            self._thinking = token == _BEGIN
            self._thought += token
            return [] if self._thinking else [self._done()]
        if not self._thinking:
            return [{"type": "stream", "token": token}]
        self._thought += token
        events: list[JsonObject] = [{"type": "reasoning", "subtype": "stream", "token": token}]
        before, end, after = self._thought.rpartition(_END)
        if end:
            self._thinking = False
            self._thought = before + end
            events += [{"type": "stream", "token": after}, self._done()]
        return events

    def without_thinking(self, text: str) -> str:
        """Remove the thinking from the whole text of an answer."""
        begin, end = self._thought.find(_BEGIN), self._thought.rfind(_END)
        if begin == -1 or end == -1:
            return text
        return text[:begin] + text[end + len(_END) :]

    def _done(self) -> JsonObject:
        seconds = round(time.monotonic() - self._started)
        return {"type": "reasoning", "subtype": "status", "status": f"Done in {seconds}s."}


_MAX_ROUNDS: Final = 10
_ETA_SECONDS: Final = 10


async def answer_with_tools(request: RunRequest, emit: Emit) -> bool:
    """Answer in rounds of tool calls.

    Args:
        request: What to answer.
        emit: Takes the events.

    Returns:
        Whether the model has tools to call; if not, nothing was done.
    """
    tools = {tool.name: (server, tool) for server in request.tool_servers for tool in server.tools}
    if not tools or not request.model.supports_tools:
        return False
    definitions = [tool.definition() for _, tool in tools.values()]
    messages = with_system_text(
        request.prompt(),
        tools_text(list(tools), request.timezone),
    )
    text = ""
    for _ in range(_MAX_ROUNDS):
        text, calls = await _run_round(request, emit, messages, definitions)
        if not calls:
            break
        results = await _run_calls(request, emit, tools, calls, text)
        messages = [*messages, _assistant_message(text, calls), *results]
    emit({"type": "finalAnswer", "text": text, "interrupted": False})
    return True


async def _run_round(
    request: RunRequest, emit: Emit, messages: list[JsonObject], definitions: list[JsonObject]
) -> tuple[str, list[ToolCall]]:
    tag_writer = ThinkTagWriter()
    text = ""
    calls: list[ToolCall] = []
    async with request.call_model(messages, definitions) as pieces:
        async for piece in pieces:
            if isinstance(piece, (Text, Reasoning)):
                token = tag_writer.join(piece)
                text += token
                if not calls:
                    emit({"type": "stream", "token": token})
            elif isinstance(piece, ToolCall):
                calls.append(piece)
            elif isinstance(piece, (OutputFile, Routed)):
                emit(request.to_event(piece))
    closing = tag_writer.close()
    if closing:
        emit({"type": "stream", "token": closing})
    return text + closing, calls


async def _run_calls(
    request: RunRequest,
    emit: Emit,
    tools: dict[str, tuple[ToolServer, LocalTool]],
    calls: list[ToolCall],
    text: str,
) -> list[JsonObject]:
    """Run all calls of a round concurrently.

    Returns:
        The tool messages for the model, in the order of the calls.
    """
    runs = []
    for index, call in enumerate(calls):
        run = _ToolCallRun(request, emit, call)
        run.announce(text.strip() if index == 0 else "")
        runs.append(run)
    return list(await asyncio.gather(*(run.run(tools.get(run.call.name)) for run in runs)))


def _assistant_message(text: str, calls: list[ToolCall]) -> JsonObject:
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
        "content": text,
    }


class _ToolCallRun:
    """One call of a tool, with all its events."""

    def __init__(self, request: RunRequest, emit: Emit, call: ToolCall) -> None:
        self.call = call
        self._request = request
        self._emit = emit
        self._uuid = str(uuid.uuid4())
        self._arguments = _parsed(call.arguments)
        self._parameters = {
            key: value
            for key, value in (self._arguments or {}).items()
            if isinstance(value, (str, int, float))
        }

    def announce(self, text: str) -> None:
        """Emit the call and how long it may take.

        Args:
            text: The text before it, for the first call of a round.
        """
        raw = {} if self._arguments is None else {"argumentsRaw": self.call.arguments}
        self._tool_event(
            "call",
            call={"name": self.call.name, "parameters": self._parameters},
            originalId=self.call.id,
            **raw,
            **({"content": text} if text else {}),
        )
        self._tool_event("eta", eta=_ETA_SECONDS)

    async def run(self, tool_and_server: tuple[ToolServer, LocalTool] | None) -> JsonObject:
        """Run the tool and emit its result or error.

        Args:
            tool_and_server: The tool and its server, or None if there is no such tool.

        Returns:
            The tool message for the model.
        """
        try:
            output = await self._output(tool_and_server)
        except ToolError as failure:
            self._tool_event("error", message=str(failure))
            return self._message(f"Error: {failure}")
        result = {
            "status": "success",
            "call": {"name": self.call.name, "parameters": self._parameters},
            "outputs": [output],
            "display": True,
        }
        self._tool_event("result", result=result)
        return self._message(output["text"])

    async def _output(self, tool_and_server: tuple[ToolServer, LocalTool] | None) -> JsonObject:
        if self._arguments is None:
            raise ToolError("The arguments of the call are not a JSON object.")
        if tool_and_server is None:
            raise ToolError(f"Unknown MCP function: {self.call.name}")
        server, tool = tool_and_server

        def progress(event: JsonObject) -> None:
            self._tool_event("progress", **event)

        async def elicit(question: str, fields: tuple[ElicitationField, ...]) -> ElicitationAnswer:
            return await self._elicit(server.name, question, fields)

        return await tool.run(self._arguments, ToolContext(server.name, progress, elicit))

    async def _elicit(
        self, server: str, question: str, fields: tuple[ElicitationField, ...]
    ) -> ElicitationAnswer:
        elicitation = self._request.state.elicitations.create(self._request.conversation_id, fields)
        self._emit(
            {
                "type": "elicitation",
                "subtype": "request",
                "request": {
                    "server": server,
                    "mode": "form",
                    "message": question,
                    "fields": [field.to_json() for field in fields],
                    "elicitationId": elicitation.id,
                },
                "expiresAt": int(elicitation.expires_at * 1000),
                "toolUuid": self._uuid,
            }
        )
        answer = await elicitation.answered()
        self._emit(
            {
                "type": "elicitation",
                "subtype": "resolved",
                "elicitationId": elicitation.id,
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
    """Parse a call's arguments; return None if they are not a JSON object."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
