"""Answers that take hours: across the cap of the log (fault 34), in bounded memory, and in time.

No test waits: the cap is shortened, and where deadlines are meant the flow is driven by hand, with
times of the test's own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import ReasoningDelta, StreamStalled, TextDelta, Timeouts
from hfchat_base._flows.commands import Chunk, Close, Deliver, Read, TimedOut
from hfchat_base._flows.context import Deadlines, ServerInfo
from hfchat_base._flows.run_state import RunState
from hfchat_base._flows.stream_reader import LineReader, follow
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from hfchat_base.policy import Policy, Resuming
from tests.support.faults.answer_lines import FINISHED, KEEP_ALIVE, STARTED, final, lines, token
from tests.support.faults.fault_server import RESUME, SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Cut, CutAt, end

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from hfchat_base.local import ChatRequest
    from tests.support.faults.caller import Caller
    from tests.support.faults.origins import Source

HOUR: Final = 3600.0


@pytest.fixture
def _short_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let logs be closed after a tenth of a second rather than after five minutes."""
    monkeypatch.setattr("hfchat_base.local.routes.message_routes.RESUME_CAP_SECONDS", 0.1)
    short = partial(Policy, resuming=Resuming(log_cap=0.09))
    monkeypatch.setattr("hfchat_base.client.Policy", short)


@pytest.mark.usefixtures("_short_cap")
def test_fault_34_cap(caller: Caller) -> None:
    """A log that is closed at its cap again and again is taken up again, each text once."""
    said: list[str] = []

    async def talk(_: ChatRequest) -> AsyncIterator[str]:
        while proxy.count(RESUME) <= 3 or len(said) < 10:
            said.append(f"tok{len(said)} ")
            yield said[-1]
            await asyncio.sleep(0.02)

    with serving(talk) as proxy:
        proxy.on(SEND, CutAt(b"tok3 "))
        outcome = caller.ask(proxy.url, model="own/model")
        assert (outcome.text, outcome.error) == ("".join(said), None)
        assert outcome.answer.text == outcome.text.rstrip()
        assert proxy.count(SEND) == 1


@pytest.mark.usefixtures("_short_cap")
def test_fault_34_cap_while_nothing_is_said(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is silent across many caps, as with a long tool, is not given up."""
    hasty = partial(Policy, resuming=Resuming(log_cap=0.09, looks_without_news=3))
    monkeypatch.setattr("hfchat_base.client.Policy", hasty)
    asked = 0

    async def ponder(_: ChatRequest) -> AsyncIterator[str]:
        nonlocal asked
        asked += 1
        yield "one "
        while proxy.count(RESUME) <= 5:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.02)
        yield "two"

    with serving(ponder) as proxy:
        proxy.on(SEND, Cut(0))
        outcome = caller.ask(proxy.url, model="own/model")
        assert (outcome.text, outcome.error) == ("one two", None)
        assert asked == 1


@contextmanager
def serving(model: Callable[[ChatRequest], AsyncIterator[str]]) -> Iterator[FaultServer]:
    """Start a current server with the test's own model, behind a server that can fail."""
    models = [LocalModel("own/model", FunctionBackend(model))]
    with LocalServer(models=models) as server, FaultServer(server.base_url) as proxy:
        yield proxy


@dataclass(frozen=True)
class Torrent:
    """The same lines many times over.

    Attributes:
        again: The lines.
        times: How many times.
        last: What ends the answer.
    """

    again: bytes
    times: int
    last: bytes

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:  # noqa: ARG002
        """Send all of it."""
        client.sendall(response(b"", until_close=True) + lines(STARTED))
        for _ in range(self.times):
            client.sendall(self.again)
        client.sendall(self.last)
        end(client, "close")


def compact(*events: dict[str, Any]) -> bytes:
    """Events in the form that servers write them in."""
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)


REASONING: Final = {"type": "reasoning", "subtype": "stream", "token": "word "}

