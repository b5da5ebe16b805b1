"""What tests need besides the group `test`, and the commands that install it.

Where something is missing, tests are skipped and say so; with ``CI`` set they fail.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

_TESTS: Final = Path(__file__).parents[1]

_EXTRAS: Final = {
    "langchain": "langchain_core",
    "llama-index": "llama_index.core",
    "model": "xllamacpp",
    "cli": "typer",
    "browser": "rookie_cookies",
    "keyring": "keyring",
    "documents": "pypdf",
    "notebook": "IPython",
}
"""A module that each extra brings. The extra `local` is part of the group `test`."""

_GROUPS: Final = {"notebooks": "nbclient", "docs": "sphinx"}
"""A module that each group brings."""

_NEEDS: Final = {
    "langchain": ("langchain",),
    "llama_index": ("llama-index",),
    "local/demo": ("model",),
    "api/test_judges.py": ("langchain", "llama-index"),
    "api/test_command.py": ("cli",),
    "api/test_langchain_standard.py": ("langchain",),
    "base/cli": ("cli",),
    "base/cli/test_demo.py": ("langchain", "llama-index"),
    "base/auth/test_sources.py": ("browser",),
    "base/auth/test_login.py": ("browser",),
    "base/auth/test_store_keyring.py": ("keyring",),
    "api/test_chat_completions.py": ("documents",),
    "base/test_documents.py": ("documents",),
    "base/test_attachments.py": ("documents",),
    "langchain/test_convert.py": ("documents",),
    "llama_index/test_convert.py": ("documents",),
    "faults/test_names.py": ("cli",),
    "docs/test_code_blocks.py": tuple(_EXTRAS),
}
"""The extras that the modules in a folder, or a single one, need to be imported."""


def missing_for(path: Path) -> str:
    """Say what a test module needs and is not here, or nothing."""
    inside = path.relative_to(_TESTS)
    places = [str(place.as_posix()) for place in (inside, *inside.parents)]
    return _missing(*(name for place in places for name in _NEEDS.get(place, ())))


def require(*names: str) -> None:
    """Skip a test, or fail it in CI, unless extras or groups are installed."""
    if reason := _missing(*names):
        give_up(reason)


def give_up(reason: str) -> NoReturn:
    """Skip a test or a module for want of something; fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def _missing(*names: str) -> str:
    absent = sorted({name for name in names if not _is_here({**_EXTRAS, **_GROUPS}[name])})
    if not absent:
        return ""
    options = [f"--{'extra' if name in _EXTRAS else 'group'} {name}" for name in absent]
    return f"needs {', '.join(absent)}: uv sync --inexact {' '.join(options)}"


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
