"""Bytes → lines, and lines → server-sent events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import ProtocolError
from hfchat_base._protocol.framing import LineBuffer, ServerSentEvent, ServerSentEvents


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_chunking_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """Any bytes in any pieces give the same lines and the same rest."""
    buffer = LineBuffer()
    lines = [line for piece in pieces_of(data, cuts) for line in buffer.feed(piece)]
    assert [*lines, buffer.rest] == data.split(b"\n")
    assert buffer.lines_seen == len(lines)


def test_only_newlines_end_lines() -> None:
    """U+2028, U+0085, form feeds and carriage returns are parts of a line."""
    data = "a\u2028b\u0085c\x0cd\re\x1cf".encode()
    assert LineBuffer().feed(data + b"\n") == [data]


def test_line_over_the_limit() -> None:
    """A line that is too long is refused whether it has ended or not."""
    for data in (b"x" * 11, b"x" * 11 + b"\n"):
        buffer = LineBuffer(10)
        buffer.feed(b"ok\n")
        with pytest.raises(ProtocolError, match="more than 10 bytes") as caught:
            buffer.feed(data)
        assert caught.value.line_number is not None


def test_line_at_the_limit() -> None:
    """A line of exactly the limit is taken."""
    assert LineBuffer(10).feed(b"x" * 10 + b"\n") == [b"x" * 10]


def test_line_over_the_limit_in_pieces() -> None:
    """The limit holds for a line that comes in many pieces, before all of it was held."""
    buffer = LineBuffer(1000)
    for _ in range(250):
        buffer.feed(b"xxxx")
    with pytest.raises(ProtocolError):
        buffer.feed(b"xxxx")
    assert len(buffer.rest) <= 1004


def test_many_small_pieces_take_linear_time() -> None:
    """A long line in small pieces is gathered in linear time: else this would take for hours."""
    buffer = LineBuffer()
    for _ in range(600_000):
        buffer.feed(b"0123456789")
    (line,) = buffer.feed(b"\n")
    assert len(line) == 6_000_000


FRAMES = (
    b": heartbeat\n\n"
    b'id: 7\nevent: update\ndata: {"a":\ndata: 1}\n\n'
    b"retry: 5\n\n"
    b"data:no space\n\n"
    b"event: end\r\ndata: {}\r\n\r\n"
    b"data: never ended"
)
EVENTS = [
    ServerSentEvent("update", '{"a":\n1}', "7"),
    ServerSentEvent("message", "no space"),
    ServerSentEvent("end", "{}"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames(size: int) -> None:
    """Frames are read whatever the pieces are; comments and an unended one are none."""
    reader = ServerSentEvents()
    pieces = [FRAMES[i : i + size] for i in range(0, len(FRAMES), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_frame_that_is_no_text() -> None:
    """A frame that is not UTF-8 is a protocol error with its line."""
    with pytest.raises(ProtocolError, match="not UTF-8") as caught:
        list(ServerSentEvents().feed(b"data: \xff\n"))
    assert caught.value.line_number == 1


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_any_bytes_are_frames_or_our_error(data: bytes, cuts: list[int]) -> None:
    """Whatever comes, nothing but a protocol error leaves the reader."""
    reader = ServerSentEvents()
    try:
        for piece in pieces_of(data, cuts):
            list(reader.feed(piece))
    except ProtocolError:
        pass
