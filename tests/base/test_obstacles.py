"""Right input that cannot be answered ends in a typed error that says what to do.

Each case is tried on the synchronous and on the asynchronous client. What is asked wrongly is in
`test_bad_input.py`.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    FileTooLargeError,
    GenerationFailed,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    ModelNotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SessionExpired,
    StreamTruncated,
    Timeouts,
)
from hfchat_base.errors import (
    ConversationFullError,
    OriginRejectedError,
    TooManyConversationsError,
    UnexpectedPageError,
    UpstreamRateLimitError,
)
from hfchat_base.local import Limits, LocalServer
from tests.support.attempts import MODEL, Try, begin
from tests.support.replay import RawRequest, RawServer, Wire, says, whole

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation

# --- models that fail -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("broken/http500", GenerationFailed, "500 upstream exploded"),
        ("broken/empty", GenerationFailed, "No output was generated"),
        ("broken/midstream", GenerationFailed, "terminated"),
        ("broken/http429", GenerationFailed, "slow down"),
    ],
)
def test_model_that_fails(
    attempt: Try, server: LocalServer, model: str, kind: type, words: str
) -> None:
    """A model that fails inside of the 200 is reported with its words."""
    with pytest.raises(kind, match=words):
        attempt(server.base_url, lambda c: c.chat("hi", model=model))


def test_model_behind_the_server_is_busy(attempt: Try, current_server: LocalServer) -> None:
    """A 429 of the model itself is a rate limit as well."""
    with pytest.raises(UpstreamRateLimitError) as caught:
        attempt(current_server.base_url, lambda c: c.chat("hi", model="broken/http429"))
    assert isinstance(caught.value, RateLimitError)
    assert caught.value.reason == "upstream"


def test_content_filter_is_no_failure(attempt: Try, current_server: LocalServer) -> None:
    """An answer that a filter cut short is what was streamed, and says that it is a part."""
    answer = attempt(current_server.base_url, lambda c: c.chat("hi", model="broken/filtered"))
    assert answer.text.startswith("This answer meets a")
    assert answer.finish_reason == "incomplete"


def test_content_filter_on_a_legacy_server(attempt: Try, legacy_server: LocalServer) -> None:
    """A legacy server just closes the connection, which looks as if it was lost."""
    with pytest.raises(StreamTruncated) as caught:
        attempt(
            legacy_server.base_url,
            lambda c: c.chat("hi", model="broken/filtered"),
            timeouts=Timeouts(total=1),
        )
    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith("This answer meets a")


def test_picture_without_a_text(attempt: Try, server: LocalServer) -> None:
    """An answer that is a file alone has no final text either, and is whole."""
    answer = attempt(server.base_url, lambda c: c.chat("a cat", model="image/painter"))
    assert answer.files
    assert answer.finish_reason == "stop"


# --- limits and logins ----------------------------------------------------------------------------


def test_conversation_is_full(attempt: Try, generation: Generation) -> None:
    """A full conversation says to start a new one."""
    limits = Limits(messages_per_conversation=2)
    with (
        LocalServer(generation=generation, limits=limits) as server,
        pytest.raises(ConversationFullError, match="Start a new one") as caught,
    ):
        attempt(
            server.base_url,
            lambda c: c.create_conversation(MODEL),
            *[_send_and_stay] * 3,
        )
    assert caught.value.reason == "conversation_full"
    assert caught.value.retry_after is None


def _send_and_stay(conversation: Any) -> Any:
    result = conversation.send("hi")
    if not inspect.isawaitable(result):
        return conversation

    async def stay() -> Any:
        await result
        return conversation

    return stay()


def test_too_many_conversations(attempt: Try, generation: Generation) -> None:
    """An account that is full says to delete some."""
    with LocalServer(generation=generation, limits=Limits(conversations=0)) as server:
        cookies = server.cookies()
        attempt(server.base_url, begin, cookies=cookies)
        with pytest.raises(TooManyConversationsError, match="delete_conversation") as caught:
            attempt(server.base_url, begin, cookies=cookies)
    assert caught.value.reason == "conversations"
    assert caught.value.retry_after is None


def test_login_is_required(attempt: Try, generation: Generation) -> None:
    """A server that takes no guests says so, and says what to do."""
    with LocalServer(generation=generation, require_login=True) as server:
        for step in (begin, lambda c: c.chat("hi", model=MODEL)):
            with pytest.raises(LoginRequired, match="Log in"):
                attempt(server.base_url, step)


def test_session_has_run_out(attempt: Try, generation: Generation) -> None:
    """A session that the server has invalidated is reported as that, whatever is asked."""
    with LocalServer(generation=generation, require_login=True) as server:
        cookies = server.cookies()

        def end(conversation: Any) -> Any:
            server.end_session(cookies)
            return conversation

        with pytest.raises(SessionExpired, match=r"no longer knows|invalidated this session"):
            attempt(server.base_url, begin, end, lambda c: c.send("hi"), cookies=cookies)


def test_whoami(attempt: Try, generation: Generation) -> None:
    """Who is logged in has a name; a stale cookie is nobody, not an error."""
    with LocalServer(generation=generation, require_login=True) as server:
        cookies = server.cookies()
        user = attempt(server.base_url, lambda c: c.whoami(), cookies=cookies)
        assert user.username == "alice"
        server.end_session(cookies)
        assert attempt(server.base_url, lambda c: c.whoami(), cookies=cookies) is None


# --- proxies, pages and other strangers -----------------------------------------------------------

PAGE = "<!doctype html><title>Sign in to Example WiFi</title>"
ORIGIN_REFUSED = whole(
    "Cross-site POST form submissions are forbidden", status=403, content_type="text/plain"
)


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (ORIGIN_REFUSED, OriginRejectedError, "(?s)Origin.*proxy"),
        (
            whole('{"message":"Non-JSON form requests need to have an origin"}', status=403),
            OriginRejectedError,
            "Origin",
        ),
        (
            whole(PAGE, content_type="text/html"),
            UnexpectedPageError,
            "'Sign in to Example WiFi'.*base_url",
        ),
        (whole("", status=302, headers={"location": "https://a.b/login"}), LoginRequired, "Log in"),
        (
            whole("", status=301, headers={"location": "https://new.example/chat/conversation"}),
            InvalidRequestError,
            "https://new.example/chat",
        ),
        (whole("You have to be logged in.", status=401, content_type=""), LoginRequired, "Log in"),
        (whole('{"error":"You have to be logged in."}', status=401), LoginRequired, "Log in"),
        (
            whole(json.dumps({"message": "You are sending too many messages."}), status=429),
            RateLimitError,
            "60 seconds",
        ),
        (
            whole('{"message":"Model not available"}', status=410),
            ModelNotFoundError,
            "no longer on the server",
        ),
        (whole(PAGE, status=502, content_type="text/html"), ServerError, "A proxy in front of"),
        (whole('{"message":"An error occurred","errorId":"e1"}', status=500), ServerError, "500"),
        (whole("too large", status=413, content_type="text/plain"), FileTooLargeError, "refused"),
        (whole("{", status=200), ProtocolError, "not JSON"),
        (whole("[]", status=200), ProtocolError, "no conversation ID"),
        (whole("", status=204), ProtocolError, "unexpected status 204"),
        (whole(PAGE, status=404, content_type="text/html"), HuggingChatError, "base_url"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", HuggingChatError, "."),
    ],
)
def test_answer_that_is_none(attempt: Try, response: bytes, kind: type, words: str) -> None:
    """Whatever answers in a server's place, the error says what stands there."""
    with RawServer(says(response)) as server, pytest.raises(kind, match=words):
        attempt(server.base_url, begin)


