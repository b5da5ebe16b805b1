"""The events of an answer → LlamaIndex's responses.

`ResponseBuilder` collects one answer, over several requests if a tool call has to come and does
not, and makes the responses that LlamaIndex gets. Where the events come from is in `base.py`.

Every response carries the whole message so far, and in `delta` the new part of its text. Thinking
is streamed in ``additional_kwargs["thinking_delta"]`` and adds up to a `ThinkingBlock`. Tool calls
are blocks, and also stand in the message's ``additional_kwargs["tool_calls"]`` for older parts of
LlamaIndex. The `additional_kwargs` of the last message say where the server keeps it, so that any
process can continue there. All else about the answer is in those of the last *response*, because
LlamaIndex writes a message's into the prompts that condense a chat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

import hfchat_base
from hfchat_base.events import Event, ReasoningDelta, Source, TextDelta
from hfchat_base.tools import (
    FunctionCall,
    InvalidToolCall,
    Piece,
    ToolConfig,
    ToolSession,
    assistant_text,
)
from hfchat_base.types import Answer, AnswerFile, FetchedFile
from llama_index_huggingchat._convert import openai_tool_calls, partial_call

__all__ = ["ResponseBuilder", "to_completion"]

_PREVIEW_GROWTH: Final = 50
"""A call that is being written is parsed again once it has grown by one part in so many."""


class ResponseBuilder:
    """One answer, from its first event to the complete response.

    Args:
        history: The messages to answer.
        config: The tools that may be called.
        stop: Stop sequences.
        max_identical_calls: See `ToolSession`.
        streams: Whether responses are wanted while the answer arrives.
    """

    def __init__(
        self,
        history: Sequence[hfchat_base.ChatMessage],
        config: ToolConfig,
        *,
        stop: Sequence[str] = (),
        max_identical_calls: int | None = None,
        streams: bool,
    ) -> None:
        self._config = config
        self._session = ToolSession(
            history,
            config,
            stops=stop,
            streams=streams,
            max_identical_calls=max_identical_calls,
        )
        self._streams = streams
        self._files: list[FetchedFile] = []
        self._begin()

    def _begin(self) -> None:
        self._written: list[str] = []
        self._size = 0
        self._text = ""
        self._thinking = ""
        self._calls: list[FunctionCall] = []
        self._partial_call: FunctionCall | None = None
        self._next_preview = 0

    @property
    def needs_request(self) -> bool:
        """Whether `messages` have to be sent, or sent again."""
        return self._session.goes_on

    @property
    def messages(self) -> Sequence[hfchat_base.ChatMessage]:
        """What to send next."""
        return self._session.messages

    @property
    def is_stopped(self) -> bool:
        """Whether a stop sequence has arrived, so that the rest of the answer is not needed."""
        return self._session.is_stopped

    def as_history(self, answer: Answer) -> Sequence[hfchat_base.ChatMessage]:
        """The history under which this answer will be continued: see `HuggingChat.stream_chat`."""
        history = self._session.as_history(answer)
        if self._session.goes_on:
            return history
        text, calls = self._text_and_calls()
        return [*history[:-1], hfchat_base.ChatMessage("assistant", assistant_text(text, calls))]

    def add(self, event: Event) -> ChatResponse | None:
        """Add an event; return the response to stream for it, if there is one."""
        pieces = self._session.take(event)
        if not self._streams:
            return None
        if isinstance(event, ReasoningDelta):
            self._thinking += event.text
            return self._response(additional_kwargs={"thinking_delta": event.text})
        if isinstance(event, TextDelta):
            self._written.append(event.text)
            self._size += len(event.text)
            return self._grown(pieces) or self._preview()
        return None

    def finish(self, answer: Answer) -> ChatResponse | None:
        """Note that the answer has ended; afterwards `needs_request` is up to date.

        Returns:
            The response to stream for what had been held back, if there was any.
        """
        pieces = self._session.end(answer)
        if self.needs_request:
            self._begin()
            self._text = self._session.text  # what the caller has stays
            return None
        return self._grown(pieces)

    def attach(self, files: Iterable[FetchedFile]) -> None:
        """Add the files of the answer, with the reasons of those that could not be fetched."""
        self._files += files

    def complete(self, answer: Answer) -> ChatResponse:
        """Make the last response, with the whole message and all that is known of the answer."""
        self._text, self._calls = self._text_and_calls()
        self._thinking, self._partial_call = answer.reasoning, None
        response = self._response(
            *(_citation(source) for source in answer.sources),
            *(_file_block(one.file, one.data) for one in self._files if one.data is not None),
            raw=answer.model_dump(),
            additional_kwargs=_details(answer, self._files),
        )
        if answer.reference is not None:
            response.message.additional_kwargs.update(dataclasses.asdict(answer.reference))
        return response

    def _text_and_calls(self) -> tuple[str, list[FunctionCall]]:
        """The final text and calls. LlamaIndex has no invalid calls, so their text is text."""
        calls = [call for call in self._session.calls if isinstance(call, FunctionCall)]
        text = self._session.text
        invalid = [call.text for call in self._session.calls if isinstance(call, InvalidToolCall)]
        if text == "\n".join(invalid):  # the session hands them out as the text already
            invalid = []
        return "\n".join([text, *invalid]), calls

    def _grown(self, pieces: Iterable[Piece]) -> ChatResponse | None:
        delta, calls = "", len(self._calls)
        for piece in pieces:
            if isinstance(piece, str):
                delta += piece
            elif isinstance(piece, FunctionCall):
                self._calls.append(piece)
        if not delta and len(self._calls) == calls:
            return None
        self._text += delta
        self._partial_call = None
        return self._response(delta=delta)

    def _preview(self) -> ChatResponse | None:
        """Show a call that is still being written, if there is more of it than before."""
        size = self._size
        if self._calls or size < self._next_preview:
            return None
        # Each preview parses the whole text, so long calls are previewed more rarely.
        self._next_preview = size + size // _PREVIEW_GROWTH
        self._written = ["".join(self._written)]
        call = partial_call(self._config, self._written[0])
        if call is None or (self._partial_call and call.arguments == self._partial_call.arguments):
            return None
        self._partial_call = call
        return self._response()

    def _response(self, *more: ContentBlock, delta: str = "", **fields: Any) -> ChatResponse:
        calls = [*self._calls, *([self._partial_call] if self._partial_call else [])]
        blocks: list[ContentBlock] = [TextBlock(text=self._text), *more]
        if self._thinking:
            blocks.insert(0, ThinkingBlock(content=self._thinking))
        blocks += [
            ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=call.arguments)
            for call in calls
        ]
        message = ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=blocks,
            additional_kwargs={"tool_calls": openai_tool_calls(calls)} if calls else {},
        )
        return ChatResponse(message=message, delta=delta, **fields)


def to_completion(response: ChatResponse) -> CompletionResponse:
    """Convert a chat's response to a completion's."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


def _details(answer: Answer, files: Iterable[FetchedFile]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "model": answer.model,
        # The server does not know of stop sequences, so it reports no finish reason for them.
        "finish_reason": answer.finish_reason or "stop",
        "conversation_id": answer.conversation_id,
        "message_id": answer.message_id,
        "title": answer.title,
        "router": dict(answer.router),
        "sources": [dataclasses.asdict(source) for source in answer.sources],
        "server_tool_runs": [run.model_dump() for run in answer.tool_runs],
        "files": [file.model_dump() for file in answer.files],
        "missing_files": [one.as_missing() for one in files if one.data is None],
    }
    return {name: value for name, value in details.items() if value}


def _citation(source: Source) -> CitationBlock:
    title = source.title or source.url
    # chat-ui sends the page and quotes nothing from it.
    return CitationBlock(
        cited_content=TextBlock(text=title),
        source=source.url,
        title=title,
        additional_location_info={},
    )


def _file_block(file: AnswerFile, data: bytes) -> ContentBlock:
    if file.mime.startswith("image/"):
        return ImageBlock(image=data, image_mimetype=file.mime)
    return DocumentBlock(data=data, title=file.name, document_mimetype=file.mime)
