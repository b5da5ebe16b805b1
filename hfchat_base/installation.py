"""How this hfchat was installed, and so which command adds what it lacks.

A message that names `pip install "hfchat[…]"` is wrong for most of those who read it: the
environment may be uv's and hold no pip, or be a tool's own that nobody activates, and what was
installed may be a wheel or a clone that no package index has. The metadata of the installed
distribution says which of these it is.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hfchat_base._version import __version__

__all__ = ["DEMO_SIZE", "add_for_uvx", "command_prefix", "install_command"]

DEMO_SIZE: Final = "about 120 MB to download once, 410 MB on disk"
"""What the extra ``demo`` and all that it needs take."""

_NAME: Final = "hfchat"
_ADDED: Final = "HFCHAT_UVX_ADDED"
"""Holds the extras that uvx was run again for, so that this never goes round in a circle."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra into the environment of this process.

    Args:
        extra: The extra's name, such as ``"local"``.
    """
    if _is_uvx():
        arguments = shlex.join(sys.argv[1:]) or "--help"
        return f"{command_prefix(extra)} {arguments}"
    if (Path(sys.prefix) / "uv-receipt.toml").is_file():
        return f"uv tool install {_target(_with_present(extra))}"
    return f"{_installer()} {_target(extra)}"


def command_prefix(extra: str = "cli") -> str:
    """Return what a shell needs to be given to run ``hfchat`` as this process runs it.

    Args:
        extra: An extra that has to be there.
    """
    return f"uvx --from {_target(_with_present(extra))} hfchat" if _is_uvx() else "hfchat"


def add_for_uvx(extra: str) -> None:
    """Run this command again with an extra added, if uvx runs it; else do nothing.

    Who types ``uvx --from hfchat hfchat demo`` has asked for packages to be fetched, and uvx keeps
    them in its cache and changes no environment.

    Args:
        extra: What is missing.
    """
    added = os.environ.get(_ADDED, "").split(",")
    program = os.environ.get("UV")
    if not _is_uvx() or program is None or extra in added:
        return
    os.environ[_ADDED] = ",".join([*filter(None, added), extra])
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    requirement = _requirement(_with_present(extra))
    command = [program, "tool", "run", "--python", version, "--from", requirement]
    command += [_NAME, *sys.argv[1:]]
    if extra == "demo":
        sys.stderr.write(f"The demo needs more packages, which uvx caches: {DEMO_SIZE}.\n")
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":  # a program there cannot take the place of another
        sys.exit(subprocess.call(command))  # noqa: S603 - the user's own command
    os.execv(program, command)  # noqa: S606 - likewise


def _is_uvx() -> bool:
    """Whether this environment is in uv's cache, and nobody's to install into."""
    return Path(sys.prefix).parent.name.startswith(("archive-v", "environments-v"))


def _installer() -> str:
    """Return the installer, told which environment it is about unless that one is active."""
    active = sys.prefix in (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    installed = _installed()
    if installed is not None and (installed.read_text("INSTALLER") or "").strip() == "uv":
        return "uv pip install" if active else f"uv pip install --python {_quoted(sys.prefix)}"
    return "pip install" if active else f"{_quoted(sys.executable)} -m pip install"


def _target(extras: str) -> str:
    """Return what to install, quoted for a shell; an editable clone stays editable."""
    origin = _origin()
    if origin.get("dir_info", {}).get("editable"):
        folder = url2pathname(urlsplit(origin["url"]).path)
        return f'-e "{folder}[{extras}]"'
    return f'"{_requirement(extras)}"'


def _requirement(extras: str) -> str:
    """Return hfchat with extras, from where it was installed from."""
    origin = _origin()
    url = str(origin.get("url", ""))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{_NAME}[{extras}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if url:
        return f"{_NAME}[{extras}] @ {url}"
    return f"{_NAME}[{extras}]=={__version__}" if _is_uvx() else f"{_NAME}[{extras}]"


def _origin() -> dict[str, Any]:
    """Return what an installer wrote down of a file, folder or repository (PEP 610)."""
    installed = _installed()
    text = installed.read_text("direct_url.json") if installed is not None else None
    return json.loads(text) if text else {}


def _with_present(extra: str) -> str:
    """Return an extra, the one for the command, and those that are installed."""
    return ",".join(sorted({extra, "cli", *_present_extras()}))


def _present_extras() -> set[str]:
    """Return the extras all of whose requirements are installed."""
    installed = _installed()
    needs: dict[str, list[str]] = {}
    for line in (installed.requires if installed is not None else None) or ():
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"]([\w-]+)", line)
        if name and extra:
            needs.setdefault(extra[1], []).append(name[0])
    return {extra for extra, names in needs.items() if all(map(_find, names))}


def _installed() -> Distribution | None:
    return _find(_NAME)


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _quoted(path: str) -> str:
    return f'"{path}"' if re.search(r"\s", path) else path
