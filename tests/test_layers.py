"""The layers: which module may import which, and no circles of files."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("hfchat_base", "langchain_huggingchat", "llama_index_huggingchat")

OUTER: Final = (
    "hfchat_base.cli.",
    "hfchat_base.api.",
    "langchain_huggingchat.",
    "llama_index_huggingchat.",
)

LAYERS: Final = (
    "hfchat_base.cli",
    "langchain_huggingchat llama_index_huggingchat hfchat_base.api",
    "hfchat_base.offline hfchat_base.testing hfchat_base.notebook",
    "hfchat_base.local",
    "hfchat_base",
    "hfchat_base.client",
    "hfchat_base.conversation",
    "hfchat_base.streams",
    "hfchat_base.tools",
    "hfchat_base.auth",
    "hfchat_base._transport",
    "hfchat_base._flows",
    "hfchat_base._protocol",
    "hfchat_base.validation",
    "hfchat_base.files hfchat_base.policy hfchat_base.secret hfchat_base.time_zone",
    "hfchat_base.documents",
    # What everybody may know of the protocol: its numbers, and how an address is read.
    "hfchat_base._protocol.web_address",
    "hfchat_base._protocol.constants",
    "hfchat_base.errors",
    "hfchat_base.types",
    "hfchat_base._display",
    "hfchat_base.installation",
    "hfchat_base.events hfchat_base._forks hfchat_base._version",
)
"""From top to bottom; a module may import from its own layer and from those below."""


def _modules() -> dict[str, Path]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {_name(file): file for file in files}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path) -> set[str]:
    """The modules of this project that a file imports, also only for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in MODULES else node.module for name in names)
    return found & MODULES.keys()


MODULES: Final = _modules()
GRAPH: Final = {name: _imports(file) - {name} for name, file in MODULES.items()}


def _layer(module: str) -> int:
    """The layer of a module: the one that names the longest part of its path."""
    places = {name: number for number, names in enumerate(LAYERS) for name in names.split()}
    while module not in places:
        module = module.rpartition(".")[0]
    return places[module]


def test_arrows_point_down() -> None:
    """A module imports from its own layer and from those below it."""
    upward = [
        f"{module} -> {other}"
        for module, others in GRAPH.items()
        for other in others
        if _layer(other) < _layer(module)
    ]
    assert not upward


def test_no_circles() -> None:
    """No files import each other in a circle, not even for type checkers."""
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_wrappers_and_commands_use_what_is_public() -> None:
    """Wrappers, commands and the endpoint need nothing of the base that has an underscore."""
    private = [
        f"{module} -> {other}"
        for module, others in GRAPH.items()
        for other in others
        if f"{module}.".startswith(OUTER) and other.startswith("hfchat_base._")
    ]
    assert not private


def test_only_dialects_know_the_generations() -> None:
    """No code outside of the dialects compares with the name of a generation of the protocol."""
    inner = ("hfchat_base._", "hfchat_base.client", "hfchat_base.auth")
    asking = [
        f"{name}:{node.lineno}"
        for name, file in MODULES.items()
        if name.startswith(inner) and not name.startswith("hfchat_base._protocol.dialects")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for part in (node.left, *node.comparators)
        if isinstance(part, ast.Constant) and part.value in ("current", "legacy")
    ]
    assert not asking


def test_only_the_protocol_knows_routes() -> None:
    """No flow names a route of the server: requests are made in `_protocol`."""
    named = [
        f"{name}:{node.lineno} {node.value}"
        for name, file in MODULES.items()
        if name.startswith("hfchat_base._flows")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.match(r"/[a-z]", node.value)
    ]
    assert not named


def test_one_writer_of_runs() -> None:
    """The state of a run is assigned in `run_state.py` alone."""
    writes = [
        f"{name}:{node.lineno}"
        for name, file in MODULES.items()
        if name.startswith("hfchat_base.") and not name.startswith("hfchat_base.local.")
        if name != "hfchat_base._flows.run_state"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if re.match(r"(self\.)?_?run(\.|$)", ast.unparse(node.value))
    ]
    assert not writes


def test_tests_share_through_support_only() -> None:
    """What several tests need is in `tests/support`; no test imports another."""
    sharing = [
        f"{file.relative_to(ROOT)} -> {node.module}"
        for file in (ROOT / "tests").rglob("*.py")
        if "fuzz" not in file.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        if node.module.startswith("tests.") and not node.module.startswith("tests.support")
    ]
    assert not sharing
