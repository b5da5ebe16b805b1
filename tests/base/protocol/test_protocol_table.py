"""The client uses the routes and events that servers have, as the tables of them say."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import hfchat_base
from hfchat_base import InvalidRequestError, Status
from hfchat_base._protocol import decoder
from hfchat_base._protocol.decoder import decode_object
from hfchat_base._protocol.dialects import (
    OutgoingMessage,
    base,
    dialect_named,
    model_sources,
)
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.events import Unknown
from tests.support.protocol_table import EVENTS, ROUTES, USED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfchat_base._protocol.constants import Generation
    from hfchat_base._protocol.dialects import Dialect

_ID: Final = "0" * 24
_UUID: Final = "00000000-0000-4000-8000-000000000000"
_ARGUMENTS: Final[dict[str, list[Any]]] = {
    "audio": [b""],
    "changes": [{"title": "A title"}],
    "content": [None],
    "conversation_id": [_ID],
    "elicitation_id": [_UUID],
    "endpoint": [Endpoint.parse("http://127.0.0.1/chat")],
    "generation_id": [_UUID],
    "headers": [{}],
    "message": [OutgoingMessage(_ID, _UUID, "Hello.", _UUID)],
    "message_id": [_UUID],
    "mime": ["audio/wav"],
    "model": ["org/model", "omni"],
    "page": [0],
    "seen_units": [0],
    "settings": [{}],
    "sha": ["0" * 64],
    "share_id": ["AAAAAAA"],
    "system_prompt": [None],
    "url": ["http://127.0.0.1/mcp"],
}
"""Parameter of whatever builds a request → what it is called with."""

_OF_NAMED_RUNS: Final = {"resume", "answer_elicitation"}
"""What is built only for a server that names its runs."""


def builders(dialect: Dialect) -> Iterator[Callable[..., Any]]:
    """All that builds requests for a generation: methods of its dialect, and functions for both."""
    found: list[tuple[str, Callable[..., Any]]] = [
        *inspect.getmembers(dialect, inspect.ismethod),
        *inspect.getmembers(base, inspect.isfunction),
    ]
    for name, builder in found:
        returned = str(inspect.signature(builder).return_annotation)
        if name.startswith("_") or not re.search(r"\bRequest\b", returned):
            continue
        if builder.__module__.startswith("hfchat_base._protocol.dialects") and (
            dialect.names_runs or name not in _OF_NAMED_RUNS
        ):
            yield builder


def requests(dialect: Dialect) -> Iterator[Request]:
    """All requests that the client can send to a generation."""
    for builder in builders(dialect):
        parameters = [
            each
            for each in inspect.signature(builder).parameters.values()
            if each.default is each.empty
        ]
        for model in _ARGUMENTS["model"]:
            arguments = {
                each.name: model if each.name == "model" else _ARGUMENTS[each.name][0]
                for each in parameters
            }
            try:
                built = builder(**arguments)
            except InvalidRequestError:
                continue  # this generation has no such thing
            yield from built if isinstance(built, tuple) else [built] if built else []
    yield from (source.request for source in model_sources(dialect))
    yield Request("GET", dialect.login_path, {})


def row_of(generation: Generation, request: Request) -> str:
    """The row of a request: the one with the fewest dynamic parts that fits it."""
    path = request.path.partition("?")[0]
    fitting = [
        row
        for row in ROUTES[generation]
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(row)), f"{request.method} {path}")
    ]
    assert fitting, f"{request.method} {path} is no route of a {generation} server"
    return min(fitting, key=lambda row: row.count("{"))


def test_routes(generation: Generation) -> None:
    """The client sends requests to the routes that the table marks as used, and to no others."""
    sent = {row_of(generation, request) for request in requests(dialect_named(generation))}
    assert sent == {row for row, reason in ROUTES[generation].items() if reason == USED}


def test_requests_are_built_in_one_place() -> None:
    """No other module than the dialects builds a request, so that none is missed above."""
    root = Path(hfchat_base.__file__).parent
    allowed = {root / "_protocol" / "requests.py", root / "api" / "schema.py"}
    names = {"Request", "json_request", "empty_request"}
    found = [
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if file not in allowed and root / "_protocol" / "dialects" not in file.parents
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in names
        and "local" not in file.relative_to(root).parts
    ]
    assert found == []


def line(event: str) -> dict[str, Any]:
    """A line of an answer, with all that any event of its type needs."""
    kind, _, subtype = event.partition(" ")
    fields: dict[str, Any] = {
        "type": kind,
        **dict.fromkeys(("token", "text", "title", "message", "uuid", "name", "sha"), "x"),
        **dict.fromkeys(("mime", "route", "model", "elicitationId", "action"), "x"),
        "resolution": "user",
        "eta": 1,
        "progress": 1,
        "sources": [],
        "call": {"name": "x", "parameters": {}},
        "result": {"status": "success", "call": {"name": "x", "parameters": {}}, "outputs": []},
        "request": {"elicitationId": "x", "message": "x", "mode": "form", "fields": []},
    }
    return {**fields, "subtype": subtype, "status": subtype}


@pytest.mark.parametrize("event", sorted({*EVENTS["current"], *EVENTS["legacy"]}))
def test_events(event: str) -> None:
    """An event that the table marks as used is read as one; others are unknown."""
    reasons = {events[event] for events in EVENTS.values() if event in events}
    read = decode_object(line(event))
    assert (not isinstance(read, Unknown)) == (USED in reasons)
    if isinstance(read, Status):
        assert read.status == event.partition(" ")[2]


def test_decoder_reads_nothing_else() -> None:
    """Every type and subtype that the decoder tells apart is in a table."""
    known = {tuple(event.split(" ")) for events in EVENTS.values() for event in events}
    assert decoder._TYPES.keys() == {kind for kind, *_ in known}
    for kind, reader in decoder._TYPES.items():
        compared = {
            constant.value
            for node in ast.walk(ast.parse(inspect.getsource(reader.read)))
            if isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Name)
            and node.left.id == "subtype"
            for constant in ast.walk(node)
            if isinstance(constant, ast.Constant)
        }
        assert compared <= {subtype for other, *rest in known if other == kind for subtype in rest}
