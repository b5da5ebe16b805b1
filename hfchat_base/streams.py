"""An answer while it comes: what `stream(…)` returns, synchronous and asynchronous.

`AnswerStream` and `AsyncAnswerStream` are what a caller holds. Behind each is a core, which
advances the flow that reads the answer, and cleans up when the caller closes the stream in any way.
A core has no reference to the object that the caller holds, so dropping that object closes it.

Between the core and the caller is a generator, which the garbage collector closes. `close()` calls
the core directly: only one thread or task at a time can run a generator, and the one that closes
the stream need not be the one that reads it.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import nullcontext, suppress
from types import AsyncGeneratorType
from typing import Final, Generic, TypeVar, cast
from weakref import WeakSet

from typing_extensions import Self

from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.run import clean_up_run, stop_run
from hfchat_base._flows.run_state import AnswerOptions, RunState
from hfchat_base._forks import Lock, register
from hfchat_base._transport.aio import AsyncTransport
from hfchat_base._transport.curl import Transport
from hfchat_base._transport.interpreters import AsyncInterpreter, SyncInterpreter
from hfchat_base._transport.sync import SyncTransport
from hfchat_base.errors import HuggingChatError, StreamError
from hfchat_base.events import Event, TextDelta
from hfchat_base.types import Answer, OnElicitation

__all__ = ["AnswerStream", "AsyncAnswerStream", "AsyncRunner", "SyncRunner"]

T = TypeVar("T")

_CLEANUP_SECONDS: Final = 5.0
"""How many seconds closing a stream may take to stop the server's run."""

_open_cores: Final[WeakSet[SyncCore]] = WeakSet()


@atexit.register
def _close_all() -> None:
    """Close open streams when the program ends, while what this needs still exists."""
    for core in list(_open_cores):
        core.close()


class _Core:
    """What both cores share: the run that the flow reads, and the cleanup on the server."""

    def __init__(self, server: ServerInfo, run: RunState, *, stops_on_leave: bool) -> None:
        self.server = server
        self.run = run
        self.answer: Answer | None = None
        self.is_held = False
        """Whether the caller is in a `with` block, which closes the stream at its end."""
        self._stops_on_leave = stops_on_leave
        self.is_closed = False
        """Whether it was closed; the thread that reads may still have to release it."""
        self._released = False
        self._belongs_to_parent = False
        register(self)

    @property
    def current(self) -> Answer:
        """The whole answer once it is complete, and what has arrived of it before."""
        return self.answer or self.run.answer()

    def explain(self, error: HuggingChatError, *, client_is_closed: bool) -> HuggingChatError:
        """The error to raise: a stream that was closed reports that, whatever error it caused."""
        if self.is_closed and self.answer is None:
            return self._closed_early()
        if not client_is_closed or not self.run.is_running or isinstance(error, StreamError):
            return error
        return StreamError(
            "The client was closed during the answer. What had arrived is in .partial.",
            partial=self.current,
        )

    def whole(self) -> Answer:
        """The whole answer, once all events were taken.

        Raises:
            StreamError: The stream was closed, or has failed, before its end.
        """
        if self.answer is None:
            raise self._closed_early()
        return self.answer

    def _closed_early(self) -> StreamError:
        return StreamError(
            "The stream was closed before its end. What had arrived is in .partial.",
            partial=self.current,
        )

    @property
    def is_closed_later(self) -> bool:
        """Whether the answer is whole, and the end of the `with` block cleans up.

        Until then the conversation exists, and the answer's files can be fetched.
        """
        return self.is_held and self.answer is not None

    def cleanup(self) -> Flow[None]:
        """Clean up on the server."""
        return clean_up_run(self.server, self.run, stops=self._stops_on_leave)

    def needs_cleanup(self) -> bool:
        """Whether there is something to clean up, and Python is not shutting down."""
        if self._belongs_to_parent or sys.is_finalizing():
            return False
        stops = self._stops_on_leave and self.run.can_be_stopped
        held = self.run.settings_hold
        return stops or self.run.to_delete is not None or bool(held and held.before)

    def take_result(self, answer: Answer | None) -> None:
        """Take the answer that the flow has ended with.

        Raises:
            StreamError: It was closed before.
        """
        self.check_open()
        self.answer = answer

    def check_open(self) -> None:
        """Refuse to continue a stream that was closed before its end.

        Raises:
            StreamError: It was closed. What arrived must not pass for the whole answer.
        """
        if self.is_closed and self.answer is None:
            raise self._closed_early()

    def after_fork(self) -> None:
        """Leave the stream and its run to the parent of this process."""
        self._belongs_to_parent = True

    def read_twice(self) -> StreamError:
        """The error for whoever reads a stream while somebody else waits for its next event."""
        return StreamError(
            "Another thread or task is reading this stream. Each event goes to one reader: read it"
            " in one place and hand the events on.",
            partial=self.current,
        )

    def check_owner(self) -> None:
        """Refuse to continue a stream that the parent of this process opened.

        Raises:
            StreamError: This is the child of a fork.
        """
        if self._belongs_to_parent:
            raise StreamError(
                "This stream was opened before the process was forked, and continues only in the"
                " parent. Open another stream in the child.",
                partial=self.current,
            )

    def _release(self, interpreter: SyncInterpreter[Answer] | AsyncInterpreter[Answer]) -> bool:
        """End the flow and drop its connection; False if that was done before."""
        self.is_closed = True
        if self._released:
            return False
        self._released = True
        # In the parent another thread may have been running the flow.
        with suppress(ValueError) if self._belongs_to_parent else nullcontext():
            interpreter.close()
        return True