def test_redirects_are_not_followed(attempt: Try) -> None:
    """No redirect is followed: cookies would go where it leads."""
    with RawServer(lambda _, wire: wire.send(whole("{}"))) as elsewhere:
        moved = whole("", status=302, headers={"location": elsewhere.base_url})
        with RawServer(says(moved)) as server, pytest.raises(LoginRequired):
            attempt(server.base_url, begin)
    assert elsewhere.requests == []


def test_error_id_is_kept(attempt: Try) -> None:
    """chat-ui's id of an unexpected failure is there for the server's owner."""
    response = whole('{"message":"An error occurred","errorId":"e1"}', status=500)
    with RawServer(says(response)) as server, pytest.raises(ServerError) as caught:
        attempt(server.base_url, begin)
    assert (caught.value.status, caught.value.error_id) == (500, "e1")


def test_no_model_at_all(attempt: Try) -> None:
    """A server that lists no models is met with a dated list, and a warning."""

    def handle(request: RawRequest, wire: Wire) -> None:
        wire.send(whole('{"json":[]}' if "v2" in request.path else "[]"))

    with RawServer(handle) as server, pytest.warns(UserWarning, match="cannot be read"):
        models = attempt(server.base_url, lambda c: c.get_models())
    assert models


def test_no_server_at_all(attempt: Try) -> None:
    """Where nobody listens, the error names the address."""
    with RawServer(says(b"")) as server:
        address = server.base_url
    with pytest.raises(HuggingChatError, match="cannot be reached"):
        attempt(address, begin)


def test_response_that_breaks_off(attempt: Try) -> None:
    """A response without an end is a lost connection."""
    broken = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    with RawServer(says(broken)) as server, pytest.raises(HuggingChatError, match="was lost"):
        attempt(server.base_url, begin)
