"""Faults 21 to 30: refusals, sessions, and input that the server would answer with a 500."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    ConversationNotFoundError,
    FileTooLargeError,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    MissingAuthError,
    ModelNotFoundError,
    RateLimitError,
    Retries,
    ServerError,
    SessionExpired,
)
from hfchat_base._protocol.constants import MAX_BODY_BYTES, MAX_FILE_BYTES
from hfchat_base.errors import (
    AccessDeniedError,
    ConversationFullError,
    OriginRejectedError,
    TooManyConversationsError,
)
from hfchat_base.local import Limits, LocalServer
from hfchat_base.types import Retry
from tests.support.faults.caller import (
    WINDOW_SECONDS,
    asking,
    create,
    refused,
    short_window,
    steps,
)
from tests.support.faults.fault_server import ANY, CREATE, SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation
    from tests.support.faults.caller import Caller

JSON = "application/json"

READING = r"GET "


@pytest.mark.parametrize(
    "words",
    ["Cross-site POST form submissions are forbidden", "Invalid origin", "Non-JSON form requests"],
)
def test_fault_21_origin(proxy: FaultServer, caller: Caller, words: str) -> None:
    """A gateway that loses the Origin is distinguished from a conversation of somebody else's."""
    proxy.on(SEND, Instead(response(words.encode(), status="403 F", content_type="text/plain")))
    error = refused(caller, proxy.url, asking)
    assert isinstance(error, (OriginRejectedError, AccessDeniedError))
    assert isinstance(error, OriginRejectedError) or "origin" not in words.lower()


def test_fault_21_origin_is_sent(proxy: FaultServer, caller: Caller) -> None:
    """Every POST carries the Origin of the address that the client was given."""
    caller.do(proxy.url, asking)
    posts = [asked for asked in proxy.requests if asked.method == "POST"]
    assert len(posts) == 2
    assert {asked.header("origin") for asked in posts} == {proxy.url}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"You have to be logged in."),
        (JSON, b'{"error":"You have to be logged in."}'),
        (JSON, b'{"message":"You have to be logged in."}'),
        ("text/html", b"<html><title>401</title></html>"),
    ],
    ids=["text", "error", "message", "page"],
)
@pytest.mark.parametrize("route", [SEND, CREATE], ids=["send", "create"])
def test_fault_22_unauthorized(
    proxy: FaultServer, caller: Caller, route: str, content_type: str, body: bytes
) -> None:
    """A 401 in any form wants a login, and is not tried again."""
    proxy.on(route, Instead(response(body, status="401 U", content_type=content_type)))
    error = refused(caller, proxy.url, asking)
    assert isinstance(error, LoginRequired)
    assert proxy.count(route) == 1


@pytest.mark.parametrize("status", ["302 Found", "303 See Other", "307 Temporary Redirect"])
@pytest.mark.parametrize("route", [READING, CREATE, SEND], ids=["reading", "create", "send"])
def test_fault_22_redirect_to_a_login(
    proxy: FaultServer, caller: Caller, route: str, status: str
) -> None:
    """A redirect to a login is not followed, wherever it comes."""
    with FaultServer(proxy.url) as elsewhere:
        away = {"location": f"{elsewhere.url}/oauth/authorize?client_id=x"}
        raw = response(b"", status=status, content_type="text/plain", headers=away)
        proxy.on(route, Instead(raw), always=True)
        error = refused(
            caller,
            proxy.url,
            steps(lambda client: client.get_models()) if route == READING else asking,
        )
        assert isinstance(error, LoginRequired)
        assert elsewhere.asked == []


def test_fault_23_stale_cookie(generation: Generation, caller: Caller) -> None:
    """A session that has run out answers with nothing in it; asking who we are shows it."""
    with LocalServer(generation=generation, require_login=True) as server:
        cookies = server.cookies()
        assert caller.do(server.base_url, lambda client: client.whoami(), cookies=cookies)
        server.end_session(cookies)
        who = None
        try:
            who = caller.do(server.base_url, lambda client: client.whoami(), cookies=cookies)
        except SessionExpired:
            return
        assert who is None


def test_fault_23_stale_cookie_when_chatting(generation: Generation, caller: Caller) -> None:
    """A message under a session that has run out is an error that says so."""
    with LocalServer(generation=generation, require_login=True) as server:
        cookies = server.cookies()
        server.end_session(cookies)
        error = refused(caller, server.base_url, asking, cookies=cookies)
        assert isinstance(error, SessionExpired)


