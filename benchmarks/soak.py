"""Many answers through a proxy that breaks one connection in five: none lost, none twice.

    python -m benchmarks.soak [base_url] [--seconds 60] [--prompts FILE]

Run it from the repository's root. The server should have the model ``slow/drip``, which says the
same numbered words each time, slowly; without an address a local one is started. What it says is
learnt first, without the proxy. A connection is broken by being cut or reset at a random byte, with
or without the server's noticing, or closed before anything is passed on.

An answer is lost if the server has it whole and the caller has not. Each question is a text of its
own, so what the model was sent shows how often each was generated.
A local server knows that; of another one it is read in a log of what stands behind it: a file of
JSON lines, each a request of the OpenAI protocol, with ``model`` and ``messages``, or an object
that holds one as ``body``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hfchat_base import AsyncHuggingChat, HuggingChat, HuggingChatError
from hfchat_base.auth.session import Session
from hfchat_base.local import LocalServer
from hfchat_base.types import Retry
from tests.support.faults.fault_server import READ, RESUME, SEND, STOP, FaultServer
from tests.support.faults.kinds import Cut, Fault, Instead, Nothing
from tests.support.faults.origins import Behind

if TYPE_CHECKING:
    import socket

    from tests.support.faults.http1 import Asked
    from tests.support.faults.origins import Source

BROKEN_SHARE = 0.2
STOPPED_SHARE = 0.1
CALLERS = 12
MODEL = "slow/drip"

Prompts = Callable[[], list[str]]
"""Finds what users had said last in everything that the model was sent."""

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
        kinds: list[tuple[str, Fault]] = [
            ("cut", Cut(after)),
            ("cut, unnoticed behind", Cut(after, keeps_behind=True)),
            ("reset", Cut(after, how="reset")),
            ("never arrived", Instead(b"")),
        ]
        kind, fault = self._chance.choice(kinds)
        self.broken[kind] += 1
        return fault


@dataclass
class Tally:
    """What became of the questions.

    Attributes:
        session: Who asked.
        asked: The conversation of each question.
        outcomes: How many ended in which way.
        failed: The questions whose answer was neither whole nor stopped.
        retries: How many pauses before another attempt there were.
    """

    session: Session
    asked: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    retries: int = 0


async def soak(url: str, seconds: float, whole: str) -> Tally:
    """Ask for so long, and note what became of the answers.

    Args:
        url: Address of the proxy.
        seconds: How long.
        whole: What a whole answer says.
    """
    until = time.monotonic() + seconds
    chance = random.Random(1)  # noqa: S311 - the same each time

    def note_retry(_: Retry) -> None:
        tally.retries += 1

    async def ask_on(client: AsyncHuggingChat) -> None:
        while time.monotonic() < until:
            stops_after = chance.randrange(1, 30) if chance.random() < STOPPED_SHARE else None
            await ask(client, tally, whole, stops_after)

    async with AsyncHuggingChat(url, on_retry=note_retry) as client:
        tally = Tally(client.session)
        await asyncio.gather(*(ask_on(client) for _ in range(CALLERS)))
    return tally


async def ask(client: AsyncHuggingChat, tally: Tally, whole: str, stops_after: int | None) -> None:
    """Ask once and note what became of it.

    Args:
        client: Asks.
        tally: Where to note it.
        whole: What a whole answer says.
        stops_after: After how many pieces to stop it, or None.
    """
    question = f"go {uuid.uuid4()}"
    try:
        conversation = await client.create_conversation(MODEL)
    except HuggingChatError:
        tally.outcomes["no conversation could be made"] += 1
        return
    tally.asked[question] = conversation.id
    try:
        async with conversation.stream(question) as stream:
            number = 0
            async for _ in stream.text():
                number += 1
                if number == stops_after:
                    await stream.stop()
    except HuggingChatError as error:
        outcome = f"{type(error).__name__}: {str(error)[:70]}"
    else:
        text = stream.answer.text.strip()
        is_stopped = stream.answer.finish_reason == "interrupted" and whole.startswith(text)
        outcome = "stopped" if is_stopped else "whole" if text == whole else "not whole"
    if outcome not in ("whole", "stopped"):
        tally.failed.append(question)
    tally.outcomes[outcome] += 1


def prompts_of(server: LocalServer) -> Prompts:
    """Read the prompts of a local server."""
    return lambda: [
        _last_said(list(prompt.messages)) for prompt in server.prompts if prompt.model == MODEL
    ]


def prompts_in(log: Path) -> Prompts:
    """Read the prompts in what is added to a log from now on."""
    begin = log.stat().st_size

    def read() -> list[str]:
        with log.open("rb") as file:
            file.seek(begin)
            requests = [json.loads(line) for line in file]
        bodies = [request.get("body", request) for request in requests]
        return [_last_said(body["messages"]) for body in bodies if body.get("model") == MODEL]

    return read


def _last_said(messages: list[dict[str, Any]]) -> str:
    return str(messages[-1]["content"]) if messages else ""


def count_lost(address: str, tally: Tally) -> int:
    """Count the answers that the server has whole, and the caller has not."""
    with HuggingChat(address, cookies=tally.session) as client:
        stored = [client.get_conversation(tally.asked[question]) for question in tally.failed]
        last = [conversation.messages()[-1] for conversation in stored]
    return sum(message.role == "assistant" and message.state == "complete" for message in last)


def report(tally: Tally, proxy: SoakProxy, lost: int, generated: Counter[str] | None) -> None:
    """Print what came of it.

    Args:
        tally: What became of the questions.
        proxy: What broke them.
        lost: See `count_lost`.
        generated: How often the model was sent each question, if that is known.
    """
    broken = sum(proxy.broken.values())
    print(f"  {len(proxy.asked)} connections, {broken} broken: {dict(proxy.broken)}")
    print(
        f"  {proxy.count(SEND)} messages sent, {tally.retries} retries, {proxy.count(RESUME)}"
        f" resumes, {proxy.count(READ)} conversations read, {proxy.count(STOP)} stops"
    )
    print(f"  {len(tally.asked)} asked: {dict(tally.outcomes)}")
    print(f"  {lost} lost (whole on the server, not at the caller)")
    if generated is not None:
        print(f"  {sum(generated[question] > 1 for question in tally.asked)} doubled")


def main() -> None:
    """Soak one server and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url", nargs="?", help="by default a local server")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to ask")
    parser.add_argument("--prompts", type=Path, help="a log of what the model is sent")
    options = parser.parse_args()
    with LocalServer(token_delay=0.02) as local:
        address = options.base_url or local.base_url
        prompts: Prompts | None = None if options.base_url else prompts_of(local)
        if options.prompts:
            prompts = prompts_in(options.prompts)
        with SoakProxy(address) as proxy:
            with HuggingChat(address) as client:
                whole = client.chat("go", model=MODEL).text.strip()
            url = proxy.url + urlsplit(address).path
            tally = asyncio.run(soak(url, options.seconds, whole))
            print(f"{address}, {options.seconds:g} s")
            generated = Counter(prompts()) if prompts else None
            report(tally, proxy, count_lost(address, tally), generated)


if __name__ == "__main__":
    main()
