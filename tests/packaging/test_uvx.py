"""The wheel without extras, as uvx and uv's tools run it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import LocalServer
from tests.support import environment
from tests.support.building import Built, find_uv, uv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell as whoever runs the tests, so that uv finds its cache."""
    return subprocess.run(  # noqa: S602 - of the tests
        command,
        shell=True,
        env={**environment.CALLER, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The command that an error names, for the uv of the tests."""
    command = re.search(r"needs an extra: uv (.+)\n", done.stderr)
    assert command, done.stderr
    return f'"{find_uv()}" {command[1]}'


def uvx(built: Built, python: str, command: str, **variables: str) -> tuple[int, str, str]:
    """Run a command of the wheel as `uvx --from` the wheel does."""
    line = f'"{find_uv()}" tool run --python "{python}" --from "{built.wheel}" {command}'
    done = run(line, **variables)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.model
def test_the_demo_needs_no_extras_to_be_named(built: Built, python: str, weights: Path) -> None:
    """`uvx --from hfchat hfchat demo` says what it fetches, then shows both frameworks."""
    code, shown, notes = uvx(built, python, "hfchat demo", HFCHAT_DEMO_MODEL=str(weights))
    assert code == 0, notes
    assert "Ada Morrow." in shown
    assert "about 120 MB to download" in notes
    assert f"hfchat[api,cli,demo,langchain,llama-index,local,model] @ {built.wheel.as_uri()}" in (
        shown
    )


def test_a_command_adds_what_it_lacks(built: Built, python: str) -> None:
    """First what all commands need, then what this one needs."""
    code, shown, notes = uvx(built, python, "hfchat api --help")
    assert (code, "hfchat api" in shown) == (0, True), notes
    with LocalServer() as server:
        code, shown, notes = uvx(
            built,
            python,
            "hfchat ask hello --model echo/base",
            HUGGINGCHAT_BASE_URL=server.base_url,
            HUGGINGCHAT_COOKIES="hf-chat=guest",
        )
    assert (code, shown) == (0, "You said: hello\n"), notes


@pytest.mark.skipif(os.name == "nt", reason="the shell quotes otherwise")
def test_the_command_of_the_error_works_for_a_tool(
    built: Built, python: str, tmp_path: Path
) -> None:
    """Who installed hfchat with `uv tool install` gets a command that completes the tool."""
    folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    installed = run(f'"{find_uv()}" tool install --python "{python}" "{built.wheel}"', **folders)
    assert installed.returncode == 0, installed.stderr
    command = told(run(f"{tmp_path}/bin/hfchat --version"))
    completed = run(command, **folders)
    assert completed.returncode == 0, completed.stderr
    assert run(f"{tmp_path}/bin/hfchat --version").stdout.startswith("hfchat ")


def test_the_command_of_the_error_works_in_an_environment(
    built: Built, python: str, tmp_path: Path
) -> None:
    """In an environment that nobody activated, the command names it."""
    folder = tmp_path / "environment"
    uv("venv", "--python", python, str(folder))
    uv("pip", "install", "--python", str(folder), str(built.wheel))
    program = next(folder.glob("*/hfchat*"))
    command = told(run(f'"{program}" --version'))
    completed = run(command)
    assert completed.returncode == 0, completed.stderr
    assert run(f'"{program}" --version').stdout.startswith("hfchat ")
