"""Every loop of the flows ends, and the policy says when."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfchat_base import RateLimitError, Retries, Timeouts, _flows
from hfchat_base._flows import context, conversations
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.resume import resume
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol.dialects import CURRENT, OutgoingMessage
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.policy import Limits, Pacing, Policy, Resuming
from tests.support.flows import drive, json_response

FILES = sorted(Path(_flows.__path__[0]).glob("*.py"))
ID = "0123456789abcdef01234567"
RUN = "00000000-0000-4000-8000-000000000000"


def server_with(**parts: Any) -> ServerInfo:
    """A current server with a policy of a test's own."""
    server = ServerInfo(Endpoint.parse("http://policy.invalid"), policy=Policy(**parts))
    server.dialect = CURRENT
    return server


def test_retries_and_timeouts_are_the_public_ones() -> None:
    """What callers set is part of the policy, with its defaults."""
    assert Policy() == Policy(retries=Retries(), timeouts=Timeouts())


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_flows_keep_no_numbers_of_their_own(file: Path) -> None:
    """A number in a flow is a status code; what bounds a loop is in the policy."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(value, ast.Constant):
            number = value.value
            assert not isinstance(number, (int, float)) or 100 <= number < 600, ast.unparse(node)
    for loop in ast.walk(tree):
        if isinstance(loop, ast.For) and "range(" in ast.unparse(loop.iter):
            assert not [part for part in ast.walk(loop.iter) if isinstance(part, ast.Constant)]


@pytest.mark.parametrize(
    ("given", "most"),
    [
        (Retries(), 5),
        (Retries(attempts=2), 5),
        (Retries(attempts=1), 1),
        (Retries(attempts=1, rate_limit_attempts=4), 4),
        (Retries(attempts=7, rate_limit_attempts=1), 1),
    ],
)
def test_attempts_at_a_limit(given: Retries, most: int) -> None:
    """Without retries a limit is met once as well, unless that is set by itself."""
    assert given.attempts_at_limit == most


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
def test_reading_ends(attempts: int) -> None:
    """A server that is overloaded for ever is read from so many times."""
    server = server_with(retries=Retries(attempts=attempts))
    flow = context.send(server, Request("GET", "/"))
    outcome = drive(flow, answer=lambda _: Response(503))
    assert len(outcome.requests) == attempts
    assert len(outcome.slept) == attempts - 1
    assert outcome.error is not None


def test_waiting_for_a_place_ends() -> None:
    """A message does not wait for its place in the server's minute for ever."""
    server = server_with(pacing=Pacing(window=10, margin=0), retries=Retries(longest_limit_wait=35))
    server.rate_limiter.take(0.0)
    server.rate_limiter.refused(0.0)
    taken = server.rate_limiter.take
    # Somebody else is always quicker.
    server.rate_limiter.take = lambda now: taken(now) or 10.0  # type: ignore[method-assign]
    outcome = drive(context.wait_for_rate_limit(server))
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.slept == [10.0, 10.0, 10.0]


def resuming(server: ServerInfo, *frames: bytes) -> Any:
    """Look for the rest of an answer of which each look at the log brings a little more."""
    message = OutgoingMessage(ID, RUN, "hello", RUN)
    run = RunState()
    run.begin(message, CURRENT, "")
    run.sending()
    pieces = [piece for frame in frames for piece in (frame, None)]
    head = Response(200, {"content-type": "text/event-stream"})
    stored = {"messages": [{"id": "a", "from": "assistant", "generationId": RUN, "content": ""}]}
    return drive(
        resume(server, message, run, None, None),
        pieces=pieces,
        head=head,
        answer=lambda _: json_response({"json": stored}),
    )


def test_looks_in_vain_end() -> None:
    """An answer of which nothing new comes is given up after so many looks."""
    server = server_with(resuming=replace(Resuming(), looks_without_news=3, patience=0.0))
    outcome = resuming(server)
    assert len([request for request in outcome.requests if "/stream?" in request.path]) == 3
    assert outcome.error is not None


def test_looks_with_news_end() -> None:
    """An answer that is lost again and again, each time a little later, is given up in the end."""
    server = server_with(resuming=Resuming(looks_in_all=5))
    text = [
        b'event: update\ndata: {"type":"stream","token":"' + b"x" * (count + 1) + b'"}\n\n'
        for count in range(20)
    ]
    outcome = resuming(server, *text)
    assert len([request for request in outcome.requests if "/stream?" in request.path]) == 5
    assert outcome.error is not None
    assert outcome.error.partial.text == "x" * 5


@pytest.mark.parametrize("rows", [[], [{"id": ID, "title": "t"}]], ids=["empty", "full"])
def test_pages_end(rows: list[dict[str, str]]) -> None:
    """A list of conversations that never ends, ends: where it is empty, or after many pages."""
    server = server_with(limits=Limits(pages=3))
    page = json_response({"json": {"conversations": rows, "hasMore": True}})
    more = [
        drive(conversations.list_page(server, number), answer=lambda _: page).value[1]
        for number in range(3)
    ]
    assert more == ([True, True, False] if rows else [False, False, False])
