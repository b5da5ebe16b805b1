"""Requests of both generations, as the recorded servers were asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base._protocol.dialects import base, dialect_named, model_sources
from hfchat_base._protocol.requests import Endpoint
from tests.support.recordings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfchat_base._protocol.constants import Generation
    from hfchat_base._protocol.http import Request

ENDPOINT = Endpoint.parse("https://chat.example:8443/chat/")
CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"

EVERY: list[Callable[[Generation], Request]] = [
    lambda g: model_sources(dialect_named(g))[0].request,
    lambda g: dialect_named(g).get_user(),
    lambda g: dialect_named(g).get_settings(),
    lambda _: base.create_conversation(ENDPOINT, "m", "p"),
    lambda g: dialect_named(g).import_share(ENDPOINT, "AbCdEfG", "m"),
    lambda g: dialect_named(g).get_conversation(CONVERSATION),
    lambda g: dialect_named(g).list_conversations(0),
    lambda g: dialect_named(g).update_conversation(ENDPOINT, CONVERSATION, {"title": "T"}),
    lambda g: dialect_named(g).delete_conversation(ENDPOINT, CONVERSATION),
    lambda g: dialect_named(g).delete_message(ENDPOINT, CONVERSATION, MESSAGE),
    lambda _: base.share_conversation(ENDPOINT, CONVERSATION),
    lambda _: base.output_file(CONVERSATION, "abc"),
    lambda g: dialect_named(g).stop_generating(ENDPOINT, CONVERSATION, MESSAGE, 3),
    lambda _: base.answer_elicitation(ENDPOINT, CONVERSATION, "e", {"a": 1}),
]


@pytest.mark.parametrize("build", EVERY)
def test_accept_is_never_a_page(
    build: Callable[[Generation], Request], generation: Generation
) -> None:
    """A browser's own Accept would be answered with a page, so each request has another."""
    assert build(generation).headers["accept"] in ("application/json", "*/*")


@pytest.mark.parametrize("build", EVERY)
def test_origin_goes_with_every_change(
    build: Callable[[Generation], Request], generation: Generation
) -> None:
    """Each request that is not a GET names the server's own origin."""
    request = build(generation)
    if request.method != "GET":
        assert request.headers["origin"] == "https://chat.example:8443"


def exchange_of(generation: Generation, scenario: str, method: str, path: str) -> dict[str, Any]:
    """A recorded request."""
    request: dict[str, Any] = load(generation, scenario).find(method, path)["request"]
    return request


def conversation_of(recorded: dict[str, Any]) -> str:
    """The conversation that a recorded path names."""
    identity: str = recorded["path"].split("conversation")[1].lstrip("s").split("/")[1]
    return identity


@pytest.mark.parametrize(
    ("scenario", "method", "path", "build"),
    [
        ("plain_answer", "GET", "/conversation", lambda g, c: dialect_named(g).get_conversation(c)),
        (
            "manage",
            "DELETE",
            "/conversation",
            lambda g, c: dialect_named(g).delete_conversation(ENDPOINT, c),
        ),
        (
            "manage",
            "POST",
            "/share",
            lambda _, c: base.share_conversation(ENDPOINT, c),
        ),
    ],
)
def test_recorded_paths(
    generation: Generation,
    scenario: str,
    method: str,
    path: str,
    build: Callable[[Generation, str], Request],
) -> None:
    """Methods and paths are the recorded ones of each generation."""
    recording = load(generation, scenario)
    recorded = [
        (exchange["request"]["method"], exchange["request"]["path"])
        for exchange in recording.exchanges
        if exchange["request"]["method"] == method and path in exchange["request"]["path"]
    ]
    built = build(generation, conversation_of({"path": recorded[0][1]}))
    assert (built.method, built.path) in recorded


def test_recorded_stop(generation: Generation) -> None:
    """A stop is the recorded one: with the run's id and what was seen, or bare on legacy."""
    recorded = exchange_of(generation, "stop_generating", "POST", "/stop-generating")
    body = recorded.get("json", {})
    built = dialect_named(generation).stop_generating(
        ENDPOINT,
        conversation_of(recorded),
        body.get("generationId"),
        body.get("seenContentLength", 0),
    )
    assert built.path == recorded["path"]
    assert (json.loads(built.body) if built.body else {}) == body


def test_recorded_beginning(generation: Generation) -> None:
    """A conversation begins with model and system prompt, as recorded."""
    recorded = exchange_of(generation, "plain_answer", "POST", "/conversation")
    built = base.create_conversation(ENDPOINT, "echo/base", "You are terse.")
    assert (built.path, json.loads(built.body)) == (recorded["path"], recorded["json"])


@pytest.mark.parametrize("content", [None, {"date": "2026-12-24", "people": 4}])
def test_recorded_reply(content: dict[str, Any] | None) -> None:
    """A tool's question is accepted with a content, or declined, as recorded."""
    scenario = "elicitation_declined" if content is None else "elicitation_accepted"
    recorded = exchange_of("current", scenario, "POST", "/elicitation")
    built = base.answer_elicitation(
        ENDPOINT, conversation_of(recorded), recorded["json"]["elicitationId"], content
    )
    assert (built.path, json.loads(built.body)) == (recorded["path"], recorded["json"])


def test_sha_is_no_path() -> None:
    """What a server calls a file by cannot lead elsewhere."""
    assert base.output_file(CONVERSATION, "a/../../b?c#d").path == (
        f"/conversation/{CONVERSATION}/output/a%2F..%2F..%2Fb%3Fc%23d"
    )
