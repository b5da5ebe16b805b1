"""The synchronous driver: waits in the caller's own thread, one curl multi handle per exchange.

Nothing runs in the background. Data moves only while somebody waits for it, so a slow reader slows
the server down by TCP alone, leaving a stream means dropping a handle, and any number of threads
can use one transport. Multi handles are kept for reuse, because the open connections live in them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from threading import Event
from typing import Any, Final, TypeVar

from curl_cffi import CurlECode, CurlError, ffi, lib
from typing_extensions import Self

from hfchat_base._flows.commands import Chunk, Flow, Sleep, TimedOut
from hfchat_base._forks import Lock, register
from hfchat_base._protocol.http import Request, Response
from hfchat_base._transport import interpreters
from hfchat_base._transport.curl import (
    Exchange,
    Transport,
    deadline,
    new_multi,
    no_answer,
)
from hfchat_base._transport.interpreters import SyncInterpreter
from hfchat_base.errors import HuggingChatError, TransportError

T = TypeVar("T")

_POLL_SECONDS: Final = 0.1
"""How long libcurl waits at a time, so that Ctrl-C is noticed, and that another thread gives up."""

_MAX_IDLE: Final = 16
"""How many idle multi handles are kept."""

_DONE: Final = 1  # CURLMSG_DONE, as libcurl documents it


class SyncTransport(Transport):
    """Sends requests and runs flows, blocking. Safe between threads. See `Transport`."""

    def _prepare(self) -> None:
        self._idle: list[Any] = []
        self._lock = Lock()

    def send(
        self,
        request: Request,
        *,
        last_seconds: float | None = None,
        given_up: Event | None = None,
    ) -> Response:
        """Send a request and wait for the whole response.

        Args:
            request: What to send.
            last_seconds: For what is sent last, also by a client that was closed before: how long
                to wait for it, in place of the client's own timeout.
            given_up: Set by another thread, it ends the wait.

        Raises:
            TransportError: No response arrived.
        """
        timeout = self._response_timeout if last_seconds is None else last_seconds
        stream = SyncStream(
            self,
            request,
            is_stream=False,
            is_last=last_seconds is not None,
            given_up=given_up,
        )
        with stream:
            return stream.finish(timeout)

    def start(self, request: Request) -> SyncStream:
        """Send a request without waiting for its response."""
        stream = SyncStream(self, request, is_stream=False)
        stream.work()
        return stream

    def open(
        self, request: Request, *, given_up: Event | None = None
    ) -> tuple[SyncStream, Response]:
        """Send a request and wait for the head of the response.

        Args:
            request: What to send.
            given_up: Set by another thread, it ends this wait, and those for the body.

        Raises:
            TransportError: No response arrived.
        """
        stream = SyncStream(self, request, is_stream=True, given_up=given_up)
        try:
            return stream, stream.open(self._head_timeout)
        except BaseException:
            stream.close()
            raise

    def run(self, flow: Flow[T], *, last_seconds: float | None = None) -> T:
        """Run a flow.

        Args:
            flow: The flow.
            last_seconds: See `send`.

        Raises:
            HuggingChatError: What the flow raises.
        """
        return SyncInterpreter(self, flow, last_seconds=last_seconds).run()

    def sleep(self, pause: Sleep) -> None:
        """Wait as a flow wants."""
        time.sleep(pause.seconds * (1.0 if pause.is_due else interpreters.pause_factor))

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for multi in idle:
            lib.curl_multi_cleanup(multi)

    def __del__(self) -> None:
        if not getattr(self, "_idle", None) or sys.is_finalizing():
            return
        self.close()
        self._warn_of_drop()

    def after_fork(self) -> None:
        """Leave all connections to the parent of this process."""
        self._idle = []
        super().after_fork()

    def take_multi(self, *, is_last: bool) -> Any:
        """Take a multi handle, with the connections in it; from a closed client only the last."""
        with self._lock:
            if self._closed and not is_last:
                msg = "The client is closed."
                raise HuggingChatError(msg)
            if self._idle:
                return self._idle.pop()
        return new_multi()

    def give_multi(self, multi: Any) -> None:
        """Give a multi handle back."""
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(multi)
                return
        lib.curl_multi_cleanup(multi)

    def exchange(self, request: Request, *, is_stream: bool) -> Exchange:
        """Prepare a request."""
        # Nothing arrives while nobody waits, so there is nothing to pause.
        return Exchange(
            self._connection,
            self._credentials,
            request,
            is_stream=is_stream,
            pauses=False,
            sockets=self._sockets,
        )


class SyncStream:
    """A response that is read as it comes.

    Args:
        transport: Where the connections are.
        request: What to send.
        is_stream: See `Exchange`.
        is_last: Whether it may be sent by a client that was closed.
        given_up: Set by another thread, it ends every wait.
    """

    def __init__(
        self,
        transport: SyncTransport,
        request: Request,
        *,
        is_stream: bool,
        is_last: bool = False,
        given_up: Event | None = None,
    ) -> None:
        self._transport = transport
        self._request = request
        self._given_up = given_up
        self._exchange = transport.exchange(request, is_stream=is_stream)
        self._running = ffi.new("int *")
        self._pending = ffi.new("int *")
        try:
            self._multi = transport.take_multi(is_last=is_last)
        except BaseException:
            self._exchange.close()
            raise
        register(self)
        lib.curl_multi_add_handle(self._multi, self._exchange.curl._curl)  # noqa: SLF001

    def open(self, timeout: float | None) -> Response:
        """Wait for the head.

        Raises:
            TransportError: No head arrived, or not within `timeout` seconds.
        """
        until = deadline(timeout)
        exchange = self._exchange
        while not exchange.head_is_complete or exchange.status == 0:
            if exchange.is_done:
                exchange.raise_error()
            if not self._wait(until):
                raise no_answer(self._request, timeout)
        return exchange.head(time.monotonic())

    def read(self, until: float | None) -> Chunk | TimedOut | None:
        """Wait for more of the body; None at its clean end.

        Raises:
            TransportError: The connection was lost.
        """
        exchange = self._exchange
        while True:
            if exchange.chunks and (data := exchange.take()):
                return Chunk(data, time.monotonic())
            if exchange.is_done:
                exchange.raise_error()
                return None
            if not self._wait(until):
                return TimedOut(time.monotonic())

    def work(self) -> None:
        """Send and receive what can be without waiting; an error is kept for `finish`."""
        if not self._exchange.is_done:
            self._perform()

    def finish(self, timeout: float | None) -> Response:
        """Wait for the whole response, at most `timeout` seconds.

        Raises:
            TransportError: No whole response arrived, or not in time.
        """
        until = deadline(timeout)
        head = self.open(timeout)
        pieces: list[bytes] = []
        while (chunk := self.read(until)) is not None:
            if isinstance(chunk, TimedOut):
                raise no_answer(self._request, timeout)
            pieces.append(chunk.data)
        return replace(head, body=b"".join(pieces))

    def close(self) -> None:
        """Let go: the connection is kept if the response was read to its end, else dropped now."""
        multi, self._multi = self._multi, None
        if multi is None:
            return
        lib.curl_multi_remove_handle(multi, self._exchange.curl._curl)  # noqa: SLF001
        self._exchange.close()
        self._transport.give_multi(multi)

    def after_fork(self) -> None:
        """Leave the connection to the parent of this process."""
        self._multi = None
        self._exchange.after_fork()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_multi", None) is not None:
            self.close()

    def _wait(self, until: float | None) -> bool:
        """Let libcurl work until something has happened; False once the deadline has passed."""
        exchange = self._exchange
        had_head = exchange.head_is_complete
        while True:
            self._perform()
            if exchange.chunks or exchange.is_done or exchange.head_is_complete != had_head:
                return True
            if self._given_up is not None and self._given_up.is_set():
                msg = "The stream is closed."
                raise TransportError(msg)
            seconds = _POLL_SECONDS
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                seconds = min(seconds, left)
            milliseconds = max(1, int(seconds * 1000))
            lib.curl_multi_poll(self._multi, ffi.NULL, 0, milliseconds, ffi.NULL)

    def _perform(self) -> None:
        multi = self._multi
        if multi is None:
            msg = "The stream is closed."
            raise TransportError(msg)
        lib.curl_multi_perform(multi, self._running)
        if self._exchange.broken_by is not None:
            self._exchange.raise_broken()
        if self._running[0]:
            return
        while (message := lib.curl_multi_info_read(multi, self._pending)) != ffi.NULL:
            if message.msg == _DONE and not self._exchange.is_done:
                code = message.data.result
                self._exchange.end(CurlError("", CurlECode(code)) if code else None)
