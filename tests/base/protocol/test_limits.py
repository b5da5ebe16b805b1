"""Which request has which limit, and that no parsed body is without one."""

from __future__ import annotations

import pytest

from hfchat_base._protocol import limits, requests
from hfchat_base._protocol.constants import Generation
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import Turn, send_turn

GENERATIONS: tuple[Generation, ...] = ("current", "legacy")
ID = "a" * 24
ENDPOINT = requests.Endpoint.parse("http://127.0.0.1:1")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_limits_by_what_a_response_is(generation: Generation) -> None:
    """Each kind of response has the limit of its kind."""
    assert requests.models(generation).max_bytes == limits.MODEL_LIST_BYTES
    assert requests.home_page().max_bytes == limits.PAGE_BYTES
    assert requests.home_data().max_bytes == limits.PAGE_BYTES
    assert requests.list_conversations(generation, 0).max_bytes == limits.CONVERSATION_LIST_BYTES
    assert requests.read_conversation(generation, ID).max_bytes == limits.CONVERSATION_BYTES
    assert requests.output_file(ID, "sha").max_bytes == limits.FILE_BYTES
    turn = Turn(ID, "b" * 24, "hello", "c" * 24)
    assert send_turn(generation, ENDPOINT, turn).max_bytes == limits.STREAM_BYTES
    assert requests.resume(ID, "generation").max_bytes == limits.STREAM_BYTES


def test_what_says_nothing_of_its_size_is_short() -> None:
    """A request is answered shortly unless it says otherwise."""
    assert Request("GET", "/x").max_bytes == limits.SHORT_REPLY_BYTES
    assert requests.user("current").max_bytes == limits.SHORT_REPLY_BYTES
    assert requests.delete_conversation("legacy", ENDPOINT, ID).max_bytes == (
        limits.SHORT_REPLY_BYTES
    )


@pytest.mark.parametrize(
    ("size", "words"), [(64 * 1024, "64 KiB"), (1024 * 1024, "1 MiB"), (2**30, "1024 MiB")]
)
def test_limits_in_words(size: int, words: str) -> None:
    """A limit is told in the unit that it is a round number of."""
    assert limits.told(size) == words