def test_fault_24_refresh_is_kept(proxy: FaultServer, caller: Caller, server: LocalServer) -> None:
    """The same session in a Set-Cookie is a refresh."""
    cookies = server.cookies()
    answer = caller.do(proxy.url, asking, cookies=cookies)
    assert answer.text == "You said: hello"
    sent = {asked.header("cookie") for asked in proxy.requests}
    assert sent == {f"hf-chat={cookies['hf-chat']}"}


def test_fault_24_another_session(proxy: FaultServer, caller: Caller, server: LocalServer) -> None:
    """Another session in a Set-Cookie means that the server invalidated ours."""
    stranger = {"set-cookie": "hf-chat=somebody-else; Path=/; HttpOnly"}
    raw = response(b'{"conversationId":"0"}', content_type=JSON, headers=stranger)
    proxy.on(CREATE, Instead(raw))
    error = refused(caller, proxy.url, asking, cookies=server.cookies())
    assert isinstance(error, SessionExpired)
    assert "somebody-else" not in str(error)


def test_fault_25_access_token(proxy: FaultServer, caller: Caller) -> None:
    """An access token cannot chat; that is said before anything is sent with it."""
    error = refused(caller, proxy.url, asking, cookies="hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345")
    assert isinstance(error, MissingAuthError)
    assert "hf_AbC" not in str(error)
    assert not any(asked.method == "POST" for asked in proxy.requests)


def test_fault_26_no_models(proxy: FaultServer, caller: Caller) -> None:
    """A server that has failed to load its models still gets a message, with a warning."""
    empty = Instead(response(b'{"json":[]}', content_type=JSON))
    proxy.on(READING, empty, always=True)
    work = lambda client: client.get_models()  # noqa: E731
    with pytest.warns(UserWarning, match="model"):
        models = caller.do(proxy.url, work)
    assert models


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        ("410 Gone", "Model not available anymore", ModelNotFoundError),
        ("404 Not Found", "Conversation not found", ConversationNotFoundError),
        ("403 Forbidden", "You don't have access to this conversation", AccessDeniedError),
        ("500 Oops", "An error occurred", ServerError),
    ],
)
def test_fault_27_refusals(
    proxy: FaultServer, caller: Caller, status: str, words: str, kind: type[HuggingChatError]
) -> None:
    """Refusals are typed, and not tried again."""
    body = b'{"message":"%b"}' % words.encode()
    proxy.on(SEND, Instead(response(body, status=status, content_type=JSON)), always=True)
    error = refused(caller, proxy.url, asking)
    assert type(error) is kind
    assert proxy.count(SEND) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda client: client.get_conversation("../../etc/passwd"),
        lambda client: client.get_conversation("x"),
        lambda client: client.delete_conversation("6b02a83922f7e9a0167b16b"),
        steps(create, lambda conversation: conversation.send("")),
        steps(create, lambda conversation: conversation.send("hi", parent_id="no-uuid")),
        steps(create, lambda conversation: conversation.rename("")),
        steps(create, lambda conversation: conversation.rename("x" * 101)),
    ],
    ids=["path", "short", "23 digits", "empty text", "parent", "no title", "long title"],
)
def test_fault_27_checked_here(proxy: FaultServer, caller: Caller, work: Any) -> None:
    """What the server would answer with a 500 is refused before it is sent."""
    error = refused(caller, proxy.url, work)
    assert isinstance(error, InvalidRequestError)
    assert error.status is None
    assert proxy.count(r"(POST|PATCH|DELETE) \S*/conversations?/") == 0
    assert proxy.count(r"GET \S*/conversations?/(\.\.|x)") == 0


def test_fault_27_unknown_model(proxy: FaultServer, caller: Caller) -> None:
    """An unknown model is reported as such."""
    error = refused(caller, proxy.url, lambda client: client.create_conversation("echo/bass"))
    assert isinstance(error, ModelNotFoundError)
    assert "echo/base" in str(error)


def test_fault_27_message_that_is_gone(proxy: FaultServer, caller: Caller) -> None:
    """A parent that does not exist is an error, not a hanging stream."""
    nobody = "00000000-0000-4000-8000-000000000000"
    error = refused(caller, proxy.url, steps(create, lambda c: c.send("hi", parent_id=nobody)))
    assert isinstance(error, HuggingChatError)


def test_fault_28_file_too_large(proxy: FaultServer, caller: Caller) -> None:
    """A file over the limit is refused before it is sent."""
    large = b"x" * (MAX_FILE_BYTES + 1)
    error = refused(caller, proxy.url, steps(create, lambda c: c.send("look", files=[large])))
    assert isinstance(error, FileTooLargeError)
    assert proxy.count(SEND) == 0


