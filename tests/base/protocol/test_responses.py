"""Responses other than a success → errors that say what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import (
    ConversationNotFoundError,
    FileTooLargeError,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    MessageNotFoundError,
    ModelNotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SessionExpired,
)
from hfchat_base._protocol.constants import RATE_LIMIT_WINDOW_SECONDS
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.responses import check, check_data, check_json, refusal
from hfchat_base.errors import (
    AccessDeniedError,
    ConversationFullError,
    FileNotAvailableError,
    MessageTooLongError,
    OriginRejectedError,
    TooManyConversationsError,
    UnexpectedPageError,
)
from tests.support.flows import json_response, page_response
from tests.support.recordings import body_of, load

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation

SEND = Request("POST", "/conversation/" + "0" * 24)
BEGIN = Request("POST", "/conversation")
READ = Request("GET", "/api/v2/conversations/" + "0" * 24)
PAGE = "<!doctype html><html><head><title>\n  A  page </title></head></html>"


def recorded(generation: Generation, scenario: str) -> list[HuggingChatError]:
    """The errors that a recording's refusals become, in order."""
    return [
        refusal(
            Response(response["status"], response["headers"], body_of(exchange)),
            Request(exchange["request"]["method"], exchange["request"]["path"].partition("?")[0]),
        )
        for exchange in load(generation, scenario).exchanges
        if (response := exchange["response"])["status"] != 200
    ]


def test_recorded_limits() -> None:
    """The limits of a real server are distinguished by their words."""
    kinds = [type(error) for error in recorded("current", "usage_limits")]
    assert set(kinds) == {
        MessageTooLongError,
        RateLimitError,
        ConversationFullError,
        TooManyConversationsError,
    }


def test_recorded_sizes(generation: Generation) -> None:
    """A file that is too large is reported as such; legacy says nothing of a body that is."""
    first, second = recorded(generation, "file_too_large")
    assert isinstance(first, FileTooLargeError)
    assert isinstance(second, FileTooLargeError if generation == "current" else ServerError)


def test_recorded_login() -> None:
    """Without a session a server that wants one redirects, or says 401."""
    errors = recorded("current", "login_required")
    assert errors
    assert {type(error) for error in errors[:2]} == {LoginRequired}


def test_recorded_origin(generation: Generation) -> None:
    """A missing and a foreign Origin are reported as such."""
    errors = recorded(generation, "bad_requests")
    assert sum(isinstance(error, OriginRejectedError) for error in errors) == 2


@pytest.mark.parametrize(
    ("status", "message", "request_", "kind"),
    [
        (400, "Message too long.", SEND, MessageTooLongError),
        (400, "Invalid request", SEND, InvalidRequestError),
        (403, "You don't have access to this conversation.", READ, AccessDeniedError),
        (403, "no", READ, AccessDeniedError),
        (404, "Conversation not found", READ, ConversationNotFoundError),
        (404, "Message not found", SEND, MessageNotFoundError),
        (404, "x", Request("GET", SEND.path + "/output/abc"), FileNotAvailableError),
        (404, "Not found", Request("GET", "/api/v2/models"), InvalidRequestError),
        (410, "Model not available anymore", SEND, ModelNotFoundError),
        (413, "File too large", SEND, FileTooLargeError),
        (429, "You are sending too many messages. Try again later.", SEND, RateLimitError),
        (429, "", SEND, RateLimitError),
        (500, "An error occurred", SEND, ServerError),
        (503, "", SEND, ServerError),
        (204, "", SEND, ProtocolError),
        (206, "", SEND, ProtocolError),
    ],
)
@pytest.mark.parametrize("form", ["message", "error", "text"])
def test_table(status: int, message: str, request_: Request, kind: type, form: str) -> None:
    """Each status has its error, in whichever form its words come."""
    if form == "text":
        response = Response(status, {"content-type": "text/plain"}, message.encode())
    else:
        response = json_response({form: message}, status=status)
    assert type(refusal(response, request_)) is kind


def test_window_of_the_limit_is_told() -> None:
    """Only the limit per minute is worth waiting for, and its error says how long."""
    error = refusal(json_response({"message": "too many"}, status=429), SEND)
    assert isinstance(error, RateLimitError)
    assert (error.reason, error.retry_after) == ("messages_per_minute", RATE_LIMIT_WINDOW_SECONDS)


