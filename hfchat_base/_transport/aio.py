"""The asynchronous driver: curl's handles in the running event loop, no threads.

libcurl has the loop watch its sockets and is called when they are ready (`multi.py`), with one
multi handle per event loop. An exchange that is closed early is taken off the loop at once, which
closes its connection. A client may be used in one event loop after another.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from dataclasses import replace
from typing import TypeVar

from typing_extensions import Self

from hfchat_base._flows.commands import Chunk, Flow, Sleep, TimedOut
from hfchat_base._forks import register
from hfchat_base._protocol.http import Request, Response
from hfchat_base._transport import interpreters
from hfchat_base._transport.curl import Exchange, Transport, deadline, no_answer
from hfchat_base._transport.interpreters import AsyncInterpreter
from hfchat_base._transport.multi import LoopMulti
from hfchat_base._transport.sync import SyncTransport
from hfchat_base.errors import HuggingChatError

T = TypeVar("T")


class AsyncTransport(Transport):
    """Sends requests and runs flows in the running event loop. See `Transport`."""

    def _prepare(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, LoopMulti] = {}

    async def send(self, request: Request) -> Response:
        """Send a request and wait for the whole response.

        Raises:
            TransportError: No response arrived.
        """
        async with await self.start(request) as stream:
            return await stream.finish(self._response_timeout)

    async def start(self, request: Request) -> AsyncStream:
        """Send a request without waiting for its response."""
        await self._resolve_credentials()
        return AsyncStream(self, request, is_stream=False)

    async def open(self, request: Request) -> tuple[AsyncStream, Response]:
        """Send a request and wait for the head of the response.

        Raises:
            TransportError: No response arrived.
        """
        await self._resolve_credentials()
        stream = AsyncStream(self, request, is_stream=True)
        try:
            return stream, await stream.open(self._head_timeout)
        except BaseException:
            stream.close()
            raise

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow.

        Raises:
            HuggingChatError: What the flow raises.
        """
        return await AsyncInterpreter(self, flow).run()

    def run_in_background(self, flow: Flow[None], seconds: float) -> None:
        """Run a flow without waiting for it, whatever becomes of the event loop.

        Args:
            flow: A flow that opens no stream and raises no error.
            seconds: How long to wait for each response.
        """
        transport = SyncTransport(
            self._connection, self._credentials, response_timeout=seconds, head_timeout=seconds
        )

        def run() -> None:
            try:
                transport.run(flow)
            finally:
                transport.close()

        threading.Thread(target=run, name="hfchat-cleanup").start()

    async def sleep(self, pause: Sleep) -> None:
        """Wait as a flow wants."""
        await asyncio.sleep(pause.seconds * (1.0 if pause.is_due else interpreters.pause_factor))

    async def close(self) -> None:
        """Close the connections, those of other event loops too."""
        self._closed = True
        here = self._loops.pop(asyncio.get_running_loop(), None)
        self._release_all()
        if here is not None:
            here.close()

    def __del__(self) -> None:
        if not getattr(self, "_loops", None) or sys.is_finalizing():
            return
        self._release_all()
        self._warn_of_drop()

    def after_fork(self) -> None:
        """Leave all connections to the parent of this process, and its event loop alone."""
        loops, self._loops = self._loops, {}
        for multi in loops.values():
            multi.after_fork()
        super().after_fork()

    def multi(self) -> LoopMulti:
        """The transfers of the running event loop.

        Raises:
            TransportError: There is no descriptor left for them.
        """
        if self._closed:
            msg = "The client is closed."
            raise HuggingChatError(msg)
        loop = asyncio.get_running_loop()
        multi = self._loops.get(loop)
        if multi is None:
            self._release_all(only_closed=True)
            multi = self._loops[loop] = LoopMulti(loop)
        return multi

    def _release_all(self, *, only_closed: bool = False) -> None:
        """Close connections from wherever this is called, also the garbage collector."""
        for loop in [loop for loop in self._loops if loop.is_closed() or not only_closed]:
            multi = self._loops.pop(loop, None)
            if multi is None:  # another thread was faster
                continue
            try:
                loop.call_soon_threadsafe(multi.close)
            except RuntimeError:  # the loop is closed
                multi.close()

    async def _resolve_credentials(self) -> None:
        if not self._credentials.is_resolved:
            # It may be in a file, or in a browser's profile.
            await asyncio.to_thread(self._credentials.resolve)

    def exchange(self, request: Request, *, is_stream: bool) -> Exchange:
        """Prepare a request."""
        return Exchange(
            self._connection,
            self._credentials,
            request,
            is_stream=is_stream,
            pauses=is_stream,
            sockets=self._sockets,
        )


