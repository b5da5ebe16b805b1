"""Faults 12 to 20: answers whose bytes are right and whose meaning is not, or not at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    ChatMessage,
    ElicitationRequest,
    ElicitationResolved,
    FinalAnswer,
    GenerationFailed,
    GenerationInterrupted,
    HuggingChatError,
    ProtocolError,
    RateLimitError,
    ServerError,
    StreamStalled,
    StreamTruncated,
    Timeouts,
    Title,
    ToolError,
    TransportError,
)
from hfchat_base.errors import UpstreamRateLimitError
from tests.support.faults.answer_lines import (
    FINISHED,
    KEEP_ALIVE,
    STARTED,
    failure,
    final,
    lines,
    token,
)
from tests.support.faults.caller import steps
from tests.support.faults.fault_server import CREATE, REPLY, RESUME, SEND, STOP, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Babble, Cut, CutAt, Instead, Stall

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.support.faults.caller import Caller, Outcome
    from tests.support.faults.origins import Source

ASKING = "http://127.0.0.1:9201/mcp"
"""The local server's tool server that asks the user a question."""

QUESTION = {
    "type": "elicitation",
    "subtype": "request",
    "toolUuid": "u",
    "request": {"elicitationId": "0" * 8, "message": "Which day?", "fields": []},
}

HASTY = Timeouts(progress=0.15)


def answer(proxy: FaultServer, caller: Caller, *events: dict[str, Any], **options: Any) -> Outcome:
    """Have a message answered with these events."""
    proxy.on(SEND, Instead(response(lines(*events), chunk_bytes=256)))
    return caller.ask(proxy.url, **options)


def test_fault_12_keep_alive_for_ever(proxy: FaultServer, caller: Caller) -> None:
    """A server that only keeps the connection alive has stalled; what had arrived is kept."""
    head = response(b"", until_close=True) + lines(STARTED, token("Half "))
    proxy.on(SEND, Babble(head, lines(KEEP_ALIVE)))
    outcome = caller.ask(proxy.url, timeouts=HASTY)
    assert isinstance(outcome.error, StreamStalled)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text == "Half "


@pytest.mark.parametrize("after", ["nothing", "something"])
def test_fault_13_silence(proxy: FaultServer, caller: Caller, after: str) -> None:
    """Silence ends at our own deadline, and the run is stopped."""
    said = lines(STARTED) if after == "nothing" else lines(STARTED, token("Half "))
    raw = response(b"", until_close=True) + said
    proxy.on(SEND, Babble(raw))
    patience = Timeouts(first_event=0.15) if after == "nothing" else HASTY
    outcome = caller.ask(proxy.url, timeouts=patience)
    assert isinstance(outcome.error, StreamStalled)
    assert outcome.text == ("" if after == "nothing" else "Half ")
    assert proxy.count(STOP) == 1


def test_fault_13_total_deadline(proxy: FaultServer, caller: Caller) -> None:
    """An answer that never ends is ended by the deadline for the whole of it."""
    head = response(b"", until_close=True) + lines(STARTED)
    proxy.on(SEND, Babble(head, lines(token("word "))))
    outcome = caller.ask(proxy.url, timeouts=Timeouts(total=0.3))
    assert isinstance(outcome.error, StreamStalled)
    assert outcome.text == "word " * outcome.text.count("word ")
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text


def test_fault_13_silence_before_the_head(proxy: FaultServer, caller: Caller) -> None:
    """A server that takes a message and says nothing at all does not hold the caller for ever."""
    proxy.on(SEND, Stall(0), Stall(0), Stall(0), Stall(0))
    outcome = caller.ask(proxy.url, timeouts=Timeouts(first_event=0.15))
    assert outcome.error is None or isinstance(outcome.error, (StreamTruncated, StreamStalled))
    assert outcome.error is not None or outcome.answer.text == "You said: hello"


