"""An exception in what libcurl calls reaches the caller at once and as it is, at whichever step.

Signals are handled between any two steps of Python, also inside of functions that were called from
C. What raises here is a trace function, which stands for the handler of a signal at a known step.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base._flows.commands import Chunk
from hfchat_base._protocol.http import Request
from hfchat_base._transport import callbacks
from hfchat_base._transport.curl import Exchange, deadline
from tests.support.replay import RawRequest, RawServer, Wire, chunk, head
from tests.support.transports import GET, Driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_OF_TRANSFERS: Final = (callbacks._sending, callbacks._header, callbacks._body)
_OF_LOOPS: Final = (callbacks._socket, callbacks._timer)
_CALLED_FROM_C: Final = {function.__code__ for function in (*_OF_TRANSFERS, *_OF_LOOPS)}

BODY: Final = b"012"


class Interruption(KeyboardInterrupt):
    """A Ctrl-C that can be distinguished from a real one."""


class Interrupter:
    """A trace function that raises at one step of what is called from C.

    Args:
        step: The step, counted from 1 in calls and lines.

    Attributes:
        raised: What it has raised, or None so far.
    """

    def __init__(self, step: int) -> None:
        self._left = step
        self.raised: Interruption | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        """Trace a step."""
        if self.raised is not None or not _is_called_from_c(frame):
            return None
        if event in ("call", "line"):
            self._left -= 1
            if not self._left:
                self.raised = Interruption()
                raise self.raised
        return self


def _is_called_from_c(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _CALLED_FROM_C:
            return True
        frame = frame.f_back
    return False


def streams(_: RawRequest, wire: Wire) -> None:
    """Answer with three chunks."""
    wire.send(head(headers={"transfer-encoding": "chunked"}))
    wire.send(*(chunk(b"%d" % number) for number in range(3)), chunk(b""))


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server of three chunks."""
    with RawServer(streams) as server:
        yield server


def read_all(driver: Driver, transport: Any, request: Request = GET) -> bytes:
    """Open a stream and read it to its end."""
    stream, _ = driver.do(transport.open, request)
    try:
        body = b""
        while isinstance(piece := driver.do(stream.read, deadline(5)), Chunk):
            body += piece.data
        return body
    finally:
        driver.do(stream.close)


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """Let no finaliser run in between, out of which nothing can be raised in any program."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_interrupted_at_every_step(server: RawServer, *, is_async: bool) -> None:
    """An interrupt at any step of what libcurl calls is raised, the same one, before the end."""
    steps = 0
    caught: list[BaseException] = []
    while True:
        steps += 1
        interrupter = Interrupter(steps)
        # An event loop that was interrupted itself is not fit for another turn.
        driver = Driver(is_async=is_async)
        transport = driver.transport(server.base_url)
        before = sys.gettrace()
        sys.settrace(interrupter)
        try:
            body = read_all(driver, transport)
        except Interruption as interruption:
            caught.append(interruption)
        else:
            assert body == BODY
            assert interrupter.raised is None, f"step {steps} was swallowed"
            break
        finally:
            sys.settrace(before)
            driver.close()
        assert caught[-1] is interrupter.raised
    assert steps > 30


@pytest.mark.parametrize("name", ["on_sending", "on_header", "on_body"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ZeroDivisionError()])
def test_any_exception_of_a_transfer(
    driver: Driver,
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
) -> None:
    """Whatever is raised while libcurl calls is raised to the waiting caller."""

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(Exchange, name, fail)
    with pytest.raises(type(error)) as caught:
        read_all(driver, driver.transport(server.base_url))
    assert caught.value is error
    assert len(server.requests) == (name != "on_sending")


def test_interrupt_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt that hits a transfer whose reader does something else ends the loop's run."""
    told = Interruption()
    is_elsewhere = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(head())
        is_elsewhere.wait(10)
        wire.send(BODY)

    def fail(*_: object) -> int:
        raise told

    async def be_elsewhere(transport: Any) -> None:
        async with (await transport.open(GET))[0]:
            is_elsewhere.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(Exchange, "on_body", fail)
    driver = Driver(is_async=True)
    with RawServer(handle) as server:
        with pytest.raises(Interruption) as caught:
            driver.do(be_elsewhere, driver.transport(server.base_url))
        driver.close()
    assert caught.value is told


def test_interrupt_that_could_not_be_kept(
    driver: Driver, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer that we ended without a reason being known was interrupted twice at once."""
    monkeypatch.setattr(Exchange, "on_body", lambda *_: callbacks._WRITE_ERROR)
    with pytest.raises(KeyboardInterrupt):
        read_all(driver, driver.transport(server.base_url))
