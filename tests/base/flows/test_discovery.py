"""Finding out which generation a server is, which models it has, and who we are."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    ProtocolError,
    RateLimitError,
    ServerError,
    User,
)
from hfchat_base._flows import discovery
from hfchat_base._flows.context import ServerInfo
from hfchat_base._protocol.dialects import CURRENT as CURRENT_DIALECT
from hfchat_base._protocol.dialects import dialect_named
from hfchat_base._protocol.http import Response
from hfchat_base._protocol.models import FALLBACK_DATE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.types import ServerStatus
from tests.support.flows import drive, json_response, page_response
from tests.support.recordings import body_of, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfchat_base._protocol.constants import Generation
    from hfchat_base._protocol.http import Request

_numbers = itertools.count()

PAGE = page_response("<html>chat</html>")
NOT_FOUND = json_response({"message": "Not found"}, status=404)
CURRENT = json_response({"json": [{"id": "a/b"}]})
LEGACY = json_response([{"id": "a/b"}])


def new_server() -> ServerInfo:
    """A server of which nothing is known yet."""
    address = f"http://host-{next(_numbers)}.invalid/chat"
    return ServerInfo(Endpoint.parse(address))


def answers(table: dict[str, Response]) -> Callable[[Request], Response]:
    """Answer paths from a table, others with 404."""
    return lambda request: table.get(request.path, NOT_FOUND)


def home_page(generation: Generation) -> Response:
    """The recorded home page."""
    return page_response(body_of(load(generation, "home_page_html").exchanges[0]).decode())


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("Thu, 26 Nov 2026 01:00:00 GMT", datetime(2026, 11, 26, 1, tzinfo=timezone.utc)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_server_is_checked_with_one_request(header: str, date: datetime | None) -> None:
    """Any status is an answer, and is not asked for again; the server's clock may be missing."""
    outcome = drive(discovery.check_server(), answer=lambda _: Response(503, {"date": header}))
    assert outcome.value == ServerStatus(status=503, date=date)
    assert len(outcome.requests) == 1


@pytest.mark.parametrize(
    ("table", "generation", "asked"),
    [
        ({"/api/v2/models": CURRENT}, "current", 1),
        ({"/api/v2/models": PAGE, "/api/models": LEGACY}, "legacy", 2),
        ({"/api/models": LEGACY}, "legacy", 2),
        ({"/api/v2/models": PAGE, "/": home_page("legacy")}, "legacy", 3),
        ({"/": home_page("current")}, "current", 3),
        (
            {
                "/api/v2/models": PAGE,
                "/": PAGE,
                "/__data.json": json_response(
                    {"nodes": [{"type": "data", "data": [{"models": 1}, [2], {"id": 3}, "a/b"]}]}
                ),
            },
            "legacy",
            4,
        ),
    ],
)
def test_ways_to_the_models(table: dict[str, Response], generation: Generation, asked: int) -> None:
    """The JSON routes are tried first, then the page; each way shows the generation."""
    server = new_server()
    outcome = drive(discovery.models(server), answer=answers(table))
    assert outcome.value.models
    assert not outcome.value.is_fallback
    assert server.dialect is dialect_named(generation)
    assert len(outcome.requests) == asked


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"/api/v2/models": json_response({"json": []}), "/api/models": json_response([])},
        {"/api/v2/models": Response(500), "/api/models": Response(500), "/": Response(500)},
        {"/api/v2/models": json_response({"nonsense": 1}), "/api/models": PAGE, "/": PAGE},
        {"/api/v2/models": Response(200, {"content-type": "application/json"}, b"{")},
    ],
)
def test_dated_list(table: dict[str, Response]) -> None:
    """Where no way leads to a list, a dated one is used, with a warning that says so."""
    with pytest.warns(UserWarning, match=FALLBACK_DATE):
        catalog = drive(discovery.models(new_server()), answer=answers(table)).value
    assert catalog.is_fallback
    assert catalog.models


def test_login_is_not_hidden_by_the_dated_list() -> None:
    """A server that shows nothing to strangers says so, instead of a list of others' models."""
    wall = Response(302, {"location": "https://idp.example/authorize"})
    with pytest.raises(LoginRequired):
        _ = drive(discovery.models(new_server()), answer=lambda _: wall).value


@pytest.mark.parametrize(
    ("response", "error", "asked"),
    [
        (Response(429), RateLimitError, 1),
        (Response(429, {"retry-after": "3600"}), RateLimitError, 1),
        (Response(500, {"retry-after": "30"}), ServerError, 1),
        (Response(425, {"retry-after": "30"}), InvalidRequestError, 1),
        (Response(522), ServerError, 1),
        (Response(503), ServerError, 3),
        (Response(503, {"retry-after": "1"}), ServerError, 3),
    ],
)
@pytest.mark.parametrize("path", ["/api/v2/models", "/api/models", "/"])
def test_a_busy_server_is_not_hidden_by_the_dated_list(
    path: str, response: Response, error: type[HuggingChatError], asked: int
) -> None:
    """A server that asks to wait, or that its gateway cannot reach, is not one without a list.

    No other way is tried: it would only prolong the wait.
    """
    table = {path: response, "/__data.json": response}
    outcome = drive(discovery.models(new_server()), answer=answers(table))
    assert type(outcome.error) is error
    paths = [request.path for request in outcome.requests]
    assert paths.count(path) == asked
    assert paths[-1] == path


