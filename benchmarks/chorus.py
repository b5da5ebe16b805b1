"""A server that writes many answers in step, and a client that reads them all in one event loop.

The answers stand open until a client asks for `GO_PATH`. Then each of them gets its next tokens in
turn, again and again, and the client says each time that it has read them all. So it is woken once
for each writing of each answer, however fast it is, and two clients do the same work.

Run as a command with a number of answers it is the server. Run with an `Order` it is a client,
which reads the answers once for each line of its input, and prints a `Round` as JSON for each.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from socket import socket
from typing import TypeAlias
from urllib.parse import urlsplit

from curl_cffi import AsyncCurl, AsyncSession, Response

from benchmarks import bare
from benchmarks.servers import BARE_PATH, HEAD, serve, serving
from hfchat_base import AsyncHuggingChat
from hfchat_base.conversation import AsyncConversation
from hfchat_base.events import TextDelta
from hfchat_base.local import LocalServer
from hfchat_base.local.wire import wire_line
from tests.support.faults.fault_server import SEND, FaultServer
from tests.support.faults.http1 import Asked, chunked
from tests.support.faults.origins import Behind, BytesSource, Source

GO_PATH = "/go"
MODEL = "echo/base"
HFCHAT, SESSION, HANDLE = "hfchat", "curl_cffi, AsyncSession", "curl_cffi, AsyncCurl"

_IDLE_SECONDS = 0.2


@dataclass(frozen=True)
class Singing:
    """How the answers are written.

    Attributes:
        answers: How many there are.
        writings: How often each of them is written to.
        tokens: How many tokens are written at once, each as a line and a chunk of HTTP, as chat-ui
            does (R).
        pause: Seconds from one writing to the next, in place of the client's word. For a single
            answer, where that would cost as much as the reading.
    """

    answers: int
    writings: int
    tokens: int
    pause: float = 0.0

    @property
    def all_tokens(self) -> int:
        """How many tokens all answers have, without the first one of each."""
        return self.answers * self.writings * self.tokens


class _Chorus:
    """Holds the answers that were asked for, and writes to them in step."""

    def __init__(self, singing: Singing) -> None:
        self._singing = singing
        self._clients: list[socket] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def meet(self, client: socket, _ask: Callable[[], Source]) -> None:
        """Begin an answer, with its first token, and hold it until all are over."""
        client.sendall(HEAD + _chunk({"type": "status", "status": "started"}) + _token(0))
        with self._lock:
            self._clients.append(client)
            ended = self._ended
        ended.wait()

    def sing(self, wait: Callable[[], object]) -> None:
        """Write all answers to their end.

        Args:
            wait: Waits until the client has read what was written.
        """
        with self._lock:
            clients, self._clients = self._clients, []
            ended, self._ended = self._ended, threading.Event()
        singing = self._singing
        for writing in range(singing.writings):
            data = b"".join(
                _token(1 + writing * singing.tokens + number) for number in range(singing.tokens)
            )
            for client in clients:
                client.sendall(data)
            wait()
        text = "".join(f"tok{number} " for number in range(1 + singing.writings * singing.tokens))
        final = wire_line({"type": "finalAnswer", "text": text, "interrupted": False})
        end = final + wire_line({"type": "status", "status": "finished"})
        for client in clients:
            client.sendall(chunked(end, len(end)))
        ended.set()


class _Go:
    def __init__(self, chorus: _Chorus, pause: float) -> None:
        self._chorus = chorus
        self._pause = pause

    def meet(self, client: socket, _ask: Callable[[], Source]) -> None:
        """Have the answers written."""
        wait = partial(time.sleep, self._pause) if self._pause else partial(client.recv, 1)
        self._chorus.sing(wait)


class _Remembering(Behind):
    """A server behind whose answers to GETs are kept and given again, so that they take no time."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._kept: dict[str, bytes] = {}

    def answer(self, asked: Asked, client: socket) -> Source:
        """Pass a request on, or answer it as the last time."""
        if asked.method != "GET":
            return super().answer(asked, client)
        if asked.name not in self._kept:
            source = super().answer(asked, client)
            self._kept[asked.name] = b"".join(iter(source.read, b""))
            source.close()
        return BytesSource(self._kept[asked.name])


def _chunk(update: dict[str, object]) -> bytes:
    line = wire_line(update)
    return b"%x\r\n%b\r\n" % (len(line), line)


def _token(number: int) -> bytes:
    return _chunk({"type": "stream", "token": f"tok{number} "})


@contextmanager
def chorus_server(singing: Singing) -> Iterator[str]:
    """A server of that writing in another process; its address."""
    with serving("benchmarks.chorus", "serve", json.dumps(asdict(singing))) as address:
        yield address


def _serve(singing: Singing) -> None:
    chorus = _Chorus(singing)
    with LocalServer() as behind, FaultServer(_Remembering(behind.base_url)) as server:
        server.on(SEND, chorus, always=True)
        server.on(f"GET {BARE_PATH}", chorus, always=True)
        server.on(f"GET {GO_PATH}", _Go(chorus, singing.pause), always=True)
        serve(server.url)


