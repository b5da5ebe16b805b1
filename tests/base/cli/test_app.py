"""The entry point: what it imports, what it says when something is missing, its exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hfchat_base import __version__
from hfchat_base.cli.app import show_warning
from hfchat_base.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from hfchat_base.local import LocalServer


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own."""
    return subprocess.run(  # noqa: S603 - the code is ours
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_is_named_with_its_extra(package: str) -> None:
    """Without Typer or Rich it says what to install."""
    code = f"import sys; sys.modules[{package!r}] = None\nfrom hfchat_base.cli import main; main()"
    result = python(code, "--help")
    assert result.returncode == 1
    assert result.stderr == f"The command hfchat needs an extra: {install_command('cli')}\n"


def test_a_package_that_one_option_needs(tmp_path: Path) -> None:
    """A package that is imported late is named in the same way."""
    schema = tmp_path / "schema.json"
    schema.write_text("{}")
    code = "import sys; sys.modules['jsonschema'] = None\nfrom hfchat_base.cli import main; main()"
    result = python(code, "ask", "x", "--schema", str(schema))
    assert result.returncode == 1
    needed = f"Validating against a JSON schema needs an extra: {install_command('cli')}"
    assert result.stderr == f"Error: {needed}\n"


def test_warnings_have_no_path(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of ours is one line without a file's name; those of libraries are not shown."""
    show_warning(UserWarning("The model list\x1b[2J cannot be read."), UserWarning, __file__, 1)
    show_warning(DeprecationWarning("of a library"), DeprecationWarning, __file__, 1)
    assert capsys.readouterr().err == "Warning: The model list cannot be read.\n"


def test_the_help_imports_nothing_heavy() -> None:
    """No framework, no server and no engine is imported before a command needs it."""
    code = """
import sys
from hfchat_base.cli import main
try:
    main()
finally:
    heavy = {"langchain_core", "llama_index", "starlette", "uvicorn", "httpx", "xllamacpp"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    result = python(code, "--help")
    assert result.returncode == 0
    assert result.stderr == "[]\n"
    for name in ("demo", "ask", "chat", "models", "conversations", "whoami", "serve"):
        assert name in result.stdout


def test_the_version(hfchat: Callable[..., Result]) -> None:
    """--version and -V print the version."""
    for option in ("--version", "-V"):
        assert hfchat(option).stdout == f"hfchat {__version__}\n"


@pytest.mark.parametrize(
    "command", ["ask", "chat", "models", "conversations list", "login", "serve"]
)
def test_the_help_of_options(hfchat: Callable[..., Result], command: str) -> None:
    """An option shows what it takes, a flag that it takes nothing, and defaults are in words."""
    shown = hfchat(*command.split(), "--help").stdout
    assert not re.search(r"<bool>|<str>|int range|list\[", shown, re.IGNORECASE)
    if command != "serve":
        assert "$HUGGINGCHAT_BASE_URL" in shown


def test_wrong_usage(hfchat: Callable[..., Result]) -> None:
    """An unknown command or option ends with code 2."""
    assert hfchat("nonsense").exit_code == 2
    assert hfchat("models", "--nonsense").exit_code == 2


def test_an_option_before_its_command(hfchat: Callable[..., Result]) -> None:
    """An option that stands before its command is refused with the order that works."""
    result = hfchat("--base-url", "http://127.0.0.1:9", "ask", "hello")
    assert result.exit_code == 2
    assert "--base-url comes after the command, as in: hfchat ask --base-url" in result.stderr


def test_debug_shows_the_traceback(hfchat: Callable[..., Result]) -> None:
    """--debug shows the traceback of an error, and the command fails as ever."""
    result = hfchat("--debug", "models", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert "hfchat_base.errors.TransportError: " in result.stderr


def test_no_cookie_is_shown(current_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the log and a traceback hold a cookie."""
    monkeypatch.setenv("HUGGINGCHAT_COOKIES", "hf-chat=very-secret-session; token=secret-token")
    code = "from hfchat_base.cli import main; main()"
    result = python(code, "--debug", "ask", "x", "--base-url", current_server.base_url)
    assert result.returncode != 0 or result.stdout
    assert "secret" not in result.stdout + result.stderr


def test_names_of_models_are_completed(
    current_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that has the completion installed completes -m with the names of models."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", current_server.base_url)
    monkeypatch.setenv("COMP_WORDS", "hfchat ask -m think/")
    monkeypatch.setenv("COMP_CWORD", "3")
    monkeypatch.setenv("_HFCHAT_COMPLETE", "complete_bash")
    result = python("from hfchat_base.cli import main; main()")
    assert result.stdout.split() == ["think/reasoner", "think/tags", "think/effort"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hfchat sett", ["settings"]),
        ("hfchat conversations ex", ["export"]),
        ("hfchat conversations export --format ", ["sqlite", "md", "json"]),
        ("hfchat ask --reasoning-effort ", ["low", "medium", "high"]),
        ("hfchat chat --provider ", ["auto", "fastest", "cheapest"]),
        ("hfchat ask --artifacts o", ["on", "off"]),
        ("hfchat settings direct", ["direct_paste="]),
    ],
)
def test_what_the_shell_completes(
    hfchat: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    completed: list[str],
) -> None:
    """Commands, those of a group, and the values of options are completed."""
    monkeypatch.setenv("_HFCHAT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert hfchat().stdout.split() == completed
