"""The local server judges the client, so it must not share code or constants with it."""

from __future__ import annotations

import ast
from pathlib import Path

import hfchat_base.local

_ALLOWED = ("hfchat_base.local", "hfchat_base.errors", "hfchat_base.hosts")


def test_nothing_of_the_client_is_imported() -> None:
    """Of `hfchat_base` the server imports itself, its errors, and the guard of hosts only."""
    sources = list(Path(hfchat_base.local.__file__).parent.rglob("*.py"))
    assert sources
    imported = {
        (source.name, name) for source in sources for name in _imports(source.read_text("utf-8"))
    }
    assert not {
        (source, name)
        for source, name in imported
        if name.startswith("hfchat_base") and not name.startswith(_ALLOWED)
    }


def _imports(source: str) -> list[str]:
    """List the modules that a source file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names
