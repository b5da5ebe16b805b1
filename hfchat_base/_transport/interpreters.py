"""The two interpreters of commands: each carries out what a flow asks for, one thing at a time.

They are the same but for how they wait, and can be read side by side. A flow is a generator: it
yields a command and is sent what came of it, or has the error raised into it. Events that it
delivers are handed to whoever advances it; what it returns is the result.

Reading a token is `Read` and `Deliver`, so these two are looked at first and by their class.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

from hfchat_base._flows.commands import (
    Chunk,
    Close,
    Collect,
    Compute,
    Deliver,
    Elicit,
    Flow,
    HasAccount,
    Notify,
    Now,
    Open,
    Read,
    Send,
    Sleep,
    Start,
    TimedOut,
)
from hfchat_base._protocol.http import Request, Response
from hfchat_base.errors import HuggingChatError, InvalidRequestError
from hfchat_base.events import ElicitationRequest, Event
from hfchat_base.types import OnElicitation, Retry

T = TypeVar("T")

pause_factor: float = 1.0
"""What every pause of a flow is multiplied by: the one switch for tests (`hfchat_base.testing`)."""

OnRetry = Callable[[Retry], object]

_CALLS_THE_CALLER: Final = (Elicit, Notify)
"""The commands that a function of the caller carries out. What that raises is for the caller: it is
not an error of the transport, from which the flow might recover."""


class _Closable(Protocol):
    def close(self) -> None: ...


StreamT = TypeVar("StreamT", bound=_Closable)
StartedT = TypeVar("StartedT", bound=_Closable)


class _Interpreter(Generic[T, StreamT, StartedT]):
    """What both interpreters hold, and how they release it, which needs no waiting."""

    def __init__(self, flow: Flow[T], on_elicitation: OnElicitation | None) -> None:
        self.result: T | None = None
        self._flow = flow
        self._on_elicitation = on_elicitation
        self._stream: StreamT | None = None
        self._started: StartedT | None = None

    def drop(self) -> None:
        """Drop the open stream's connection now."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _drop_started(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.close()

    def close(self) -> None:
        """End the flow where it stands, and drop its connections."""
        try:
            self._flow.close()
        finally:
            self.drop()
            self._drop_started()


class SyncResponseStream(Protocol):
    """An open response of the synchronous transport."""

    def read(self, until: float | None) -> Chunk | TimedOut | None: ...
    def close(self) -> None: ...


class SyncPendingResponse(Protocol):
    """The response to a `Start`, of the synchronous transport."""

    def work(self) -> None: ...
    def finish(self, timeout: float | None) -> Response: ...
    def close(self) -> None: ...


class SyncSender(Protocol):
    """What the synchronous interpreter needs of its transport."""

    @property
    def has_account(self) -> bool: ...
    @property
    def on_retry(self) -> OnRetry | None: ...
    def send(
        self,
        request: Request,
        *,
        last_seconds: float | None = None,
        given_up: threading.Event | None = None,
    ) -> Response: ...
    def open(
        self, request: Request, *, given_up: threading.Event | None = None
    ) -> tuple[SyncResponseStream, Response]: ...
    def start(self, request: Request) -> SyncPendingResponse: ...
    def sleep(self, pause: Sleep) -> None: ...
    def now(self) -> float: ...


class SyncInterpreter(_Interpreter[T, SyncResponseStream, SyncPendingResponse]):
    """Runs one flow, blocking.

    Args:
        transport: Sends, opens and sleeps.
        flow: The flow.
        on_elicitation: Answers the questions of tools; None declines them.
        last_seconds: For a flow that may run on a closed client: how long to wait for a response.

    Attributes:
        result: What the flow has returned, once `advance` has returned None.
        given_up: Set from another thread, it ends `advance` as soon as that waits for the server.
    """

    def __init__(
        self,
        transport: SyncSender,
        flow: Flow[T],
        *,
        on_elicitation: OnElicitation | None = None,
        last_seconds: float | None = None,
    ) -> None:
        super().__init__(flow, on_elicitation)
        self.given_up = threading.Event()
        self._transport = transport
        self._last_seconds = last_seconds

    def advance(self) -> list[Event] | None:
        """Run the flow until it has events for the caller; None once it is over.

        Raises:
            HuggingChatError: What the flow raises.
            Exception: Whatever a function of the caller raises.
        """
        outcome: Any = None
        error: HuggingChatError | None = None
        while True:
            try:
                command = self._flow.throw(error) if error else self._flow.send(outcome)
            except StopIteration as stop:
                self.result = stop.value
                return None
            outcome = error = None
            if command.__class__ is Deliver:
                if command.events:
                    return command.events
                continue
            try:
                if command.__class__ is Read:
                    if self._started is not None:
                        self._started.work()
                    outcome = self._stream.read(command.until) if self._stream else None
                    if outcome is None:
                        self.drop()
                else:
                    outcome = self._perform(command)
            except HuggingChatError as raised:
                # A flow that was given up has nothing to recover from.
                if command.__class__ in _CALLS_THE_CALLER or self.given_up.is_set():
                    raise
                error = raised

    def _perform(self, command: Any) -> Any:  # noqa: C901, PLR0911 - a table of commands
        match command:
            case Send(request):
                return self._transport.send(
                    request, last_seconds=self._last_seconds, given_up=self.given_up
                )
            case Open(request):
                self.drop()
                self._stream, head = self._transport.open(request, given_up=self.given_up)
                return head
            case Start(request):
                self._drop_started()
                with suppress(HuggingChatError):  # the open stream matters more
                    self._started = self._transport.start(request)
            case Collect(seconds):
                return self._collect(seconds)
            case Close():
                self.drop()
            case Sleep():
                self._transport.sleep(command)
            case Now():
                return self._transport.now()
            case Compute(work):
                return work()
            case HasAccount():
                return self._transport.has_account
            case Elicit(question):
                return self._ask(question)
            case Notify(retry) if self._transport.on_retry is not None:
                self._transport.on_retry(retry)
        return None

    def _collect(self, seconds: float | None) -> Response | None:
        try:
            return self._started.finish(seconds) if self._started else None
        finally:
            self._drop_started()

    def _ask(self, question: ElicitationRequest) -> Mapping[str, Any] | None:
        reply = self._on_elicitation(question) if self._on_elicitation else None
        if inspect.isawaitable(reply):
            if inspect.iscoroutine(reply):
                reply.close()
            raise InvalidRequestError(
                "on_elicitation is a coroutine function; the synchronous client takes a plain one."
            )
        return reply

    def run(self) -> T:
        """Run the flow to its end, and drop the events that it delivers.

        Raises:
            HuggingChatError: What the flow raises.
        """
        try:
            while self.advance() is not None:
                pass
        finally:
            self.close()
        return self.result  # type: ignore[return-value]  # the flow has ended


