"""The events of an answer → LlamaIndex's responses.

`Reply` collects one answer, asked for more than once if a forced tool call does not come, and says
at any moment what LlamaIndex should see of it. Not here: where the events come from (`llm.py`).

Every response carries the whole message so far, and in `delta` what is new of its text. Thinking
comes as ``additional_kwargs["thinking_delta"]`` and adds up to a `ThinkingBlock`. Calls stand in
blocks and, for LlamaIndex's older consumers, in the message's ``additional_kwargs["tool_calls"]``.
What HuggingChat tells beside the message stands in the `additional_kwargs` of the last *response*
and not of its message, because LlamaIndex writes a message's into the prompts that condense a chat.
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
from hfchat_base.unchecked import Template
from llama_index_huggingchat.tools import partial_call, wire_calls

__all__ = ["Reply", "completion_of", "text_response"]

_LOOKS: Final = 50
"""A call that is being written is read again once it has grown by one part in so many."""


class Reply:
    """One answer, from its first event to the whole.

    Args:
        history: What is to be answered.
        offer: The tools that may be called.
        stops: Stop sequences.
        streams: Whether responses are wanted while the answer comes.
    """

    def __init__(
        self,
        history: Sequence[hfchat_base.ChatMessage],
        offer: ToolConfig,
        *,
        stops: Sequence[str] = (),
        streams: bool,
    ) -> None:
        self._offer = offer
        self._dialog = ToolSession(history, offer, stops=stops, streams=streams)
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
        self._next_look = 0

    @property
    def goes_on(self) -> bool:
        """Whether `messages` have to be sent (again)."""
        return self._dialog.goes_on

    @property
    def messages(self) -> Sequence[hfchat_base.ChatMessage]:
        """What has to be sent now."""
        return self._dialog.messages

    @property
    def is_stopped(self) -> bool:
        """Whether a stop sequence has come: the rest of the answer is of no use."""
        return self._dialog.is_stopped

    def as_history(self, answer: Answer) -> Sequence[hfchat_base.ChatMessage]:
        """The history under which this answer will be continued: see `HuggingChat.stream_chat`."""
        history = self._dialog.as_history(answer)
        if self._dialog.goes_on:
            return history
        text, calls = self._settled()
        return [*history[:-1], hfchat_base.ChatMessage("assistant", assistant_text(text, calls))]

    def take(self, event: Event) -> ChatResponse | None:
        """Add an event; return the response that a stream passes on for it, if any."""
        pieces = self._dialog.take(event)
        if not self._streams:
            return None
        if isinstance(event, ReasoningDelta):
            self._thinking += event.text
            return self._response(additional_kwargs={"thinking_delta": event.text})
        if isinstance(event, TextDelta):
            self._written.append(event.text)
            self._size += len(event.text)
            return self._grown(pieces) or self._partial()
        return None

    def end(self, answer: Answer) -> ChatResponse | None:
        """Say that the answer is over; `goes_on` tells whether it has to be asked for again.

        Returns:
            The response for what had been held back, if there was any.
        """
        pieces = self._dialog.end(answer)
        if self.goes_on:
            self._begin()
            self._text = self._dialog.text  # what was handed out stays
            return None
        return self._grown(pieces)

    def attach(self, files: Iterable[FetchedFile]) -> None:
        """Add the files of the answer: `whole` holds them, and names those that are missing."""
        self._files += files

    def whole(self, answer: Answer) -> ChatResponse:
        """Make the last response: the whole message and what else there is to tell.

        Args:
            answer: The finished answer.
        """
        self._text, self._calls = self._settled()
        self._thinking, self._partial_call = answer.reasoning, None
        return self._response(
            *(_citation(source) for source in answer.sources),
            *(_file_block(one.file, one.data) for one in self._files if one.data is not None),
            raw=answer.model_dump(),
            additional_kwargs=_additional(answer, self._files),
        )

    def _settled(self) -> tuple[str, list[FunctionCall]]:
        """The text and the calls of the answer as they are handed out.

        LlamaIndex knows no invalid calls, so their text counts as text.
        """
        calls = [call for call in self._dialog.calls if isinstance(call, FunctionCall)]
        text = self._dialog.text
        invalid = [call.text for call in self._dialog.calls if isinstance(call, InvalidToolCall)]
        invalid = [] if text == "\n".join(invalid) else invalid
        if not self._offer.is_parallel:
            calls = calls[:1]
        return "\n".join([text, *invalid]), calls

    def _grown(self, pieces: Iterable[Piece]) -> ChatResponse | None:
        delta, calls = "", len(self._calls)
        for piece in pieces:
            if isinstance(piece, str):
                delta += piece
            elif isinstance(piece, FunctionCall) and (self._offer.is_parallel or not self._calls):
                self._calls.append(piece)
        if not delta and len(self._calls) == calls:
            return None
        self._text += delta
        self._partial_call = None
        return self._response(delta=delta)

    def _partial(self) -> ChatResponse | None:
        """Show a call that is still being written, if there is more of it than before."""
        size = self._size
        if self._calls or size < self._next_look:
            return None
        # Each look reads all that is written; long calls are looked at more rarely.
        self._next_look = size + size // _LOOKS
        self._written = ["".join(self._written)]
        call = partial_call(self._offer, self._written[0])
        if call is None or (self._partial_call and call.arguments == self._partial_call.arguments):
            return None
        self._partial_call = call
        return self._response()

    def _response(self, *more: ContentBlock, delta: str = "", **told: Any) -> ChatResponse:
        calls = [*self._calls, *([self._partial_call] if self._partial_call else [])]
        if not (calls or more or told or self._thinking):
            return text_response(self._text, delta)
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
            additional_kwargs={"tool_calls": wire_calls(calls)} if calls else {},
        )
        return ChatResponse(message=message, delta=delta, **told)


_BLOCK: Final = Template(TextBlock(text=""))
_MESSAGE: Final = Template(ChatMessage(role=MessageRole.ASSISTANT))
_RESPONSE: Final = Template(ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT)))


def text_response(text: str, delta: str) -> ChatResponse:
    """A response of nothing but text: most are such, and nothing in them needs checking.

    Args:
        text: The whole text so far.
        delta: What is new of it.
    """
    message = _MESSAGE.filled(role=MessageRole.ASSISTANT, blocks=[_BLOCK.filled(text=text)])
    return _RESPONSE.filled(message=message, delta=delta)


def completion_of(response: ChatResponse) -> CompletionResponse:
    """Put a chat's response into the form of a completion's."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


def _additional(answer: Answer, files: Iterable[FetchedFile]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "model": answer.model,
        # Left at a stop sequence, an answer has none of its own.
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
    return {name: value for name, value in told.items() if value}


def _citation(source: Source) -> CitationBlock:
    title = source.title or source.url
    # chat-ui sends no quotation, only the page.
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
