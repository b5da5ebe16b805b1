"""A model written as one Python function.

Blocking functions run in threads, so that they never hold up the server.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from starlette.concurrency import iterate_in_threadpool

from hfchat_base.local.backends.base import ChatRequest, Piece, Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FunctionBackend", "words"]

_PieceOrText: TypeAlias = str | Piece
_Reply: TypeAlias = str | Iterable[_PieceOrText] | AsyncIterable[_PieceOrText]
ReplyFunction: TypeAlias = Callable[[ChatRequest], _Reply | Awaitable[_Reply]]

_WORD = re.compile(r"\s+|\S+\s*")


def words(text: str) -> list[str]:
    """Split a text into the tokens of the scripted models: a word with the space after it."""
    return _WORD.findall(text)


class FunctionBackend:
    """Answers with whatever a function returns or yields.

    The function gets the `ChatRequest`. It returns a text, which is streamed word by word, or
    yields texts (or pieces such as `ToolCall`), and may be sync or async.

    Args:
        function: The function.

    Example:
        >>> backend = FunctionBackend(lambda request: request.last_user_text.upper())
    """

    def __init__(self, function: ReplyFunction) -> None:
        self._function = function

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Run the function and pass its pieces on.

        Args:
            request: What is asked.

        Yields:
            Its pieces.
        """
        reply: object
        function = self._function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            reply = function(request)
        else:
            reply = await asyncio.to_thread(function, request)
        if inspect.isawaitable(reply):
            reply = await reply
        if isinstance(reply, str):
            for word in words(reply):
                yield Text(word)
        elif isinstance(reply, AsyncIterable):
            async for piece in reply:
                yield Text(piece) if isinstance(piece, str) else piece
        elif isinstance(reply, Iterable):
            async for piece in iterate_in_threadpool(reply):
                yield Text(piece) if isinstance(piece, str) else piece
        else:
            raise TypeError(f"a model function must return or yield text, not {type(reply)}")