@pytest.mark.parametrize("code", [None, 500, 503])
def test_fault_14_failure_inside_of_success(
    proxy: FaultServer, caller: Caller, code: int | None
) -> None:
    """A failure of the model behind the server is reported with its status."""
    more = {} if code is None else {"statusCode": code}
    outcome = answer(proxy, caller, STARTED, token("Half "), failure("upstream exploded", **more))
    assert isinstance(outcome.error, GenerationFailed)
    assert outcome.error.upstream_status == code
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "Half "
    assert "upstream exploded" in str(outcome.error)


def test_fault_14_limit_inside_of_success(current_proxy: FaultServer, caller: Caller) -> None:
    """A 429 of the model behind the server is a limit, too."""
    outcome = caller.ask(current_proxy.url, model="broken/http429")
    assert isinstance(outcome.error, UpstreamRateLimitError)
    assert isinstance(outcome.error, RateLimitError)
    assert current_proxy.count(SEND) == 1


def test_fault_15_no_output(proxy: FaultServer, caller: Caller) -> None:
    """A model that says nothing has failed."""
    outcome = caller.ask(proxy.url, model="broken/empty")
    assert isinstance(outcome.error, GenerationFailed)
    assert "No output was generated" in str(outcome.error)


def test_fault_16_no_final_answer(current_proxy: FaultServer, caller: Caller) -> None:
    """A run that finishes without a final answer is what was streamed, and says it has no end."""
    outcome = caller.ask(current_proxy.url, model="broken/filtered")
    assert outcome.error is None
    assert outcome.answer.text == outcome.text != ""
    assert outcome.answer.finish_reason == "incomplete"


@pytest.mark.parametrize(
    ("streamed", "said", "whole"),
    [
        ("Hello", "Hello", "Hello"),
        ("Hel", "Hello", "Hello"),
        ("Hallo", "Hello", "Hello"),
        ("", "Hello", "Hello"),
    ],
    ids=["the same", "goes on", "another", "only final"],
)
def test_fault_17_final_text_without_tools(
    proxy: FaultServer, caller: Caller, streamed: str, said: str, whole: str
) -> None:
    """Without tools the final text is what counts; what was not streamed is added at the end."""
    tokens = [token(streamed)] if streamed else []
    outcome = answer(proxy, caller, STARTED, *tokens, final(said), FINISHED)
    assert outcome.answer.text == whole
    assert outcome.text == (whole if whole.startswith(streamed) else streamed)


def test_fault_17_final_text_after_a_tool(proxy: FaultServer, caller: Caller) -> None:
    """After a tool the final text leaves out what was said before it; nothing of that is lost."""
    call = {"type": "tool", "subtype": "call", "uuid": "u", "call": {"name": "t", "parameters": {}}}
    broken = {"type": "tool", "subtype": "error", "uuid": "u", "message": "exploded"}
    outcome = answer(
        proxy,
        caller,
        *(STARTED, token("Let me check. "), call, broken, token("It said no.")),
        *(final("It said no."), FINISHED),
    )
    assert outcome.answer.text == outcome.text == "Let me check. It said no."
    assert ToolError("u", "exploded") in outcome.events


def test_fault_18_interrupted_by_somebody_else(proxy: FaultServer, caller: Caller) -> None:
    """An answer that somebody else has stopped is an error with what there was."""
    outcome = answer(
        proxy, caller, STARTED, token("Half "), final("Half ", interrupted=True), FINISHED
    )
    assert isinstance(outcome.error, GenerationInterrupted)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "Half "


def test_fault_19_title_after_the_end(proxy: FaultServer, caller: Caller) -> None:
    """A title that comes after the final answer is kept."""
    title = {"type": "title", "title": "Late"}
    outcome = answer(proxy, caller, STARTED, token("Hi"), final("Hi"), title, FINISHED)
    assert outcome.answer.title == "Late"
    assert Title("Late") in outcome.events