@dataclass(frozen=True)
class Order:
    """What a client is to do.

    Attributes:
        client: `HFCHAT`, `SESSION` or `HANDLE`.
        url: The server's address.
        singing: How the server writes.
    """

    client: str
    url: str
    singing: Singing


@dataclass(frozen=True)
class Round:
    """What it took to read all answers once.

    Attributes:
        opening: CPU seconds until all answers had begun.
        reading: CPU seconds from then until the last token of all was read.
        collections: How many garbage collections of each generation there were while reading.
        memory: By how many bytes the process had grown when all answers had begun.
    """

    opening: float
    reading: float
    collections: list[int]
    memory: int


Tell: TypeAlias = Callable[[int], None]
"""Gets the number of tokens that were read of one answer."""

Ask: TypeAlias = Callable[[Tell], Coroutine[None, None, None]]
"""Asks for an answer and reads it to the end."""


class _Watch:
    """Waits until all answers have so many tokens."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._reached = asyncio.Event()
        self._left = 0
        self._goal = 0

    def expect(self, tokens: int) -> None:
        """From now on wait for so many tokens of each answer, which none has yet."""
        self._goal = tokens
        self._left = self._answers
        self._reached.clear()

    def tell(self, tokens: int) -> None:
        """One answer has got so many tokens."""
        if tokens == self._goal:
            self._left -= 1
            if not self._left:
                self._reached.set()

    def end(self, _: object) -> None:
        """All answers are over, or one has failed."""
        self._reached.set()

    async def reached(self) -> None:
        """Wait until all answers have what is expected."""
        await self._reached.wait()


async def _hfchat(order: Order, stack: AsyncExitStack) -> list[Ask]:
    client = await stack.enter_async_context(AsyncHuggingChat(order.url, model=MODEL))
    first = await client.create_conversation()

    async def ask(conversation: AsyncConversation, tell: Tell) -> None:
        tokens = 0
        async with conversation.stream("go") as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    tokens += 1
                    tell(tokens)

    return [
        partial(ask, await client.get_conversation(first.id)) for _ in range(order.singing.answers)
    ]


async def _session(order: Order, stack: AsyncExitStack) -> list[Ask]:
    session = await stack.enter_async_context(
        AsyncSession[Response](max_clients=order.singing.answers, timeout=600)
    )
    ask = partial(bare.tell_of_async_session, session, order.url + BARE_PATH)
    return [ask] * order.singing.answers


async def _handle(order: Order, stack: AsyncExitStack) -> list[Ask]:
    curl = AsyncCurl()
    stack.push_async_callback(curl.close)
    return [partial(bare.tell_of_async_curl, curl, order.url + BARE_PATH)] * order.singing.answers


_CLIENTS = {HFCHAT: _hfchat, SESSION: _session, HANDLE: _handle}


async def _read_all(order: Order, asks: list[Ask]) -> Round:
    gc.collect()
    memory = _memory()
    watch = _Watch(len(asks))
    watch.expect(1)
    began = time.process_time()
    reading = asyncio.gather(*(ask(watch.tell) for ask in asks))
    reading.add_done_callback(watch.end)
    await watch.reached()
    opening = time.process_time() - began
    await _come_to_rest()
    memory = _memory() - memory
    gc.collect()
    gc.freeze()
    collections = _collections()
    began = time.process_time()
    await _have_written(order, watch)
    took = time.process_time() - began
    collected = [now - then for now, then in zip(_collections(), collections, strict=True)]
    await reading
    return Round(opening, took, collected, memory)


async def _come_to_rest() -> None:
    """Wait until everything is done that an answer's beginning entails."""
    spent = _IDLE_SECONDS
    while spent > _IDLE_SECONDS / 10:
        before = time.process_time()
        await asyncio.sleep(_IDLE_SECONDS)
        spent = time.process_time() - before


async def _have_written(order: Order, watch: _Watch) -> None:
    """Have the server write, and wait until all is read."""
    parts, singing = urlsplit(order.url), order.singing
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {GO_PATH} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode())
    rounds = 1 if singing.pause else singing.writings
    for number in range(1, rounds + 1):
        watch.expect(1 + singing.writings * singing.tokens * number // rounds)
        await watch.reached()
        writer.write(b".")
    writer.close()


def _collections() -> list[int]:
    return [generation["collections"] for generation in gc.get_stats()]


def _memory() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def _obey(order: Order) -> None:
    async with AsyncExitStack() as stack:
        asks = await _CLIENTS[order.client](order, stack)
        for _ in iter(sys.stdin.readline, ""):
            print(json.dumps(asdict(await _read_all(order, asks))), flush=True)


def _main(kind: str, order: str) -> None:
    if kind == "serve":
        _serve(Singing(**json.loads(order)))
    else:
        said = json.loads(order)
        asyncio.run(_obey(Order(**{**said, "singing": Singing(**said["singing"])})))


if __name__ == "__main__":
    _main(*sys.argv[1:])
