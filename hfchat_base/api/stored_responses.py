"""Responses and their items, for requests that refer to them by their ids.

Bounded, and in memory: what was forgotten has to be sent again. With ``store: false`` nothing is
kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from hfchat_base.api.failures import RequestError
from hfchat_base.api.schema import InputItem
from hfchat_base.types import ChatMessage

__all__ = ["StoredResponses"]

_MOST_RESPONSES: Final = 1024
_MOST_ITEMS: Final = 4096

Value = TypeVar("Value")


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

    def history(self, response_id: str) -> Sequence[ChatMessage]:
        """The history that ends with a response.

        Raises:
            RequestError: It is not known.
        """
        try:
            return self._histories[response_id]
        except KeyError:
            raise RequestError(
                "There is no such previous response: it is not one of this process, was not"
                " stored, or is too old. Send the whole input.",
                status=404,
                code="previous_response_not_found",
                param="previous_response_id",
            ) from None

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


def _keep(kept: OrderedDict[str, Value], key: str, value: Value, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