def test_fault_19_lost_after_the_final_answer(current_proxy: FaultServer, caller: Caller) -> None:
    """What follows the final answer is fetched if the connection was lost before it."""
    current_proxy.on(SEND, CutAt(b'{"type":"status","status":"finished"}'))
    outcome = caller.ask(current_proxy.url)
    assert outcome.error is None
    assert sum(isinstance(event, FinalAnswer) for event in outcome.events) == 1
    assert outcome.events[-1].__class__.__name__ == "Status"


def test_fault_20_question_declined(current_proxy: FaultServer, caller: Caller) -> None:
    """A tool's question is declined at once where nobody is there to answer it."""
    outcome = caller.ask(current_proxy.url, model="tools/agent", mcp_servers=[_asking()])
    assert outcome.error is None
    assert "not booked" in outcome.answer.text
    assert any(isinstance(event, ElicitationResolved) for event in outcome.events)


@pytest.mark.parametrize("fault", [Instead(b""), Cut(0)], ids=["before", "after"])
def test_fault_20_reply_lost(current_proxy: FaultServer, caller: Caller, fault: Any) -> None:
    """A reply whose connection is lost is sent again, so that the run does not wait for an hour."""
    current_proxy.on(REPLY, fault)
    outcome = caller.ask(
        current_proxy.url,
        model="tools/agent",
        mcp_servers=[_asking()],
        on_elicitation=lambda _: {"date": "2026-08-01", "people": 2},
        timeouts=Timeouts(first_event=3, progress=3),
    )
    assert outcome.error is None
    assert "booked for 2 on 2026-08-01" in outcome.answer.text


def test_fault_20_question_asked_once(current_proxy: FaultServer, caller: Caller) -> None:
    """A connection that is lost after a question was answered does not ask it again."""
    asked: list[ElicitationRequest] = []

    def on_elicitation(request: ElicitationRequest) -> dict[str, Any]:
        asked.append(request)
        return {"date": "2026-08-01", "people": 2}

    current_proxy.on(SEND, CutAt(b'"subtype":"resolved"'))
    outcome = caller.ask(
        current_proxy.url,
        model="tools/agent",
        mcp_servers=[_asking()],
        on_elicitation=on_elicitation,
    )
    assert outcome.error is None
    assert "booked for 2" in outcome.answer.text
    assert len(asked) == 1


class _Parks:
    """The run ends with an open question, and its message stays stored."""

    def meet(self, client: socket.socket, ask: Callable[[], Source]) -> None:
        """Let the server store the message, and say that its run has ended."""
        source = ask()
        try:
            source.read()
            client.sendall(response(lines(STARTED, QUESTION, FINISHED), chunk_bytes=99))
        finally:
            source.close()


RESUMES = response(b'{"ok":true,"resume":true}', content_type="application/json")


def test_fault_20_run_that_parks(current_proxy: FaultServer, caller: Caller) -> None:
    """A run that ends with an open question is not empty: it continues in the same message."""
    again = lines(STARTED, token("Booked."), final("Booked."), FINISHED)
    current_proxy.on(REPLY, Instead(RESUMES))
    current_proxy.on(SEND, _Parks(), Instead(response(again, chunk_bytes=99)))
    guest = {"hf-chat": "the-same-guest"}
    outcome = caller.ask(current_proxy.url, cookies=guest)
    assert (outcome.answer.text, outcome.error) == ("Booked.", None)
    assert current_proxy.count(SEND) == 2
    _, again_sent = [asked for asked in current_proxy.requests if re.match(SEND, asked.name)]
    assert b"resumeElicitationId" in again_sent.body
    conversation_id = outcome.answer.conversation_id
    read = steps(lambda client: client.get_conversation(conversation_id), lambda c: c.messages())
    stored = caller.do(current_proxy.url, read, cookies=guest)
    answers = [message.id for message in stored if message.role == "assistant"]
    assert answers == [outcome.answer.message_id]
    assert answers[0].encode() in again_sent.body


