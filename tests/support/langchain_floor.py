"""LangChain's own part of the work: chat models that do nothing but yield chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr


class MadeChunks(BaseChatModel):
    """Makes its chunks as it yields them, as every real model has to.

    Args:
        tokens: How many chunks there are.
    """

    tokens: int

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks()

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield chunk

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        return (new_chunk(f"tok{number} ") for number in range(self.tokens))


class ReadyChunks(MadeChunks):
    """Yields chunks that are ready; LangChain's own part is all that it costs."""

    _ready: list[ChatGenerationChunk] = PrivateAttr(default_factory=list)

    def prepare(self) -> None:
        """Make new chunks for every answer, because LangChain writes into them."""
        self._ready = list(super()._chunks())

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        return iter(self._ready)


def new_chunk(text: str) -> ChatGenerationChunk:
    """A chunk with a token, made as LangChain's partner packages make them."""
    return ChatGenerationChunk(message=AIMessageChunk(content=text))
