"""What an installation weighs and how long an import takes, extra by extra, each alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measuring import Measured, progress
from benchmarks.peer_clients import peer_versions, peers_note
from benchmarks.report import Bars, Cell, Table
from benchmarks.settings import Settings

_EXTRAS: Final = {
    "": "hfchat_base",
    "langchain": "langchain_huggingchat",
    "llama-index": "llama_index_huggingchat",
    "local": "hfchat_base.local",
    "cli": "hfchat_base.cli.app",
    "model": "",
    "browser": "",
    "keyring": "",
    "all": "",
}
"""The extras, and what is imported of each that has something to import."""

_BESIDE: Final = {
    "langchain-core": "langchain_core.language_models.chat_models",
    "langchain-openai": "langchain_openai",
    "llama-index-core": "llama_index.core",
    "llama-index-llms-openai-like": "llama_index.llms.openai_like",
}
_PEERS: Final = {"hugchat": "hugchat.hugchat", "g4f": "g4f.Provider"}
_QUICK: Final = ("hfchat", "hfchat[langchain]", "langchain-core", "hugchat")

_FLOORS: Final = {
    "hfchat[langchain]": "langchain-core",
    "langchain-openai": "langchain-core",
    "hfchat[llama-index]": "llama-index-core",
    "llama-index-llms-openai-like": "llama-index-core",
}
_REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class _Installed:
    """An environment with one thing in it, and what that needs.

    Attributes:
        python: Its interpreter.
        megabytes: The size of its packages, uncompiled.
        packages: How many distributions it has.
        module: What is imported; empty for nothing.
    """

    python: Path
    megabytes: float
    packages: int
    module: str


def measure(settings: Settings) -> Table:
    """Install everything from its wheel, each in an environment of its own, and import it."""
    with tempfile.TemporaryDirectory() as folder:
        installed = dict(_install_all(Path(folder), settings))
        measured = _measure_imports(installed, settings)
    return Table(
        name="footprint",
        title="What is installed and imported",
        compares=(
            "hfchat without extras and with each extra alone, next to the frameworks, their"
            " clients for OpenAI, and the other clients: each with everything it needs, in a"
            " new environment."
        ),
        aim="",
        columns=("What", "MB", "packages", "import", "ms of import", "of its framework"),
        rows=tuple(_row(name, each, measured) for name, each in installed.items()),
        notes=(
            (
                "MB count the files as they are installed, before Python compiles them."
                " `python -X importtime` times the imports in new processes, after one that"
                " compiles; Python's own start is subtracted."
            ),
            peers_note(settings.peers),
        ),
        chart=Bars("MB", "What", "MB installed", ours=tuple(_ours())),
        packages=("curl_cffi", *(name for name in _BESIDE if name in installed)),
    )


def _ours() -> dict[str, str]:
    return {f"hfchat[{extra}]" if extra else "hfchat": module for extra, module in _EXTRAS.items()}


def _install_all(folder: Path, settings: Settings) -> Iterator[tuple[str, _Installed]]:
    progress("footprint: building the wheel")
    _uv("build", "--wheel", "--out-dir", str(folder), str(_REPOSITORY))
    wheel = next(folder.glob("hfchat-*.whl")).as_uri()
    wanted = {name: (f"{name} @ {wheel}", module) for name, module in _ours().items()} | {
        name: (name, module) for name, module in _BESIDE.items()
    }
    if settings.peers:
        versions = peer_versions(settings.peers)
        wanted |= {name: (f"{name}=={versions[name]}", module) for name, module in _PEERS.items()}
    for name, (requirement, module) in wanted.items():
        if not settings.quick or name in _QUICK:
            progress(f"footprint: installing {name}")
            yield name, _install(folder / name, requirement, module)


def _install(folder: Path, requirement: str, module: str) -> _Installed:
    _uv("venv", "--python", sys.executable, str(folder))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = next(folder.glob("[Ll]ib/**/site-packages"))
    before = _bytes(packages)
    _uv("pip", "install", "--python", str(python), requirement)
    return _Installed(
        python,
        (_bytes(packages) - before) / 1e6,
        len(list(packages.glob("*.dist-info"))),
        module,
    )


def _bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _uv(*arguments: str) -> None:
    program = shutil.which("uv")
    if program is None:
        raise RuntimeError("uv is not on the path; it installs what is measured")
    command = [program, *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"uv {arguments[0]}: {done.stderr[-500:]}")


def _measure_imports(installed: dict[str, _Installed], settings: Settings) -> Measured:
    """Time the imports, in rounds, after one round that does not count."""
    rounds = settings.pick(5, 2)
    imported = {name: each for name, each in installed.items() if each.module}
    costs: dict[str, list[float]] = {name: [] for name in imported}
    for number in range(rounds + 1):
        progress(f"footprint: importing, round {number} of {rounds}")
        for name, each in imported.items():
            cost = _import_time(each.python, each.module) - _import_time(each.python, "")
            if number:
                costs[name].append(cost)
    return Measured(costs)


def _import_time(python: Path, module: str) -> int:
    """Microseconds that a fresh process spends on all of its imports."""
    program = f"import {module}" if module else "pass"
    done = subprocess.run(  # noqa: S603 - our own program
        [python, "-X", "importtime", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=python.parent,  # where nothing of ours could be imported instead
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return sum(int(line.removeprefix("import time:").split("|")[0]) for line in lines[1:])


def _row(name: str, each: _Installed, measured: Measured) -> tuple[Cell, ...]:
    floor = _FLOORS.get(name, "")
    return (
        name,
        each.megabytes,
        each.packages,
        f"`{each.module}`" if each.module else None,
        measured.cost(name).times(1e-3) if each.module else None,
        measured.ratio(name, floor) if floor in measured.costs else None,
    )
