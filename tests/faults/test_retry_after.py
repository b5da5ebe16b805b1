"""`Retry-After`: a gateway says when to come back, and hfchat does, within what it may wait."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

import pytest

from hfchat_base import ChatMessage, RateLimitError, ResponseError, Retries, ServerError
from hfchat_base._flows import context
from hfchat_base._flows.context import ServerInfo
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.requests import Endpoint
from hfchat_base._protocol.responses import retry_after
from hfchat_base.policy import Policy
from hfchat_base.types import Retry
from tests.support.faults.caller import asking, refused, steps
from tests.support.faults.fault_server import CREATE, MODELS, READ, SEND
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead
from tests.support.flows import drive

if TYPE_CHECKING:
    from tests.support.faults.caller import Caller
    from tests.support.faults.fault_server import FaultServer

NOW: Final = 1_700_000_000.0
READING: Final = Request("GET", "/api/v2/models")
STATUSES: Final = ("429 Too Many Requests", "502 Bad", "503 Unavailable", "504 Timeout")


def busy(status: str, seconds: str) -> Instead:
    """A gateway's refusal that says when to come back."""
    headers = {"retry-after": seconds}
    return Instead(response(b"{}", status=status, content_type="application/json", headers=headers))


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("0", None, 0.0),
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("9" * 30, None, 2.0**31),
        ("9" * 5000, None, 2.0**31),
        (formatdate(NOW + 30, usegmt=True), None, 30.0),
        (formatdate(NOW - 30, usegmt=True), None, 0.0),
        (formatdate(NOW + 30, usegmt=True), formatdate(NOW + 20, usegmt=True), 10.0),
        (formatdate(NOW + 30, usegmt=True), "garbage", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None, 2.0**31),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None, None),
        ("", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("1.5", None, None),
        ("nan", None, None),
        ("\u0663", None, None),
        ("1, 2", None, None),
    ],
)
def test_forms(value: str, date: str | None, seconds: float | None) -> None:
    """Seconds and dates are read, on the server's clock if it shows one; anything else is none."""
    headers = {"retry-after": value, **({"date": date} if date else {})}
    assert retry_after(Response(503, headers, date=NOW)) == seconds


def test_none_without_the_header() -> None:
    """Without the header nothing is asked for."""
    assert retry_after(Response(503, {}, date=NOW)) is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reading_waits_so_long(status: int) -> None:
    """A refusal of a read is waited for in full, and by no two clients for exactly as long."""
    server = ServerInfo(Endpoint.parse("http://127.0.0.1:9"))
    answers = iter([Response(status, {"retry-after": "30"}), Response(200)])
    outcome = drive(context.send(server, READING), answer=lambda _: next(answers))
    assert outcome.value.status == 200
    (slept,) = outcome.slept
    assert 30 < slept <= 30.5


@pytest.mark.parametrize("status", [429, 503])
def test_more_than_is_allowed(status: int) -> None:
    """A pause longer than the policy allows is an error that says so, at once."""
    policy = Policy(retries=Retries(longest_retry_after=29))
    server = ServerInfo(Endpoint.parse("http://127.0.0.1:9"), policy=policy)
    outcome = drive(
        context.send(server, READING), answer=lambda _: Response(status, {"retry-after": "30"})
    )
    assert isinstance(outcome.error, ResponseError)
    assert outcome.error.retry_after == 30
    assert "30 s" in str(outcome.error)
    assert "29 s" in str(outcome.error)
    assert len(outcome.requests) == 1
    assert outcome.slept == []


def test_waits_are_bounded_by_the_attempts() -> None:
    """A gateway that asks to come back each time is given up after all attempts."""
    server = ServerInfo(Endpoint.parse("http://127.0.0.1:9"))
    outcome = drive(
        context.send(server, READING), answer=lambda _: Response(503, {"retry-after": "1"})
    )
    assert isinstance(outcome.error, ServerError)
    assert outcome.error.retry_after == 1
    assert len(outcome.requests) == Retries().attempts


def test_limit_of_a_model_list(proxy: FaultServer, caller: Caller) -> None:
    """A limit that names no time is raised to the caller who asks for the models."""
    too_many = response(b"slow down", status="429 Too Many Requests", content_type="text/plain")
    proxy.on(MODELS, Instead(too_many))
    error = refused(caller, proxy.url, lambda client: client.get_models())
    assert isinstance(error, RateLimitError)
    assert "slow down" in str(error)
    assert len(proxy.requests) == 1


def test_limit_of_a_conversation_that_goes_on(proxy: FaultServer, caller: Caller) -> None:
    """A conversation that cannot be looked at for now is not taken for one that has gone."""
    guest = {"hf-chat": "the-same-guest"}
    history = [ChatMessage("user", "one")]

    def chat(client: Any) -> Any:
        return client.chat(history, model="echo/base")

    first = caller.do(proxy.url, chat, cookies=guest)
    said = ChatMessage("assistant", first.text, reference=first.reference)
    history += [said, ChatMessage("user", "two")]
    proxy.on(READ, Instead(response(b"slow down", status="429 Too Many Requests")))
    assert isinstance(refused(caller, proxy.url, chat, cookies=guest), RateLimitError)
    assert caller.do(proxy.url, chat, cookies=guest).conversation_id == first.conversation_id
    assert proxy.count(CREATE) == 1


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("route", [MODELS, SEND], ids=["reading", "message"])
def test_comes_back(proxy: FaultServer, caller: Caller, route: str, status: str) -> None:
    """Reads and messages that a gateway refuses are sent again when it says."""
    told: list[Retry] = []
    proxy.on(route, busy(status, "0"))
    assert caller.do(proxy.url, asking, on_retry=told.append).text == "You said: hello"
    assert proxy.count(SEND) == 2 - (route == MODELS)
    assert all(retry.reason in {"limit", "overloaded"} for retry in told)


def test_limit_of_a_gateway_is_not_the_servers(proxy: FaultServer, caller: Caller) -> None:
    """A gateway's limit does not teach how many messages the server's own minute holds."""
    limits: list[Any] = []

    def work(client: Any) -> Any:
        limits.append(client.server.rate_limiter)
        return asking(client)

    proxy.on(SEND, busy(STATUSES[0], "0"))
    assert caller.do(proxy.url, work).text == "You said: hello"
    assert limits[0].limit is None


def test_creating_comes_back_after_a_limit(proxy: FaultServer, caller: Caller) -> None:
    """What a gateway's limit has refused was not begun, so it is sent again as well."""
    proxy.on(CREATE, busy(STATUSES[0], "0"))
    assert caller.do(proxy.url, asking).text == "You said: hello"
    assert proxy.count(CREATE) == 2


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("route", [READ, CREATE, SEND], ids=["reading", "create", "message"])
def test_too_long_for_us(proxy: FaultServer, caller: Caller, route: str, status: str) -> None:
    """A gateway that asks for an hour gets one request, and the caller gets the seconds."""
    proxy.on(route, busy(status, "3600"), always=True)
    reading = steps(lambda client: client.get_conversation("0123456789abcdef01234567"))
    error = refused(caller, proxy.url, reading if route == READ else asking)
    assert isinstance(error, (RateLimitError, ServerError))
    assert error.retry_after == 3600
    assert proxy.count(route) == 1
