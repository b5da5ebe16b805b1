"""The command: measures the tables, one process after the other, and writes and draws them."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report import Table, markdown
from benchmarks.settings import Settings
from benchmarks.tables import TABLES, measure


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Tables: {', '.join(TABLES)}. All by default.")
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option(help="Few rounds: shows only that all of it runs.")
    ] = False,
    profile: Annotated[bool, typer.Option(help="Note where the time goes.")] = False,
    peers: Annotated[
        str | None, typer.Option(help="A Python that has hugchat and g4f, to measure them too.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for tables and pictures.")] = Path(
        "docs/benchmarks"
    ),
) -> None:
    """Measure hfchat next to its floors and its peers, on this machine, over loopback."""
    if unknown := set(names or ()) - set(TABLES):
        raise typer.BadParameter(f"no such table: {', '.join(sorted(unknown))}")
    settings = Settings(quick=quick, profile=profile, peers=peers)
    failed = []
    for name in names or TABLES:
        began = time.monotonic()
        typer.echo(f"{name} …", err=True)
        try:
            table = _measure_apart(name, settings)
        except Exception as error:  # noqa: BLE001 - the other tables are still measured
            typer.echo(f"{name} failed: {error!r}\n{error.__cause__ or ''}", err=True)
            failed.append(name)
            continue
        _write(table, out)
        typer.echo(f"{name}: {time.monotonic() - began:.0f} s", err=True)
        typer.echo(markdown(table))
    if failed:
        raise typer.Exit(code=1)


def _measure_apart(name: str, settings: Settings) -> Table:
    """Measure a table in a fresh process, so that none finds what another has left behind."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(measure, name, settings).result()


def _write(table: Table, out: Path) -> None:
    # Here and not above: the children that measure have no use for it.
    from benchmarks.drawing import draw  # noqa: PLC0415

    tables, pictures = out / "tables", out / "images"
    for folder in (tables, pictures):
        folder.mkdir(parents=True, exist_ok=True)
    picture = None
    if table.chart is not None:
        picture = f"../images/{table.name}.svg"
        draw(table, pictures / f"{table.name}.svg")
    (tables / f"{table.name}.md").write_text(markdown(table, picture), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
