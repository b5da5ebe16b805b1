"""Responses of text alone, which are made without validation."""

from __future__ import annotations

import pickle

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock

from llama_index_huggingchat.responses import text_response


def checked(text: str, delta: str) -> ChatResponse:
    """A response as pydantic makes it."""
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=text)])
    return ChatResponse(message=message, delta=delta)


def test_equal_to_one_that_was_checked() -> None:
    """A text response is what pydantic would have made, down to what was set."""
    fast, ordinary = text_response("hello", "lo"), checked("hello", "lo")
    assert fast == ordinary
    assert repr(fast) == repr(ordinary)
    assert fast.model_fields_set == ordinary.model_fields_set
    assert fast.message.blocks[0].model_fields_set == ordinary.message.blocks[0].model_fields_set
    assert fast.model_dump() == ordinary.model_dump()
    assert pickle.loads(pickle.dumps(fast)) == ordinary  # noqa: S301 - made right here


def test_responses_share_nothing() -> None:
    """What is changed in one response is not changed in another."""
    first, second = text_response("a", "a"), text_response("b", "b")
    first.additional_kwargs["key"] = 1
    first.message.additional_kwargs["key"] = 1
    first.message.blocks.append(TextBlock(text="more"))
    assert second == checked("b", "b")
    assert text_response("c", "c") == checked("c", "c")