def test_fault_20_waiting_answer_that_is_not_there(
    current_proxy: FaultServer, caller: Caller
) -> None:
    """A run that waits for a reply does not continue in another message."""
    waiting = response(lines(STARTED, token("Half."), QUESTION, FINISHED), chunk_bytes=99)
    current_proxy.on(REPLY, Instead(RESUMES))
    current_proxy.on(SEND, Instead(waiting))
    outcome = caller.ask(current_proxy.url)
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "Half."
    assert current_proxy.count(SEND) == 1


def test_answer_that_is_not_in_its_conversation(proxy: FaultServer, caller: Caller) -> None:
    """An answer that the stored conversation does not show gets no message's id but its own."""
    outcome = answer(proxy, caller, STARTED, token("Hi."), final("Hi."), FINISHED)
    assert outcome.error is None
    assert (outcome.answer.text, outcome.answer.message_id) == ("Hi.", None)


def test_history_with_an_answer_that_is_not_in_its_conversation(
    proxy: FaultServer, caller: Caller
) -> None:
    """A history that continues after such an answer reaches the model whole."""
    lost = response(lines(STARTED, token("Hi."), final("Hi."), FINISHED), chunk_bytes=256)
    proxy.on(SEND, Instead(lost))
    history = [
        ChatMessage("user", "Hello."),
        ChatMessage("assistant", "Hi."),
        ChatMessage("user", "And then?"),
    ]

    def first(client: Any) -> Any:
        return client.chat(history[:1])

    def both(client: Any) -> Any:
        return steps(first, lambda _: client.chat(history))(client)

    assert "User: Hello." in caller.do(proxy.url, both).text
    assert proxy.count(CREATE) == 2


def _asking() -> dict[str, str]:
    return {"name": "asking", "url": ASKING}


_ASKING = response(lines(STARTED, token("half"), QUESTION, FINISHED))


@pytest.mark.parametrize("error", [TransportError("mine"), ServerError("mine"), ProtocolError("m")])
def test_fault_20_callback_that_raises_an_error_of_ours(
    current_proxy: FaultServer, caller: Caller, error: HuggingChatError
) -> None:
    """An error of hfchat that a callback raises, such as of another client, is none of the run."""

    def on_elicitation(_: ElicitationRequest) -> None:
        raise error

    current_proxy.on(SEND, Instead(_ASKING))
    outcome = caller.ask(current_proxy.url, on_elicitation=on_elicitation)
    assert outcome.error is error
    assert current_proxy.count(SEND) == 1
    assert current_proxy.count(RESUME) == 0


def test_fault_20_callback_that_raises_stop_iteration(
    current_proxy: FaultServer, caller: Caller
) -> None:
    """A `next` without an item in a callback does not make a whole answer of what had arrived."""

    def on_elicitation(_: ElicitationRequest) -> None:
        next(iter(()))

    current_proxy.on(SEND, Instead(_ASKING))
    with pytest.raises(RuntimeError, match="StopIteration"):
        caller.ask(current_proxy.url, on_elicitation=on_elicitation)


@pytest.mark.parametrize("status", ["404 Not Found", "429 Slow", "500 No", "503 Unavailable"])
@pytest.mark.parametrize("is_over", [False, True])
def test_fault_20_reply_refused(
    current_proxy: FaultServer, caller: Caller, status: str, *, is_over: bool
) -> None:
    """A reply that is refused ends the answer with what had arrived; no message is sent again."""
    asking = lines(STARTED, token("half"), *([FINISHED] if is_over else []), QUESTION)
    current_proxy.on(SEND, Instead(response(asking)))
    current_proxy.on(REPLY, Instead(response(b"", status=status)), always=True)
    outcome = caller.ask(current_proxy.url)
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "half"
    assert current_proxy.count(SEND) == 1
    assert current_proxy.count(RESUME) == 0
