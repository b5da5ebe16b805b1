"""An answer in the form of Chat Completions, whole and streamed.

What OpenAI's form has no place for is where other servers have it: the thinking in
``reasoning_content``, pictures in ``images``. The rest is in ``hfchat``, a field of the whole
answer and of the last chunk with a choice.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from hfchat_base.api.failures import Failure
from hfchat_base.api.generation import Generation, compact_json
from hfchat_base.events import ReasoningDelta, Sources
from hfchat_base.tools import FunctionCall
from hfchat_base.types import Source

__all__ = ["ChatCompletion"]


class ChatCompletion:
    """One answer.

    Args:
        generation: The answer while it is made.
        includes_usage: Whether a chunk with the usage, which is not known, ends the stream.
    """

    breaks_off = True  # error events are no part of the form, and some clients read over them

    def __init__(self, generation: Generation, *, includes_usage: bool = False) -> None:
        self._generation = generation
        self._includes_usage = includes_usage
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    async def whole(self) -> dict[str, Any]:
        """Wait for the whole answer."""
        generation = self._generation
        async with aclosing(generation.pieces()) as pieces:
            reasoning = [piece.text async for piece in pieces if isinstance(piece, ReasoningDelta)]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": generation.text or (None if generation.calls else ""),
            "refusal": None,
        }
        if reasoning:
            message["reasoning_content"] = "".join(reasoning)
        if generation.sources:
            message["annotations"] = _annotations(generation.sources, len(generation.text))
        if generation.calls:
            message["tool_calls"] = [_call(call) for call in generation.calls]
        if images := generation.data_urls():
            message["images"] = _images(images)
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason,
        }
        return {
            **self._envelope("chat.completion"),
            "choices": [choice],
            "usage": None,
            "hfchat": generation.details,
        }

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The events of the stream, each as bytes."""
        generation = self._generation
        begin = end = b""
        length = 0
        async with aclosing(generation.pieces()) as pieces:
            async for piece in pieces:
                if piece.__class__ is str:
                    if not begin:
                        yield self._chunk({"role": "assistant", "content": ""})
                        begin, end = self._text_frame()
                    length += len(piece)
                    yield b"%b%b%b" % (begin, compact_json(piece).encode(), end)
                    continue
                delta = self._delta(piece, length)
                if delta is None:
                    continue
                if not begin:
                    yield self._chunk({"role": "assistant", "content": ""})
                    begin, end = self._text_frame()
                yield self._chunk(delta)
        if not begin:
            yield self._chunk({"role": "assistant", "content": ""})
        if images := generation.data_urls():
            yield self._chunk({"images": _images(images)})
        yield self._chunk({}, finish_reason=self._finish_reason, hfchat=generation.details)
        if self._includes_usage:
            yield _event({**self._envelope("chat.completion.chunk"), "choices": [], "usage": None})
        yield b"data: [DONE]\n\n"

    def failed(self, failure: Failure) -> bytes:
        """The event that ends a stream which did not end well."""
        return _event(failure.body)

    @property
    def _finish_reason(self) -> str:
        if self._generation.calls:
            return "tool_calls"
        return "content_filter" if self._generation.is_incomplete else "stop"

    def _delta(self, piece: object, length: int) -> dict[str, Any] | None:
        if isinstance(piece, ReasoningDelta):
            return {"reasoning_content": piece.text}
        if isinstance(piece, FunctionCall):
            return {"tool_calls": [{"index": len(self._generation.calls) - 1, **_call(piece)}]}
        if isinstance(piece, Sources):
            return {"annotations": _annotations(piece.sources, length)}
        return None

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._generation.model,
        }

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, **more: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._envelope("chat.completion.chunk"), "choices": [choice], **more})

    def _text_frame(self) -> tuple[bytes, bytes]:
        """What stands before and behind the text in a chunk: most chunks differ in nothing else."""
        begin, _, end = self._chunk({"content": ""}).rpartition(b'""')
        return begin, end


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % compact_json(data).encode()


def _call(call: FunctionCall) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _annotations(sources: Iterable[Source], end: int) -> list[dict[str, Any]]:
    """Sources in OpenAI's form; the server does not say which part of the text one is for."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": source.url,
                "title": source.title,
                "start_index": 0,
                "end_index": end,
            },
        }
        for source in sources
    ]


def _images(data_urls: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"type": "image_url", "index": index, "image_url": {"url": url}}
        for index, url in enumerate(data_urls)
    ]
