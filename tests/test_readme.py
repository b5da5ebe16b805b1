"""The README's Python does what it says: every block runs against a local server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hfchat_base.local import LocalServer

_README = Path(__file__).parent.parent / "README.md"
_BLOCKS = re.findall(r"```python\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.split("\n", 1)[0])
def test_block_runs(block: str) -> None:
    """A block of the README runs to its end with no account and no configuration but a server."""
    with LocalServer() as server:
        done = subprocess.run(  # noqa: S603 - the README's own code
            [sys.executable, "-W", "error", "-c", block],
            env={**os.environ, "HUGGINGCHAT_BASE_URL": server.base_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_readme_names_its_two_commands() -> None:
    """The README holds exactly two commands for a clone, each on one line."""
    commands = re.findall(
        r"^pip install uv && .+$", _README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert commands == [
        "pip install uv && uv run --all-extras hfchat demo",
        "pip install uv && uv run --all-extras pytest",
    ]
