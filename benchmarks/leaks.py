"""Ten thousand short answers, a tenth of them left at random points: what is held afterwards.

    python -m benchmarks.leaks [--answers 10000] [--traced]

Run it from the repository's root. Each client asks in a process of its own, and so does a floor
that sends hfchat's own requests with curl_cffi alone; the server is in yet another process. Printed
is what the client's process held after a warm-up, half-way and at the end. What grows in the first
half and not in the second is a cache that has filled, such as the index of histories; what grows
alike in both is a leak. Tracing shows whether the memory is Python's. It takes
memory and time itself, so it is left out unless it is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from curl_cffi import AsyncSession, CurlError

from benchmarks.servers import serve, serving
from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
from tests.support.faults import leak_checks
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.leak_checks import (
    LEFT_SHARE,
    LONGEST_STAY_SECONDS,
    TASKS,
    THREADS,
    Course,
    Outcome,
)
from tests.support.faults.origins import Taping

WARM_UP = 500
CLIENTS = {
    "async": f"AsyncHuggingChat, {TASKS} tasks",
    "bare": "the same requests, curl_cffi's AsyncSession",
    "sync": f"HuggingChat, {THREADS} threads",
}
MODEL = "echo/base"
MODULE = "benchmarks.leaks"

_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24}")
_SENT = {"cookie", "accept", "content-type", "user-agent"}


class Tape:
    """The requests of one answer, to be sent again with the ids that the server gives out anew.

    Args:
        url: The server.
    """

    def __init__(self, url: str) -> None:
        taping = Taping(url)
        with FaultServer(taping) as proxy, HuggingChat(proxy.url, model=MODEL) as client:
            client.chat("hello")  # what is asked only once
            before = len(taping.tape)
            client.chat("hello again")
        self._tape = taping.tape[before:]
        self._url = url

    def requests(self) -> Generator[dict[str, Any], bytes, None]:
        """The arguments of each request in turn; the body of its response is sent in."""
        ids: dict[bytes, bytes] = {}
        for asked, response in self._tape:
            lines = asked.head.decode("latin-1").split("\r\n")[1:]
            headers = dict(line.split(": ", 1) for line in lines)
            target, body = (
                _ID.sub(lambda found: ids.get(found[0], found[0]), part)
                for part in (asked.target.encode(), asked.body)
            )
            got = yield {
                "method": asked.method,
                "url": self._url + target.decode(),
                "headers": {
                    **{name: text for name, text in headers.items() if name.lower() in _SENT},
                    "origin": self._url,
                },
                "data": body or None,
            }
            then = response.partition(b"\r\n\r\n")[2]
            ids.update(zip(_ID.findall(then), _ID.findall(got), strict=False))


async def ask_bare(url: str, batches: list[int]) -> Course:
    """Ask with an `AsyncSession`."""
    tape = Tape(url)
    chance = random.Random(0)  # noqa: S311 - the same each time

    async with AsyncSession(max_clients=TASKS) as session:

        async def send_all() -> None:
            requests = tape.requests()
            arguments = next(requests)
            with suppress(StopIteration):
                while True:
                    response = await session.request(**arguments)
                    response.raise_for_status()
                    arguments = requests.send(response.content)

        async def ask(_: int) -> Outcome:
            leaves = chance.random() < LEFT_SHARE
            stay = chance.random() * LONGEST_STAY_SECONDS
            try:
                await asyncio.wait_for(send_all(), stay if leaves else None)
            except asyncio.TimeoutError:
                return "left"
            except CurlError:
                return "failed"
            return "whole"

        return await leak_checks.run_async(ask, batches)


def measure(kind: str, url: str, count: int, *, traced: bool) -> Course:
    """Ask with one client in this process.

    Args:
        kind: One of `CLIENTS`.
        url: The server.
        count: How many answers, without the warm-up.
        traced: Whether to trace what Python allocates.
    """
    if traced:
        tracemalloc.start()
    batches = [WARM_UP, count // 2, count - count // 2]
    if kind == "async":
        return asyncio.run(leak_checks.ask_async(url, batches, ephemeral=False))
    if kind == "sync":
        return leak_checks.ask_sync(url, batches, ephemeral=False)
    return asyncio.run(ask_bare(url, batches))


def row(kind: str, course: Course, count: int) -> str:
    """A client's row of the table."""
    first, middle, last = course.footprints
    half = count / 2 / 1024
    cells = [CLIENTS[kind]]
    cells += [f"{course.outcomes[outcome]:,}" for outcome in ("whole", "left", "failed")]
    for name in ("resident", "traced"):
        held = [getattr(footprint, name) for footprint in course.footprints]
        cells.append(" → ".join(f"{kibibytes / 1024:.1f}" for kibibytes in held))
        cells += [f"{(held[1] - held[0]) / half:+.0f}, {(held[2] - held[1]) / half:+.0f}"]
    for name in ("threads", "descriptors", "tasks"):
        cells.append(f"{getattr(first, name)} → {getattr(last, name)}")
    grown = last.objects - middle.objects
    cells.append(", ".join(f"{name} {more:+}" for name, more in grown.items()) or "none")
    return f"| {' | '.join(cells)} |"


HEADINGS = (
    "client",
    "whole",
    "left",
    "failed",
    "resident, MiB",
    "bytes an answer, by halves",
    "traced, MiB",
    "bytes an answer, by halves",
    "threads",
    "descriptors",
    "tasks",
    "more objects in the second half",
)


def main() -> None:
    """Ask with every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--traced", action="store_true")
    parser.add_argument("--client", choices=CLIENTS, help="measure this one, in this process")
    parser.add_argument("--url", help="the server that it asks")
    parser.add_argument("--serve", action="store_true", help="be the server")
    options = parser.parse_args()
    if options.serve:
        with LocalServer(token_delay=0.01) as server:
            serve(server.base_url)
    elif options.client:
        course = measure(options.client, options.url, options.answers, traced=options.traced)
        print(row(options.client, course, options.answers), flush=True)
    else:
        print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
        for kind in CLIENTS:
            with serving(MODULE, "--serve") as url:
                command = [sys.executable, "-m", MODULE, *sys.argv[1:], "--client", kind]
                subprocess.run([*command, "--url", url], check=True)  # noqa: S603 - our own program


if __name__ == "__main__":
    main()