@pytest.mark.parametrize("had_session", [False, True])
@pytest.mark.parametrize(
    "response",
    [
        Response(302, {"location": "https://idp.example/authorize?x=1"}),
        Response(303, {"location": "/login"}),
        Response(302, {}),
        Response(302, {}, base_url="https://chat.example/chat"),
        Response(302, {"location": "http://[broken"}),
        Response(302, {"location": "https://user@chat.example/conversation"}),
        Response(302, {"location": "?again"}, base_url="https://chat.example/chat"),
        Response(401, {}, b"You have to be logged in."),
        json_response({"error": "You have to be logged in."}, status=401),
    ],
)
def test_login(response: Response, *, had_session: bool) -> None:
    """A caller without a session is told to log in, one with a session to log in again."""
    response = replace(response, had_session=had_session)
    error = refusal(response, BEGIN)
    assert type(error) is (SessionExpired if had_session else LoginRequired)
    assert "Log in" in str(error)


def test_advice_can_be_pasted() -> None:
    """The command that an error gives means one address to a shell, whatever the address."""
    response = Response(401, {}, base_url="http://h/$(touch x);y")
    assert "hfchat login --base-url 'http://h/$(touch x);y'" in str(refusal(response, BEGIN))


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://chat.example/chat/conversation", "https://chat.example/chat"),
        ("https://chat.example/conversation/", "https://chat.example"),
        ("//chat.example/conversation", "http://chat.example"),
        ("/chat/conversation", "http://old.example/chat"),
        ("https://Fa\u00df.example:443/conversation?x", "https://xn--fa-hia.example"),
    ],
)
def test_server_that_has_moved(location: str, address: str) -> None:
    """A redirect to the same path elsewhere reports the new address, whole and in our spelling."""
    response = Response(308, {"location": location}, base_url="http://old.example")
    error = refusal(response, BEGIN)
    assert isinstance(error, InvalidRequestError)
    assert f"base_url='{address}'" in str(error)


@pytest.mark.parametrize("status", [400, 405, 418])
def test_page_instead_of_an_error(status: int) -> None:
    """A page with a 4xx is somebody else's."""
    error = refusal(page_response(PAGE, status=status), SEND)
    assert isinstance(error, UnexpectedPageError)
    assert "titled 'A page'" in str(error)


def test_page_of_a_proxy() -> None:
    """A page with a 5xx is a proxy's."""
    error = refusal(page_response(PAGE, status=502), SEND)
    assert isinstance(error, ServerError)
    assert "A proxy in front of the server failed" in str(error)
    assert "A page" in str(error)


def test_page_instead_of_data() -> None:
    """A page with a 200 is not data."""
    with pytest.raises(UnexpectedPageError, match="instead of data"):
        check_json(page_response(PAGE), READ)
    assert check(page_response(PAGE), READ).status == 200


@pytest.mark.parametrize("status", [200, 404, 500, 502])
def test_page_that_shows_the_request(status: int) -> None:
    """A proxy's page that shows our own cookies does not bring them into the error."""
    page = page_response("<pre>cookie: hf-chat=secret</pre>", status=status)
    with pytest.raises(HuggingChatError) as caught:
        check_json(page, READ)
    assert "secret" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"type": "redirect", "location": "/login"}, LoginRequired),
        ({"nodes": [{"type": "error", "status": 404, "error": {}}]}, ConversationNotFoundError),
        ({"nodes": [None, {"type": "error", "status": 403}]}, AccessDeniedError),
        ({"nodes": [{"type": "error", "status": "x"}]}, ServerError),
    ],
)
def test_refusal_inside_of_page_data(document: object, kind: type) -> None:
    """Legacy page data may hold a refusal within its 200."""
    request = Request("GET", "/conversation/" + "0" * 24 + "/__data.json")
    with pytest.raises(kind):
        check_data(json_response(document), request, "conversation")


def test_page_data_without_a_refusal() -> None:
    """Other page data passes."""
    response = json_response({"type": "data", "nodes": [{"type": "skip"}, {"type": "data"}]})
    assert check_data(response, READ, "conversation") is response


def test_long_words_are_cut() -> None:
    """A long message does not flood the error."""
    error = refusal(Response(500, {"content-type": "text/plain"}, b"x" * 100_000), SEND)
    assert len(str(error)) < 400


@given(
    st.integers(100, 599).filter(lambda status: status != 200),
    st.sampled_from(["application/json", "text/html", "text/plain", ""]),
    st.binary() | st.builds(lambda x: json.dumps({"message": x}).encode(), st.none() | st.text()),
    st.text(),
)
def test_any_response_is_one_of_our_errors(
    status: int, content_type: str, body: bytes, location: str
) -> None:
    """Whatever a server or a proxy answers, the result is one of our errors."""
    headers = {"content-type": content_type, "location": location}
    assert isinstance(refusal(Response(status, headers, body), SEND), HuggingChatError)
