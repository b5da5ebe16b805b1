"""The option that saves notebooks with the outputs of their run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``pytest tests/notebooks --update-notebooks``."""
    parser.addoption(
        "--update-notebooks",
        action="store_true",
        help="save the notebooks with the outputs of this run",
    )
