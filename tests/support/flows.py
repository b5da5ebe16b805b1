"""A transport without a network: the test decides what arrives, and in which pieces.

The interpreter of commands is the real one. That real transports do the same is shown over sockets,
in `tests/base/transport` and elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hfchat_base._flows.commands import Chunk, Sleep
from hfchat_base._protocol.http import Response
from hfchat_base._transport.interpreters import SyncInterpreter
from hfchat_base.errors import HuggingChatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hfchat_base._flows.commands import Flow
    from hfchat_base._protocol.http import Request
    from hfchat_base.events import ElicitationRequest, Event

T = TypeVar("T")


@dataclass
class Outcome(Generic[T]):
    """What came of a flow.

    Attributes:
        events: What was handed to the caller.
        requests: What was sent, in order.
        slept: Seconds, one entry a `Sleep`.
        result: What it returned, or None.
        error: What it raised, or None.
    """

    events: list[Event] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    result: T | None = None
    error: HuggingChatError | None = None

    @property
    def value(self) -> T:
        """What it returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class _ScriptedStream:
    """A stream whose pieces are given; an error among them is raised."""

    def __init__(self, pieces: Iterator[bytes | HuggingChatError | None]) -> None:
        self._pieces = pieces

    def read(self, until: float | None) -> Chunk | None:  # noqa: ARG002 - nothing is waited for
        piece = next(self._pieces, None)
        if isinstance(piece, HuggingChatError):
            raise piece
        return None if piece is None else Chunk(piece, 0.0)

    def close(self) -> None:
        """There is nothing to close."""


class _ScriptedExchange:
    """A request that is sent when its response is asked for."""

    def __init__(self, send: Callable[[], Response]) -> None:
        self._send = send

    def work(self) -> None:
        """There is nothing to do before."""

    def finish(self, timeout: float | None) -> Response:  # noqa: ARG002 - nothing is waited for
        return self._send()

    def close(self) -> None:
        """There is nothing to close."""


class _ScriptedTransport:
    """A transport that answers from a script, and whose time is what was slept."""

    on_retry = None

    def __init__(
        self,
        outcome: Outcome[Any],
        answer: Callable[[Request], Response],
        pieces: Iterator[bytes | HuggingChatError | None],
        head: Response,
        *,
        has_account: bool,
    ) -> None:
        self.has_account = has_account
        self._outcome = outcome
        self._answer = answer
        self._stream = _ScriptedStream(pieces)
        self._head = head

    def send(self, request: Request, **_: object) -> Response:
        self._outcome.requests.append(request)
        return self._answer(request)

    def open(self, request: Request, **_: object) -> tuple[_ScriptedStream, Response]:
        self._outcome.requests.append(request)
        return self._stream, self._head

    def start(self, request: Request) -> _ScriptedExchange:
        return _ScriptedExchange(lambda: self.send(request))

    def sleep(self, pause: Sleep) -> None:
        self._outcome.slept.append(pause.seconds)

    def now(self) -> float:
        return sum(self._outcome.slept)


def drive(
    flow: Flow[T],
    *,
    answer: Callable[[Request], Response] | None = None,
    pieces: Iterable[bytes | HuggingChatError | None] = (),
    head: Response | None = None,
    reply: Callable[[ElicitationRequest], Mapping[str, Any] | None] = lambda _: None,
    has_account: bool = False,
) -> Outcome[T]:
    """Run a flow to its end, with the synchronous interpreter.

    Args:
        flow: The flow.
        answer: What to answer requests with; 404 by default.
        pieces: What streams consist of, one piece a `Read`; None ends one, an error is raised into
            the flow.
        head: The response that streams begin with.
        reply: What to answer tools' questions with.
        has_account: Whether the session is one that somebody logged in with.
    """
    outcome: Outcome[T] = Outcome()
    transport = _ScriptedTransport(
        outcome,
        answer or (lambda _: json_response({"message": "not found"}, status=404)),
        iter(pieces),
        head or Response(200, {"content-type": "application/jsonl"}),
        has_account=has_account,
    )
    interpreter = SyncInterpreter(transport, flow, on_elicitation=reply)
    try:
        while (events := interpreter.advance()) is not None:
            outcome.events += events
        outcome.result = interpreter.result
    except HuggingChatError as raised:
        outcome.error = raised
    return outcome


def json_response(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response that carries JSON."""
    given = {"content-type": "application/json", **(headers or {})}
    return Response(status, given, json.dumps(data).encode())


def page_response(html: str, *, status: int = 200) -> Response:
    """A response that carries a page."""
    return Response(status, {"content-type": "text/html; charset=utf-8"}, html.encode())
