"""Faults 1 to 11: how the bytes of an answer are framed.

Each is met over a real socket: the message goes to a server of faults, which answers it with bytes
of the test's own; all other requests go through to a local server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import FinalAnswer, ProtocolError, Status, StreamTruncated, TextDelta, Unknown
from hfchat_base._protocol import decoder
from hfchat_base._protocol.framing import MAX_LINE_BYTES
from hfchat_base.errors import UnexpectedPageError
from tests.support.faults.answer_lines import FINISHED, STARTED, final, lines, token
from tests.support.faults.fault_server import RESUME, SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Cut, CutAt, Drip, Instead

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation
    from tests.support.faults.caller import Caller, Outcome


def answer(proxy: FaultServer, caller: Caller, body: bytes, **framing: Any) -> Outcome:
    """Have a message answered with these bytes."""
    framing.setdefault("chunk_bytes", 64)
    proxy.on(SEND, Instead(response(body, **framing)))
    return caller.ask(proxy.url)


def test_fault_01_padding(proxy: FaultServer, caller: Caller) -> None:
    """Padding is gone, from tokens of any length."""
    long = "a token of more than sixteen characters "
    body = lines(STARTED, token("Hi "), token(long), token("!", 40), final(f"Hi {long}!"), FINISHED)
    outcome = answer(proxy, caller, body)
    assert outcome.text == outcome.answer.text == f"Hi {long}!"
    assert outcome.error is None


def test_fault_02_spaces(proxy: FaultServer, caller: Caller) -> None:
    """The 4096 spaces before the next object, and at the end, are nothing."""
    title = {"type": "title", "title": "T"}
    body = lines(STARTED, token("Hi"), final("Hi"), title, FINISHED) + b" " * 4096
    outcome = answer(proxy, caller, body)
    assert (outcome.answer.text, outcome.answer.title) == ("Hi", "T")
    assert outcome.error is None


def test_fault_03_every_split(proxy: FaultServer, caller: Caller) -> None:
    """However the bytes are cut, inside of a character or an escape, the events are the same."""
    body = lines(STARTED, token("Zü🏔"), token("\u2028𠮷"), final("Zü🏔\u2028𠮷"), FINISHED)
    # The taped body holds the escape as well as the characters.
    assert rb"\u0000" in body
    whole = answer(proxy, caller, body)
    assert whole.text == "Zü🏔\u2028𠮷"
    for size in (1, 2, 3, 5, 7, 13):
        proxy.reset()
        assert answer(proxy, caller, body, chunk_bytes=size).comparable == whole.comparable
    proxy.reset()
    proxy.on(SEND, Drip())
    assert caller.ask(proxy.url, "Zü🏔𠮷").text == "You said: Zü🏔𠮷"


def test_fault_04_line_separators(proxy: FaultServer, caller: Caller) -> None:
    """Line separators of Unicode in a token leave it one event."""
    text = "one\u2028two\u2029three\u0085four\x0bfive\x1csix"
    body = lines(STARTED, token(text), final(text), FINISHED)
    outcome = answer(proxy, caller, body)
    assert [event for event in outcome.events if isinstance(event, TextDelta)] == [TextDelta(text)]


def test_fault_05_lone_surrogate(proxy: FaultServer, caller: Caller) -> None:
    """Half a character, from a server that cut UTF-16, is handed on as it is."""
    body = (
        b'{"type":"stream","token":"cut \\ud83d"}\n'
        b'{"type":"finalAnswer","text":"cut \\ud83d","interrupted":false}\n'
    )
    outcome = answer(proxy, caller, body + lines(FINISHED))
    assert outcome.text == outcome.answer.text == "cut \ud83d"
    assert outcome.text.encode(errors="replace") == b"cut ?"


@pytest.mark.parametrize("rest", [b"", b'{"type":"stream","tok'])
def test_fault_06_clean_end_without_an_end(
    proxy: FaultServer, caller: Caller, generation: Generation, rest: bytes
) -> None:
    """A response that ends properly within an answer is an error, after trying to resume."""
    outcome = answer(proxy, caller, lines(STARTED, token("Half ")) + rest)
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text == "Half "
    assert proxy.count(SEND) == 1
    assert (proxy.count(RESUME) > 0) == (generation == "current")


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_fault_07_connection_lost(current_proxy: FaultServer, caller: Caller, how: Any) -> None:
    """A lost connection is resumed on current servers, however it was lost."""
    current_proxy.on(SEND, CutAt(b'"token":"said', how=how))
    outcome = caller.ask(current_proxy.url, "hello")
    assert (outcome.text, outcome.error) == ("You said: hello", None)
    assert current_proxy.count(SEND) == 1


@pytest.mark.parametrize(
    "broken",
    [
        response(lines(STARTED, token("Half ")), length=100_000),
        response(lines(STARTED, token("Half ")), chunk_bytes=30).removesuffix(b"0\r\n\r\n"),
        response(lines(STARTED, token("Half ")), chunk_bytes=1000).replace(
            b"0\r\n\r\n", b"ffff\r\nab"
        ),
        response(lines(STARTED, token("Half ")), chunk_bytes=1000).replace(b"0\r\n\r\n", b"zz\r\n"),
    ],
    ids=["short body", "no last chunk", "chunk too large", "chunk size is not a number"],
)
def test_fault_07_broken_body(proxy: FaultServer, caller: Caller, broken: bytes) -> None:
    """A body that is not as long as was said counts as a lost connection."""
    proxy.on(SEND, Instead(broken))
    outcome = caller.ask(proxy.url)
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text == "Half "


@pytest.mark.parametrize(
    "unknown",
    [
        {"type": "hologram", "beam": 1},
        {"type": "tool", "subtype": "teleport", "uuid": "u"},
        {"type": "reasoning", "subtype": "dream"},
        {"type": "elicitation", "subtype": "poll"},
        {"type": "webSearch", "subtype": "crawl"},
    ],
)
def test_fault_08_unknown_event(proxy: FaultServer, caller: Caller, unknown: Any) -> None:
    """An event of a newer server is passed on raw, and the stream continues."""
    outcome = answer(proxy, caller, lines(STARTED, unknown, token("Hi"), final("Hi"), FINISHED))
    assert Unknown(unknown) in outcome.events
    assert (outcome.answer.text, outcome.error) == ("Hi", None)


def test_fault_08_unknown_status(proxy: FaultServer, caller: Caller) -> None:
    """A status of a newer server is passed on, and the stream continues."""
    pondering = {"type": "status", "status": "pondering", "depth": 3}
    outcome = answer(proxy, caller, lines(STARTED, pondering, token("Hi"), final("Hi"), FINISHED))
    assert Status("pondering") in outcome.events
    assert (outcome.answer.text, outcome.error) == ("Hi", None)


def test_fault_08_told_once(
    proxy: FaultServer,
    caller: Caller,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a newer server says is warned about once a process, by name and without its content."""
    monkeypatch.setattr(decoder, "_warned", set())
    body = lines(
        *(STARTED, {"type": "brandNew", "text": "private"}),
        *(
            {"type": "tool", "subtype": "paused", "uuid": "private"},
            {**token("Hi"), "mood": "glad"},
        ),
        *({"type": "status", "status": "pondering"}, final("Hi", verdict="private"), FINISHED),
    )
    for _ in range(2):
        outcome = answer(proxy, caller, body)
        assert (outcome.text, outcome.answer.text, outcome.error) == ("Hi", "Hi", None)
        assert sum(isinstance(event, Unknown) for event in outcome.events) == 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    names = ("brandNew", "paused", "mood", "pondering", "verdict")
    assert [sum(name in message for message in told) for name in names] == [1] * 5
    assert len(told) == 5
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"42",
        b'"text"',
        b"null",
        b"not json",
        b'{"type":"stream"}',
        b'{"type":"stream","token":7}',
        b'{"type":7}',
        b"{}",
        b'{"type":"finalAnswer"}',
        b'{"type":"stream","token":"\xff\xfe"}',
        b'{"type":"stream","token":"a"}{"type":"stream","token":"b"}',
        b'{"type":"x","deep":' + b"[" * 2000 + b"]" * 2000 + b"} trailing",
        b"[" * 200_000,
        b'{"type":"tool","subtype":"call","uuid":"u","call":{"name":"n","parameters":'
        + b'{"a":' * 101
        + b"1"
        + b"}" * 101
        + b"}}",
    ],
    ids=lambda line: line[:24].decode(errors="replace"),
)
def test_fault_09_no_event(proxy: FaultServer, caller: Caller, line: bytes) -> None:
    """A line that is not an event is a `ProtocolError` with its number, excerpt, and the part."""
    outcome = answer(proxy, caller, lines(STARTED, token("Hi ")) + line + b"\n", chunk_bytes=4096)
    assert isinstance(outcome.error, ProtocolError)
    assert outcome.error.line_number == 3
    assert len(outcome.error.excerpt or "") < 500
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text == "Hi "


