"""Wrong input ends in a typed error that says what to do.

Each case is tried on the synchronous and on the asynchronous client. What is asked rightly and
cannot be answered is in `test_obstacles.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    ChatMessage,
    ConversationNotFoundError,
    FileTooLargeError,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    MessageNotFoundError,
    ModelNotFoundError,
    ResponseError,
    ServerError,
    Upload,
)
from hfchat_base._protocol.constants import MAX_FILE_BYTES
from hfchat_base.errors import AccessDeniedError, FileNotAvailableError, MessageTooLongError
from hfchat_base.local import Limits, LocalServer
from tests.support.attempts import MODEL, Operation, Try, begin

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation

CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"

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
            lambda c: c.send("hi", [b"a" * MAX_FILE_BYTES, b"b" * MAX_FILE_BYTES]),
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
        (lambda c: c.get_conversation("nonsense"), "24 hex digits"),
        (lambda c: c.delete_conversation("nonsense"), "24 hex digits"),
        (lambda c: c.fetch_message_id("nonsense"), "24 hex digits"),
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
    """A conversation that was deleted under us is reported as gone."""
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
    """A file that the server does not have is reported as such."""
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


def test_message_too_long(attempt: Try, generation: Generation) -> None:
    """A text over the server's limit is reported as such."""
    with (
        LocalServer(generation=generation, limits=Limits(message_length=10)) as server,
        pytest.raises(MessageTooLongError, match="longer than this server takes"),
    ):
        attempt(server.base_url, begin, lambda c: c.send("x" * 11))


def test_server_with_a_smaller_limit(attempt: Try, generation: Generation) -> None:
    """A file over a limit that only the server knows is reported as such."""
    with (
        LocalServer(generation=generation, limits=Limits(file_bytes=10)) as server,
        pytest.raises(FileTooLargeError, match="Send fewer or smaller files"),
    ):
        attempt(server.base_url, begin, lambda c: c.send("hi", Upload("a.txt", b"x" * 11)))