def test_known_generation_is_not_asked_for() -> None:
    """What is known costs nothing."""
    server = new_server()
    server.dialect = CURRENT_DIALECT
    outcome = drive(discovery.dialect(server))
    assert (outcome.value, outcome.requests) == (CURRENT_DIALECT, [])


def test_known_list_is_not_asked_for() -> None:
    """The list is asked for once, and again when it is to be refreshed."""
    server = new_server()
    table = {"/api/v2/models": CURRENT}
    drive(discovery.models(server), answer=answers(table))
    assert drive(discovery.models(server)).requests == []
    assert drive(discovery.models(server, refresh=True), answer=answers(table)).requests


def test_server_that_is_no_chat() -> None:
    """What answers as neither generation is not a chat-ui server: base_url is the first suspect."""
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.raises(ProtocolError, match="does not answer as a chat-ui server"),
    ):
        _ = drive(discovery.dialect(new_server())).value


@pytest.mark.parametrize(
    ("settings", "default"),
    [
        (json_response({"json": {"activeModel": "a/b"}}), "a/b"),
        (json_response({"json": {"activeModel": "gone"}}), "first"),
        (json_response({"json": None}), "first"),
        (Response(500), "first"),
    ],
)
def test_active_model_of_an_account(settings: Response, default: str) -> None:
    """An account's own choice is the default; that it cannot be read is not a failure."""
    table = {
        "/api/v2/models": json_response({"json": [{"id": "first"}, {"id": "a/b"}]}),
        "/api/v2/user/settings": settings,
    }
    server = new_server()
    assert (
        drive(discovery.default_model(server), answer=answers(table), has_account=True).value.id
        == default
    )


def test_guest_has_no_active_model() -> None:
    """Of a guest nothing is asked that only an account has."""
    outcome = drive(discovery.models(new_server()), answer=answers({"/api/v2/models": CURRENT}))
    assert [request.path for request in outcome.requests] == ["/api/v2/models"]


@pytest.mark.parametrize(
    ("generation", "response", "user"),
    [
        ("current", json_response({"json": None}), None),
        (
            "current",
            json_response({"json": {"id": "1", "username": "ada"}}),
            User(id="1", username="ada"),
        ),
        ("legacy", json_response({"message": "Must be signed in"}, status=401), None),
        (
            "legacy",
            json_response({"id": "1", "username": "ada", "email": None, "avatarUrl": "u"}),
            User(id="1", username="ada", email="", avatar_url="u"),
        ),
    ],
)
def test_whoami(generation: Generation, response: Response, user: User | None) -> None:
    """The server says who we are; a guest is not an error."""
    server = new_server()
    server.dialect = dialect_named(generation)
    outcome = drive(discovery.whoami(server), answer=lambda _: response)
    assert outcome.error is None
    assert outcome.result == user


def test_whoami_behind_a_wall() -> None:
    """A page in the place of an answer is not taken for nobody."""
    server = new_server()
    server.dialect = CURRENT_DIALECT
    outcome = drive(discovery.whoami(server), answer=lambda _: PAGE)
    assert isinstance(outcome.error, HuggingChatError)


MODELS = [
    {"id": "blind"},
    {"id": "router", "isRouter": True},
    {"id": "seer", "multimodal": True},
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [(None, "seer"), ("blind", "seer"), ("seer", "seer"), ("router", "router")],
)
def test_model_for_images(wanted: str | None, chosen: str) -> None:
    """A model that sees is kept, one that does not is replaced; a router chooses itself."""
    table = {"/api/v2/models": json_response({"json": MODELS})}
    outcome = drive(discovery.vision_model(new_server(), wanted), answer=answers(table))
    assert outcome.value.id == chosen


def test_no_model_for_images() -> None:
    """Where no model sees, images are refused."""
    table = {"/api/v2/models": CURRENT}
    outcome = drive(discovery.vision_model(new_server(), None), answer=answers(table))
    assert isinstance(outcome.error, InvalidRequestError)


def test_recorded_models_are_read(generation: Generation) -> None:
    """The recorded lists are read over the flow, with the same ids on each way."""
    recording = load(generation, "models")
    table: dict[str, Response] = {}
    for exchange in recording.exchanges:
        headers = exchange["response"]["headers"]
        response = Response(exchange["response"]["status"], headers, body_of(exchange))
        table[exchange["request"]["path"]] = response
    catalog = drive(discovery.models(new_server()), answer=answers(table)).value
    listed = json.loads(table["/api/models"].body)
    assert [model.id for model in catalog.models] == [entry["id"] for entry in listed]