def test_fault_28_body_too_large(proxy: FaultServer, caller: Caller) -> None:
    """Files that are too large together are refused before they are sent."""
    files = [b"x" * (MAX_BODY_BYTES // 2)] * 2
    error = refused(caller, proxy.url, steps(create, lambda c: c.send("look", files=files)))
    assert isinstance(error, FileTooLargeError)
    assert proxy.count(SEND) == 0


@pytest.mark.parametrize(
    ("route", "words", "kind"),
    [
        (
            SEND,
            "This conversation has more than 2 messages. Start a new one to continue",
            ConversationFullError,
        ),
        (
            CREATE,
            "You have reached the maximum number of conversations. Delete some to continue.",
            TooManyConversationsError,
        ),
    ],
    ids=["conversation", "conversations"],
)
def test_fault_29_limits_that_waiting_does_not_help(
    proxy: FaultServer, caller: Caller, route: str, words: str, kind: type[RateLimitError]
) -> None:
    """Limits that waiting does not lift are reported at once."""
    body = b'{"message":"%b"}' % words.encode()
    proxy.on(route, Instead(response(body, status="429 L", content_type=JSON)), always=True)
    error = refused(caller, proxy.url, asking)
    assert type(error) is kind
    assert error.retry_after is None
    assert proxy.count(route) == 1


def test_fault_29_limit_per_minute(proxy: FaultServer, caller: Caller) -> None:
    """The limit per minute is waited for, until its window has passed, with word of it."""
    body = b'{"message":"You are sending too many messages. Try again later."}'
    proxy.on(SEND, Instead(response(body, status="429 L", content_type=JSON)))
    told: list[Retry] = []
    began = time.monotonic()
    answer = caller.do(proxy.url, steps(short_window, asking), on_retry=told.append)
    assert answer.text == "You said: hello"
    assert proxy.count(SEND) == 2
    assert time.monotonic() - began >= WINDOW_SECONDS
    assert {retry.reason for retry in told} == {"pace"}


def test_fault_29_limit_per_minute_is_bounded(proxy: FaultServer, caller: Caller) -> None:
    """The limit per minute is not waited for without end."""
    body = b'{"message":"You are sending too many messages. Try again later."}'
    limit = Instead(response(body, status="429 L", content_type=JSON))
    proxy.on(SEND, limit, always=True)
    work = steps(short_window, asking)
    error = refused(caller, proxy.url, work, retries=Retries(rate_limit_attempts=2))
    assert type(error) is RateLimitError
    assert (error.reason, error.retry_after) == ("messages_per_minute", 60)
    assert proxy.count(SEND) == 2


def test_fault_29_batch_on_a_slow_server(generation: Generation, caller: Caller) -> None:
    """A batch that is larger than the limit per minute finishes."""
    limits = Limits(messages_per_minute=5, window_seconds=WINDOW_SECONDS)
    texts = [f"message {number}" for number in range(12)]

    def batch(client: Any) -> Any:
        chats = [client.chat(text) for text in texts]
        return asyncio.gather(*chats) if inspect.isawaitable(chats[0]) else chats

    with LocalServer(generation=generation, limits=limits) as server:
        answers = caller.do(server.base_url, steps(short_window, batch))
    assert [answer.text for answer in answers] == [f"You said: {text}" for text in texts]


def test_fault_30_superjson_null(current_proxy: FaultServer, caller: Caller) -> None:
    """`{"json":null}` without `meta` is nobody, not a failure."""
    route = r"GET \S*/api/v2/user$"
    current_proxy.on(route, Instead(response(b'{"json":null}', content_type=JSON)))
    assert caller.do(current_proxy.url, lambda client: client.whoami()) is None


def test_fault_30_superjson_dates(current_proxy: FaultServer, caller: Caller) -> None:
    """Dates arrive as dates."""
    conversation = steps(
        create,
        lambda c: _both(c.send("hello"), c),
        lambda pair: pair[1].messages(),
    )
    messages = caller.do(current_proxy.url, conversation)
    assert all(message.created_at is not None for message in messages if message.role != "system")


def _both(first: Any, second: Any) -> Any:
    if not inspect.isawaitable(first):
        return first, second

    async def both() -> Any:
        return await first, second

    return both()


def test_fault_30_no_json_at_all(proxy: FaultServer, caller: Caller) -> None:
    """What should be JSON and is none is one of our errors, whichever route it is."""
    garbage = Instead(response(b"\xff\xfe{]", content_type=JSON))
    proxy.on(ANY, garbage, always=True)
    assert isinstance(refused(caller, proxy.url, asking), HuggingChatError)