MANY: Final = {
    "text": (compact(*[token("word ")] * 500, KEEP_ALIVE), "word " * 500),
    "thinking": (compact(*[REASONING] * 500, KEEP_ALIVE), "word " * 500),
    "nothing": (compact(*[KEEP_ALIVE] * 500), ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", MANY)
def test_memory_of_a_long_answer(current_proxy: FaultServer, caller: Caller, what: str) -> None:
    """Of ten thousand events no more is kept than the text that they brought."""
    again, said = MANY[what]
    times = 20
    text = said * times if what == "text" else "done"
    current_proxy.on(SEND, Torrent(again, times, lines(final(text), FINISHED)))
    held: list[int] = []

    def work(client: Any) -> Any:
        _measure(held)
        stream = client.stream_chat("hello", model="echo/base")
        return _aread(stream, held) if hasattr(stream, "__aiter__") else _read(stream, held)

    tracemalloc.start()
    try:
        characters = caller.do(current_proxy.url, work)
    finally:
        tracemalloc.stop()
    assert characters == len(said) * times + (0 if what == "text" else len("done"))
    # Twice: the answer itself holds the text joined.
    assert held[1] - held[0] < 2 * len(said) * times + 300_000


def _read(stream: Any, held: list[int]) -> int:
    characters = 0
    with stream:
        for event in stream:
            characters += _length(event)
        _measure(held)
        assert stream.answer.finish_reason == "stop"
    return characters


async def _aread(stream: Any, held: list[int]) -> int:
    characters = 0
    async with stream:
        async for event in stream:
            characters += _length(event)
        _measure(held)
        assert stream.answer.finish_reason == "stop"
    return characters


def _length(event: object) -> int:
    return len(event.text) if isinstance(event, (TextDelta, ReasoningDelta)) else 0


def _measure(held: list[int]) -> None:
    gc.collect()
    held.append(tracemalloc.get_traced_memory()[0])


class Hours:
    """Reads a run by hand, at times of the test's own.

    Args:
        timeouts: The deadlines.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self.run = RunState()
        self.run.sending()
        server = ServerInfo(Endpoint.parse("http://127.0.0.1:9"), policy=Policy(timeouts=timeouts))
        self._flow = follow(server, self.run, LineReader(), Deadlines(server.policy, 0.0))
        self.waits_until = self._next_read(None)

    def hear(self, raw: bytes, at: float) -> None:
        """Let some bytes arrive."""
        self.waits_until = self._next_read(Chunk(raw, at))

    def wait(self) -> None:
        """Let nothing arrive until the flow would wait no longer."""
        assert self.waits_until is not None
        self._next_read(TimedOut(self.waits_until))

    def _next_read(self, result: Chunk | TimedOut | None) -> float | None:
        command = self._flow.send(result)
        while isinstance(command, (Deliver, Close)):
            command = self._flow.send(None)
        assert isinstance(command, Read)
        return command.until


def test_hours_of_keep_alives_between_progress() -> None:
    """A token every hundred seconds, and signs of life in between: no deadline is missed."""
    hours = Hours(Timeouts(first_event=180, progress=120))
    at = 0.0
    while at < 2 * HOUR:
        for _ in range(10):
            at += 10
            hours.hear(lines(KEEP_ALIVE) * 10, at)
        hours.hear(lines(token("word ")), at)
        assert hours.waits_until == at + 120
    assert hours.run.answer().text == "word " * 72


def test_hours_without_progress_are_a_stall() -> None:
    """`keepAlive` lines are not progress, however many: the deadline stays where it was."""
    hours = Hours(Timeouts(first_event=180, progress=120))
    hours.hear(lines(token("word ")), 100)
    hours.hear(lines(KEEP_ALIVE), 219)
    assert hours.waits_until == 220
    with pytest.raises(StreamStalled, match="within 120 s "):
        hours.hear(lines(KEEP_ALIVE), 221)


def test_total_deadline_after_hours() -> None:
    """The deadline for the whole answer holds, whatever comes."""
    hours = Hours(Timeouts(first_event=180, progress=120, total=HOUR))
    for at in range(100, 3600, 100):
        hours.hear(lines(token("word ")), at)
        assert hours.waits_until == min(at + 120, HOUR)
    with pytest.raises(StreamStalled, match="within 3600 s ") as caught:
        hours.wait()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "word " * 35


def test_no_deadlines_at_all() -> None:
    """Without deadlines a run may be silent for as long as it likes."""
    hours = Hours(Timeouts(first_event=None, progress=None))
    assert hours.waits_until is None
    hours.hear(lines(KEEP_ALIVE), 100 * HOUR)
    hours.hear(lines(token("word ")), 200 * HOUR)
    assert hours.waits_until is None
