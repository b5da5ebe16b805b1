"""What is asked wrongly, or cannot be answered, ends in a typed error that says what to do.

Each case is tried on the synchronous and on the asynchronous client.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AccessDeniedError,
    AsyncHuggingChat,
    ChatMessage,
    ConversationFullError,
    ConversationNotFoundError,
    FileNotAvailableError,
    FileTooLargeError,
    GenerationFailed,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    MessageNotFoundError,
    MessageTooLongError,
    ModelNotFoundError,
    OriginRejectedError,
    ProtocolError,
    RateLimitError,
    ResponseError,
    ServerError,
    SessionExpired,
    TooManyConversationsError,
    UnexpectedPageError,
    Upload,
    UpstreamRateLimitError,
)
from hfchat_base.local import Limits, LocalServer
from hfchat_base.protocol.facts import MAX_FILE_BYTES
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfchat_base.protocol.facts import Generation

    Operation = Callable[[Any], Any]
    Try = Callable[..., Any]

MODEL = "echo/base"
CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(params=["sync", "async"])
def attempt(request: pytest.FixtureRequest) -> Try:
    """Do something with a client of either kind: steps, each given the result of the one before."""

    def synchronously(base_url: str, *steps: Operation, **settings: Any) -> Any:
        with HuggingChat(base_url, **settings) as client:
            result: Any = client
            for step in steps:
                result = step(result)
            return result

    def asynchronously(base_url: str, *steps: Operation, **settings: Any) -> Any:
        async def run() -> Any:
            async with AsyncHuggingChat(base_url, **settings) as client:
                result: Any = client
                for step in steps:
                    result = step(result)
                    if inspect.isawaitable(result):
                        result = await result
                return result

        return asyncio.run(run())

    return synchronously if request.param == "sync" else asynchronously


def begin(client: Any) -> Any:
    """Begin a conversation with the model that echoes."""
    return client.create_conversation(MODEL)


# --- what is refused before it is sent ------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (lambda c: c.send(""), InvalidRequestError, "needs some text"),
        (lambda c: c.send("hi", parent_id="nonsense"), InvalidRequestError, "UUID"),
        (lambda c: c.retry("nonsense"), InvalidRequestError, "UUID"),
        (lambda c: c.edit("", MESSAGE), InvalidRequestError, "needs some text"),
        (lambda c: c.rename(""), InvalidRequestError, "1 to 100 characters"),
        (lambda c: c.rename("x" * 101), InvalidRequestError, "1 to 100 characters, not 101"),
        (lambda c: c.delete_message("nonsense"), InvalidRequestError, "UUID"),
        (lambda c: c.send("hi", b""), InvalidRequestError, "empty"),
        (lambda c: c.send("hi", "/no/such/file"), InvalidRequestError, "cannot be read"),
        (lambda c: c.send("hi", "https://a.b/c.png"), InvalidRequestError, "download it"),
        (lambda c: c.send("hi", 42), InvalidRequestError, "give a path, bytes"),
        (lambda c: c.send("hi", bytes(MAX_FILE_BYTES + 1)), FileTooLargeError, "10,485,760"),
        (
            lambda c: c.send("hi", [bytes(MAX_FILE_BYTES), bytes(MAX_FILE_BYTES)]),
            FileTooLargeError,
            "15,728,640. Send fewer or smaller files",
        ),
    ],
)
def test_refused_before_sending(
    attempt: Try, server: LocalServer, step: Operation, kind: type, words: str
) -> None:
    """What the server would answer with a 500 is refused here, and nothing is sent."""

    def only_this(conversation: Any) -> Any:
        server.clear_requests()
        return step(conversation)

    with pytest.raises(kind, match=words) as caught:
        attempt(server.base_url, begin, only_this)
    assert server.requests == []
    assert isinstance(caught.value, ResponseError)
    assert caught.value.status is None


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda c: c.get_conversation("nonsense"), "24 hexadecimal digits"),
        (lambda c: c.delete_conversation("nonsense"), "24 hexadecimal digits"),
        (lambda c: c.fetch_message_id("nonsense"), "24 hexadecimal digits"),
        (lambda c: c.import_share("nonsense!"), "7 letters and digits"),
        (lambda c: c.chat("", model=MODEL), "needs some text"),
        (lambda c: c.chat([], model=MODEL), "no message to answer"),
        (lambda c: c.chat([ChatMessage("system", "x")], model=MODEL), "no message to answer"),
    ],
)
def test_client_refuses_before_sending(
    attempt: Try, server: LocalServer, step: Operation, words: str
) -> None:
    """The client refuses what is malformed, and sends nothing."""
    with pytest.raises(InvalidRequestError, match=words):
        attempt(server.base_url, step)
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("huggingface.co/chat", "web address"),
        ("ftp://huggingface.co", "web address"),
        ("http://", "web address"),
        ("http://[::1", "web address"),
        ("http://host:99999", "web address"),
        ("https://user:secret@host/chat", "no user name"),
        ("https://host/chat?x=1", "no user name, query"),
    ],
)
def test_address_that_is_none(attempt: Try, address: str, words: str) -> None:
    """A base URL that cannot be one is refused, and what is secret in it is not shown."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        attempt(address)
    assert "secret" not in str(caught.value)


# --- what the server refuses ----------------------------------------------------------------------


def test_unknown_model(attempt: Try, server: LocalServer) -> None:
    """An unknown model is named, with those that are near."""
    with pytest.raises(ModelNotFoundError, match=r"no model 'echo/bas'.*echo/base.*get_models\(\)"):
        attempt(server.base_url, lambda c: c.create_conversation("echo/bas"))
    with pytest.raises(ModelNotFoundError, match="no model 'no/such'"):
        attempt(server.base_url, lambda c: c.chat("hi", model="no/such"))


