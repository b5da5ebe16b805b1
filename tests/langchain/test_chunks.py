"""Chunks that are made the fast way are chunks like any other."""

from __future__ import annotations

import pickle

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_huggingchat.chunks import text_chunk


def test_equal_to_one_that_was_checked() -> None:
    """A text chunk is what pydantic would have made, down to what was set."""
    ordinary = ChatGenerationChunk(message=AIMessageChunk(content="hello"))
    fast = text_chunk("hello")
    assert fast == ordinary
    assert fast.model_fields_set == ordinary.model_fields_set
    assert fast.message.model_fields_set == ordinary.message.model_fields_set
    assert repr(fast) == repr(ordinary)
    assert pickle.loads(pickle.dumps(fast)) == ordinary  # noqa: S301 - made right here


def test_chunks_share_nothing() -> None:
    """What is changed in one chunk is not changed in another."""
    first, second = text_chunk("a"), text_chunk("b")
    first.message.additional_kwargs["key"] = 1
    first.message.response_metadata["key"] = 1
    first.message.id = "x"
    assert second == ChatGenerationChunk(message=AIMessageChunk(content="b"))
    assert text_chunk("c") == ChatGenerationChunk(message=AIMessageChunk(content="c"))
    assert (first + second).text == "ab"


def test_message_takes_fields_of_anybody() -> None:
    """A message takes whatever field a caller gives it, and so does one in a text chunk."""
    message = text_chunk("a").message
    message.note = "x"  # type: ignore[attr-defined]
    assert message.model_dump()["note"] == "x"
    assert "note" not in text_chunk("a").message.model_dump()
