"""Every block of code in the README and on the documentation's pages does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore
from hfchat_base.local import LocalServer, scripted_tool_servers
from tests.support import office
from tests.support.pages import (
    NEEDS_A_CAPABLE_MODEL,
    REPOSITORY,
    Block,
    as_program,
    blocks_of,
    name_of,
    pages,
)
from tests.support.pages_server import make_server
from tests.support.pictures import PNG
from tests.support.sessions import write_profile

README = REPOSITORY / "README.md"

# Installers are only looked at, see below. The demo downloads a model, and is run by
# tests/base/cli/test_demo.py. A window that somebody has to log in with is opened by
# tests/base/auth/test_login.py; here the cookies come that it would bring.
PRELUDE = (
    "pip() { :; }; uv() { :; }; playwright() { :; };"
    ' hfchat() { if [ "$*" = demo ]; then return; fi;'
    ' if [ "$*" = login ]; then set -- login --import cookies.json; fi;'
    ' command hfchat "$@"; }; set -eu'
)

WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning")
"""LlamaIndex's workflows use what is deprecated; hfchat's own warnings are of other kinds."""


def programs() -> list[Any]:
    """The Python of each page; the README's blocks stand each on its own, and alone are quick."""
    parts: list[tuple[str, list[Block], tuple[pytest.MarkDecorator, ...]]] = []
    for page in pages():
        blocks = blocks_of(page, "python")
        if page == README:
            parts += [(f"README.md:{block.first_line}", [block], ()) for block in blocks]
        elif blocks:
            parts.append((name_of(page), blocks, (pytest.mark.slow,)))
    return [pytest.param(name, as_program(blocks), id=name, marks=m) for name, blocks, m in parts]


def programs_for_any_model() -> list[Any]:
    """The Python of each page that does not say that it needs a model that follows instructions."""
    parts = [
        (name_of(page), blocks_of(page, "python"))
        for page in pages()
        if page != README and NEEDS_A_CAPABLE_MODEL not in page.read_text(encoding="utf-8")
    ]
    return [pytest.param(n, as_program(blocks), id=n) for n, blocks in parts if blocks]


def scripts() -> list[Any]:
    """The commands of each page."""
    parts = [(name_of(page), blocks_of(page, "sh")) for page in pages()]
    return [pytest.param(n, as_program(blocks), id=n) for n, blocks in parts if blocks]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Somebody's home, with the files that pages speak of."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("cat.png", "dog.png", "chart.png"):
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "company-ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    (tmp_path / "report.docx").write_bytes(office.word_document())
    (tmp_path / "notes.txt").write_text("The ferry leaves at noon.", encoding="utf-8")
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "COLUMNS": "100",
    }


def log_in(server: LocalServer, environment: dict[str, str], folder: Path) -> str:
    """Give somebody a session, in all the places that pages take one from; return its cookie."""
    cookies = server.cookies()
    value = cookies[SESSION_COOKIE]
    environment["HUGGINGCHAT_BASE_URL"] = server.base_url
    SessionStore().save(server.base_url, "alice", [Cookie(SESSION_COOKIE, value)])
    write_profile(folder / "home", list(cookies.items()), host="127.0.0.1")
    (folder / "cookies.json").write_text(json.dumps(cookies), encoding="utf-8")
    return value


