"""Which request has which limit, and that no parsed body is without one."""

from __future__ import annotations

import pytest

from hfchat_base._protocol import http
from hfchat_base._protocol.constants import Generation
from hfchat_base._protocol.dialects import OutgoingMessage, base, dialect_named, model_sources
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Endpoint

GENERATIONS: tuple[Generation, ...] = ("current", "legacy")
ID = "a" * 24
ENDPOINT = Endpoint.parse("http://127.0.0.1:1")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_limits_by_what_a_response_is(generation: Generation) -> None:
    """Each kind of response has the limit of its kind."""
    dialect = dialect_named(generation)
    assert base.plain_models().max_bytes == http.MODEL_LIST_BYTES
    assert {source.request.max_bytes for source in model_sources(dialect)} == {
        http.MODEL_LIST_BYTES,
        http.PAGE_BYTES,
    }
    assert base.home_page().max_bytes == http.PAGE_BYTES
    assert dialect.list_conversations(0).max_bytes == http.CONVERSATION_LIST_BYTES
    assert dialect.get_conversation(ID).max_bytes == http.CONVERSATION_BYTES
    assert base.output_file(ID, "sha").max_bytes == http.FILE_BYTES
    message = OutgoingMessage(ID, "b" * 24, "hello", "c" * 24)
    assert dialect.send_message(ENDPOINT, message).max_bytes == http.STREAM_BYTES
    assert base.resume(ID, "generation").max_bytes == http.STREAM_BYTES


@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_says_nothing_of_its_size_is_short(generation: Generation) -> None:
    """A request is answered shortly unless it says otherwise."""
    dialect = dialect_named(generation)
    assert Request("GET", "/x").max_bytes == http.SHORT_REPLY_BYTES
    assert dialect.get_user().max_bytes == http.SHORT_REPLY_BYTES
    assert dialect.delete_conversation(ENDPOINT, ID).max_bytes == http.SHORT_REPLY_BYTES


@pytest.mark.parametrize(
    ("size", "words"), [(64 * 1024, "64 KiB"), (1024 * 1024, "1 MiB"), (2**30, "1024 MiB")]
)
def test_limits_in_words(size: int, words: str) -> None:
    """A limit is shown in the unit that makes it a round number."""
    assert http.format_size(size) == words
