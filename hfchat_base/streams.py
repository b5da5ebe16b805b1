"""An answer while it comes: what `stream(…)` returns, synchronous and asynchronous.

These are the objects that a caller holds; what runs behind them is in `stream_cores.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import AsyncGeneratorType
from typing import cast

from typing_extensions import Self

from hfchat_base.events import Event, TextDelta
from hfchat_base.protocol.flows import leave
from hfchat_base.stream_cores import AsyncCore, SyncCore, leave_at_exit
from hfchat_base.types import Answer

__all__ = ["AnswerStream", "AsyncAnswerStream"]


class AnswerStream:
    """An answer while it comes: iterate over it for its events.

    Nothing is sent before the first event is asked for. Leaving the loop early, an exception, or
    the end of a `with` block or of the program closes the connection at once and stops the server's
    run.

        with conversation.stream("Hello") as stream:
            for event in stream:
                ...
    """

    def __init__(self, core: SyncCore) -> None:
        self._core = core
        self._events = core.events()
        leave_at_exit(self._events)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def answer(self) -> Answer:
        """The whole answer after the last event, before that what has arrived of it."""
        return self._core.current

    def text(self) -> Generator[str, None, None]:
        """Iterate over the pieces of text alone."""
        return (event.text for event in self._events if isinstance(event, TextDelta))

    def result(self) -> Answer:
        """Read to the end and return the whole answer.

        Raises:
            HuggingChatError: The run did not end well; see `StreamError`.
        """
        for _ in self._events:
            pass
        return self._core.current

    def stop(self) -> bool:
        """Ask the server to stop the run; what was written by then still comes.

        May be called from another thread. Returns whether there was a run to stop.

        Raises:
            ResponseError: The server refused.
        """
        return self._core.transport.run(leave.stop(self._core.server, self._core.run))

    def close(self) -> None:
        """Leave: close the connection, and stop the run if it is not over."""
        self._events.close()
        self._core.close()


class AsyncAnswerStream:
    """An answer while it comes: iterate over it for its events.

    Nothing is sent before the first event is asked for. Leaving an `async with` block, an
    exception, or the cancellation of the task closes the connection at once and stops the server's
    run.

        async with conversation.stream("Hello") as stream:
            async for event in stream:
                ...
    """

    def __init__(self, core: AsyncCore) -> None:
        self._core = core
        self._events = cast("AsyncGeneratorType[Event, None]", core.events())

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def answer(self) -> Answer:
        """The whole answer after the last event, before that what has arrived of it."""
        return self._core.current

    async def text(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of text alone."""
        async for event in self._events:
            if isinstance(event, TextDelta):
                yield event.text

    async def result(self) -> Answer:
        """Read to the end and return the whole answer.

        Raises:
            HuggingChatError: The run did not end well; see `StreamError`.
        """
        async for _ in self._events:
            pass
        return self._core.current

    async def stop(self) -> bool:
        """Ask the server to stop the run; what was written by then still comes.

        May be called from another task. Returns whether there was a run to stop.

        Raises:
            ResponseError: The server refused.
        """
        return await self._core.transport.run(leave.stop(self._core.server, self._core.run))

    async def close(self) -> None:
        """Leave: close the connection, and stop the run if it is not over."""
        await self._core.close()
        if not self._events.ag_running:  # another task may be reading
            await self._events.aclose()
