"""Whatever the bytes are and however they are cut: events, or one of our errors."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import Event, HuggingChatError, TextDelta
from hfchat_base._flows.run_state import RunState
from hfchat_base._flows.stream_reader import LineReader, LogReader
from hfchat_base._protocol.accumulator import Accumulator
from hfchat_base._protocol.framing import ServerSentEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Read = tuple[list[Event], type[Exception] | None]

TYPES = [
    "stream", "status", "finalAnswer", "title", "reasoning", "tool", "elicitation",
    "routerMetadata", "file", "webSearch", "new",
]  # fmt: skip
KEYS = [
    "token", "status", "message", "statusCode", "text", "interrupted", "title", "subtype", "uuid",
    "call", "result", "eta", "progress", "total", "request", "sources", "sha", "name", "mime",
]  # fmt: skip
SUBTYPES = ["stream", "status", "call", "eta", "progress", "result", "error", "request", "sources"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(SUBTYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)
events = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(KEYS), anything),
)
events_as_lines = events.map(lambda event: json.dumps(event).encode() + b"\n")
answers = st.lists(events_as_lines | st.binary() | st.just(b" " * 4096), max_size=8).map(b"".join)
frames = st.builds(
    lambda name, event: b"event: %b\ndata: %b\n\n" % (name, json.dumps(event).encode()),
    st.sampled_from([b"update", b"end", b"new"]),
    events | anything,
)
logs = st.lists(frames | st.binary(), max_size=8).map(b"".join)
cuts = st.lists(st.integers(min_value=0, max_value=3000), max_size=12)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    """Cut bytes at these places."""
    places = [0, *sorted(min(place, len(data)) for place in at), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


def read(feed: Callable[[bytes], Iterable[Any]], data: Iterable[bytes]) -> Read:
    """Read pieces; anything but one of our errors fails the test."""
    found: list[Event] = []
    try:
        for piece in data:
            found.extend(feed(piece))
    except HuggingChatError as error:
        return found, type(error)
    return found, None


@given(answers, cuts)
def test_answer(data: bytes, at: list[int]) -> None:
    """An answer gives the same events and the same error at every cut."""
    whole = read(LineReader().feed, [data])
    assert repr(read(LineReader().feed, pieces(data, at))) == repr(whole)


@given(logs, cuts)
def test_log(data: bytes, at: list[int]) -> None:
    """So does a log."""
    whole, cut = LogReader(RunState()), LogReader(RunState())
    assert repr(read(whole.feed, [data])) == repr(read(cut.feed, pieces(data, at)))
    assert whole.end == cut.end


@given(logs, cuts)
def test_frames(data: bytes, at: list[int]) -> None:
    """So do the frames that it is made of."""
    assert read(ServerSentEvents().feed, [data]) == read(ServerSentEvents().feed, pieces(data, at))


@given(st.lists(events_as_lines).map(b"".join))
def test_transcript(data: bytes) -> None:
    """Whatever the events are, they add up to an answer."""
    transcript = Accumulator()
    found, _ = read(LineReader().feed, [data])
    said = "".join(
        event.text
        for heard in found
        for event in transcript.take(heard)
        if isinstance(event, TextDelta)
    )
    transcript.end()
    assert transcript.streamed_text.startswith(said)
    assert transcript.answer().finish_reason is None
