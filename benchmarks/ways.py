"""Models of one framework that are asked in several ways (streamed, whole, sync, async).

All of it is measured in the same rounds, so that a way can be compared with another one too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.measuring import Measured, Subject, measure_in_turn, shares
from benchmarks.report import Cell
from benchmarks.settings import Settings


@dataclass(frozen=True)
class Ways:
    """What came of measuring the models in all ways.

    Attributes:
        subjects: For each way the models by name.
        measured: Their costs, under the keys that `key` makes.
    """

    subjects: Mapping[str, Mapping[str, Subject]]
    measured: Measured

    @classmethod
    def measure(
        cls,
        subjects: Mapping[str, Mapping[str, Subject]],
        settings: Settings,
        *,
        name: str,
        before: Callable[[], object],
        units: int,
    ) -> Ways:
        """Measure the models; see `measure_in_turn`."""
        flat = {
            key(way, model): subject
            for way, models in subjects.items()
            for model, subject in models.items()
        }
        measured = measure_in_turn(flat, settings.rounds, name=name, before=before, units=units)
        return cls(subjects, measured)

    def rows(self, *floors: str) -> tuple[tuple[Cell, ...], ...]:
        """A row for each way and model: its cost, and how many times that of each floor.

        Args:
            floors: Models with which those of the same way are compared, where the way has them.
        """
        return tuple(
            (
                way,
                model,
                self.measured.cost(key(way, model)),
                *(
                    self.measured.ratio(key(way, model), key(way, floor))
                    if floor in models
                    else None
                    for floor in floors
                ),
            )
            for way, models in self.subjects.items()
            for model in models
        )

    def times(self, subject: tuple[str, str], floor: tuple[str, str]) -> float:
        """How many times the cost of a floor a subject costs."""
        return self.measured.ratio(key(*subject), key(*floor)).median

    def shares(self, model: str, before: Callable[[], object]) -> list[str]:
        """For each way, where the time of a model goes."""
        said = []
        for way, models in self.subjects.items():
            before()
            said.append(f"{way}: {shares(models[model])}.")
        return said


def key(way: str, model: str) -> str:
    """The name under which a model's way is measured."""
    return f"{model}, {way}"


def verdict(what: str, times: float, most: float) -> str:
    """Say whether a cost is at most so many times another.

    Args:
        what: Whose cost, and of what.
        times: How many times it is.
        most: How many times it may be.
    """
    return f"{what}: {times:.2f} times, {_said(times <= most)} (at most {most:g})."


def verdict_on_speed(what: str, times: float, least: float) -> str:
    """Say whether something is at least so many times as fast as another.

    Args:
        what: What, and than what.
        times: How many times the cost of the other it costs.
        least: How many times as fast it should be.
    """
    return (
        f"{what}: {1 / times:.1f} times as fast, {_said(1 / times >= least)} (at least {least:g})."
    )


def _said(is_reached: bool) -> str:
    return "reached" if is_reached else "not reached"
