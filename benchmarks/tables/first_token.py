"""How long the first token takes, compared with a raw socket with the same requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import StandingLoop, Subject, measure_in_turn
from benchmarks.raw import RawSocket, Tape, tape
from benchmarks.report import Bars, Cell, Table
from benchmarks.servers import local_server
from benchmarks.settings import Settings
from hfchat_base import AsyncHuggingChat, HuggingChat, TextDelta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base._protocol.constants import Generation

_GENERATIONS: tuple[Generation, ...] = ("current", "legacy")
_RAW = "raw socket"
_SYNC = "hfchat"
_ASYNC = "hfchat, async"
_QUESTION = "Hello"
_TOKEN = b'"type":"stream"'
_CALLS = 10
_NOTE = (
    "The raw socket knows the requests beforehand and reads only the ids; both wait for the"
    " same server."
)


class _Watch:
    """A stopwatch that runs only while it is switched on; calling it reads it, in seconds."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        return self._seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        began = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - began


def measure(settings: Settings) -> Table:
    """Measure both generations, on a client that is known to the server and on a new one."""
    rows: list[tuple[Cell, ...]] = []
    for generation in _GENERATIONS:
        with local_server(generation) as url:
            for situation, is_new in (("next conversation", False), ("new client", True)):
                rows += _measure_situation(url, f"{generation}, {situation}", is_new, settings)
    return Table(
        name="first_token",
        title="The first token: ms from the call",
        compares=(
            "Time from the call to the first token of a new conversation, with a client in"
            " use and with a new one (which has to detect what the server speaks), compared"
            " with a raw socket that sends the bytes of the same requests."
        ),
        aim="",
        columns=("Situation", "Client", "requests", "ms", "of the raw socket"),
        rows=tuple(rows),
        notes=(_NOTE,),
        chart=Bars("ms", "Client", "ms", panel="Situation", ours=(_SYNC, _ASYNC)),
    )


def _measure_situation(
    url: str, situation: str, is_new: bool, settings: Settings
) -> list[tuple[Cell, ...]]:
    watch = _Watch()
    with ExitStack() as stack:
        loop = stack.enter_context(StandingLoop())
        client = stack.enter_context(HuggingChat(url))
        async_client = client.to_async()
        stack.callback(lambda: loop.run(async_client.close()))
        client.get_models()
        taped = _taped(url, is_new)
        raw = RawSocket(url)
        stack.callback(raw.close)
        subjects = {
            _RAW: _often(partial(_ask_raw, watch, taped, url if is_new else raw)),
            _SYNC: _often(partial(_ask, watch, url if is_new else client)),
            _ASYNC: _often(lambda: loop.run(_aask(watch, url if is_new else async_client))),
        }
        measured = measure_in_turn(subjects, settings.rounds, name=situation, clock=watch)
    return [
        (
            situation,
            subject,
            len(taped),
            measured.cost(subject).times(1e-3),
            measured.ratio(subject, _RAW),
        )
        for subject in subjects
    ]


def _taped(url: str, is_new: bool) -> Tape:
    """The requests up to the message, with ids of a conversation of its own."""

    def ask(address: str) -> None:
        with HuggingChat(address) as client:
            if not is_new:
                client.get_models()
            client.chat(_QUESTION)

    requests = tape(url, ask)
    first = (
        0 if is_new else next(i for i, (asked, _) in enumerate(requests) if _creates(asked.name))
    )
    last = next(i for i, (_, response) in enumerate(requests) if _TOKEN in response)
    return requests[first : last + 1]


def _creates(name: str) -> bool:
    return name == "POST /conversation"


def _often(ask: Callable[[], None]) -> Subject:
    def run() -> int:
        for _ in range(_CALLS):
            ask()
        return _CALLS

    return run


def _ask_raw(watch: _Watch, taped: Tape, server: str | RawSocket) -> None:
    with watch.running():
        raw = RawSocket(server) if isinstance(server, str) else server
        got = raw.repeat(taped, _TOKEN)
    raw.read_rest(got)
    if isinstance(server, str):
        raw.close()


def _ask(watch: _Watch, server: str | HuggingChat) -> None:
    with watch.running():
        client = HuggingChat(server) if isinstance(server, str) else server
        stream = client.stream_chat(_QUESTION)
        next(event for event in stream if isinstance(event, TextDelta))
    stream.result()
    if isinstance(server, str):
        client.close()


async def _aask(watch: _Watch, server: str | AsyncHuggingChat) -> None:
    with watch.running():
        client = AsyncHuggingChat(server) if isinstance(server, str) else server
        stream = client.stream_chat(_QUESTION)
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    await stream.result()
    if isinstance(server, str):
        await client.close()
