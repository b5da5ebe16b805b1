"""One line → one event, or a protocol error."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import (
    Answer,
    ElicitationRequest,
    ElicitationResolved,
    Event,
    File,
    FinalAnswer,
    ProtocolError,
    ReasoningDelta,
    RouterMetadata,
    Source,
    Sources,
    Status,
    TextDelta,
    Title,
    ToolCall,
    ToolError,
    ToolProgress,
    ToolResult,
    ToolRun,
    Unknown,
)
from hfchat_base._protocol.decoder import EXCERPT_CHARACTERS, decode_line
from hfchat_base.events import ReasoningStatus, ToolEta, WebSearchUpdate

CALL = {"name": "search", "parameters": {"q": "x"}}


def line(**fields: Any) -> bytes:
    """An event as a server writes it."""
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (line(type="stream", token="Hi"), TextDelta("Hi")),
        (line(type="stream", token="Hi" + "\0" * 14), TextDelta("Hi")),
        (line(type="stream", token="longer than sixteen \0"), TextDelta("longer than sixteen ")),
        (line(type="stream", token=""), TextDelta("")),
        (line(type="stream", token="a\u2028b\u0085c"), TextDelta("a\u2028b\u0085c")),
        (b'{"type":"stream","token":"\\ud83d"}', TextDelta("\ud83d")),
        (b'{"type":"stream","token":"\\ud83c\\udf0d"}', TextDelta("🌍")),
        (b" " * 4096 + line(type="title", title="T"), Title("T")),
        (line(type="title", title="T") + b"  \r", Title("T")),
        (line(type="finalAnswer", text="Hi"), FinalAnswer("Hi")),
        (line(type="finalAnswer", text="Hi\0", interrupted=True), FinalAnswer("Hi", True)),
        (line(type="finalAnswer", text="Hi", interrupted="no"), FinalAnswer("Hi")),
        (line(type="status", status="started"), Status("started")),
        (line(type="status", status="brandNew"), Status("brandNew")),
        (
            line(type="status", status="error", message="m", statusCode=500),
            Status("error", "m", 500),
        ),
        (line(type="status", status="error", message=1, statusCode="x"), Status("error")),
        (line(type="reasoning", subtype="stream", token="Hm\0"), ReasoningDelta("Hm")),
        (line(type="reasoning", subtype="status", status="Done"), ReasoningStatus("Done")),
        (
            line(type="tool", subtype="call", uuid="u", call=CALL),
            ToolCall("u", "search", {"q": "x"}),
        ),
        (line(type="tool", subtype="call", uuid="u", call={"name": "n"}), ToolCall("u", "n")),
        (line(type="tool", subtype="eta", uuid="u", eta=3), ToolEta("u", 3)),
        (line(type="tool", subtype="progress", uuid="u", progress=1), ToolProgress("u", 1)),
        (
            line(type="tool", subtype="progress", uuid="u", progress=1, total=3, message="m"),
            ToolProgress("u", 1, 3, "m"),
        ),
        (line(type="tool", subtype="error", uuid="u", message="m"), ToolError("u", "m")),
        (
            line(
                type="tool",
                subtype="result",
                uuid="u",
                result={"status": "success", "call": CALL, "outputs": [{"text": "a"}, 1, {"x": 2}]},
            ),
            ToolResult("u", "search", {"q": "x"}, "a", ({"text": "a"}, {"x": 2})),
        ),
        (
            line(type="tool", subtype="result", uuid="u", result={"status": "error"}),
            ToolError("u", "The tool failed."),
        ),
        (
            line(
                type="elicitation",
                subtype="request",
                request={"elicitationId": "e", "message": "Which?", "fields": [{"name": "n"}]},
                expiresAt=5,
                toolUuid="u",
            ),
            ElicitationRequest("e", "Which?", ({"name": "n"},), expires_at=5, tool_uuid="u"),
        ),
        (
            line(type="elicitation", subtype="resolved", elicitationId="e", action="decline"),
            ElicitationResolved("e", "decline"),
        ),
        (
            line(type="routerMetadata", route="r", model="m", provider="p"),
            RouterMetadata("r", "m", "p"),
        ),
        (line(type="routerMetadata", provider="p"), RouterMetadata(provider="p")),
        (line(type="file", name="n", sha="s", mime="m"), File("n", "s", "m")),
        (
            line(type="webSearch", subtype="sources", sources=[{"link": "l", "title": "t"}, {}, 1]),
            Sources((Source("l", "t"),)),
        ),
        (
            line(type="webSearch", messageType="sources", sources=[{"link": "l"}]),
            Sources((Source("l"),)),
        ),
        (
            line(type="webSearch", subtype="update", message="m", args=["a", 1]),
            WebSearchUpdate("m", ("a",)),
        ),
        (
            line(type="webSearch", subtype="error", message="m"),
            WebSearchUpdate("m", is_error=True),
        ),
        (line(type="webSearch", subtype="finished"), WebSearchUpdate("finished")),
    ],
)
def test_events(raw: bytes, event: Event) -> None:
    """Each event of the wire has its class, with padding and spaces removed."""
    assert decode_line(raw) == event


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "brandNew", "x": 1},
        {"type": "tool", "subtype": "brandNew"},
        {"type": "reasoning", "subtype": "brandNew"},
        {"type": "elicitation", "subtype": "brandNew"},
        {"type": "webSearch", "subtype": "brandNew"},
        {"type": "webSearch"},
    ],
)
def test_what_is_newer_is_kept(raw: dict[str, Any]) -> None:
    """A type or subtype that is not known is not an error, and is kept whole."""
    assert decode_line(line(**raw)) == Unknown(raw)


@pytest.mark.parametrize("raw", [b"", b"   ", b" " * 4096, b"\r"])
def test_white_space_is_no_event(raw: bytes) -> None:
    """A line of white space says nothing."""
    assert decode_line(raw) is None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xff{}", "is not UTF-8"),
        (b"{", "is not JSON"),
        (b"<html>", "is not JSON"),
        (b'{"type":"title","title":"a"}{"type":"title","title":"b"}', "is not one JSON object"),
        (b"[]", "is not one JSON object"),
        (b"null", "is not one JSON object"),
        (b'"text"', "is not one JSON object"),
        (b"[" * 2000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b"{}", "has no 'type'"),
        (b'{"type":1}', "has no 'type'"),
        (b'{"type":"stream"}', "has no text in 'token'"),
        (b'{"type":"stream","token":1}', "has no text in 'token'"),
        (b'{"type":"finalAnswer"}', "has no text in 'text'"),
        (b'{"type":"title","title":null}', "has no text in 'title'"),
        (b'{"type":"status"}', "has no text in 'status'"),
        (b'{"type":"tool","subtype":"call","uuid":"u"}', "has no object in 'call'"),
        (b'{"type":"tool","subtype":"eta","uuid":"u","eta":"x"}', "has no number in 'eta'"),
        (b'{"type":"tool","subtype":"eta","uuid":"u","eta":true}', "has no number in 'eta'"),
        (b'{"type":"tool","subtype":"result","uuid":"u"}', "has no object in 'result'"),
        (b'{"type":"elicitation","subtype":"request"}', "has no object in 'request'"),
        (b'{"type":"file"}', "has no text in 'sha'"),
    ],
)
def test_what_is_no_event(raw: bytes, words: str) -> None:
    """A line that is not an event is a protocol error with its number and a short excerpt."""
    with pytest.raises(ProtocolError, match=f"Line 3 of the answer {words}") as caught:
        decode_line(raw, 3)
    assert caught.value.line_number == 3
    assert caught.value.excerpt
    assert len(caught.value.excerpt) <= 4 * EXCERPT_CHARACTERS + 4
    assert "Traceback" not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("subtype", "messageType", "token", "text", "title", "status", "message", "uuid"),
            *("call", "result", "request", "sources", "args", "name", "sha", "elicitationId"),
            *("action", "fields", "outputs", "parameters", "interrupted", "eta"),
        ]
    ),
    ANYTHING | st.sampled_from(["stream", "status", "call", "result", "request", "sources"]),
)
TYPES = st.sampled_from(
    [
        *("stream", "status", "finalAnswer", "title", "reasoning", "tool", "elicitation"),
        *("routerMetadata", "file", "webSearch"),
    ]
)


@given(TYPES, FIELDS)
def test_any_fields_are_an_event_or_our_error(kind: str, fields: dict[str, Any]) -> None:
    """Whatever the fields hold, the result is an event or a protocol error."""
    with suppress(ProtocolError):
        event = decode_line(json.dumps({"type": kind, **fields}).encode())
        assert isinstance(event, get_args(Event))


@given(st.binary() | st.text().map(str.encode) | ANYTHING.map(lambda x: json.dumps(x).encode()))
def test_any_line_is_an_event_or_our_error(raw: bytes) -> None:
    """Whatever the bytes are, the result is an event, nothing, or a protocol error."""
    with suppress(ProtocolError):
        event = decode_line(raw)
        assert event is None or isinstance(event, get_args(Event))


@given(st.text(max_size=40))
def test_text_survives(text: str) -> None:
    """Text is passed on as it came, but for the padding."""
    assert decode_line(line(type="stream", token=text)) == TextDelta(text.replace("\0", ""))


@given(
    token=st.text().map(json.dumps),
    padding=st.integers(0, 16),
    end=st.sampled_from(["", "\r", " "]),
)
def test_the_usual_form_is_read_as_json_would_be(token: str, padding: int, end: str) -> None:
    """A token in the form of nearly every line reads as the same JSON in any other form."""
    written = token[:-1] + "\\u0000" * padding + '"'
    usual = f'{{"type":"stream","token":{written}}}{end}'
    spaced = f'{{"type": "stream", "token": {written}}}'
    assert decode_line(usual.encode()) == decode_line(spaced.encode())


@given(st.binary())
def test_the_usual_form_takes_nothing_that_json_does_not(token: bytes) -> None:
    """Bytes that a JSON string cannot hold are refused in the usual form, too."""
    outcomes: list[Event | None] = []
    for form in (b'{"type":"stream","token":"%s"}', b'{"type": "stream", "token": "%s"}'):
        try:
            outcomes.append(decode_line(form % token))
        except ProtocolError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


def test_deepest_arguments_can_be_written_as_json() -> None:
    """An answer whose tool was called with the deepest arguments that are read has a JSON form."""
    arguments: dict[str, Any] = {}
    for _ in range(99):
        arguments = {"a": arguments}
    call = {"name": "n", "parameters": arguments}
    raw = {"type": "tool", "subtype": "call", "uuid": "u", "call": call}
    event = decode_line(json.dumps(raw).encode(), 1)
    assert isinstance(event, ToolCall)
    said = Answer(tool_runs=(ToolRun(uuid="u", name="n", arguments=event.arguments),))
    assert Answer.model_validate_json(said.model_dump_json()) == said