class AsyncStream:
    """A response that is read as it comes.

    Args:
        transport: Where the connections are.
        request: What to send.
        is_stream: See `Exchange`.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        request: Request,
        *,
        is_stream: bool,
    ) -> None:
        self._request = request
        self._transport = transport  # which would close the connection if it was dropped
        self._multi = transport.multi()
        self._exchange = transport.exchange(request, is_stream=is_stream)
        self._waker = _Waker()
        self._multi.add(self._exchange, self._waker.wake)
        self._is_open = True
        register(self)

    async def open(self, timeout: float | None) -> Response:
        """Wait for the head.

        Raises:
            TransportError: No head arrived, or not within `timeout` seconds.
        """
        until = deadline(timeout)
        exchange = self._exchange
        while not exchange.head_is_complete:
            if exchange.is_done:
                exchange.raise_error()
            if not await self._waker.wait(until):
                raise no_answer(self._request, timeout)
        exchange.raise_broken()
        return exchange.head(time.monotonic())

    async def read(self, until: float | None) -> Chunk | TimedOut | None:
        """Wait for more of the body; None at its clean end.

        Raises:
            TransportError: The connection was lost.
        """
        exchange = self._exchange
        while True:
            if exchange.broken_by is not None:
                exchange.raise_broken()
            if exchange.chunks:
                data = exchange.take()
                if exchange.is_paused:
                    exchange.resume()
                return Chunk(data, time.monotonic())
            if exchange.is_done:
                exchange.raise_error()
                return None
            if not await self._waker.wait(until):
                return TimedOut(time.monotonic())

    async def finish(self, timeout: float | None) -> Response:
        """Wait for the whole response, at most `timeout` seconds.

        Raises:
            TransportError: No whole response arrived, or not in time.
        """
        until = deadline(timeout)
        head = await self.open(timeout)
        pieces: list[bytes] = []
        while (chunk := await self.read(until)) is not None:
            if isinstance(chunk, TimedOut):
                raise no_answer(self._request, timeout)
            pieces.append(chunk.data)
        return replace(head, body=b"".join(pieces))

    def close(self) -> None:
        """Let go: the connection is kept if the response was read to its end, else dropped now."""
        if not self._is_open:
            return
        self._is_open = False
        self._waker.cancel()
        if not self._exchange.is_done:
            self._multi.remove(self._exchange)
        self._exchange.close()
        self._exchange.raise_broken()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):
            self.close()

    def after_fork(self) -> None:
        """Leave the connection to the parent of this process."""
        self._is_open = False
        self._exchange.after_fork()


class _Waker:
    """Wakes whoever waits for news of an exchange, or when a deadline passes.

    It does not know the stream, so that dropping the stream is enough to leave. Deadlines move
    with every token, so its timer is not replaced each time: one that fires too early is set again.
    """

    __slots__ = ("_timer", "_until", "_waiter")

    def __init__(self) -> None:
        self._waiter: asyncio.Future[bool] | None = None
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Say that something has happened. Functions that libcurl calls must not call this."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def wait(self, until: float | None) -> asyncio.Future[bool]:
        """Wait until something has happened; False once the deadline has passed."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if until is not None:
            if until <= time.monotonic():
                self._waiter.set_result(False)
            else:
                self._set_timer(loop, until)
        self._until = until
        return self._waiter

    def cancel(self) -> None:
        """Set no more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._timer is not None:
            if self._until is not None and self._until <= until:
                return  # it fires in time
            self._timer.cancel()
        self._timer = loop.call_later(until - time.monotonic(), self._time_is_up, loop)

    def _time_is_up(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._until is None:
            return
        if (left := self._until - time.monotonic()) > 0:
            self._timer = loop.call_later(left, self._time_is_up, loop)
        else:
            self._waiter.set_result(False)
