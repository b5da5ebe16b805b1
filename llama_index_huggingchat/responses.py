"""The events of an answer → LlamaIndex's responses.

`Reply` collects one answer and says at any moment what LlamaIndex should see of it. Not here: where
the events come from (`llm.py`).

Every response carries the whole message so far, and in `delta` what is new of its text. Thinking
comes as ``additional_kwargs["thinking_delta"]`` and adds up to a `ThinkingBlock`. What HuggingChat
tells beside the message stands in the `additional_kwargs` of the last *response* and not of its
message, because LlamaIndex writes a message's into the prompts that condense a chat.
"""

from __future__ import annotations

import dataclasses
from typing import Any

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
)

from hfchat_base.events import Event, ReasoningDelta, Source, TextDelta
from hfchat_base.types import Answer, AnswerFile

__all__ = ["Reply", "completion_of"]


class Reply:
    """One answer, from its first event to the whole."""

    def __init__(self) -> None:
        self._text = ""
        self._thinking = ""
        self._delta = ""
        self._thinking_delta = ""
        self._files: list[tuple[AnswerFile, bytes]] = []

    def take(self, event: Event) -> bool:
        """Add an event; tell whether a stream should pass on a response for it."""
        if isinstance(event, TextDelta):
            self._text += event.text
            self._delta, self._thinking_delta = event.text, ""
            return True
        if isinstance(event, ReasoningDelta):
            self._thinking += event.text
            self._delta, self._thinking_delta = "", event.text
            return True
        return False

    def partial(self) -> ChatResponse:
        """Make the response for the last event."""
        told = {"thinking_delta": self._thinking_delta} if self._thinking_delta else {}
        return ChatResponse(message=self._message(), delta=self._delta, additional_kwargs=told)

    def attach(self, file: AnswerFile, data: bytes) -> None:
        """Add a file of the answer, with its bytes."""
        self._files.append((file, data))

    def whole(self, answer: Answer) -> ChatResponse:
        """Make the last response: the whole message and what else there is to tell.

        Args:
            answer: The finished answer.
        """
        self._text, self._thinking = answer.text, answer.reasoning
        message = self._message(
            *(_citation(source) for source in answer.sources),
            *(_file_block(file, data) for file, data in self._files),
        )
        return ChatResponse(
            message=message,
            delta="",
            raw=dataclasses.asdict(answer),
            additional_kwargs=_additional(answer),
        )

    def _message(self, *more: ContentBlock) -> ChatMessage:
        blocks: list[ContentBlock] = [TextBlock(text=self._text), *more]
        if self._thinking:
            blocks.insert(0, ThinkingBlock(content=self._thinking))
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def completion_of(response: ChatResponse) -> CompletionResponse:
    """Put a chat's response into the form of a completion's."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


def _additional(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "conversation_id": answer.conversation_id,
        "message_id": answer.message_id,
        "title": answer.title,
        "router": dict(answer.router),
        "sources": [dataclasses.asdict(source) for source in answer.sources],
        "server_tool_runs": [dataclasses.asdict(run) for run in answer.tool_runs],
        "files": [dataclasses.asdict(file) for file in answer.files],
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
