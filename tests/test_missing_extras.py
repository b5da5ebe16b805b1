"""Tests whose extra is missing say how to install it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "module", "extra"),
    [
        ("tests/base/cli", "typer", "cli"),
        ("tests/langchain", "langchain_core", "langchain"),
        ("tests/llama_index", "llama_index", "llama-index"),
    ],
)
def test_a_folder_without_its_extra_is_skipped(folder: str, module: str, extra: str) -> None:
    """Each module of it is skipped, with the command that installs the extra."""
    done = pytest_without(module, folder)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    modules = len(list((_ROOT / folder).rglob("test_*.py")))
    assert f"uv sync --inexact --extra {extra}" in done.stdout
    assert f"{modules} skipped" in done.stdout


@pytest.mark.slow
def test_in_ci_it_fails() -> None:
    """Nothing is left out there without a word."""
    done = pytest_without("typer", "tests/base/cli/test_app.py", CI="true")
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert "uv sync --inexact --extra cli" in done.stdout


def pytest_without(module: str, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Have the tests of a path collected where a module cannot be imported."""
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    options = ("-n0", "--collect-only", "-p", "no:cacheprovider", path)
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _WITHOUT, module, *options],
        env={**inherited, **variables},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