def test_fault_10_endless_line(proxy: FaultServer, caller: Caller) -> None:
    """A line without an end is given up at the limit."""
    head = response(b"", until_close=True)
    proxy.on(SEND, Instead(head + lines(STARTED) + b"x" * (MAX_LINE_BYTES + 65536)))
    outcome = caller.ask(proxy.url)
    assert isinstance(outcome.error, ProtocolError)
    assert outcome.error.line_number == 2
    assert len(outcome.error.excerpt or "") < 500


def test_fault_10_long_line(proxy: FaultServer, caller: Caller) -> None:
    """A long line within the limit is an event."""
    text = "word " * 400_000
    outcome = answer(proxy, caller, lines(token(text), final(text), FINISHED), chunk_bytes=65536)
    assert outcome.answer.text == text


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
def test_fault_11_page_of_a_proxy(proxy: FaultServer, caller: Caller, status: str) -> None:
    """A page in place of an answer is named as what it is, with its title."""
    page = b"<!doctype html><html><head><title>Hotel Wi-Fi login</title></head></html>"
    proxy.on(SEND, Instead(response(page, status=status, content_type="text/html")))
    outcome = caller.ask(proxy.url)
    assert isinstance(outcome.error, UnexpectedPageError if status[0] == "2" else Exception)
    assert "Hotel Wi-Fi login" in str(outcome.error)


def test_fault_11_page_in_place_of_the_log(current_proxy: FaultServer, caller: Caller) -> None:
    """A page in place of the log does not end the search for a lost answer."""
    page = response(b"<html><title>Just a moment</title></html>", content_type="text/html")
    current_proxy.on(SEND, Cut(300)).on(RESUME, Instead(page))
    outcome = caller.ask(current_proxy.url)
    assert (outcome.text, outcome.error) == ("You said: hello", None)
    assert isinstance(outcome.events[-1], FinalAnswer | Status)
