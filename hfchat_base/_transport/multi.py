"""The transfers of one event loop: libcurl's multi handle, and the loop that watches its sockets.

libcurl says which sockets to watch and when to be called at the latest; the loop calls it then. As
soon as it has returned, the readers of the transfers are woken. What happened is noted while
libcurl calls, and reported afterwards, because an exception cannot pass through C.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from curl_cffi import CurlECode, CurlError, ffi, lib
from curl_cffi.aio import get_selector

from hfchat_base._transport import callbacks
from hfchat_base._transport.curl import Exchange, new_multi

# As libcurl documents them.
_POLL_IN: Final = 1
_POLL_OUT: Final = 2
_SELECT_IN: Final = 1
_SELECT_OUT: Final = 2
_TIMEOUT: Final = -1  # CURL_SOCKET_TIMEOUT
_DONE: Final = 1  # CURLMSG_DONE


class LoopMulti:
    """libcurl's multi handle in an event loop.

    Args:
        loop: The event loop.

    Attributes:
        loop: The event loop.

    Raises:
        TransportError: There is no descriptor left for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # On Windows it stands for a loop that cannot watch sockets.
        self.loop: asyncio.AbstractEventLoop = get_selector(loop)
        self._multi: Any = new_multi()
        self._running = ffi.new("int *")
        self._pending = ffi.new("int *")
        self._exchanges: dict[Any, Exchange] = {}  # by their easy handles
        self._news: list[Callable[[], None]] = []
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._handle = callbacks.attach_to_multi(self._multi, self)

    def add(self, exchange: Exchange, wake: Callable[[], None]) -> None:
        """Begin a transfer.

        Args:
            exchange: What it fills.
            wake: Called after something has happened to it.
        """
        exchange.on_news = partial(self._news.append, wake)
        easy = exchange.curl._curl  # noqa: SLF001 - there is no public way
        self._exchanges[easy] = exchange
        lib.curl_multi_add_handle(self._multi, easy)

    def remove(self, exchange: Exchange) -> None:
        """End a transfer that is not over, which drops its connection."""
        if self._multi is None:
            return
        is_over = self.loop.is_closed()
        if is_over:
            callbacks.detach_from_multi(self._multi)
        easy = exchange.curl._curl  # noqa: SLF001 - see above
        lib.curl_multi_remove_handle(self._multi, easy)
        self._exchanges.pop(easy, None)
        if not is_over:
            self._end(exchange, None)  # somebody may be waiting
            self._tell()

    def close(self) -> None:
        """Close all connections, in the event loop or after the loop's end."""
        multi, self._multi = self._multi, None
        if multi is None:
            return
        callbacks.detach_from_multi(multi)
        is_over = self.loop.is_closed()
        if not is_over:
            self.on_timer(-1)
            for descriptor in self._watched:
                self.loop.remove_reader(descriptor)
                self.loop.remove_writer(descriptor)
        for easy in self._exchanges:
            lib.curl_multi_remove_handle(multi, easy)
        lib.curl_multi_cleanup(multi)
        self._handle = None
        if not is_over:
            # With an error: else what is still being read would look whole.
            self._end_all(CurlError("", CurlECode.ABORTED_BY_CALLBACK))

    def after_fork(self) -> None:
        """Leave the connections to the parent of this process, and its event loop alone."""
        self._multi = None

    def on_socket(self, descriptor: int, what: int) -> None:
        """Watch a socket, or do not watch it any more, as libcurl wants."""
        if what & _POLL_IN:
            self.loop.add_reader(descriptor, self._act, descriptor, _SELECT_IN)
        elif descriptor in self._watched:
            self.loop.remove_reader(descriptor)
        if what & _POLL_OUT:
            self.loop.add_writer(descriptor, self._act, descriptor, _SELECT_OUT)
        elif descriptor in self._watched:
            self.loop.remove_writer(descriptor)
        if what & (_POLL_IN | _POLL_OUT):
            self._watched.add(descriptor)
        else:
            self._watched.discard(descriptor)

    def on_timer(self, milliseconds: int) -> None:
        """Call libcurl after this time, which replaces the one before; never if it is negative."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self.loop.call_later(milliseconds / 1000, self._act, _TIMEOUT, 0)

    def fail(self, error: BaseException) -> None:
        """End all transfers with an exception, or raise it if there are none.

        Raises:
            BaseException: The exception.
        """
        if not self._exchanges:
            raise error
        for easy in self._exchanges:
            lib.curl_multi_remove_handle(self._multi, easy)
        self._end_all(error)

    def _act(self, descriptor: int, what: int) -> None:
        """Let libcurl read and write what can be, and wake those whom that concerns."""
        if self._multi is None:
            return
        lib.curl_multi_socket_action(self._multi, descriptor, what, self._running)
        if self._running[0] != len(self._exchanges):  # some are over
            self._take_ended()
        self._tell()

    def _take_ended(self) -> None:
        while (message := lib.curl_multi_info_read(self._multi, self._pending)) != ffi.NULL:
            if message.msg != _DONE:
                continue
            easy, code = message.easy_handle, message.data.result
            exchange = self._exchanges.pop(easy)
            lib.curl_multi_remove_handle(self._multi, easy)
            self._end(exchange, CurlError("", CurlECode(code)) if code else None)

    def _end_all(self, error: BaseException) -> None:
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            self._end(exchange, error)
        self._tell()

    def _end(self, exchange: Exchange, error: BaseException | None) -> None:
        exchange.end(error)
        if exchange.broken_by is not None:
            # By then whoever waits has been woken and has raised it. If nobody waits, a Ctrl-C ends
            # the event loop's run from here.
            self.loop.call_soon(self.loop.call_soon, exchange.raise_interrupt)

    def _tell(self) -> None:
        """Wake those whose transfers have news.

        A signal may interrupt this. Then all of them are woken again the next time.
        """
        for wake in self._news:
            wake()
        self._news.clear()
