"""The tables, one module each with a ``measure(settings) -> Table``. Nothing is measured here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.report import Table
    from benchmarks.settings import Settings

TABLES = (
    "pipeline",
    "langchain",
    "llama_index",
    "first_token",
    "traffic",
    "concurrency",
    "many",
    "footprint",
    "growth",
)
"""Their names, in the order in which they are told."""


def measure(name: str, settings: Settings) -> Table:
    """Measure one table, in this process.

    Args:
        name: One of `TABLES`.
        settings: How thoroughly.
    """
    table: Table = import_module(f"{__name__}.{name}").measure(settings)
    return table