class SyncCore(_Core):
    """Runs a flow that reads a stream, blocking."""

    def __init__(
        self,
        server: ServerInfo,
        transport: SyncTransport,
        flow: Flow[Answer],
        run: RunState,
        *,
        on_elicitation: OnElicitation | None,
        stops_on_leave: bool,
    ) -> None:
        super().__init__(server, run, stops_on_leave=stops_on_leave)
        self.transport = transport
        self._interpreter = SyncInterpreter(transport, flow, on_elicitation=on_elicitation)
        self._in_use = threading.Lock()
        """Held by the thread that runs the flow or releases it: only one can."""
        self._cleaning = Lock()
        _open_cores.add(self)

    def events(self) -> Generator[Event, None, None]:
        """The events of the flow; closing the generator closes the stream."""
        try:
            self.check_owner()
            while True:
                with self._in_use:
                    batch = self._interpreter.advance()
                if batch is None:
                    break
                if self.is_closed:
                    self.check_open()
                yield from batch
                if self._belongs_to_parent:
                    self.check_owner()
            self.take_result(self._interpreter.result)
        except HuggingChatError as error:
            if (shown := self.explain(error, client_is_closed=self.transport.is_closed)) is error:
                raise
            raise shown from error
        finally:
            if not self.is_closed_later:
                self.close()

    def close(self) -> None:
        """Close the flow and the connection, and clean up on the server.

        May be called from any thread, also from what the flow calls. If the flow is running, its
        own thread alone may release the connection: it gives up waiting for the server, and gets
        here.
        """
        self.is_closed = True  # first, because the thread that runs the flow reads it afterwards
        if self._in_use.acquire(blocking=False):
            try:
                self._release(self._interpreter)
            finally:
                self._in_use.release()
        else:
            self._interpreter.given_up.set()
        with self._cleaning:
            if self.needs_cleanup():
                self.transport.run(self.cleanup(), last_seconds=_CLEANUP_SECONDS)

    def after_fork(self) -> None:
        """Leave the stream to the parent, whose threads are not in this process."""
        self._in_use = threading.Lock()
        super().after_fork()


class AsyncCore(_Core):
    """Runs a flow that reads a stream, in the event loop."""

    def __init__(
        self,
        server: ServerInfo,
        transport: AsyncTransport,
        flow: Flow[Answer],
        run: RunState,
        *,
        on_elicitation: OnElicitation | None,
        stops_on_leave: bool,
    ) -> None:
        super().__init__(server, run, stops_on_leave=stops_on_leave)
        self.transport = transport
        self._interpreter = AsyncInterpreter(transport, flow, on_elicitation=on_elicitation)

    async def events(self) -> AsyncGenerator[Event, None]:
        """The events of the flow; closing the generator closes the stream."""
        try:
            self.check_owner()
            while (batch := await self._interpreter.advance()) is not None:
                for event in batch:
                    yield event
                if self._belongs_to_parent:
                    self.check_owner()
            self.take_result(self._interpreter.result)
        except HuggingChatError as error:
            if (shown := self.explain(error, client_is_closed=self.transport.is_closed)) is error:
                raise
            raise shown from error
        finally:
            if not self.is_closed_later:
                await self.close()

    async def close(self) -> None:
        """Close the flow and the connection, and clean up on the server."""
        if isinstance(sys.exc_info()[1], GeneratorExit) or self.transport.is_closed:
            self.abandon()
        if self._release(self._interpreter) and self.needs_cleanup():
            # A cancelled task may wait here, to the end of the cleanup or of the time limit.
            cleanup = asyncio.ensure_future(self.transport.run(self.cleanup()))
            _, late = await asyncio.wait({cleanup}, timeout=_CLEANUP_SECONDS)
            if late:
                cleanup.cancel()

    def abandon(self) -> None:
        """Close without waiting, and without the client's connections.

        The garbage collector closes generators this way. The event loop may be about to end then:
        it cancels tasks that wait, and reports generators that are still closing.
        """
        if self._release(self._interpreter) and self.needs_cleanup():
            self.transport.run_in_background(self.cleanup(), _CLEANUP_SECONDS)

    def __del__(self) -> None:
        if hasattr(self, "_interpreter"):
            self.abandon()


