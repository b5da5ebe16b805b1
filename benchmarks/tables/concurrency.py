"""Many answers at once: what `load` measures, for each client and number of answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from benchmarks.load import Order, Outcome, Round
from benchmarks.measuring import Spread, progress
from benchmarks.peer_clients import peers_note
from benchmarks.report import Bars, Cell, Table
from benchmarks.settings import Settings
from benchmarks.stamped import Stamping, stamped_server

_PAUSE = 0.05
_TOKENS_A_WRITE = 16

_OURS: Final = {"hfchat, async": "hfchat-async", "hfchat, threads": "hfchat"}
_PEERS: Final = {
    "hugchat, threads": "hugchat",
    "g4f, threads with a loop each": "g4f",
    "g4f, one loop": "g4f-async",
}
_FLOOR = "bare sockets, async"
_NO_FIGURES: Final = (None,) * 6


def measure(settings: Settings) -> Table:
    """Ask for one, some and many answers at once, with each client in a process of its own."""
    tokens = settings.pick(20, 10)
    unpaced_tokens = settings.pick(20_000, 4_000)
    cap = settings.pick(4, 2)
    notes: list[str] = []
    rows: list[tuple[Cell, ...]] = []
    for answers in (1, 20, 200):
        unpaced = Stamping(max(unpaced_tokens // answers, 1), _TOKENS_A_WRITE)
        with (
            stamped_server(Stamping(tokens, pause=_PAUSE)) as slow,
            stamped_server(unpaced) as fast,
        ):
            order = Order("", answers, slow, fast, settings.pick(3, 1), cap)
            rows += _measure_clients(order, settings, notes)
    return Table(
        name="concurrency",
        title="Many answers at once",
        compares=(
            "The same answers, requested at the same moment from one process: hfchat in one"
            " event loop and in threads, hugchat in threads, g4f's provider in threads and"
            " in one event loop, and bare sockets that read nothing but the tokens."
        ),
        aim="",
        columns=(
            "Answers",
            "Client",
            "tokens a second",
            "delay p50, ms",
            "delay p99, ms",
            "longest stall, ms",
            "longest stall, flooded, ms",
            "memory, MB",
        ),
        rows=tuple(rows),
        notes=(
            (
                f"Delay and stall: answers of {tokens} tokens, {1 / _PAUSE:.0f}"
                " per second each. The delay is the time from when the server writes a"
                " token, which the token says, to when the caller has it. A stall is the"
                " longest gap between two ticks that should be a millisecond apart: of the"
                " event loop or, with threads, of one more thread."
            ),
            (
                f"Tokens per second, and the stall when flooded: {unpaced_tokens:,} tokens in all,"
                f" written as fast as they are read, {_TOKENS_A_WRITE}"
                " lines at once; from the first question to the last token. The more answers"
                " there are, the shorter each is, and the more its start counts."
            ),
            (
                f"No answer starts later than {cap}"
                " s after the first: in one event loop, g4f reads one after the other, so"
                " its delays are those of a single answer. Memory is the most by which the"
                " process grew. The conversations were created beforehand."
            ),
            *notes,
            peers_note(settings.peers),
        ),
        chart=Bars(
            "delay p99, ms",
            "Client",
            "p99 of a token's delay, ms",
            panel="Answers",
            ours=tuple(_OURS),
            logarithmic=True,
        ),
    )


def _measure_clients(
    order: Order, settings: Settings, notes: list[str]
) -> Iterator[tuple[Cell, ...]]:
    answers = f"{order.answers} at once"
    for name, client in {_FLOOR: "sockets", **_OURS, **_PEERS}.items():
        python = settings.peers if name in _PEERS else sys.executable
        if python is None:
            yield answers, f"{name}: not measured", *_NO_FIGURES
            continue
        progress(f"concurrency: {answers}, {name}")
        order = Order(**{**asdict(order), "client": client})
        outcome = _run(python, order)
        errors = [error for each in (*outcome.paced, *outcome.unpaced) for error in each.errors]
        if errors:
            notes.append(f"{answers}, {name}: {len(errors)} failed, `{errors[0]}`.")
        begun = sum(each.whole + len(each.errors) for each in outcome.paced)
        asked = order.answers * len(outcome.paced)
        label = name if begun == asked else f"{name} ({begun} of {asked} begun)"
        yield answers, label, *_figures(outcome)


def _run(python: str, order: Order) -> Outcome:
    command = [python, "-m", "benchmarks.load", json.dumps(asdict(order))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{order.client}: {done.stderr[-500:]}")
    said = json.loads(done.stdout)
    paced, unpaced = ([Round(**each) for each in said[kind]] for kind in ("paced", "unpaced"))
    return Outcome(paced, unpaced, said["memory"])


def _figures(outcome: Outcome) -> tuple[Cell, ...]:
    paced = outcome.paced
    return (
        Spread.of([each.tokens_a_second for each in outcome.unpaced]),
        Spread.of([each.p50 * 1000 for each in paced]),
        Spread.of([each.p99 * 1000 for each in paced]),
        Spread.of([each.stall * 1000 for each in paced]),
        Spread.of([each.stall * 1000 for each in outcome.unpaced]),
        None if outcome.memory is None else outcome.memory / 1e6,
    )