def test_short_name_of_a_model(attempt: Try, server: LocalServer) -> None:
    """A short name is as good as the id, also before the list was read."""
    conversation = attempt(server.base_url, lambda c: c.create_conversation("painter"))
    assert conversation.model == "image/painter"


def test_unknown_conversation(attempt: Try, server: LocalServer) -> None:
    """A conversation that is not there is said to be deleted, or another session's."""
    for step in (
        lambda c: c.get_conversation(CONVERSATION),
        lambda c: c.fetch_message_id(CONVERSATION),
    ):
        with pytest.raises(ConversationNotFoundError, match="deleted, or it belongs to another"):
            attempt(server.base_url, step)


def test_somebody_elses_conversation(attempt: Try, server: LocalServer) -> None:
    """A conversation of another session cannot be read or written."""
    with HuggingChat(server.base_url) as owner:
        theirs = owner.create_conversation(MODEL)
        with pytest.raises((AccessDeniedError, ConversationNotFoundError)):
            attempt(server.base_url, lambda c: c.get_conversation(theirs.id))


def test_deleted_conversation(attempt: Try, server: LocalServer) -> None:
    """A conversation that was deleted under us is told as gone."""
    cookies = server.cookies()

    def delete(conversation: Any) -> Any:
        with HuggingChat(server.base_url, cookies) as other:
            other.delete_conversation(conversation.id)
        return conversation

    with pytest.raises(ConversationNotFoundError, match="no such conversation"):
        attempt(server.base_url, begin, delete, lambda c: c.send("hi"), cookies=cookies)


def test_missing_parent(attempt: Try, server: LocalServer) -> None:
    """A parent that is a UUID but no message of the conversation is a typed error."""
    with pytest.raises(HuggingChatError) as caught:
        attempt(server.base_url, begin, lambda c: c.send("hi", parent_id=MESSAGE))
    assert isinstance(caught.value, (ServerError, MessageNotFoundError))


def test_missing_file(attempt: Try, server: LocalServer) -> None:
    """A file that the server does not have is told as such."""
    with pytest.raises(FileNotAvailableError, match="not on the server"):
        attempt(server.base_url, begin, lambda c: c.download("0" * 64))


def test_unknown_share(attempt: Try, server: LocalServer) -> None:
    """A share that is not there is a conversation that is not there."""
    with pytest.raises((ConversationNotFoundError, InvalidRequestError)):
        attempt(server.base_url, lambda c: c.import_share("AbCdEfG"))


def test_nothing_to_retry(attempt: Try, server: LocalServer) -> None:
    """A conversation without an answer has nothing to answer again."""
    with pytest.raises(InvalidRequestError, match="no message of the assistant"):
        attempt(server.base_url, begin, lambda c: c.retry())


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
    """A model that fails inside of the 200 is told with its words."""
    with pytest.raises(kind, match=words):
        attempt(server.base_url, lambda c: c.chat("hi", model=model))


def test_model_behind_the_server_is_busy(attempt: Try, current_server: LocalServer) -> None:
    """A 429 of the model itself is a rate limit as well."""
    with pytest.raises(UpstreamRateLimitError) as caught:
        attempt(current_server.base_url, lambda c: c.chat("hi", model="broken/http429"))
    assert isinstance(caught.value, RateLimitError)
    assert caught.value.reason == "upstream"


def test_content_filter_is_no_failure(attempt: Try, current_server: LocalServer) -> None:
    """An answer that a filter cut short ends well, with what was streamed."""
    answer = attempt(current_server.base_url, lambda c: c.chat("hi", model="broken/filtered"))
    assert answer.text.startswith("This answer meets a")
    assert answer.finish_reason == "stop"


# --- limits and logins ----------------------------------------------------------------------------


def test_message_too_long(attempt: Try, generation: Generation) -> None:
    """A text over the server's limit is told as such."""
    with (
        LocalServer(generation=generation, limits=Limits(message_length=10)) as server,
        pytest.raises(MessageTooLongError, match="longer than this server takes"),
    ):
        attempt(server.base_url, begin, lambda c: c.send("x" * 11))


def test_server_with_a_smaller_limit(attempt: Try, generation: Generation) -> None:
    """A file over a limit that only the server knows is told as such."""
    with (
        LocalServer(generation=generation, limits=Limits(file_bytes=10)) as server,
        pytest.raises(FileTooLargeError, match="Send fewer or smaller files"),
    ):
        attempt(server.base_url, begin, lambda c: c.send("hi", Upload("a.txt", b"x" * 11)))


def test_conversation_is_full(attempt: Try, generation: Generation) -> None:
    """A conversation that takes no more says to start a new one."""
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
    """A session that the server has thrown away is told as over, whatever is asked."""
    with LocalServer(generation=generation, require_login=True) as server:
        cookies = server.cookies()

        def end(conversation: Any) -> Any:
            server.end_session(cookies)
            return conversation

        with pytest.raises(SessionExpired, match=r"no longer knows|thrown this session away"):
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


def says(response: bytes) -> Callable[[RawRequest, Wire], None]:
    """Answer everything with one response."""

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(response)

    return handle


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
        (whole('{"message":"Model not available"}', status=410), ModelNotFoundError, "gone"),
        (whole(PAGE, status=502, content_type="text/html"), ServerError, "A proxy before"),
        (whole('{"message":"An error occurred","errorId":"e1"}', status=500), ServerError, "500"),
        (whole("too large", status=413, content_type="text/plain"), FileTooLargeError, "refused"),
        (whole("{", status=200), ProtocolError, "not JSON"),
        (whole("[]", status=200), ProtocolError, "no id"),
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
