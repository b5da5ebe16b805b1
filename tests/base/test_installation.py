"""What an error says to install an extra with: a command that works where it is read."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import MissingRequirementsError, __version__
from hfchat_base.installation import add_for_uvx, command_prefix, install_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHEEL = {"url": "file:///tmp/hfchat-0.1.0-py3-none-any.whl", "archive_info": {}}
CLONE = {"url": "file:///home/me/hfchat", "dir_info": {}}
EDITABLE = {"url": "file:///home/me/my%20hfchat", "dir_info": {"editable": True}}
REPOSITORY = {"url": "https://git.test/hfchat", "vcs_info": {"vcs": "git", "commit_id": "abc"}}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes an installed hfchat: by which installer, from where, and in which environment."""

    def make(
        origin: dict[str, Any] | None, *, installer: str = "pip", prefix: str = "environment"
    ) -> Path:
        folder = tmp_path / prefix
        folder.mkdir(parents=True)
        about = folder / f"hfchat-{__version__}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: hfchat\nVersion: {__version__}\n"
            "Provides-Extra: local\nRequires-Dist: no-such-package>=1; extra == 'local'\n"
            "Provides-Extra: api\nRequires-Dist: pydantic>=2; extra == 'api'\n"
        )
        (about / "INSTALLER").write_text(f"{installer}\n")
        if origin is not None:
            (about / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(sys, "prefix", str(folder))
        monkeypatch.setenv("VIRTUAL_ENV", str(folder))
        monkeypatch.setattr(sys, "argv", ["hfchat", "serve", "--port", "0"])
        return folder

    return make


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, 'pip install "hfchat[local]"'),
        (WHEEL, f'pip install "hfchat[local] @ {WHEEL["url"]}"'),
        (CLONE, 'pip install "hfchat[local] @ file:///home/me/hfchat"'),
        (REPOSITORY, 'pip install "hfchat[local] @ git+https://git.test/hfchat@abc"'),
    ],
)
def test_the_extra_comes_from_where_hfchat_came_from(
    install: Callable[..., Path], origin: dict[str, Any] | None, command: str
) -> None:
    """What was installed from a file, a folder or a repository is completed from there."""
    install(origin)
    assert install_command("local") == command


@pytest.mark.skipif(sys.platform == "win32", reason="paths of another form")
def test_an_editable_clone_stays_editable(install: Callable[..., Path]) -> None:
    """Whoever works on hfchat keeps working on it."""
    install(EDITABLE)
    assert install_command("local") == 'pip install -e "/home/me/my hfchat[local]"'


def test_the_installer_of_the_environment_is_named(install: Callable[..., Path]) -> None:
    """An environment of uv may hold no pip."""
    install(None, installer="uv")
    assert install_command("local") == 'uv pip install "hfchat[local]"'


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_environment_that_is_not_active_is_named(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, installer: str
) -> None:
    """The command means the environment that runs, not the one that the shell would take."""
    folder = install(None, installer=installer)
    monkeypatch.delenv("VIRTUAL_ENV")
    monkeypatch.setattr(sys, "executable", f"{folder}/bin/python")
    named = {
        "pip": f"{folder}/bin/python -m pip install",
        "uv": f"uv pip install --python {folder}",
    }
    assert install_command("local") == f'{named[installer]} "hfchat[local]"'


def test_a_tool_keeps_its_extras(install: Callable[..., Path]) -> None:
    """Installing a tool replaces it, so the command names what it has already, too."""
    folder = install(WHEEL, installer="uv")
    (folder / "uv-receipt.toml").write_text("[tool]\n")
    assert install_command("local") == f'uv tool install "hfchat[api,cli,local] @ {WHEEL["url"]}"'


def test_uvx_is_told_the_whole_command(install: Callable[..., Path]) -> None:
    """In uv's cache nothing can be installed; there the command is what was typed, and more."""
    install(None, installer="uv", prefix="archive-v0/x")
    requirement = f"hfchat[api,cli,local]=={__version__}"
    assert install_command("local") == f'uvx --from "{requirement}" hfchat serve --port 0'


def test_how_commands_begin(install: Callable[..., Path]) -> None:
    """What uvx runs is not on the path of the shell."""
    install(WHEEL)
    assert command_prefix() == "hfchat"
    install(WHEEL, prefix="archive-v0/x")
    assert command_prefix() == f'uvx --from "hfchat[api,cli] @ {WHEEL["url"]}" hfchat'


def test_nothing_is_fetched_unless_uvx_runs_it(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment of the user nothing is installed without being asked for."""
    install(None, installer="uv")
    monkeypatch.setenv("UV", sys.executable)  # as `uv run` sets it
    add_for_uvx("local")


def test_nothing_is_fetched_twice(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the extra was added and something is missing still, the error is shown."""
    install(None, installer="uv", prefix="archive-v0/x")
    monkeypatch.setenv("UV", sys.executable)
    monkeypatch.setenv("HFCHAT_UVX_ADDED", "cli,local")
    add_for_uvx("local")


def test_an_error_names_its_extra(install: Callable[..., Path]) -> None:
    """The error has the command in its message, and the extra as an attribute."""
    install(None)
    error = MissingRequirementsError.for_extra("local", what="The local server")
    assert str(error) == 'The local server needs an extra: pip install "hfchat[local]"'
    assert error.extra == "local"
    assert isinstance(error, ImportError)
