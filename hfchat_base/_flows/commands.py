"""What a flow may ask for, and what it is given.

A flow is a generator for anything that takes more than one request. It yields commands and is sent
their results; errors of the transport are raised into it. It never touches a socket, a clock or a
callback itself, so that the synchronous and the asynchronous driver (`_transport/`) share it. The
pattern is that of `httpx.Auth.auth_flow`.

Each command has a function that yields it and returns its result with a type, for the type checker.
The classes that every token needs (`Read`, `Chunk`, `Deliver`) are not frozen, because a frozen one
takes twice as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union

from hfchat_base._protocol.http import Request, Response
from hfchat_base.events import ElicitationRequest, Event
from hfchat_base.types import Retry

T = TypeVar("T")


@dataclass(slots=True)
class Chunk:
    """Bytes of an open stream, and when they came."""

    data: bytes = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nothing came until the deadline of a `Read`."""

    at: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and wait for the whole `Response`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and wait for the head of its `Response`; the body is then `Read`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Start:
    """Send a request while the stream is open, without waiting; `Collect` gets its response."""

    request: Request


@dataclass(frozen=True, slots=True)
class Collect:
    """Wait for the whole `Response` to the request of the last `Start`; None if there was none.

    Attributes:
        seconds: How long to wait, or None.
    """

    seconds: float | None


@dataclass(slots=True)
class Read:
    """Wait for more of the open stream: a `Chunk`, None at its clean end, or `TimedOut`.

    Attributes:
        until: Deadline on the driver's monotonic clock, or None.
    """

    until: float | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Drop the open stream's connection now."""


@dataclass(slots=True)
class Deliver:
    """Hand events to the caller."""

    events: list[Event]


@dataclass(frozen=True, slots=True)
class Elicit:
    """Put a tool's question to the caller: the content to accept with, or None to decline."""

    question: ElicitationRequest


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the caller of a pause before another attempt."""

    retry: Retry


@dataclass(frozen=True, slots=True)
class HasAccount:
    """Ask whether the client's session is one that somebody logged in with."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds.

    Attributes:
        seconds: How many.
        is_due: Whether a server's clock requires them, so that tests cannot shorten the wait.
    """

    seconds: float
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class Now:
    """Ask what time it is on the driver's monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Do work that takes long, such as reading a document, without holding up an event loop.

    Attributes:
        work: Does it, and returns what the flow gets.
    """

    work: Callable[[], Any]


Command = Union[
    Send,
    Open,
    Start,
    Collect,
    Read,
    Close,
    Deliver,
    Elicit,
    Notify,
    HasAccount,
    Sleep,
    Now,
    Compute,
]

Flow = Generator[Command, Any, T]
"""A flow that ends in a T."""


def send(request: Request) -> Flow[Response]:
    """Send a request and wait for the whole response."""
    response: Response = yield Send(request)
    return response


def open_stream(request: Request) -> Flow[Response]:
    """Send a request and wait for the response's head."""
    response: Response = yield Open(request)
    return response


def collect(seconds: float | None) -> Flow[Response | None]:
    """Wait for the response to the request of the last `Start`; None if there was none."""
    response: Response | None = yield Collect(seconds)
    return response


def read(until: float | None) -> Flow[Chunk | TimedOut | None]:
    """Wait for more of the open stream; None at its clean end."""
    result: Chunk | TimedOut | None = yield Read(until)
    return result


def now() -> Flow[float]:
    """The time on the driver's monotonic clock, in seconds."""
    at: float = yield Now()
    return at


def compute(work: Callable[[], T]) -> Flow[T]:
    """Do work that takes long, and return what it returns."""
    result: T = yield Compute(work)
    return result


def has_account() -> Flow[bool]:
    """Whether the client's session is one that somebody logged in with."""
    answer: bool = yield HasAccount()
    return answer


def sleep(seconds: float, *, is_due: bool = False) -> Flow[None]:
    """Wait so many seconds; see `Sleep`."""
    yield Sleep(seconds, is_due)


def read_all(until: float | None, max_bytes: int) -> Flow[bytes]:
    """Read the rest of the open stream, at most so many bytes, and close it."""
    pieces: list[bytes] = []
    size = 0
    while size < max_bytes:
        chunk = yield from read(until)
        if not isinstance(chunk, Chunk):
            break
        pieces.append(chunk.data)
        size += len(chunk.data)
    yield Close()
    return b"".join(pieces)
