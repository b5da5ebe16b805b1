"""A driver of flows without a network: what comes, and in which pieces, is in the test's hand.

Flows do no work themselves, so driving them by hand is the shortest way to look at one. That the
real drivers do the same is shown over sockets, in `tests/base/transport` and elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hfchat_base._flows.commands import Ask, Chunk, Deliver, Now, Open, Read, Send, Sleep
from hfchat_base._protocol.http import Response
from hfchat_base.errors import HuggingChatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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


def drive(  # noqa: C901 - a table of commands
    flow: Flow[T],
    *,
    answer: Callable[[Request], Response] | None = None,
    pieces: Iterable[bytes | HuggingChatError] = (),
    head: Response | None = None,
    reply: Callable[[ElicitationRequest], Mapping[str, Any] | None] = lambda _: None,
) -> Outcome[T]:
    """Run a flow to its end.

    Args:
        flow: The flow.
        answer: What to answer requests with; 404 by default.
        pieces: What streams consist of, one piece a `Read`; an error is raised into the flow.
        head: The response that streams begin with.
        reply: What to answer tools' questions with.
    """
    outcome: Outcome[T] = Outcome()
    answer = answer or (lambda _: json_response({"message": "not found"}, status=404))
    coming = iter(pieces)
    result: Any = None
    error: HuggingChatError | None = None
    try:
        while True:
            command = flow.throw(error) if error is not None else flow.send(result)
            result = error = None
            if isinstance(command, Deliver):
                outcome.events += command.events
            elif isinstance(command, Read):
                piece = next(coming, None)
                if isinstance(piece, HuggingChatError):
                    error = piece
                elif piece is not None:
                    result = Chunk(piece, 0.0)
            elif isinstance(command, Send):
                outcome.requests.append(command.request)
                result = answer(command.request)
            elif isinstance(command, Open):
                outcome.requests.append(command.request)
                result = head or Response(200, {"content-type": "application/jsonl"})
            elif isinstance(command, Ask):
                result = reply(command.request)
            elif isinstance(command, Sleep):
                outcome.slept.append(command.seconds)
            elif isinstance(command, Now):
                result = sum(outcome.slept)
    except StopIteration as stop:
        outcome.result = stop.value
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
