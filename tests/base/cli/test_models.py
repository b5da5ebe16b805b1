"""`hfchat models`: the models of the server, for people and for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

    from hfchat_base.local import LocalServer

DETAILS = {
    "id": "echo/base",
    "displayName": "Echo",
    "description": "It repeats.\x1b[31m",
    "supportsArtifacts": True,
    "logoUrl": "https://example.com/logo.png",
    "promptExamples": [{"title": "Hello", "prompt": "Say hello."}],
    "providers": [
        {
            "provider": "together",
            "context_length": 131072,
            "pricing": {"input": 0.5, "output": 2},
            "supports_tools": True,
        },
        {"provider": "novita", "status": "staging"},
    ],
    "parameters": {"max_tokens": 4096, "stop_sequences": ["END"]},
}


@pytest.fixture
def detailed(current_server: LocalServer) -> Iterator[str]:
    """A server that says of `echo/base` what HuggingChat says of its models."""
    body = json.dumps({"json": DETAILS}).encode()
    said = Instead(response(body, content_type="application/json"))
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/v2/models/echo/base", said, always=True)
        yield proxy.url


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


def test_a_model_is_a_line_for_each_fact(hfchat: Callable[..., Result], detailed: str) -> None:
    """In a pipe a model's details are lines of a label and what the server says."""
    result = hfchat("models", "base", "--base-url", detailed)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "id\techo/base",
        "description\tIt repeats.",
        "name\tEcho",
        "can\tartifacts",
        "context\t131072",
        "output\t4096",
        "stops at\t'END'",
        "logo\thttps://example.com/logo.png",
        "provider\ttogether\t0.5\t2.0\t131072\ttools",
        "provider\tnovita\t\t\t\tstaging",
        "example\tHello\tSay hello.",
    ]


def test_a_model_of_a_server_that_says_little(
    hfchat: Callable[..., Result], server: LocalServer
) -> None:
    """What the server does not say is empty, on both generations."""
    lines = hfchat("models", "vision", "--base-url", server.base_url).stdout.splitlines()
    assert "id\techo/vision" in lines
    assert "context\t" in lines


def test_a_model_as_json(hfchat: Callable[..., Result], detailed: str) -> None:
    """--json prints everything that is known of the model."""
    model = json.loads(hfchat("models", "echo/base", "--json", "--base-url", detailed).stdout)
    assert model["providers"][0]["input_price"] == 0.5
    assert model["supports_artifacts"] is True


def test_a_model_that_is_not_there(
    hfchat: Callable[..., Result], current_server: LocalServer
) -> None:
    """A wrong name is an error with the nearest names, in the words of the command line."""
    result = hfchat("models", "eko/base", "--base-url", current_server.base_url)
    assert result.exit_code == 1
    assert "Did you mean echo/base" in result.stderr
    assert "hfchat models lists them all" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_a_name_is_never_cut(current_server: LocalServer, columns: str) -> None:
    """On a terminal of any width names stay whole, because people copy them."""
    from tests.support.terminal_session import TerminalSession  # noqa: PLC0415 - Unix only

    arguments = ("models", "--base-url", current_server.base_url)
    with TerminalSession(*arguments, environment={"COLUMNS": columns}) as session:
        session.expect("● echo/base")
        session.expect("think/reasoner")
        session.expect("is the default")
        assert session.wait() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_model_is_a_page(detailed: str) -> None:
    """On a terminal a model is a page with its limits, providers and examples."""
    from tests.support.terminal_session import TerminalSession  # noqa: PLC0415 - Unix only

    with TerminalSession("models", "echo/base", "--base-url", detailed) as session:
        session.expect("echo/base  the default")
        session.expect("131,072 tokens")
        session.expect("4,096 tokens")
        session.expect("$0.50 / 2.00")
        session.expect("Say hello.")
        assert session.wait() == 0
