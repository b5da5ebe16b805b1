"""What a table of the benchmarks is, and its text in Markdown. Its picture is made in `drawing`."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

from benchmarks.measuring import Spread

Cell: TypeAlias = str | int | float | Spread | None
"""A figure or a word; None where there is nothing to say."""


@dataclass(frozen=True)
class Bars:
    """A picture with a bar for each row, with whiskers where the value is a `Spread`.

    Attributes:
        value: The column that gives the length of a bar.
        label: The column that names a bar.
        panel: The column by which the rows part into panels; None for a single panel.
        unit: What the axis measures, with its unit.
        ours: The labels that are hfchat's, drawn in its colour.
        logarithmic: Whether the axis is logarithmic.
        shares_axis: Whether the panels have the same scale.
    """

    value: str
    label: str
    unit: str
    panel: str | None = None
    ours: tuple[str, ...] = ()
    logarithmic: bool = False
    shares_axis: bool = True


@dataclass(frozen=True)
class Lines:
    """A picture with a line for each series over a logarithmic axis.

    Attributes:
        x: The column with the numbers along the axis.
        y: The column with the values.
        series: The column that names a line.
        x_unit: What the horizontal axis measures, with its unit.
        y_unit: What the vertical axis measures, with its unit.
        panel: The column by which the rows part into panels; None for a single panel.
        ours: The series that are hfchat's, drawn in its colour.
    """

    x: str
    y: str
    series: str
    x_unit: str
    y_unit: str
    panel: str | None = None
    ours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One comparison: what was measured, compared with what, and the result.

    Attributes:
        name: Of its module and its files.
        title: Its heading.
        compares: What is compared with what, in one or two sentences.
        aim: What it should show; empty if it is there to know and not to pass.
        columns: The headings.
        rows: A cell for each column.
        notes: What a reader has to know to read it right: whether the aim is reached, and where
            the time goes.
        chart: How it is drawn; None for no picture.
        packages: The distributions compared, whose versions are told.
    """

    name: str
    title: str
    compares: str
    aim: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    chart: Bars | Lines | None = None
    packages: tuple[str, ...] = field(default=("curl_cffi",))

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.name}: a row of {len(row)} cells: {row}")

    def column(self, name: str) -> list[Cell]:
        """The cells under a heading, top down."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def written(cell: Cell) -> str:
    """A cell as text: three significant digits, and the spread of a figure behind it."""
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        return f"{_number(cell.median)} ({_number(cell.low)} to {_number(cell.high)})"
    return cell if isinstance(cell, str) else _number(cell)


def markdown(table: Table, picture: str | None = None) -> str:
    """A table as a section of Markdown.

    Args:
        table: What to write.
        picture: The path of its picture, from the place where the text will stand.
    """
    parts = [f"## {table.title}", table.compares]
    if table.aim:
        parts.append(f"**Aim:** {table.aim}")
    if picture:
        parts.append(f"![{table.title}]({picture})")
    numbers = [
        all(not isinstance(cell, str) for cell in table.column(name)) for name in table.columns
    ]
    lines = [table.columns, tuple("---:" if number else "---" for number in numbers)]
    lines += [tuple(written(cell).replace("|", "\\|") for cell in row) for row in table.rows]
    parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    if table.notes:
        parts.append("\n".join(f"- {note}" for note in table.notes))
    parts.append(f"*{machine()}. {versions(table.packages)}.*")
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """The processor, its cores, the system and the Python that a run had."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return (
        f"{_processor()}, {cores} cores, {system}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def versions(packages: Sequence[str]) -> str:
    """The versions of hfchat and of what it is compared with."""
    said = []
    for package in ("hfchat", *packages):
        try:
            said.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            said.append(f"no {package}")
    return ", ".join(said)


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.exists() and (found := re.search(r"model name\s*:\s*(.+)", known.read_text())):
        return found[1].strip()
    return platform.processor() or platform.machine()
