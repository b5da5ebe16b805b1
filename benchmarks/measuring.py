"""How a figure is taken: CPU time of this process, subjects and floors in turn, medians.

The subjects of a table are measured in rounds: in each round every one of them runs once, so what
slows the machine for a while slows all of them. A ratio is taken within each round, before its
median. The server always runs in a process of its own (`servers`), so its work is not counted.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from typing_extensions import Self

T = TypeVar("T")

Subject: TypeAlias = Callable[[], int]
"""Does some work; returns how many units (lines, tokens, calls) it did."""

Clock: TypeAlias = Callable[[], float]
"""Returns seconds: `time.process_time` for CPU time, `time.perf_counter` for waiting."""


@dataclass(frozen=True)
class Spread:
    """The middle of some figures and the quartiles around it.

    Attributes:
        median: Half of the figures are below.
        low: A quarter of the figures is below.
        high: A quarter of the figures is above.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: list[float]) -> Spread:
        """The spread of some figures, at least one."""
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
        return cls(median, low, high)

    def times(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Measured:
    """The costs of some subjects, round by round.

    Attributes:
        costs: For each subject its cost in each round, in microseconds a unit.
    """

    costs: Mapping[str, list[float]]

    def cost(self, subject: str) -> Spread:
        """What a unit cost, in microseconds."""
        return Spread.of(self.costs[subject])

    def ratio(self, subject: str, floor: str) -> Spread:
        """How many times the cost of a floor a subject cost, from the ratios of each round."""
        pairs = zip(self.costs[subject], self.costs[floor], strict=True)
        return Spread.of([ours / theirs for ours, theirs in pairs])


def measure_in_turn(
    subjects: Mapping[str, Subject],
    rounds: int,
    *,
    name: str,
    clock: Clock = time.process_time,
    before: Callable[[], object] = gc.collect,
    units: int | None = None,
) -> Measured:
    """Measure each subject once in every round, after one round that does not count.

    Args:
        subjects: What to measure, by name. One that has something to prepare does so the first
            time that it runs.
        rounds: How many rounds count.
        name: Shown in the progress.
        clock: What is measured; CPU time of this process with all its threads by default.
        before: Done before each measurement, and not measured.
        units: How many units each subject has to do each time; None if they differ.

    Raises:
        ValueError: A subject did more or less than that, so its figure would mean nothing.
    """
    costs: dict[str, list[float]] = {subject: [] for subject in subjects}
    for number in range(rounds + 1):
        progress(f"{name}: round {number} of {rounds}")
        for subject, run in subjects.items():
            before()
            began = clock()
            done = run()
            spent = clock() - began
            if units not in (None, done):
                raise ValueError(f"{name}: {subject} did {done} units, not {units}")
            if number:
                costs[subject].append(spent / done * 1e6)
        # Else a full collection, which has to look at all that was imported, would hit one
        # subject or another by chance.
        gc.freeze()
    return Measured(costs)


class StandingLoop:
    """An event loop that stands still between the rounds, with what lives in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self._loop.close()

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run the loop until some work is done."""
        return self._loop.run_until_complete(work)

    def subject(self, work: Callable[[], Coroutine[None, None, int]]) -> Subject:
        """Make a subject of a coroutine function that returns how many units it did."""
        return lambda: self.run(work())

    async def _end(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_asyncgens()


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"  {text}", file=sys.stderr, flush=True)


def shares(run: Subject, *, most: int = 8) -> str:
    """Where the CPU time of a subject goes: the modules with the largest own time, in per cent.

    Args:
        run: The subject, warm.
        most: How many modules to name.
    """
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    run()
    profile.disable()
    own: dict[str, float] = {}
    # What typeshed leaves out: function → (calls, primitive calls, own time, …).
    entries = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    for (file, _line, function), (_calls, _primitive, seconds, *_rest) in entries:
        place = _module(file) if file != "~" else _builtin(function)
        own[place] = own.get(place, 0.0) + seconds
    total = sum(own.values())
    largest = sorted(own.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{place} {seconds / total:.0%}" for place, seconds in largest)


def _module(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    for root in ("site-packages", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        if root in parts:
            parts = parts[parts.index(root) + 1 :]
    kept = [part for part in parts if not part.startswith(("<", "/"))]
    ours = [
        place for place, part in enumerate(kept) if part.endswith(("hfchat_base", "huggingchat"))
    ]
    return ".".join(kept[ours[-1] :] if ours else kept[-3:])


def _builtin(function: str) -> str:
    return "libcurl" if "curl" in function else "C functions"
