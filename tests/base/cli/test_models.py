"""`hfchat models`: the models of the server, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer


def test_models_are_one_line_each(hfchat: Callable[..., Result], server: LocalServer) -> None:
    """In a pipe a model is a line of id, abilities and description."""
    lines = hfchat("models", "--base-url", server.base_url).stdout.splitlines()
    rows = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
    assert rows["echo/vision"] == "images"
    assert rows["tools/agent"] == "tools"


def test_models_as_json(hfchat: Callable[..., Result], current_server: LocalServer) -> None:
    """--json prints everything that is known of each model."""
    rows = json.loads(hfchat("models", "--json", "--base-url", current_server.base_url).stdout)
    assert rows[0]["id"] == "echo/base"
    assert rows[1]["accepts_images"] is True