def run(arguments: list[str], environment: dict[str, str], folder: Path, stdin: str = "") -> None:
    """Run a program in a folder, with no terminal; what it complains about fails the test."""
    done = subprocess.run(  # noqa: S603 - the pages' own code
        arguments,
        env=environment,
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("name", "program"), programs())
def test_python(name: str, program: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The Python of a page runs to its end, as somebody who has logged in to a server."""
    file = tmp_path / name.replace("/", "-").replace(":", "-")
    file.write_text(program, encoding="utf-8")
    with make_server() as server:
        log_in(server, environment, tmp_path)
        run([sys.executable, *WARNINGS, str(file)], environment, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "program"), programs_for_any_model())
def test_python_on_hfchat_serve(
    name: str, program: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """It also runs on the server that `hfchat serve` starts, unless the page says otherwise."""
    file = tmp_path / name.replace("/", "-")
    file.write_text(program, encoding="utf-8")
    with LocalServer(tool_servers=scripted_tool_servers(), token_delay=0.01) as server:
        log_in(server, environment, tmp_path)
        run([sys.executable, *WARNINGS, str(file)], environment, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "script"), scripts())
def test_commands(name: str, script: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The commands of a page succeed."""
    file = tmp_path / name.replace("/", "-")
    file.write_text(f"{PRELUDE}\n{script.removeprefix(chr(10))}", encoding="utf-8")
    with make_server() as server:
        cookie = log_in(server, environment, tmp_path)
        run(["bash", str(file)], environment, tmp_path, stdin=f"{cookie}\n")


def test_installers_name_what_there_is() -> None:
    """Every extra and every group that a page speaks of is one of the project's."""
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    named = re.compile(r"^([\w-]+) = \[", re.MULTILINE)
    known_extras, known_groups = (
        set(named.findall(project.partition(f"\n[{table}]\n")[2].partition("\n[")[0]))
        for table in ("project.optional-dependencies", "dependency-groups")
    )
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    extras = {
        e.strip() for m in re.findall(r"(?:hfchat|\"\.)\[([\w, -]+)\]", text) for e in m.split(",")
    }
    groups = set(re.findall(r"--(?:only-)?group[ =]([\w-]+)", text))
    assert extras
    assert extras <= known_extras
    assert groups
    assert groups <= known_groups


def test_hardly_anything_is_not_run() -> None:
    """Blocks that are not run are few, and each says why: none can run in a test."""
    skipped = {
        (name_of(page), block.code)
        for page in pages()
        for block in blocks_of(page, "python", "sh")
        if block.reason
    }
    assert len(skipped) <= 13, skipped


def test_no_other_code() -> None:
    """What is code is marked as Python or as commands, so that it is run; TypeScript is shown."""
    shown = {"text", "json", "toml", "yaml", "http", "ts", ""}
    fence = re.compile(r"^```(\w[\w-]*)$", re.MULTILINE)
    languages = {
        (name_of(page), language)
        for page in pages()
        for language in fence.findall(page.read_text(encoding="utf-8"))
    }
    assert {pair for pair in languages if pair[1] not in shown | {"python", "sh"}} == set()


def test_readme_names_its_two_commands() -> None:
    """The README has one way to set up a clone, and two commands for it, each on one line."""
    section = README.read_text(encoding="utf-8").partition("## Try it\n")[2].partition("\n## ")[0]
    assert re.findall(r"^```sh\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL) == [
        "python3 -m venv .venv && . .venv/bin/activate && pip install -qq uv",
        'uv pip install --no-cache ".[demo]" && hfchat demo',
        "uv run --all-extras pytest",
    ]


def test_readme_leads_nowhere_else_on_a_package_index() -> None:
    """All links of the README are whole addresses, and no picture lies next to it."""
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text) + re.findall(r"(?:src|href)=\"([^\"]*)\"", text)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


def test_files_of_everyday_changes_exist() -> None:
    """Each file and folder that CONTRIBUTING names for a change is where it says."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Where a change goes\n")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+/[\w/.]*|legacy\.py)`", section)
    places = (REPOSITORY, REPOSITORY / "hfchat_base", REPOSITORY / "hfchat_base/_protocol/dialects")
    assert len(named) > 6
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_files_that_the_readme_names_exist() -> None:
    """Each page or folder that the README names without a link is in the repository."""
    named = re.findall(r"`((?:docs|notebooks)[\w/.-]*|[A-Z]+\.md)`", README.read_text("utf-8"))
    assert named
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
