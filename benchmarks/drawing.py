"""The pictures of the tables, as SVG files. What a table is stands in `report`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measuring import Spread
from benchmarks.report import Bars, Cell, Lines, Table, written

_OURS = "#d9822b"
_THEIRS = ["#7a8ba3", "#5b9e8f", "#a78bb8", "#b0a172", "#8a8f98", "#c08497"]
_INK = "#333333"
_STYLE = Path(__file__).with_name("light.mplstyle")
_BAR_INCHES = 0.34
_PANEL_INCHES = 0.75


def draw(table: Table, path: Path) -> None:
    """Draw a table's chart.

    Args:
        table: One with a chart.
        path: The SVG file to write.

    Raises:
        ValueError: The table has no chart.
    """
    if table.chart is None:
        raise ValueError(f"{table.name} has no chart")
    with mpl.rc_context(fname=_STYLE):
        if isinstance(table.chart, Bars):
            figure = _draw_bars(table, table.chart)
        else:
            figure = _draw_lines(table, table.chart)
        figure.suptitle(table.title, fontsize=12, fontweight="bold")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_bars(table: Table, chart: Bars) -> Figure:
    panels = _panels(table, chart.panel)
    sizes = [len(rows) for rows in panels.values()]
    figure = Figure(
        figsize=(8.5, sum(sizes) * _BAR_INCHES + len(panels) * _PANEL_INCHES + 0.5),
        layout="constrained",
    )
    axes = figure.subplots(
        len(panels),
        1,
        sharex=chart.shares_axis,
        squeeze=False,
        gridspec_kw={"height_ratios": sizes},
    )[:, 0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        _draw_panel_of_bars(axis, chart, table, rows)
        axis.set_title(title, loc="left", fontsize=10)
    axes[-1].set_xlabel(chart.unit)
    return figure


def _draw_panel_of_bars(axis: Axes, chart: Bars, table: Table, rows: list[int]) -> None:
    labels = [str(table.column(chart.label)[row]) for row in rows]
    cells = [table.column(chart.value)[row] for row in rows]
    middles = [_middle(cell) for cell in cells]
    places = range(len(rows))
    colours = [_OURS if label in chart.ours else _THEIRS[0] for label in labels]
    axis.barh(places, middles, color=colours, height=0.68)
    for place, cell in zip(places, cells, strict=True):
        end = _middle(cell)
        if isinstance(cell, Spread):
            axis.hlines(place, cell.low, cell.high, color=_INK, linewidth=1.2)
            end = cell.high
        shown = written(cell.median if isinstance(cell, Spread) else cell) or "none"
        axis.annotate(
            shown, (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axis.set_yticks(places, labels)
    axis.tick_params(axis="y", length=0)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    if chart.logarithmic:
        axis.set_xscale("log")
    axis.grid(axis="x")


def _draw_lines(table: Table, chart: Lines) -> Figure:
    panels = _panels(table, chart.panel)
    figure = Figure(figsize=(max(4.2 * len(panels), 6.5), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        names = list(dict.fromkeys(str(table.column(chart.series)[row]) for row in rows))
        others = [name for name in names if name not in chart.ours]
        for name in names:
            ours = name in chart.ours
            colour = _OURS if ours else _THEIRS[others.index(name) % len(_THEIRS)]
            points = [row for row in rows if table.column(chart.series)[row] == name]
            axis.plot(
                [_middle(table.column(chart.x)[row]) for row in points],
                [_middle(table.column(chart.y)[row]) for row in points],
                marker="o",
                markersize=4,
                color=colour,
                linewidth=2.2 if ours else 1.4,
                label=name,
            )
        axis.set(xscale="log", yscale="log", xlabel=chart.x_unit, ylabel=chart.y_unit)
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid()
        axis.legend(frameon=False, fontsize=9)
    return figure


def _panels(table: Table, column: str | None) -> dict[str, list[int]]:
    """The numbers of the rows in each panel, in the order of the table."""
    if column is None:
        return {"": list(range(len(table.rows)))}
    panels: dict[str, list[int]] = {}
    for row, title in enumerate(table.column(column)):
        panels.setdefault(str(title), []).append(row)
    return panels


def _middle(cell: Cell) -> float:
    if isinstance(cell, Spread):
        return cell.median
    return float("nan") if cell is None else float(cell)
