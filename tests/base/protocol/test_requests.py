"""Requests, as the recorded servers were asked; and what is refused before it is sent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import InvalidRequestError
from hfchat_base._protocol import requests
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
    requests.models,
    requests.user,
    lambda _: requests.settings(),
    lambda _: requests.home_data(),
    lambda _: requests.create_conversation(ENDPOINT, "m", "p"),
    lambda _: requests.import_share(ENDPOINT, "AbCdEfG"),
    lambda g: requests.read_conversation(g, CONVERSATION),
    lambda g: requests.list_conversations(g, 0),
    lambda g: requests.update_conversation(g, ENDPOINT, CONVERSATION, {"title": "T"}),
    lambda g: requests.delete_conversation(g, ENDPOINT, CONVERSATION),
    lambda g: requests.delete_message(g, ENDPOINT, CONVERSATION, MESSAGE),
    lambda _: requests.share_conversation(ENDPOINT, CONVERSATION),
    lambda _: requests.output_file(CONVERSATION, "abc"),
    lambda g: requests.stop_generating(g, ENDPOINT, CONVERSATION, MESSAGE, 3),
    lambda _: requests.answer_elicitation(ENDPOINT, CONVERSATION, "e", {"a": 1}),
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
        ("plain_answer", "GET", "/conversation", requests.read_conversation),
        (
            "manage",
            "DELETE",
            "/conversation",
            lambda g, c: requests.delete_conversation(g, ENDPOINT, c),
        ),
        (
            "manage",
            "POST",
            "/share",
            lambda _, c: requests.share_conversation(ENDPOINT, c),
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
    built = requests.stop_generating(
        generation,
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
    built = requests.create_conversation(ENDPOINT, "echo/base", "You are terse.")
    assert (built.path, json.loads(built.body)) == (recorded["path"], recorded["json"])


@pytest.mark.parametrize("content", [None, {"date": "2026-12-24", "people": 4}])
def test_recorded_reply(content: dict[str, Any] | None) -> None:
    """A tool's question is accepted with a content, or declined, as recorded."""
    scenario = "elicitation_declined" if content is None else "elicitation_accepted"
    recorded = exchange_of("current", scenario, "POST", "/elicitation")
    built = requests.answer_elicitation(
        ENDPOINT, conversation_of(recorded), recorded["json"]["elicitationId"], content
    )
    assert (built.path, json.loads(built.body)) == (recorded["path"], recorded["json"])


@pytest.mark.parametrize(
    ("address", "base_url", "origin", "host"),
    [
        ("https://h/chat/", "https://h/chat", "https://h", "h"),
        ("https://h:443/chat", "https://h/chat", "https://h", "h"),
        ("http://h:80", "http://h", "http://h", "h"),
        ("http://h:8080/", "http://h:8080", "http://h:8080", "h"),
        ("http://[::1]:3000", "http://[::1]:3000", "http://[::1]:3000", "::1"),
        (
            "HTTPS://HuggingFace.co./Chat",
            "https://huggingface.co/Chat",
            "https://huggingface.co",
            "huggingface.co",
        ),
        ("  https://h  ", "https://h", "https://h", "h"),
        (
            "https://fa\u00df.example/\u00e9",
            "https://xn--fa-hia.example/%C3%A9",
            "https://xn--fa-hia.example",
            "xn--fa-hia.example",
        ),
    ],
)
def test_addresses(address: str, base_url: str, origin: str, host: str) -> None:
    """An address gives the base of all paths and the origin, each in one spelling."""
    endpoint = Endpoint.parse(address)
    assert (endpoint.base_url, endpoint.origin, endpoint.host) == (base_url, origin, host)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "h",
        "ftp://h",
        "https://",
        "https://user@h",
        "https://h?q",
        "https://h/#f",
        "https://h\\@other",
        "https://h/a b",
        "https://h\n.example",
        "https://%68",
        "https://127.1",
        "https://h:0",
        "https://h:x",
        "https://[::1",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    """What could be read in more than one way is refused, as one of our errors."""
    with pytest.raises(InvalidRequestError, match="base_url"):
        Endpoint.parse(address)


@given(st.text())
def test_any_address(address: str) -> None:
    """Whatever is given as an address is one, or is refused."""
    with suppress(InvalidRequestError):
        assert Endpoint.parse(address).origin.startswith("http")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            requests.check_conversation_id,
            ["0" * 24, "6b028DE43d0be4961fc8670a"],
            ["", "0" * 23, "0" * 25, "g" * 24, "0" * 24 + "\n", "../" * 8],
        ),
        (requests.check_message_id, [MESSAGE], ["", MESSAGE[:-1], MESSAGE + "0", "x" * 36]),
        (requests.check_text, ["x", " "], [""]),
        (requests.check_title, ["x", "x" * 100], ["", "x" * 101]),
        (
            requests.check_share_id,
            ["AbC-_12", "https://h/chat/r/AbCdEfG", "https://h/r/AbCdEfG/"],
            ["", "https://h/r/?AbCdEfG", "AbCdEf", "AbCdEfGh", "é" * 7, "https://h/r/"],
        ),
    ],
)
def test_checks(check: Callable[[str], str], good: list[str], bad: list[str]) -> None:
    """What the server would answer with a 500 is refused here."""
    for value in good:
        assert check(value) == value.rstrip("/").rpartition("/r/")[2] or check(value) == value
    for value in bad:
        with pytest.raises(InvalidRequestError):
            check(value)


def test_share_by_the_address_of_a_message() -> None:
    """The page's own address of a share names a message too, which is left out."""
    assert requests.check_share_id("https://h/chat/r/AbCdEfG?leafId=0/abcdefg#x") == "AbCdEfG"


def test_sha_is_no_path() -> None:
    """What a server calls a file by cannot lead elsewhere."""
    assert requests.output_file(CONVERSATION, "a/../../b?c#d").path == (
        f"/conversation/{CONVERSATION}/output/a%2F..%2F..%2Fb%3Fc%23d"
    )
