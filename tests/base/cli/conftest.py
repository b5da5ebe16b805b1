"""Fixtures for the command line: the command in this process, and the server it talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer


@pytest.fixture
def hfchat() -> Callable[..., Result]:
    """The command, run in this process with its output in no terminal."""
    from typer.testing import CliRunner

    from hfchat_base.cli.app import app

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def account(current_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of somebody who is logged in at `current_server`, set in this process."""
    cookies = current_server.new_session("cleo")
    environment = {
        "HUGGINGCHAT_BASE_URL": current_server.base_url,
        "HUGGINGCHAT_COOKIES": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
