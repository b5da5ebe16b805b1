"""The functions that libcurl calls, and what becomes of an exception in one of them.

An exception cannot pass through C. cffi hands it to an `onerror`, even if the handler of a signal
raised it before the first line of the function; there it is kept where the driver finds it as soon
as libcurl has returned. Without this, Ctrl-C at the wrong moment would look like a lost connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from curl_cffi import AsyncCurl, Curl, CurlError, CurlMOpt, CurlOpt, ffi, lib
from curl_cffi import aio as curl_aio

if TYPE_CHECKING:
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


def guard(multi: AsyncCurl) -> None:
    """Let an exception in what curl_cffi does for an event loop end the loop's transfers with it.

    curl_cffi itself would print it, and continue.
    """
    multi.setopt(CurlMOpt.SOCKETFUNCTION, _on_socket)  # type: ignore[no-untyped-call]
    multi.setopt(CurlMOpt.TIMERFUNCTION, _on_timer)  # type: ignore[no-untyped-call]


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
    multi: AsyncCurl = ffi.from_handle(traceback.tb_frame.f_locals["clientp"])
    if not multi.loop.is_closed():
        multi.loop.call_soon(_fail_transfers, multi, error)
    return 0


def _fail_transfers(multi: AsyncCurl, error: BaseException) -> None:
    transfers = list(multi._curl2future)  # noqa: SLF001 - it has no other list of them
    for curl in transfers:
        multi.set_exception(curl, error)
    if not transfers:
        raise error


def _sending(handle: Any, _to: Any, _from: Any, _to_port: int, _from_port: int) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return 0 if receiver.on_sending() else _PREREQ_ABORT


def _header(line: Any, _: int, size: int, handle: Any) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return receiver.on_header(ffi.buffer(line, size)[:])


def _body(data: Any, _: int, size: int, handle: Any) -> int:
    receiver: Receiver = ffi.from_handle(handle)
    return receiver.on_body(ffi.buffer(data, size)[:])


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
# What curl_cffi calls by itself.
_on_socket: Final = ffi.callback(
    ffi.typeof(lib.socket_function), curl_aio.socket_function, onerror=_fail_all
)
_on_timer: Final = ffi.callback(
    ffi.typeof(lib.timer_function), curl_aio.timer_function, onerror=_fail_all
)
