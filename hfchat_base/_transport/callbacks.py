"""The functions that libcurl calls, and what becomes of an exception in one of them.

An exception cannot pass through C. cffi hands it to an `onerror`, even if the handler of a signal
raised it before the first line of the function; there it is kept where the driver finds it as soon
as libcurl has returned. Without this, Ctrl-C at the wrong moment would look like a lost connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from curl_cffi import Curl, CurlError, CurlMOpt, CurlOpt, ffi, lib

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

_WRITE_ERROR: Final = 0xFFFFFFFF  # CURL_WRITEFUNC_ERROR, as libcurl documents it
_PREREQ_ABORT: Final = 1  # CURL_PREREQFUNC_ABORT, likewise


class Receiver(Protocol):
    """What libcurl calls about one transfer.

    Attributes:
        broken_by: The exception that one of its methods raised, or None.
    """

    broken_by: BaseException | None

    def on_sending(self) -> bool:
        """Return whether libcurl, which has a connection by now, may send the request."""
        ...

    def on_header(self, line: bytes) -> int:
        """A line of a head has arrived, or the empty line at its end; return its length."""
        ...

    def on_body(self, data: bytes) -> int:
        """A piece of the body has arrived; return its length, or what libcurl calls a pause."""
        ...


class Watcher(Protocol):
    """What libcurl calls about the sockets of all transfers of an event loop.

    Attributes:
        loop: The event loop.
    """

    loop: asyncio.AbstractEventLoop

    def on_socket(self, descriptor: int, what: int) -> None:
        """A socket is to be watched, or is not to be watched any more."""
        ...

    def on_timer(self, milliseconds: int) -> None:
        """Have libcurl called after this time, which replaces the one before; never if negative."""
        ...

    def fail(self, error: BaseException) -> None:
        """One of these functions has raised an exception; libcurl has returned since."""
        ...


def attach(curl: Curl, receiver: Receiver) -> Any:
    """Have libcurl call a receiver about a transfer.

    Returns:
        What has to be kept for as long as libcurl may call.
    """
    handle = ffi.new_handle(receiver)
    for function, data, callback in (
        (CurlOpt.PREREQFUNCTION, CurlOpt.PREREQDATA, _on_sending),
        (CurlOpt.HEADERFUNCTION, CurlOpt.HEADERDATA, _on_header),
        (CurlOpt.WRITEFUNCTION, CurlOpt.WRITEDATA, _on_body),
    ):
        # The `setopt` of curl_cffi takes functions of Python, and calls them through functions of
        # its own. It has no such function for the first of these.
        for option, value in ((function, callback), (data, handle)):
            if code := lib._curl_easy_setopt(curl._curl, option, value):  # noqa: SLF001
                msg = f"libcurl does not know the option {option.name}."
                raise CurlError(msg, code)
    return handle


def attach_to_multi(multi: Any, watcher: Watcher) -> Any:
    """Have libcurl call a watcher about the sockets of a multi handle.

    Returns:
        What has to be kept for as long as libcurl may call.
    """
    handle = ffi.new_handle(watcher)
    for function, data, callback in (
        (CurlMOpt.SOCKETFUNCTION, CurlMOpt.SOCKETDATA, _on_socket),
        (CurlMOpt.TIMERFUNCTION, CurlMOpt.TIMERDATA, _on_timer),
    ):
        lib.curl_multi_setopt(multi, function, callback)
        lib.curl_multi_setopt(multi, data, handle)
    return handle


def detach_from_multi(multi: Any) -> None:
    """Have libcurl call nobody about the sockets of a multi handle."""
    lib.curl_multi_setopt(multi, CurlMOpt.SOCKETFUNCTION, ffi.NULL)
    lib.curl_multi_setopt(multi, CurlMOpt.TIMERFUNCTION, ffi.NULL)


def _keep_and_return(result: int) -> Any:
    """Keep an exception with its receiver, and let libcurl end the transfer."""

    def keep(_: type[BaseException], error: BaseException, traceback: TracebackType | None) -> int:
        assert traceback is not None  # noqa: S101 - only of a result that is not a number
        receiver: Receiver = ffi.from_handle(traceback.tb_frame.f_locals["handle"])
        receiver.broken_by = error
        return result

    return keep


def _fail_all(_: type[BaseException], error: BaseException, traceback: TracebackType | None) -> int:
    """End all transfers of an event loop, once libcurl has returned."""
    assert traceback is not None  # noqa: S101 - only of a result that is not a number
    watcher: Watcher = ffi.from_handle(traceback.tb_frame.f_locals["handle"])
    if not watcher.loop.is_closed():
        watcher.loop.call_soon(watcher.fail, error)
    return 0


def _sending(handle: Any, _to: Any, _from: Any, _to_port: int, _from_port: int) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return 0 if receiver.on_sending() else _PREREQ_ABORT


def _header(line: Any, _: int, size: int, handle: Any) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return receiver.on_header(ffi.buffer(line, size)[:])


def _body(data: Any, _: int, size: int, handle: Any) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return receiver.on_body(ffi.buffer(data, size)[:])


def _socket(_easy: Any, descriptor: int, what: int, handle: Any, _: Any) -> int:
    watcher: Watcher = ffi.from_handle(handle)
    watcher.on_socket(descriptor, what)
    return 0


def _timer(_: Any, milliseconds: int, handle: Any) -> int:
    watcher: Watcher = ffi.from_handle(handle)
    watcher.on_timer(milliseconds)
    return 0


_on_sending: Final = ffi.callback(
    "int(void *, char *, char *, int, int)",
    _sending,
    error=_PREREQ_ABORT,
    onerror=_keep_and_return(_PREREQ_ABORT),
)
_on_header, _on_body = (
    ffi.callback(
        ffi.typeof(lib.write_callback),
        function,
        error=_WRITE_ERROR,
        onerror=_keep_and_return(_WRITE_ERROR),
    )
    for function in (_header, _body)
)
_on_socket: Final = ffi.callback(ffi.typeof(lib.socket_function), _socket, onerror=_fail_all)
_on_timer: Final = ffi.callback(ffi.typeof(lib.timer_function), _timer, onerror=_fail_all)