class AnswerStream:
    """An answer while it comes: iterate over it for its events.

    Nothing is sent before the first event is requested. Leaving the loop early, an exception, or
    the end of a `with` block or of the program closes the connection at once and stops the server's
    run.

        with conversation.stream("Hello") as stream:
            for event in stream:
                ...
    """

    def __init__(self, core: SyncCore) -> None:
        self._core = core
        self._events = core.events()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._core.is_closed:
            self._core.check_open()
        try:
            return next(self._events)
        except ValueError as error:
            # Python's own, of a generator that another thread runs, has not been in the generator.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
        raise self._core.read_twice()

    def __enter__(self) -> Self:
        self._core.is_held = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def answer(self) -> Answer:
        """The whole answer after the last event, and what has arrived of it before."""
        return self._core.current

    def text(self) -> Generator[str, None, None]:
        """Iterate over the pieces of text alone."""
        return (event.text for event in self if isinstance(event, TextDelta))

    def result(self) -> Answer:
        """Read to the end and return the whole answer.

        Raises:
            HuggingChatError: The run did not end well; see `StreamError`.
        """
        for _ in self:
            pass
        return self._core.whole()

    def stop(self) -> bool:
        """Ask the server to stop the run; what was written by then still comes.

        May be called from another thread. Returns whether there was a run to stop.

        Raises:
            ResponseError: The server refused.
        """
        return self._core.transport.run(stop_run(self._core.server, self._core.run))

    def close(self) -> None:
        """Close the connection, and stop the run if it is not over.

        May be called from another thread; a reader then gets a `StreamError`.
        """
        self._core.close()


class AsyncAnswerStream:
    """An answer while it comes: iterate over it for its events.

    Nothing is sent before the first event is requested. Leaving an `async with` block, an
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
        return self

    def __anext__(self) -> Awaitable[Event]:
        # Not a coroutine, which would add a call to every token.
        if self._core.is_closed:
            self._core.check_open()
        if self._events.ag_running:
            raise self._core.read_twice()
        return self._events.__anext__()

    async def __aenter__(self) -> Self:
        self._core.is_held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def answer(self) -> Answer:
        """The whole answer after the last event, and what has arrived of it before."""
        return self._core.current

    async def text(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of text alone."""
        async for event in self:
            if isinstance(event, TextDelta):
                yield event.text

    async def result(self) -> Answer:
        """Read to the end and return the whole answer.

        Raises:
            HuggingChatError: The run did not end well; see `StreamError`.
        """
        async for _ in self:
            pass
        return self._core.whole()

    async def stop(self) -> bool:
        """Ask the server to stop the run; what was written by then still comes.

        May be called from another task. Returns whether there was a run to stop.

        Raises:
            ResponseError: The server refused.
        """
        return await self._core.transport.run(stop_run(self._core.server, self._core.run))

    async def close(self) -> None:
        """Close the connection, and stop the run if it is not over."""
        await self._core.close()
        if not self._events.ag_running:  # another task may be reading
            await self._events.aclose()


TransportT = TypeVar("TransportT", bound=Transport)


class _Runner(Generic[TransportT]):
    """Runs the flows of one client and of its conversations.

    Args:
        server: What is known of the server.
        transport: How to reach it.
        stops_on_leave: Whether leaving a stream early also stops the server's run.
        defaults: How answers are wanted where a call does not say.
    """

    def __init__(
        self,
        server: ServerInfo,
        transport: TransportT,
        *,
        stops_on_leave: bool,
        defaults: AnswerOptions,
    ) -> None:
        self.server = server
        self.transport = transport
        self.defaults = defaults
        self._stops_on_leave = stops_on_leave


class SyncRunner(_Runner[SyncTransport]):
    """Runs the flows of one client and of its conversations, blocking."""

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        Raises:
            HuggingChatError: What the flow raises.
        """
        return self.transport.run(flow)

    def stream(
        self, flow: Callable[[RunState], Flow[Answer]], on_elicitation: OnElicitation | None
    ) -> AnswerStream:
        """Make a stream of a flow that reads an answer."""
        run = RunState()
        core = SyncCore(
            self.server,
            self.transport,
            flow(run),
            run,
            on_elicitation=on_elicitation,
            stops_on_leave=self._stops_on_leave,
        )
        return AnswerStream(core)


class AsyncRunner(_Runner[AsyncTransport]):
    """Runs the flows of one client and of its conversations in the event loop."""

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        Raises:
            HuggingChatError: What the flow raises.
        """
        return await self.transport.run(flow)

    def stream(
        self, flow: Callable[[RunState], Flow[Answer]], on_elicitation: OnElicitation | None
    ) -> AsyncAnswerStream:
        """Make a stream of a flow that reads an answer."""
        run = RunState()
        core = AsyncCore(
            self.server,
            self.transport,
            flow(run),
            run,
            on_elicitation=on_elicitation,
            stops_on_leave=self._stops_on_leave,
        )
        return AsyncAnswerStream(core)
