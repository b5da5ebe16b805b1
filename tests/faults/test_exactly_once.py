"""The connection is cut at every byte, and nothing is lost and nothing comes twice.

What is played back is a taped answer (`taped.py`) with thinking, a tool, characters outside of the
basic plane, and a final text that differs from what was streamed. The quick tests try a part of the
cuts, the same ones each time. The slow ones try all: the answer cut at every byte, in three ways
and with both clients, and then its log at every byte as well.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from typing import TYPE_CHECKING, Final, Literal

import pytest

from hfchat_base import AsyncHuggingChat, HuggingChat
from tests.support.faults.caller import Outcome, aread, read
from tests.support.faults.fault_server import RESUME, SEND, FaultServer
from tests.support.faults.http1 import response, unchunked
from tests.support.faults.kinds import Cut, Fault, How, Instead
from tests.support.faults.origins import Scripted
from tests.support.faults.taped import TOOL_SERVER, Player, Tape, tape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PARTS_TRIED: Final = 41
"""One in so many cuts is tried quickly; a prime, so that it meets every column of a line."""

Part = Literal["some", "all"]
"""How many of the cuts are tried."""

Faults = tuple[Fault, ...]
"""What the answer meets, then what each resume meets."""


@pytest.fixture(
    params=["some", pytest.param("all", marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def part(request: pytest.FixtureRequest) -> Part:
    """Some cuts quickly, and all slowly."""
    part: Part = request.param
    return part


@pytest.fixture(scope="module")
def taped() -> Tape:
    """The answer, taped once."""
    return tape()


@pytest.fixture
def player(taped: Tape) -> Iterator[FaultServer]:
    """A server that plays the tape."""
    with FaultServer(Scripted(Player(taped))) as server:
        yield server


def set_up(server: FaultServer, faults: Faults) -> None:
    """Let the next answer and its resumes meet their faults."""
    server.reset()
    server.on(SEND, faults[0]).on(RESUME, *faults[1:])


def check_all(kind: str, server: FaultServer, cases: Sequence[Faults]) -> None:
    """Ask once without a fault, then once for each case, and compare.

    Args:
        kind: The client, ``sync`` or ``async``.
        server: Where to ask.
        cases: The faults.
    """
    run = check_sync if kind == "sync" else check_async
    run(server, cases)


def check_sync(server: FaultServer, cases: Sequence[Faults]) -> None:
    """Check all cases with the synchronous client."""
    with HuggingChat(server.url) as client:
        conversation = client.create_conversation("rich/answer")
        whole = Outcome()
        read(conversation, "hi", whole, mcp_servers=[TOOL_SERVER])
        for faults in cases:
            set_up(server, faults)
            resumed = Outcome()
            read(conversation, "hi", resumed, mcp_servers=[TOOL_SERVER])
            compare(resumed, whole, server, faults)


def check_async(server: FaultServer, cases: Sequence[Faults]) -> None:
    """Check all cases with the asynchronous client."""

    async def check() -> None:
        async with AsyncHuggingChat(server.url) as client:
            conversation = await client.create_conversation("rich/answer")
            whole = Outcome()
            await aread(conversation, "hi", whole, mcp_servers=[TOOL_SERVER])
            for faults in cases:
                set_up(server, faults)
                resumed = Outcome()
                await aread(conversation, "hi", resumed, mcp_servers=[TOOL_SERVER])
                compare(resumed, whole, server, faults)

    asyncio.run(check())


def compare(resumed: Outcome, whole: Outcome, server: FaultServer, faults: Faults) -> None:
    """Compare a resumed answer with the whole one, and to one message sent."""
    assert resumed.comparable == whole.comparable, faults
    assert server.count(SEND) == 1, faults


def of_part(cases: Sequence[Faults], part: Part) -> Sequence[Faults]:
    """All cases, or one of so many of them."""
    return cases if part == "all" else cases[::_PARTS_TRIED]


def line_ends(raw: bytes) -> list[int]:
    """The position behind each line of the answer: all that a first cut can make a difference of.

    A line that was cut counts for nothing, so two cuts within one line leave the same behind.
    """
    return [found.end() for found in re.finditer(rb"\}\n", raw)]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_answer_cut_at_every_byte(
    how: How, kind: str, part: Part, taped: Tape, player: FaultServer
) -> None:
    """A connection that ends at any byte of the answer, its head included, is not noticed."""
    cuts = [(Cut(after, how=how),) for after in range(len(taped.answer) + 1)]
    check_all(kind, player, of_part(cuts, part))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_answer_that_ends_properly_at_every_byte(
    kind: str, part: Part, taped: Tape, player: FaultServer
) -> None:
    """An answer whose HTTP is whole and which stops at any byte of its body is resumed as well."""
    body = unchunked(taped.answer)
    cuts = [(Instead(response(body[:after], until_close=True)),) for after in range(len(body) + 1)]
    check_all(kind, player, of_part(cuts, part))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_log_cut_at_every_byte(kind: str, part: Part, taped: Tape, player: FaultServer) -> None:
    """The answer is cut after a line, each in turn, and its log at any byte: it is not noticed."""
    firsts = itertools.cycle(line_ends(taped.answer))
    pairs: list[Faults] = [
        (Cut(first), Cut(second))
        for first, second in zip(firsts, range(len(taped.log) + 1), strict=False)
    ]
    check_all(kind, player, of_part(pairs, part))


def test_two_cuts_anywhere(part: Part, taped: Tape, player: FaultServer) -> None:
    """The answer and its log are cut at any two bytes, wherever within a line."""
    chance = random.Random(1)  # noqa: S311 - the same each time
    pairs = [
        (Cut(chance.randrange(len(taped.answer))), Cut(chance.randrange(len(taped.log)), how=how))
        for how in ("close", "reset")
        for _ in range(2_500 if part == "all" else 60)
    ]
    check_all("sync", player, pairs)


def test_many_cuts_in_a_row(part: Part, taped: Tape, player: FaultServer) -> None:
    """Losses in a row, each a little further, end in the whole answer all the same."""
    chance = random.Random(2)  # noqa: S311 - the same each time
    cases: list[Faults] = []
    for _ in range(1_000 if part == "all" else 30):
        cuts = sorted(chance.randrange(len(taped.log)) for _ in range(5))
        cases.append((Cut(chance.randrange(len(taped.answer))), *(Cut(after) for after in cuts)))
    check_all("sync", player, cases)
