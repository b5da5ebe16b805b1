"""Every recorded answer, cut at every place that a network can cut at, gives the same events."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    Answer,
    ElicitationRequest,
    FinalAnswer,
    GenerationFailed,
    ReasoningDelta,
    Status,
    StreamTruncated,
    TextDelta,
    Title,
    ToolCall,
    ToolError,
    ToolResult,
)
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.run import answer as run_answer
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol.artifacts import NOTHING
from hfchat_base._protocol.dialects import CURRENT, OutgoingMessage, dialect_named
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import UpstreamRateLimitError
from tests.support.flows import Outcome, drive, json_response
from tests.support.recordings import SAID, Recording, all_with_streams, body_of, load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfchat_base._protocol.constants import Generation
    from hfchat_base._protocol.http import Request, Response

CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"
GENERATION = "11111111-1111-4111-8111-111111111111"

STREAMS = [
    pytest.param(recording, index, id=f"{recording}-{index}")
    for recording in all_with_streams()
    for index in range(len(recording.streams))
]

CUT_UP = [case for case in STREAMS if case.id != "current-two_runs_in_one_conversation-1"]
"""All of them but one, which says the same forty tokens as the one before it."""


def play(
    generation: Generation, pieces: Iterable[bytes], *, stopped: bool = False
) -> Outcome[Answer]:
    """Run one turn whose stream comes in these pieces."""
    server = ServerInfo(Endpoint.parse(f"http://{generation}.invalid"))
    server.dialect = dialect_named(generation)
    run = RunState(reads_message_id=False)
    run.earlier_artifacts = NOTHING  # nothing is there to read them from
    turn = OutgoingMessage(CONVERSATION, MESSAGE, "hi", GENERATION)
    flow = run_answer(server, turn, run, model="echo/base")
    if stopped:
        flow = _stopping(flow, run)
    return drive(flow, answer=_answer, pieces=pieces)


def _stopping(flow: Any, run: RunState) -> Any:
    """Say from the first event on that the caller has asked for a stop."""
    result = None
    error = None
    while True:
        try:
            command = flow.throw(error) if error is not None else flow.send(result)
        except StopIteration as stop:
            return stop.value
        if run.is_running:
            run.request_stop()
        result = error = None
        try:
            result = yield command
        except Exception as raised:  # noqa: BLE001 - passed on to the flow
            error = raised


def _answer(request: Request) -> Response:
    if request.path.endswith("/elicitation"):
        return json_response({"ok": True})
    return json_response({"message": "Conversation not found"}, status=404)


def cuts_of(body: bytes, every: int) -> list[int]:
    """Places to cut at: around each line's end, and one of so many others.

    Of the 4096 spaces these are the borders and the middle.
    """
    ends = {found.start() + near for found in re.finditer(b"\n", body) for near in (0, 1, 2)}
    start = body.find(b" " * 4096)
    inside = range(start + 1, start + 4095) if start >= 0 else range(0)
    skipped = set(inside) - {start + 1, start + 2048, start + 4094}
    cuts = [cut for cut in range(1, len(body)) if cut not in skipped]
    return [cut for number, cut in enumerate(cuts) if number % every == 0 or cut in ends]


def stopped_in(recording: Recording) -> bool:
    """Return whether the caller had stopped the run."""
    return recording.scenario == "stop_generating"


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("recording", "index"), CUT_UP)
def test_single_cut(recording: Recording, index: int, every: int) -> None:
    """Wherever a stream is cut in two, events and answer are those of the whole."""
    body = body_of(recording.streams[index])
    stopped = stopped_in(recording)
    whole = play(recording.generation, [body], stopped=stopped)
    assert whole.events
    for cut in cuts_of(body, every):
        cut_up = play(recording.generation, [body[:cut], body[cut:]], stopped=stopped)
        assert cut_up.events == whole.events, cut
        assert cut_up.result == whole.result, cut
        assert repr(cut_up.error) == repr(whole.error), cut


@pytest.mark.parametrize(("recording", "index"), STREAMS)
def test_byte_by_byte(recording: Recording, index: int) -> None:
    """A stream that comes byte by byte gives the events and the answer of the whole."""
    body = body_of(recording.streams[index])
    stopped = stopped_in(recording)
    whole = play(recording.generation, [body], stopped=stopped)
    bits = play(recording.generation, [body[i : i + 1] for i in range(len(body))], stopped=stopped)
    assert bits.events == whole.events
    assert bits.result == whole.result
    assert repr(bits.error) == repr(whole.error)


"""Scenario → the text of each of its answers, as the recorded models said it."""


@pytest.mark.parametrize(
    "recording", [r for r in all_with_streams() if r.scenario in SAID], ids=str
)
def test_answers(recording: Recording) -> None:
    """Each recorded answer has the text that the model said, streamed and in the end."""
    outcomes = [play(recording.generation, [body_of(e)]) for e in recording.streams]
    assert [outcome.value.text for outcome in outcomes] == SAID[recording.scenario]
    assert {outcome.value.finish_reason for outcome in outcomes} == {"stop"}
    for outcome in outcomes:
        streamed = "".join(e.text for e in outcome.events if isinstance(e, TextDelta))
        # The server trims the end of its final text.
        assert streamed.rstrip() == outcome.value.text


def test_plain_answer_event_by_event() -> None:
    """A plain answer is status, title, padded tokens without their padding, and the end."""
    recording = load("current", "plain_answer")
    assert play("current", [body_of(recording.streams[0])]).events == [
        Status("started"),
        Status("keepAlive"),
        Title("Test title"),
        *(TextDelta(t) for t in ("You ", "said: ", "hello ", "wonderful ", "world ", "— ")),
        *(TextDelta(t) for t in ("héllo ", "世界 ", "🌍")),
        FinalAnswer("You said: hello wonderful world — héllo 世界 🌍"),
        Status("finished"),
    ]


def test_title_is_in_the_answer(generation: Generation) -> None:
    """The title of the first turn belongs to its answer; a second turn brings none."""
    first, second = load(generation, "second_turn").streams
    assert play(generation, [body_of(first)]).value.title
    assert play(generation, [body_of(second)]).value.title is None


@pytest.mark.parametrize(
    ("generation", "scenario"), [("current", "reasoning"), ("legacy", "reasoning_events")]
)
def test_reasoning(generation: Generation, scenario: str) -> None:
    """Thinking is the same on both generations: tags on current, events on legacy."""
    outcome = play(generation, [body_of(load(generation, scenario).streams[0])])
    thought = "".join(e.text for e in outcome.events if isinstance(e, ReasoningDelta))
    assert thought == outcome.value.reasoning
    assert "what is it?" in thought
    assert "think>" not in thought


def test_artifact() -> None:
    """An artifact is taken out of the text, where a fenced block replaces it."""
    outcome = play("current", [body_of(load("current", "artifacts").streams[0])])
    (artifact,) = outcome.value.artifacts
    assert (artifact.identifier, artifact.type, artifact.title, artifact.version) == (
        "hello-page",
        "html",
        "A hello page",
        1,
    )
    assert artifact.content.strip().startswith("<!doctype html>")
    assert artifact.content.strip().endswith("</html>")
    assert "<artifact" not in outcome.value.text
    assert f"```html\n{artifact.content.strip()}\n```" in outcome.value.text


def test_tool_call() -> None:
    """A tool run is reported from its call to its result."""
    outcome = play("current", [body_of(load("current", "tool_call").streams[0])])
    (run,) = outcome.value.tool_runs
    assert run.name == "magic_number"
    assert run.arguments == {"query": "what is the magic number"}
    assert run.output == "42 for what is the magic number"
    assert run.error is None
    names = [type(event).__name__ for event in outcome.events]
    wanted = ("ToolCall", "ToolEta", "ToolProgress", "ToolProgress", "ToolProgress", "ToolResult")
    assert tuple(name for name in names if name.startswith("Tool")) == wanted
    call, result = (e for e in outcome.events if isinstance(e, (ToolCall, ToolResult)))
    assert call.uuid == result.uuid == run.uuid


def test_tool_error() -> None:
    """A tool that fails is reported as such, and the answer continues."""
    outcome = play("current", [body_of(load("current", "tool_error").streams[0])])
    (run,) = outcome.value.tool_runs
    assert run.name == "always_fails"
    assert run.output is None
    assert "tool exploded" in (run.error or "")
    assert any(isinstance(event, ToolError) for event in outcome.events)


def test_elicitation_asks_once() -> None:
    """A tool's question reaches the caller with its fields, and gets the reply."""
    asked: list[ElicitationRequest] = []
    recording = load("current", "elicitation_accepted")
    server = ServerInfo(Endpoint.parse("http://current.invalid"))
    server.dialect = CURRENT
    run = RunState(reads_message_id=False)
    turn = OutgoingMessage(CONVERSATION, MESSAGE, "hi", GENERATION)

    def reply(question: ElicitationRequest) -> dict[str, object]:
        asked.append(question)
        return {"date": "2026-12-24", "people": 4}

    outcome = drive(
        run_answer(server, turn, run),
        answer=_answer,
        pieces=[body_of(recording.streams[0])],
        reply=reply,
    )
    (question,) = asked
    assert question.message == "Which day?"
    assert [field["name"] for field in question.fields] == ["date", "people"]
    sent = outcome.requests[-1]
    assert sent.path == f"/conversation/{CONVERSATION}/elicitation"
    recorded = recording.find("POST", "/elicitation")["request"]["json"]
    assert json.loads(sent.body) == recorded


