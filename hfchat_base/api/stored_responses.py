"""Responses and their items, for requests that refer to them by their ids.

Bounded, and in memory. The id of a response also says where the server keeps it, so that a response
that is not in memory, as after a restart, is read from its conversation. Items are not. With
``store: false`` nothing is kept, and the id says nothing.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from hfchat_base.api.failures import RequestError
from hfchat_base.api.schema import InputItem
from hfchat_base.client import AsyncHuggingChat
from hfchat_base.errors import AccessDeniedError, ConversationNotFoundError
from hfchat_base.types import Answer, AnswerReference, ChatMessage, branch_to

__all__ = ["StoredResponses", "response_id"]

_MOST_RESPONSES: Final = 1024
_MOST_ITEMS: Final = 4096
_ID: Final = re.compile(r"resp_([0-9a-f]{24})([0-9a-f]{32})")
"""A conversation's id and that of the run that wrote the answer: both are known when it begins."""

Value = TypeVar("Value")


def response_id(answer: Answer | None) -> str:
    """Make up the id of a response.

    Args:
        answer: What has come of the answer, or None if it is not to be continued. Legacy servers do
            not name runs: there the id says nothing either.
    """
    if answer is not None and answer.generation_id is not None:
        made = f"resp_{answer.conversation_id}{answer.generation_id.replace('-', '')}"
        if _ID.fullmatch(made):
            return made
    return f"resp_{uuid.uuid4().hex}"


class StoredResponses:
    """The latest responses of a process."""

    def __init__(self) -> None:
        self._histories: OrderedDict[str, Sequence[ChatMessage]] = OrderedDict()
        self._items: OrderedDict[str, InputItem] = OrderedDict()

    def add(
        self, response_id: str, history: Sequence[ChatMessage], items: Iterable[Mapping[str, Any]]
    ) -> None:
        """Keep a response.

        Args:
            response_id: Its id.
            history: The history that ends with it, without the instructions.
            items: Its output.
        """
        _keep(self._histories, response_id, history, _MOST_RESPONSES)
        for item in items:
            _keep(self._items, item["id"], InputItem.model_validate(item), _MOST_ITEMS)

    async def history(self, response_id: str, client: AsyncHuggingChat) -> Sequence[ChatMessage]:
        """The history that ends with a response.

        Args:
            response_id: Its id.
            client: Who reads it from the server, if need be.

        Raises:
            RequestError: It is not known.
            HuggingChatError: The server could not be asked.
        """
        history: Sequence[ChatMessage] | None = self._histories.get(response_id)
        if history is None and (ids := _ID.fullmatch(response_id)):
            history = await _read_history(client, ids[1], str(uuid.UUID(ids[2])))
        if history is None:
            raise RequestError(
                "There is no such previous response: it was not stored, its conversation is gone,"
                " or it is another account's. Send the whole input.",
                status=404,
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return history

    def item(self, item_id: str) -> InputItem:
        """An item of a response.

        Raises:
            RequestError: It is not known.
        """
        try:
            return self._items[item_id]
        except KeyError:
            raise RequestError(
                "The input refers to an item that is not one of this process, was not stored, or is"
                " too old. Send the item itself; clients do that with store: false.",
                status=404,
                code="item_not_found",
                param="input",
            ) from None


async def _read_history(
    client: AsyncHuggingChat, conversation_id: str, generation_id: str
) -> list[ChatMessage] | None:
    """Read what ends with a run's answer, without the system prompt; None if it is not there."""
    try:
        conversation = await client.get_conversation(conversation_id)
        stored = await conversation.messages()
    except (ConversationNotFoundError, AccessDeniedError):
        return None
    written = [
        message
        for message in stored
        if message.role == "assistant" and message.generation_id == generation_id
    ]
    if not written:
        return None
    *before, last = branch_to(stored, written[-1].id)
    reference = AnswerReference(conversation_id, last.id, None)
    said = [
        ChatMessage(message.role, message.content) for message in before if message.role != "system"
    ]
    return [*said, ChatMessage("assistant", last.content, reference=reference)]


def _keep(kept: OrderedDict[str, Value], key: str, value: Value, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
