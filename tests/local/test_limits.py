"""Limits: which come first, and what they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base.local import Limits, LocalServer
from tests.local.chat import Chat

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation


def test_every_attempt_counts() -> None:
    """A message that is refused for its length counts against the minute."""
    limits = Limits(messages_per_minute=1, message_length=2)
    with LocalServer(limits=limits) as server, Chat(server) as chat:
        conversation = chat.create()
        assert chat.post(conversation, "too long").status_code == 400
        assert chat.post(conversation, "ok").status_code == 429


def test_minute_is_counted_by_address_too() -> None:
    """A second session from the same address does not help."""
    limits = Limits(messages_per_minute=1)
    with LocalServer(limits=limits) as server:
        with Chat(server) as chat:
            assert chat.post(chat.create(), "one").status_code == 200
        with Chat(server, server.cookies()) as chat:
            assert chat.post(chat.create(), "two").status_code == 429


def test_length_counts_utf16_units() -> None:
    """The length of a message is JavaScript's."""
    with LocalServer(limits=Limits(message_length=2)) as server, Chat(server) as chat:
        assert chat.post(chat.create(), "🙂").status_code == 200
        assert chat.post(chat.create(), "🙂!").json() == {"message": "Message too long."}


def test_deleting_makes_room() -> None:
    """Conversations are counted as they are, not as they were."""
    with LocalServer(limits=Limits(conversations=0)) as server, Chat(server) as chat:
        first = chat.create()
        assert chat.http.post("/conversation", json={"model": "echo/base"}).status_code == 429
        chat.http.delete(f"/conversation/{first}")
        chat.create()


@pytest.mark.parametrize(("size", "expected"), [(100, 200), (101, 413)])
def test_size_of_a_file(size: int, expected: int) -> None:
    """A file of the largest size is taken, one byte more is not."""
    files = (("a.txt", "text/plain", b"x" * size),)
    with LocalServer(limits=Limits(file_bytes=100)) as server, Chat(server) as chat:
        assert chat.post(chat.create(), "hi", files=files).status_code == expected


def test_size_of_a_body(generation: Generation) -> None:
    """A body that is too large is a 413 of the current and a 500 of the legacy generation."""
    limits = Limits(body_bytes=1000)
    server = LocalServer(limits=limits, generation=generation)
    with server, Chat(server) as chat:
        refused = chat.post(chat.create(), "x" * 2000)
        assert refused.status_code == (413 if generation == "current" else 500)
        assert set(refused.json()) == {"message", "errorId"}
