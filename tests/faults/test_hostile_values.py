"""Numbers and names that a server or a caller makes up end in an answer or in our error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    HuggingChat,
    HuggingChatError,
    InvalidRequestError,
    ProtocolError,
    Retries,
    Timeouts,
    ToolProgress,
    Unknown,
)
from hfchat_base._protocol.dialects.base import output_file
from hfchat_base.errors import FileNotAvailableError
from tests.support.faults.answer_lines import FINISHED, STARTED, final, lines, token
from tests.support.faults.caller import create, refused, steps
from tests.support.faults.fault_server import REPLY, SEND
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults.caller import Caller
    from tests.support.faults.fault_server import FaultServer

NUMBERS: Final = ("NaN", "Infinity", "-Infinity", "1e999", "null", "1" + "0" * 400, "-1e300")
ID: Final = "0123456789abcdef01234567"


def answer_with(*raw: str) -> Instead:
    """An answer with some lines of its own in the middle."""
    body = lines(STARTED) + "".join(f"{line}\n" for line in raw).encode("utf-8", "surrogatepass")
    body += lines(token("Done."), final("Done."), FINISHED)
    return Instead(response(body, until_close=True))


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:9] for number in NUMBERS])
@pytest.mark.parametrize("key", ["progress", "eta"])
def test_number_of_a_tool(proxy: FaultServer, caller: Caller, key: str, number: str) -> None:
    """A number that cannot be reckoned with costs its event and not the answer."""
    proxy.on(
        SEND,
        answer_with(
            f'{{"type":"tool","subtype":"{key}","uuid":"u","{key}":{number},"message":"m"}}'
        ),
    )
    outcome = caller.ask(proxy.url)
    assert (outcome.answer.text, outcome.error) == ("Done.", None)
    assert any(isinstance(event, Unknown) for event in outcome.events)


@pytest.mark.parametrize("number", NUMBERS, ids=[number[:9] for number in NUMBERS])
def test_total_of_a_tool(proxy: FaultServer, caller: Caller, number: str) -> None:
    """A total that cannot be reckoned with is none."""
    proxy.on(
        SEND,
        answer_with(
            f'{{"type":"tool","subtype":"progress","uuid":"u","progress":1,"total":{number}}}'
        ),
    )
    outcome = caller.ask(proxy.url)
    assert outcome.error is None
    (progress,) = [event for event in outcome.events if isinstance(event, ToolProgress)]
    assert progress == ToolProgress("u", 1, None)


def test_integer_beyond_what_python_reads(proxy: FaultServer, caller: Caller) -> None:
    """An integer of more digits than Python reads is a line that is not the protocol."""
    digits = "1" * 5000
    proxy.on(SEND, answer_with(f'{{"type":"tool","subtype":"eta","uuid":"u","eta":{digits}}}'))
    assert isinstance(caller.ask(proxy.url).error, ProtocolError)


@pytest.mark.parametrize("sha", ["\ud800", "", ".", "..", "a\udfffb"])
def test_sha_that_makes_no_address(proxy: FaultServer, caller: Caller, sha: str) -> None:
    """A file of whose name no address can be made is not available, and nothing is asked for."""
    work = steps(create, lambda conversation: conversation.download(sha))
    assert isinstance(refused(caller, proxy.url, work), FileNotAvailableError)
    assert not [name for name in proxy.asked if "/output/" in name]


def test_sha_with_anything_else_stays_one_step() -> None:
    """Whatever else a server calls a file stays one step of the path."""
    path = output_file(ID, "../a?b#c\r\n%2f\0é").path
    assert path == f"/conversation/{ID}/output/..%2Fa%3Fb%23c%0D%0A%252f%00%C3%A9"


@pytest.mark.parametrize("name", ["\ud800", "../../x", "a\r\nb"])
def test_ids_of_a_server(proxy: FaultServer, caller: Caller, name: str) -> None:
    """Ids that a server makes up never get into an address."""
    body = json.dumps({"conversationId": name, "json": {"conversationId": name}}).encode()
    bad = Instead(response(body, content_type="application/json"))
    proxy.on(r"POST \S*/conversation$", bad).on(r"POST \S*/import-share$", bad)
    works: list[Callable[[Any], Any]] = [
        create,
        lambda client: client.import_share("abcdefg"),
    ]
    for work in works:
        assert isinstance(refused(caller, proxy.url, work), HuggingChatError)
    assert all(name not in asked and "\\ud800" not in asked for asked in proxy.asked)


def test_question_with_a_lone_surrogate(current_proxy: FaultServer, caller: Caller) -> None:
    """The id of a tool's question goes back as it came, whatever it holds."""
    question = {"elicitationId": "q\ud800", "message": "?", "fields": []}
    raw = json.dumps({"type": "elicitation", "subtype": "request", "request": question})
    current_proxy.on(SEND, answer_with(raw)).on(
        REPLY, Instead(response(b"{}", content_type="application/json"))
    )
    outcome = caller.ask(current_proxy.url)
    assert (outcome.answer.text, outcome.error) == ("Done.", None)
    (reply,) = [asked for asked in current_proxy.requests if asked.target.endswith("elicitation")]
    assert json.loads(reply.body)["elicitationId"] == "q\ud800"


def test_questions_without_end(current_proxy: FaultServer, caller: Caller) -> None:
    """A server whose tools ask and ask is given up, with what had arrived."""
    question = {"elicitationId": "q", "message": "?", "fields": []}
    raw = json.dumps({"type": "elicitation", "subtype": "request", "request": question})
    current_proxy.on(SEND, answer_with(*[raw] * 101)).on(
        REPLY, Instead(response(b"{}", content_type="application/json")), always=True
    )
    error = caller.ask(current_proxy.url).error
    assert isinstance(error, ProtocolError)
    assert error.partial is not None
    assert current_proxy.count(REPLY) == 100


@pytest.mark.parametrize("kind", [HuggingChat, AsyncHuggingChat])
@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3", float("nan")])
def test_messages_per_minute(kind: type[HuggingChat | AsyncHuggingChat], limit: Any) -> None:
    """A limit that lets no message through is refused where it is set."""
    with pytest.raises(InvalidRequestError, match="messages_per_minute"):
        kind("http://127.0.0.1:9", messages_per_minute=limit)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (Retries, {"attempts": 0}),
        (Retries, {"attempts": 1.5}),
        (Retries, {"rate_limit_attempts": 0}),
        (Retries, {"first_wait": float("nan")}),
        (Retries, {"longest_wait": -1}),
        (Retries, {"longest_limit_wait": float("nan")}),
        (Retries, {"longest_retry_after": float("inf")}),
        (Timeouts, {"connect": float("inf")}),
        (Timeouts, {"progress": float("nan")}),
        (Timeouts, {"total": -1}),
        (Timeouts, {"response": "60"}),
    ],
)
def test_settings_that_mean_nothing(make: Callable[..., Any], wrong: dict[str, Any]) -> None:
    """Numbers that cannot be a count or a duration are refused where they are set."""
    (name,) = wrong
    with pytest.raises(InvalidRequestError, match=name):
        make(**wrong)


def test_pauses_stay_numbers() -> None:
    """However many attempts have failed, a pause is no longer than the longest one."""
    assert Retries(attempts=5000).longest_pause(4999) == Retries().longest_wait
