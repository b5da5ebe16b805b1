"""LlamaIndex's own part of the work: an LLM that does nothing but yield responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.custom import CustomLLM


class MadeResponses(CustomLLM):
    """Makes its responses as it yields them, as every real LLM has to.

    Args:
        tokens: How many responses there are.
    """

    _tokens: int = PrivateAttr()

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._tokens = tokens

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with."""
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def stream_chat(
        self,
        messages: Sequence[ChatMessage],  # noqa: ARG002 - the interface
        **_: Any,
    ) -> ChatResponseGen:
        """Yield the responses."""
        return self._responses()

    @llm_chat_callback()
    async def astream_chat(
        self,
        messages: Sequence[ChatMessage],  # noqa: ARG002 - the interface
        **_: Any,
    ) -> ChatResponseAsyncGen:
        """Yield the responses."""

        async def responses() -> ChatResponseAsyncGen:
            for response in self._responses():
                yield response

        return responses()

    def complete(self, *_: Any, **__: Any) -> CompletionResponse:
        """Nobody asks for it."""
        raise NotImplementedError

    def stream_complete(self, *_: Any, **__: Any) -> CompletionResponseGen:
        """Nobody asks for it."""
        raise NotImplementedError

    def _responses(self) -> ChatResponseGen:
        text = ""
        for number in range(self._tokens):
            delta = f"tok{number} "
            text += delta
            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
            yield ChatResponse(message=message, delta=delta)


class ReadyResponses(MadeResponses):
    """Yields responses that are ready; LlamaIndex's own part is all that they cost."""

    _ready: list[ChatResponse] = PrivateAttr()

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self._ready = list(super()._responses())

    def _responses(self) -> ChatResponseGen:
        yield from self._ready
