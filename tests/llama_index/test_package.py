"""The package around the class: its example, and what LlamaHub reads of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfchat_base.local import LocalServer

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_example_answers_from_its_texts(reader_server: LocalServer) -> None:
    """The example runs as a script, and what it prints is in its texts."""
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, str(ROOT / "docs/examples/llama_index_rag.py")],
        env={**os.environ, "HUGGINGCHAT_BASE_URL": reader_server.base_url},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "The ferry to Skerrow leaves Port Ellin at noon." in done.stdout
    assert "> Where is the market?\nPort Ellin has a market on Saturdays." in done.stdout
    assert "A return ticket is 14 euros." in done.stdout
