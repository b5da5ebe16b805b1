"""Many answers at once with one client: throughput, the delay of a token, stalls, memory.

Run as a command, in a Python that has the client, it asks two servers of `stamped`: one that takes
its time, for delays and stalls, and one that writes as fast as it can, for throughput. What it
measured is printed as JSON. Nothing is imported that a peer's Python may not have.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from benchmarks.peer_clients import G4f, Hugchat, error_text

PATH = "/chat"
MODEL = "echo/base"
_TICK_SECONDS = 0.001

Take: TypeAlias = Callable[[str], None]
"""Gets each piece of text as it comes."""

Ask: TypeAlias = Callable[[Take], None]
"""Asks for an answer and reads it to the end, blocking."""

AsyncAsk: TypeAlias = Callable[[Take], Awaitable[None]]
"""Asks for an answer and reads it to the end, in the event loop."""


@dataclass(frozen=True)
class Order:
    """What to measure.

    Attributes:
        client: One of `THREADED` or `IN_A_LOOP`.
        answers: How many at once.
        paced: Address of the server that takes its time.
        unpaced: Address of the server that does not.
        rounds: How often.
        cap: Seconds after which no answer of a round is begun any more.
    """

    client: str
    answers: int
    paced: str
    unpaced: str
    rounds: int
    cap: float


@dataclass
class Round:
    """What was seen of one round.

    Attributes:
        p50: The median delay of a token, in seconds.
        p99: What a hundredth of the delays is above, in seconds.
        stall: The longest gap between two ticks that should be a millisecond apart, in seconds.
        whole: How many answers were read to the end.
        tokens_a_second: From the first question to the last token.
        errors: What went wrong with the others.
    """

    p50: float
    p99: float
    stall: float
    whole: int
    tokens_a_second: float
    errors: list[str]


@dataclass
class Outcome:
    """All that was measured of one client.

    Attributes:
        paced: The rounds with the server that takes its time.
        unpaced: The rounds with the other one.
        memory: By how many bytes the process grew at most; None where that is not told.
    """

    paced: list[Round] = field(default_factory=list)
    unpaced: list[Round] = field(default_factory=list)
    memory: int | None = None


class Watch:
    """Takes down what happens in one round.

    Args:
        cap: Seconds after which no answer is begun any more.
    """

    def __init__(self, cap: float) -> None:
        self._began = time.monotonic()
        self._until = self._began + cap
        self._last = self._began
        self._delays: list[float] = []
        self._stall = 0.0
        self._tick = self._began
        self._whole = 0
        self._errors: list[str] = []

    def may_begin(self) -> bool:
        """Whether there is time for another answer."""
        return time.monotonic() < self._until

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Take down how an answer ends that is read inside of this."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._errors.append(error_text(error))
        else:
            self._whole += 1

    def take(self, text: str) -> None:
        """Take down the tokens of a piece of text, which are the times of their writing."""
        now = self._last = time.monotonic()
        self._delays.extend(now - float(stamp) for stamp in text.split())

    def tick(self) -> None:
        """Take down the gap since the last tick."""
        now = time.monotonic()
        self._stall = max(self._stall, now - self._tick)
        self._tick = now

    def result(self) -> Round:
        """What was seen."""
        delays = sorted(self._delays) or [math.nan]
        return Round(
            p50=statistics.median(delays),
            p99=delays[math.ceil(len(delays) * 0.99) - 1],
            stall=self._stall,
            whole=self._whole,
            errors=self._errors,
            tokens_a_second=len(delays) / (self._last - self._began),
        )


def run_in_threads(asks: list[Ask], cap: float) -> Round:
    """Ask everything at once, each in a thread."""
    watch = Watch(cap)
    ended = threading.Event()

    def tick() -> None:
        while not ended.is_set():
            time.sleep(_TICK_SECONDS)
            watch.tick()

    def answer(ask: Ask) -> None:
        if watch.may_begin():
            with watch.answer():
                ask(watch.take)

    ticker = threading.Thread(target=tick)
    ticker.start()
    threads = [threading.Thread(target=answer, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    ticker.join()
    return watch.result()


async def run_in_loop(asks: list[AsyncAsk], cap: float) -> Round:
    """Ask everything at once, each in a task of this loop."""
    watch = Watch(cap)

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            watch.tick()

    async def answer(ask: AsyncAsk) -> None:
        if watch.may_begin():
            with watch.answer():
                await ask(watch.take)

    ticker = asyncio.ensure_future(tick())
    await asyncio.gather(*(answer(ask) for ask in asks))
    # What the last answer held up shows at the next tick.
    await asyncio.sleep(2 * _TICK_SECONDS)
    ticker.cancel()
    with suppress(asyncio.CancelledError):
        await ticker
    return watch.result()


def _hfchat(url: str, answers: int) -> list[Ask]:
    from hfchat_base import HuggingChat  # noqa: PLC0415 - a peer's Python has none

    client = HuggingChat(url + PATH, model=MODEL)

    def ask(conversation: Any, take: Take) -> None:
        with conversation.stream("go") as stream:
            for text in stream.text():
                take(text)

    return [partial(ask, client.create_conversation()) for _ in range(answers)]


def _hugchat(url: str, answers: int) -> list[Ask]:
    bot = Hugchat(url, MODEL).bot

    def ask(conversation: Any, take: Take) -> None:
        for piece in bot.chat("go", conversation=conversation):
            if piece is not None:  # the last one
                take(piece["token"])

    return [partial(ask, bot.new_conversation(system_prompt="Be brief.")) for _ in range(answers)]


def _g4f(url: str, answers: int) -> list[Ask]:
    provider = G4f(url, MODEL)

    def ask(conversation: Any, take: Take) -> None:
        asyncio.run(_ask_g4f(provider, conversation, take))

    return [partial(ask, provider.new_conversation()) for _ in range(answers)]


async def _hfchat_async(url: str, answers: int, stack: AsyncExitStack) -> list[AsyncAsk]:
    from hfchat_base import AsyncHuggingChat  # noqa: PLC0415 - a peer's Python has none

    client = await stack.enter_async_context(AsyncHuggingChat(url + PATH, model=MODEL))

    async def ask(conversation: Any, take: Take) -> None:
        async with conversation.stream("go") as stream:
            async for text in stream.text():
                take(text)

    return [partial(ask, await client.create_conversation()) for _ in range(answers)]


async def _g4f_async(url: str, answers: int, _stack: AsyncExitStack) -> list[AsyncAsk]:
    provider = G4f(url, MODEL)
    return [partial(_ask_g4f, provider, provider.new_conversation()) for _ in range(answers)]


async def _ask_g4f(provider: G4f, conversation: Any, take: Take) -> None:
    async for piece in provider.pieces([{"role": "user", "content": "go"}], conversation):
        if isinstance(piece, str):
            take(piece)


async def _sockets(url: str, answers: int, _stack: AsyncExitStack) -> list[AsyncAsk]:
    host, _, port = urlsplit(url).netloc.partition(":")
    question = f"POST {PATH}/conversation/{0:024} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    token = re.compile(rb'"token":"([\d. ]+)')

    async def ask(take: Take) -> None:
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
        writer.write(question)
        while line := await reader.readline():
            if found := token.search(line):
                take(found[1].decode())
        writer.close()

    return [ask] * answers


THREADED: dict[str, Callable[[str, int], list[Ask]]] = {
    "hfchat": _hfchat,
    "hugchat": _hugchat,
    "g4f": _g4f,
}
IN_A_LOOP: dict[str, Callable[[str, int, AsyncExitStack], Awaitable[list[AsyncAsk]]]] = {
    "sockets": _sockets,
    "hfchat-async": _hfchat_async,
    "g4f-async": _g4f_async,
}


async def _measure_loop(order: Order) -> Outcome:
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        prepare = IN_A_LOOP[order.client]
        paced = await prepare(order.paced, order.answers, stack)
        unpaced = await prepare(order.unpaced, order.answers, stack)
        memory = _Memory()
        for _ in range(order.rounds):
            outcome.paced.append(await run_in_loop(paced, order.cap))
            outcome.unpaced.append(await run_in_loop(unpaced, order.cap))
        outcome.memory = memory.grown()
    return outcome


def _measure_threads(order: Order) -> Outcome:
    outcome = Outcome()
    prepare = THREADED[order.client]
    paced = prepare(order.paced, order.answers)
    unpaced = prepare(order.unpaced, order.answers)
    memory = _Memory()
    for _ in range(order.rounds):
        outcome.paced.append(run_in_threads(paced, order.cap))
        outcome.unpaced.append(run_in_threads(unpaced, order.cap))
    outcome.memory = memory.grown()
    return outcome


class _Memory:
    """The largest memory of this process since this was made, where Linux reports it."""

    def __init__(self) -> None:
        self._before: int | None = None
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
            self._before = self._peak()

    def grown(self) -> int | None:
        """By how many bytes it has grown; None if that is unknown."""
        return None if self._before is None else self._peak() - self._before

    def _peak(self) -> int:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _main(order: Order) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # the peers print, too
    in_loop = order.client in IN_A_LOOP
    outcome = asyncio.run(_measure_loop(order)) if in_loop else _measure_threads(order)
    print(json.dumps(asdict(outcome)), file=out)


if __name__ == "__main__":
    _main(Order(**json.loads(sys.argv[1])))