def test_stopped(generation: Generation) -> None:
    """A run that the caller stopped ends as interrupted, with what was streamed."""
    body = body_of(load(generation, "stop_generating").streams[0])
    outcome = play(generation, [body], stopped=True)
    count = 5 if generation == "current" else 11
    assert outcome.value.text == "".join(f"tok{i} " for i in range(count))
    assert outcome.value.finish_reason == "interrupted"


@pytest.mark.parametrize(
    ("generation", "scenario", "kind", "status", "partial"),
    [
        ("current", "upstream_500", GenerationFailed, 500, ""),
        ("legacy", "upstream_500", GenerationFailed, None, ""),
        ("current", "upstream_429", UpstreamRateLimitError, 429, ""),
        ("current", "upstream_empty", GenerationFailed, None, ""),
        ("legacy", "upstream_empty", GenerationFailed, None, ""),
    ],
)
def test_upstream_failure(
    generation: Generation, scenario: str, kind: type, status: int | None, partial: str
) -> None:
    """An error inside of the 200 is raised, with the status that the server named."""
    error = play(generation, [body_of(load(generation, scenario).streams[0])]).error
    assert type(error) is kind
    assert isinstance(error, GenerationFailed)
    assert error.upstream_status == status
    assert error.partial is not None
    assert error.partial.text == partial


def test_answer_that_was_begun_twice() -> None:
    """After a failure in the middle the server itself begins again: what came is in the error."""
    outcome = play("current", [body_of(load("current", "upstream_cut_midstream").streams[0])])
    assert isinstance(outcome.error, GenerationFailed)
    assert outcome.error.partial is not None
    streamed = "".join(e.text for e in outcome.events if isinstance(e, TextDelta))
    assert streamed == outcome.error.partial.text
    assert "cut off" in streamed


@pytest.mark.parametrize(("recording", "index"), STREAMS)
def test_truncation_is_never_a_success(recording: Recording, index: int) -> None:
    """A stream that ends before its final answer is not a whole answer, wherever it is cut."""
    said = body_of(recording.streams[index]).partition(b'{"type":"finalAnswer"')[0]
    said = said.partition(b'{"type":"status","status":"error"')[0]
    for end in (len(said) // 3, len(said) // 2, len(said) - 1, len(said)):
        outcome = play(recording.generation, [said[:end]])
        assert isinstance(outcome.error, StreamTruncated)
        streamed = "".join(e.text for e in outcome.events if isinstance(e, TextDelta))
        assert outcome.error.partial is not None
        assert outcome.error.partial.text == streamed
