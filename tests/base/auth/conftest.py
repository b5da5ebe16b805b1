"""Fixtures of the tests of sessions: a server that wants a login, and real browsers."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import LocalServer
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def closed() -> Iterator[LocalServer]:
    """A server that asks everybody to log in, below a path as HuggingChat is."""
    with LocalServer(require_login=True, base_path="/chat") as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of a Chromium."""
    return _installed("chromium", "google-chrome")


@pytest.fixture(scope="session")
def firefox() -> str:
    """The program of a Firefox."""
    return _installed("firefox-esr", "firefox")


def _installed(package: str, other: str) -> str:
    """Find a browser; where that is allowed, install it."""
    if (found := shutil.which(package) or shutil.which(other)) is not None:
        return found
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        pytest.skip(f"there is no {package} here, and only root could install it")
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
        pytest.skip(f"{package} could not be installed with apt-get")
    return found
