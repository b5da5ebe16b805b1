"""Many answers in one event loop: what a token costs, and what an answer takes of memory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from benchmarks.many import HANDLE, HFCHAT, SESSION, Round, Schedule, many_client, many_server
from benchmarks.measuring import Spread, progress
from benchmarks.report import Cell, Table
from benchmarks.settings import Settings
from benchmarks.ways import verdict

_ANSWERS: Final = (1, 200, 1000, 2000)
_TOKENS_AT_ONCE: Final = (1, 8)
_WAKE_UPS: Final = 24_000
_WAKE_UPS_OF_ONE: Final = 3_000
_PAUSE: Final = 0.0002
_MOST_OF_ONE: Final = 1.25
_MOST_OF_MANY: Final = 1.11  # nine tenths of the speed


def measure(settings: Settings) -> Table:
    """Read one and many answers with each client, in turn."""
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    rounds = settings.pick(5, 1)
    for answers in _ANSWERS[: settings.pick(len(_ANSWERS), 2)]:
        for tokens in _TOKENS_AT_ONCE:
            schedule = _schedule(answers, tokens)
            what = f"{answers:,} at once, {tokens} to a wake-up"
            measured = _measure(schedule, rounds, what)
            rows += _rows(schedule, measured)
            times = _least(measured[HFCHAT]) / _least(measured[SESSION])
            notes.append(verdict(what, times, _MOST_OF_ONE if answers == 1 else _MOST_OF_MANY))
    return Table(
        name="many",
        title="Many answers in one event loop: µs of CPU a token",
        compares=(
            "The same answers, read at the same time in one event loop, each process with one"
            " client: hfchat, which gives out typed events, and curl_cffi, which does no more than"
            " split the bytes into lines: with its session, and with the bare handles below it."
        ),
        aim=(
            "A single answer at most 1.25 times the session of curl_cffi; many at once at least"
            " nine tenths of its tokens in the same CPU time."
        ),
        columns=(
            *("Answers", "Tokens to a wake-up", "Reader", "µs a token", "least, µs"),
            *("of the session", "of the handle", "kB an answer", "collections"),
        ),
        rows=tuple(rows),
        notes=(
            (
                "Measured from when all answers have begun until the last token is read, with the"
                " garbage collector frozen before. The server writes to each answer once, then"
                " waits until all have been read; so every client is woken equally often."
            ),
            (
                f"Ratios are those of the fastest of {rounds} rounds, which whatever else runs on"
                " the machine disturbs least. Memory is what the process has grown by when all"
                " answers stand open for the first time. Collections are those of the garbage"
                " collector in the last round, of all generations."
            ),
            *notes,
        ),
    )


def _schedule(answers: int, tokens: int) -> Schedule:
    wake_ups = _WAKE_UPS_OF_ONE if answers == 1 else _WAKE_UPS
    pause = _PAUSE if answers == 1 else 0.0
    return Schedule(answers, wake_ups // answers, tokens, pause)


def _measure(schedule: Schedule, rounds: int, what: str) -> dict[str, list[Round]]:
    """All rounds of each client; the first one is there for the memory only."""
    measured: dict[str, list[Round]] = {HFCHAT: [], SESSION: [], HANDLE: []}
    with ExitStack() as stack:
        url = stack.enter_context(many_server(schedule))
        clients = {name: stack.enter_context(many_client(name, url, schedule)) for name in measured}
        for number in range(rounds + 1):
            progress(f"many: {what}, round {number} of {rounds}")
            for name, read in clients.items():
                measured[name].append(read())
    return measured


def _rows(schedule: Schedule, measured: dict[str, list[Round]]) -> list[tuple[Cell, ...]]:
    return [
        (
            f"{schedule.answers:,}",
            f"{schedule.tokens}",
            name,
            Spread.of([each.reading for each in rounds[1:]]).times(1e6 / schedule.all_tokens),
            _least(rounds) * 1e6 / schedule.all_tokens,
            _least(rounds) / _least(measured[SESSION]),
            _least(rounds) / _least(measured[HANDLE]),
            None if schedule.answers == 1 else rounds[0].memory / schedule.answers / 1e3,
            sum(rounds[-1].collections),
        )
        for name, rounds in measured.items()
    ]


def _least(rounds: list[Round]) -> float:
    return min(each.reading for each in rounds[1:])
