"""What is built, and clean environments with it, made once for all tests of packaging.

``HFCHAT_PYTHONS="3.10 3.11 3.12 3.13"`` tries those in place of the interpreter of the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.support import extras
from tests.support.building import Built, Environment, build, find_uv
from tests.support.environment import CALLER

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that wants a `python` on each."""
    if "python" in metafunc.fixturenames:
        pythons = CALLER.get("HFCHAT_PYTHONS", "").split() or [sys.executable]
        metafunc.parametrize(
            "python", pythons, ids=lambda python: Path(python).name, scope="session"
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheels and the source distribution of this tree."""
    if find_uv() is None:
        extras.give_up("what is built is built with uv: pip install uv")
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def _place() -> Iterator[Path]:
    """Where the environments are, one after the other; nothing of them stays."""
    with TemporaryDirectory(prefix="hfchat-") as folder:
        yield Path(folder) / "environment"


@pytest.fixture(scope="session")
def environment(
    request: pytest.FixtureRequest, built: Built, python: str, _place: Path
) -> Environment:
    """A clean environment with the extra that the test names, or with none."""
    return Environment.create(_place, built.wheel, request.param, python)
