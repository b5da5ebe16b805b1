"""Many answers through a proxy that breaks one connection in five: none lost, none twice.

    python -m benchmarks.soak [base_url] [seconds]

Run it from the repository's root. The server should have the model ``slow/drip``, which says the
same numbered words each time, slowly; without an address a local one is started. What it says is
learnt first, without the proxy. A connection is broken by being cut or reset at a random byte, with
or without the server's noticing, or closed before anything is passed on.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfchat_base import AsyncHuggingChat, HuggingChat, HuggingChatError, StreamTruncated
from hfchat_base.local import LocalServer
from tests.support.faults.kinds import Cut, Fault, Instead, Nothing
from tests.support.faults.origins import Behind
from tests.support.faults.server import RESUME, SEND, STOP, FaultServer

if TYPE_CHECKING:
    import socket

    from tests.support.faults.origins import Source
    from tests.support.faults.wire import Asked

BROKEN_SHARE = 0.2
STOPPED_SHARE = 0.1
CALLERS = 12

_NAMES = re.compile(rb"(\r\n(?:host: |origin: http://))[^\r]*", re.IGNORECASE)


class Renamed(Behind):
    """A server behind that insists on being called by its own name in Origin and Host."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._name = urlsplit(base_url).netloc.encode()

    def answer(self, asked: Asked, client: socket.socket) -> Source:
        """Pass a request on under the server's own name."""
        head = _NAMES.sub(rb"\g<1>" + self._name, asked.head)
        return super().answer(replace(asked, head=head), client)


class SoakProxy(FaultServer):
    """Breaks one connection in five, the same ones each time it is run."""

    def __init__(self, base_url: str) -> None:
        super().__init__(Renamed(base_url))
        self._chance = random.Random(0)  # noqa: S311 - the same each time
        self.broken: Counter[str] = Counter()

    def _next_fault(self, asked: Asked) -> Fault:
        super()._next_fault(asked)
        if self._chance.random() >= BROKEN_SHARE:
            return Nothing()
        after = self._chance.randrange(6000)
        kind, fault = self._chance.choice(
            [
                ("cut", Cut(after)),
                ("cut, unnoticed behind", Cut(after, keeps_behind=True)),
                ("reset", Cut(after, how="reset")),
                ("never arrived", Instead(b"")),
            ]
        )
        self.broken[kind] += 1
        return fault


async def soak(url: str, seconds: float, whole: str) -> Counter[str]:
    """Ask for so long, and count what became of the answers.

    Args:
        url: Address of the proxy.
        seconds: How long.
        whole: What a whole answer says.
    """
    tally: Counter[str] = Counter()
    until = time.monotonic() + seconds
    chance = random.Random(1)  # noqa: S311 - the same each time

    async def ask(client: AsyncHuggingChat) -> None:
        while time.monotonic() < until:
            stops = chance.random() < STOPPED_SHARE
            stops_after = chance.randrange(1, 30)
            try:
                conversation = await client.create_conversation("slow/drip")
            except HuggingChatError:
                tally["not created"] += 1
                continue
            tally["asked"] += 1
            try:
                async with conversation.stream("go") as stream:
                    number = 0
                    async for _ in stream.text():
                        number += 1
                        if stops and number == stops_after:
                            await stream.stop()
                answer = stream.answer
            except StreamTruncated as error:
                said = error.partial.text if error.partial else ""
                tally[
                    "cut short, with word of it" if whole.startswith(said.strip()) else "WRONG"
                ] += 1
            except HuggingChatError as error:
                tally[f"{type(error).__name__}: {str(error)[:70]}"] += 1
            else:
                if answer.finish_reason == "interrupted" and whole.startswith(answer.text.strip()):
                    tally["stopped"] += 1
                else:
                    tally["whole" if answer.text.strip() == whole else "WRONG"] += 1

    async with AsyncHuggingChat(url) as client:
        await asyncio.gather(*(ask(client) for _ in range(CALLERS)))
    return tally


def main() -> None:
    """Soak one server and print what came of it."""
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    with LocalServer(token_delay=0.02) as local:
        address = sys.argv[1] if len(sys.argv) > 1 else local.base_url
        with SoakProxy(address) as proxy:
            with HuggingChat(address) as client:
                whole = client.chat("go", model="slow/drip").text.strip()
            tally = asyncio.run(soak(proxy.url + urlsplit(address).path, seconds, whole))
            connections = len(proxy.asked)
            broken = sum(proxy.broken.values())
            sent, resumed = proxy.count(SEND), proxy.count(RESUME)
            print(f"{address}: {connections} connections, {broken} broken {dict(proxy.broken)}")
            print(f"  {sent} messages sent, {resumed} resumes, {proxy.count(STOP)} stops")
            print(f"  {dict(tally)}")


if __name__ == "__main__":
    main()