class AsyncResponseStream(Protocol):
    """An open response of the asynchronous transport."""

    async def read(self, until: float | None) -> Chunk | TimedOut | None: ...
    def close(self) -> None: ...


class AsyncPendingResponse(Protocol):
    """The response to a `Start`, of the asynchronous transport."""

    async def finish(self, timeout: float | None) -> Response: ...
    def close(self) -> None: ...


class AsyncSender(Protocol):
    """What the asynchronous interpreter needs of its transport."""

    @property
    def has_account(self) -> bool: ...
    @property
    def on_retry(self) -> OnRetry | None: ...
    async def send(self, request: Request) -> Response: ...
    async def open(self, request: Request) -> tuple[AsyncResponseStream, Response]: ...
    async def start(self, request: Request) -> AsyncPendingResponse: ...
    async def sleep(self, pause: Sleep) -> None: ...
    def now(self) -> float: ...


class AsyncInterpreter(_Interpreter[T, AsyncResponseStream, AsyncPendingResponse]):
    """Runs one flow in the event loop.

    Args:
        transport: Sends, opens and sleeps.
        flow: The flow.
        on_elicitation: Answers the questions of tools; None declines them.

    Attributes:
        result: What the flow has returned, once `advance` has returned None.
    """

    def __init__(
        self,
        transport: AsyncSender,
        flow: Flow[T],
        *,
        on_elicitation: OnElicitation | None = None,
    ) -> None:
        super().__init__(flow, on_elicitation)
        self._transport = transport

    async def advance(self) -> list[Event] | None:
        """Run the flow until it has events for the caller; None once it is over.

        Raises:
            HuggingChatError: What the flow raises.
            Exception: Whatever a function of the caller raises.
        """
        outcome: Any = None
        error: HuggingChatError | None = None
        while True:
            try:
                command = self._flow.throw(error) if error else self._flow.send(outcome)
            except StopIteration as stop:
                self.result = stop.value
                return None
            outcome = error = None
            if command.__class__ is Deliver:
                if command.events:
                    return command.events
                continue
            try:
                if command.__class__ is Read:
                    outcome = await self._stream.read(command.until) if self._stream else None
                    if outcome is None:
                        self.drop()
                else:
                    outcome = await self._perform(command)
            except HuggingChatError as raised:
                if command.__class__ in _CALLS_THE_CALLER:
                    raise
                error = raised

    async def _perform(self, command: Any) -> Any:  # noqa: C901, PLR0911 - a table of commands
        match command:
            case Send(request):
                return await self._transport.send(request)
            case Open(request):
                self.drop()
                self._stream, head = await self._transport.open(request)
                return head
            case Start(request):
                self._drop_started()
                with suppress(HuggingChatError):  # the open stream matters more
                    self._started = await self._transport.start(request)
            case Collect(seconds):
                return await self._collect(seconds)
            case Close():
                self.drop()
            case Sleep():
                await self._transport.sleep(command)
            case Now():
                return self._transport.now()
            case Compute(work):
                return await asyncio.to_thread(work)
            case HasAccount():
                return self._transport.has_account
            case Elicit(question):
                return await self._ask(question)
            case Notify(retry) if self._transport.on_retry is not None:
                self._transport.on_retry(retry)
        return None

    async def _collect(self, seconds: float | None) -> Response | None:
        try:
            return await self._started.finish(seconds) if self._started else None
        finally:
            self._drop_started()

    async def _ask(self, question: ElicitationRequest) -> Mapping[str, Any] | None:
        reply = self._on_elicitation(question) if self._on_elicitation else None
        return await reply if isinstance(reply, Awaitable) else reply

    async def run(self) -> T:
        """Run the flow to its end, and drop the events that it delivers.

        Raises:
            HuggingChatError: What the flow raises.
        """
        try:
            while await self.advance() is not None:
                pass
        finally:
            self.close()
        return self.result  # type: ignore[return-value]  # the flow has ended
