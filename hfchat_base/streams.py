"""What runs a flow that reads a stream, for the streams that a caller holds (`streams.py`).

Here such a flow meets its driver: commands are carried out, events handed out, and whoever leaves
early, by any door, leaves nothing behind. A core does not know the object that the caller holds, so
that dropping the object is enough to leave.

An answer while it comes: what `stream(…)` returns, synchronous and asynchronous.

These are the objects that a caller holds; what runs behind them is in `streams.py`.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator, Mapping
from contextlib import nullcontext, suppress
from types import AsyncGeneratorType
from typing import Any, Final, Generic, TypeVar, cast
from weakref import WeakSet

from typing_extensions import Self

from hfchat_base._flows.commands import Ask, Deliver, Flow, Now, Open, Read, Send, Sleep
from hfchat_base._flows.context import Server
from hfchat_base._flows.run import clean_up_run, stop_run
from hfchat_base._flows.run_state import RunState
from hfchat_base._forks import register
from hfchat_base._transport.aio import AsyncStream, AsyncTransport
from hfchat_base._transport.sync import SyncStream, SyncTransport
from hfchat_base.errors import HuggingChatError, InvalidRequestError, StreamError
from hfchat_base.events import ElicitationRequest, Event, TextDelta
from hfchat_base.types import Answer, OnElicitation

__all__ = ["AnswerStream", "AsyncAnswerStream", "AsyncCore", "SyncCore", "leave_at_exit"]
_Transport = TypeVar("_Transport", bound="SyncTransport | AsyncTransport")

_FAREWELL_SECONDS: Final = 5.0
"""How long leaving may take to tell the server that its run is not wanted."""

_left_at_exit: Final[WeakSet[Generator[Event, None, None]]] = WeakSet()


def leave_at_exit(events: Generator[Event, None, None]) -> None:
    """Leave a synchronous stream when the program ends, if it is still open then."""
    _left_at_exit.add(events)


@atexit.register
def _leave_all() -> None:
    """Leave what is open when the program ends, as long as all that this takes is still there."""
    for events in list(_left_at_exit):
        with suppress(ValueError):  # another thread is reading it
            events.close()


class _Core(Generic[_Transport]):
    """What both streams share: a flow, the run that it reads, and who answers questions."""

    def __init__(
        self,
        server: Server,
        transport: _Transport,
        flow: Flow[Answer],
        run: RunState,
        *,
        on_elicitation: OnElicitation | None,
        stops_on_leave: bool,
    ) -> None:
        self.server = server
        self.transport = transport
        self.run = run
        self.answer: Answer | None = None
        self.is_held = False
        """Whether the caller is in a `with` block, whose end is when the stream is left."""
        self._flow = flow
        self._on_elicitation = on_elicitation
        self._stops_on_leave = stops_on_leave
        self._closed = False
        self._is_parents = False
        register(self)

    @property
    def current(self) -> Answer:
        """The whole answer once there is one, before that what has arrived of it."""
        return self.answer or self.run.accumulator.answer()

    @property
    def is_left_later(self) -> bool:
        """Whether the answer is whole and its conversation still wanted: the `with` block ends it.

        Files of an answer can be fetched as long as its conversation is there.
        """
        return self.is_held and self.answer is not None

    def farewell(self) -> Flow[None]:
        """What is still to be told to the server."""
        return clean_up_run(self.server, self.run, stops=self._stops_on_leave)

    def owes_farewell(self) -> bool:
        """Whether anything is, and there is still an interpreter to tell it with."""
        if self._is_parents or sys.is_finalizing():
            return False
        stops = self._stops_on_leave and self.run.can_be_stopped
        return stops or self.run.to_delete is not None

    def end(self, stop: StopIteration) -> None:
        """Take the answer that the flow has ended with.

        Raises:
            StreamError: It was closed while somebody read it.
        """
        if self._closed:
            raise StreamError(
                "The stream was closed while it was read. What had arrived is in .partial.",
                partial=self.current,
            )
        self.answer = stop.value

    def let_go(self) -> bool:
        """Close the flow; False if that was done before."""
        if self._closed:
            return False
        self._closed = True
        with suppress(ValueError) if self._is_parents else nullcontext():
            self._flow.close()  # in the parent another thread may have been running it
        return True

    def after_fork(self) -> None:
        """Leave the stream and its run to the parent of this process."""
        self._is_parents = True

    def check_owner(self) -> None:
        """Refuse to go on with what the parent of this process has begun.

        Raises:
            StreamError: This is the child of a fork.
        """
        if self._is_parents:
            raise StreamError(
                "This stream was opened before the process was forked, and goes on in the parent"
                " alone. Open a stream of its own in the child.",
                partial=self.current,
            )


class SyncCore(_Core[SyncTransport]):
    """Runs a flow that reads a stream, blocking."""

    _stream: SyncStream | None = None

    def events(self) -> Generator[Event, None, None]:
        """What the flow delivers; closing the generator leaves the stream."""
        try:
            while (batch := self._advance()) is not None:
                yield from batch
        finally:
            if not self.is_left_later:
                self.close()

    def close(self) -> None:
        """Close the flow and the connection, and tell the server."""
        if not self.let_go():
            return
        self._drop()
        if self.owes_farewell():
            self.transport.run(self.farewell(), last_seconds=_FAREWELL_SECONDS)

    def _advance(self) -> list[Event] | None:
        """Run the flow until it has events for the caller; None once it is over."""
        self.check_owner()
        result: Any = None
        error: HuggingChatError | None = None
        try:
            while True:
                command = self._flow.throw(error) if error else self._flow.send(result)
                result = error = None
                if command.__class__ is Deliver:
                    if command.events:
                        return command.events
                    continue
                try:
                    if command.__class__ is Read:
                        result = self._stream.read(command.until) if self._stream else None
                        if result is None:
                            self._drop()
                    else:
                        result = self._perform(command)
                except HuggingChatError as raised:
                    error = raised
        except StopIteration as stop:
            self.end(stop)
            return None

    def _perform(self, command: Any) -> Any:
        if isinstance(command, Send):
            return self.transport.send(command.request)
        if isinstance(command, Open):
            self._drop()
            self._stream, head = self.transport.open(command.request)
            return head
        if isinstance(command, Ask):
            return self._ask(command.request)
        if isinstance(command, Now):
            return time.monotonic()
        if isinstance(command, Sleep):
            self.transport.sleep(command)
        else:
            self._drop()
        return None

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _ask(self, question: ElicitationRequest) -> Mapping[str, Any] | None:
        reply = self._on_elicitation(question) if self._on_elicitation else None
        if inspect.isawaitable(reply):
            if inspect.iscoroutine(reply):
                reply.close()
            msg = (
                "on_elicitation is a coroutine function; the synchronous client takes a plain one."
            )
            raise InvalidRequestError(msg)
        return reply


class AsyncCore(_Core[AsyncTransport]):
    """Runs a flow that reads a stream, in the event loop."""

    _stream: AsyncStream | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the flow delivers; closing the generator leaves the stream."""
        try:
            while (batch := await self._advance()) is not None:
                for event in batch:
                    yield event
        finally:
            if not self.is_left_later:
                await self.close()

    async def close(self) -> None:
        """Close the flow and the connection, and tell the server."""
        if isinstance(sys.exc_info()[1], GeneratorExit):
            self.abandon()
        if not self.let_go():
            return
        self._drop()
        if self.owes_farewell():
            # A cancelled task may wait here, but neither for ever nor half-way.
            farewell = asyncio.ensure_future(self.transport.run(self.farewell()))
            _, late = await asyncio.wait({farewell}, timeout=_FAREWELL_SECONDS)
            if late:
                farewell.cancel()

    def abandon(self) -> None:
        """Close without waiting, where a generator is closed by the garbage collector.

        The event loop may be about to end then: it cancels whoever waits, and complains of
        generators that are still closing.
        """
        if not self.let_go():
            return
        self._drop()
        if self.owes_farewell():
            self.transport.run_apart(self.farewell(), _FAREWELL_SECONDS)

    def __del__(self) -> None:
        self.abandon()

    async def _advance(self) -> list[Event] | None:
        """Run the flow until it has events for the caller; None once it is over."""
        self.check_owner()
        result: Any = None
        error: HuggingChatError | None = None
        try:
            while True:
                command = self._flow.throw(error) if error else self._flow.send(result)
                result = error = None
                if command.__class__ is Deliver:
                    if command.events:
                        return command.events
                    continue
                try:
                    if command.__class__ is Read:
                        result = await self._stream.read(command.until) if self._stream else None
                        if result is None:
                            self._drop()
                    else:
                        result = await self._perform(command)
                except HuggingChatError as raised:
                    error = raised
        except StopIteration as stop:
            self.end(stop)
            return None

    async def _perform(self, command: Any) -> Any:
        if isinstance(command, Send):
            return await self.transport.send(command.request)
        if isinstance(command, Open):
            self._drop()
            self._stream, head = await self.transport.open(command.request)
            return head
        if isinstance(command, Ask):
            return await self._ask(command.request)
        if isinstance(command, Now):
            return time.monotonic()
        if isinstance(command, Sleep):
            await self.transport.sleep(command)
        else:
            self._drop()
        return None

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def _ask(self, question: ElicitationRequest) -> Mapping[str, Any] | None:
        reply = self._on_elicitation(question) if self._on_elicitation else None
        return await reply if isinstance(reply, Awaitable) else reply


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
        self._core.is_held = True
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
        return self._core.transport.run(stop_run(self._core.server, self._core.run))

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
        self._core.is_held = True
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
        return await self._core.transport.run(stop_run(self._core.server, self._core.run))

    async def close(self) -> None:
        """Leave: close the connection, and stop the run if it is not over."""
        await self._core.close()
        if not self._events.ag_running:  # another task may be reading
            await self._events.aclose()
