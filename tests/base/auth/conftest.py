"""Fixtures of the tests of sessions: a server that wants a login, and real browsers."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from hfchat_base.local import LocalServer
from tests.support import environment, extras

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def closed() -> Iterator[LocalServer]:
    """A server that asks everybody to log in, below a path as HuggingChat is."""
    with LocalServer(require_login=True, base_path="/chat") as server:
        yield server


@pytest.fixture(scope="session")
def chromium(shared_tmp: Path) -> str:
    """The program of a Chromium."""
    return _installed(shared_tmp, "chromium", "google-chrome")


@pytest.fixture(scope="session")
def firefox(shared_tmp: Path) -> str:
    """The program of a Firefox."""
    return _installed(shared_tmp, "firefox-esr", "firefox")


def _installed(shared_tmp: Path, package: str, other: str) -> str:
    """Find a browser; where that is allowed, install it, in one process of a parallel run alone."""
    with FileLock(shared_tmp / "apt.lock"):
        return _find_or_install(package, other)


def _find_or_install(package: str, other: str) -> str:
    if (found := shutil.which(package) or shutil.which(other)) is not None:
        return found
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        extras.give_up(f"needs {package}: apt-get install {package}")
    for command in (["update", "-qq"], ["install", "-qqy", "--no-install-recommends", package]):
        subprocess.run(  # noqa: S603 - the tests' own need
            ["apt-get", *command],  # noqa: S607
            env=environment.CALLER,
            check=False,
            capture_output=True,
            timeout=300,
        )
    found = shutil.which(package)
    if found is None:
        extras.give_up(f"{package} could not be installed with apt-get")
    return found
