"""Faults 31 to 39: runs whose connection is lost, that are left, stopped or shared."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    ConversationNotFoundError,
    HuggingChat,
    HuggingChatError,
    StreamTruncated,
    TextDelta,
    Timeouts,
    TransportError,
)
from hfchat_base.types import Retry
from tests.support import abandoning
from tests.support.faults.answer_lines import STARTED, lines, token
from tests.support.faults.caller import refused, steps
from tests.support.faults.fault_server import (
    CREATE,
    MODELS,
    READ,
    RESUME,
    SEND,
    STOP,
    FaultServer,
)
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Babble, Cut, CutAt, Fault, Instead, Stall
from tests.support.waiting import until

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer
    from tests.support.faults.caller import Caller

DRIP = "".join(f"tok{number} " for number in range(40))
GONE = response(b'event: end\ndata: {"status":"gone"}\n\n', content_type="text/event-stream")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_fault_31_never_arrived(proxy: FaultServer, caller: Caller, how: Any) -> None:
    """A message that never reached the server is sent again, once that is known."""
    proxy.on(SEND, Instead(b"", how=how))
    outcome = caller.ask(proxy.url)
    assert (outcome.answer.text, outcome.error) == ("You said: hello", None)
    assert proxy.count(SEND) == 2


def test_fault_31_arrived_and_lost_before_the_head(
    current_proxy: FaultServer, caller: Caller, current_server: LocalServer
) -> None:
    """A message that did reach the server is not sent again; its answer is fetched."""
    current_proxy.on(SEND, Cut(0))
    outcome = caller.ask(current_proxy.url)
    assert (outcome.text, outcome.error) == ("You said: hello", None)
    assert current_proxy.count(SEND) == 1
    assert len(current_server.prompts) == 1


UNREADABLE: dict[str, Fault] = {
    "late": Stall(0),
    "late body": Stall(120),
    "overloaded": Instead(response(b"", status="503 Unavailable", headers={"retry-after": "60"})),
    "gone": Instead(response(b"", status="404 Not Found")),
    "page": Instead(response(b"<html>", content_type="text/html")),
    "cut": Cut(90),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_answer_does_not_wait_for_its_id(proxy: FaultServer, caller: Caller, fault: str) -> None:
    """An answer whose id cannot be read is whole all the same; its id is not asked for for long.

    That it is asked for twice, without a pause, and each time within what is left of the time of
    one response, is what bounds the waiting.
    """

    def work(conversation: Any) -> Any:
        proxy.reset()
        proxy.on(READ, UNREADABLE[fault], always=True)
        return conversation.send("hello")

    retries: list[Retry] = []
    said = caller.do(
        proxy.url,
        steps(lambda client: client.create_conversation("echo/base"), work),
        timeouts=Timeouts(response=0.5),
        on_retry=retries.append,
    )
    assert (said.text, said.message_id) == ("You said: hello", None)
    assert proxy.count(READ) <= 2
    assert retries == []


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Unavailable", "504 Timeout"])
@pytest.mark.parametrize("arrived", [False, True], ids=["not arrived", "arrived"])
def test_fault_31_gateway_gives_up(
    proxy: FaultServer, caller: Caller, server: LocalServer, status: str, arrived: bool
) -> None:
    """A gateway's refusal does not say whether the message arrived; that is looked up."""
    page = response(b"<html><title>gateway</title></html>", status=status, content_type="text/html")
    proxy.on(SEND, Instead(page, passes_on=arrived))
    outcome = caller.ask(proxy.url)
    assert (outcome.answer.text, outcome.error) == ("You said: hello", None)
    assert len(server.prompts) == 1


def test_fault_31_sent_a_bounded_number_of_times(proxy: FaultServer, caller: Caller) -> None:
    """A server that never takes the message is given up."""
    proxy.on(SEND, Instead(b""), always=True)
    outcome = caller.ask(proxy.url)
    assert isinstance(outcome.error, (StreamTruncated, TransportError))
    assert 1 < proxy.count(SEND) <= 5


def test_fault_31_reading_is_repeated(proxy: FaultServer, caller: Caller) -> None:
    """Reading is repeated when the connection is lost or a gateway is overloaded."""
    busy = response(b"<html></html>", status="503 Busy", content_type="text/html")
    proxy.on(MODELS, Cut(10), Instead(busy))
    assert caller.do(proxy.url, lambda client: client.get_models())


def test_fault_31_creating_is_not_repeated(
    proxy: FaultServer, caller: Caller, server: LocalServer
) -> None:
    """What may have been done already is not done twice."""
    proxy.on(CREATE, Cut(20))
    error = refused(caller, proxy.url, lambda client: client.create_conversation("echo/base"))
    assert isinstance(error, TransportError)
    assert proxy.count(CREATE) == 1
    assert server.prompts == []


def test_fault_32_lost_in_the_middle(
    current_proxy: FaultServer, caller: Caller, current_server: LocalServer
) -> None:
    """What the caller lacks comes from the log, while the run continues, exactly once."""
    current_proxy.on(SEND, CutAt(b"tok7 ")).on(RESUME, CutAt(b"tok19 "), CutAt(b"tok30 "))
    outcome = caller.ask(current_proxy.url, model="slow/drip")
    assert outcome.error is None
    assert outcome.text == DRIP
    assert outcome.answer.text == DRIP.rstrip()
    assert len(current_server.prompts) == 1


def test_fault_32_legacy_server_noticed(
    legacy_proxy: FaultServer, caller: Caller, legacy_server: LocalServer
) -> None:
    """A legacy server that notices the loss ends the run: what it stored comes, and an error."""
    legacy_proxy.on(SEND, CutAt(b"tok7 "))
    outcome = caller.ask(legacy_proxy.url, model="slow/drip")
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == outcome.text
    assert DRIP.startswith(outcome.text)
    assert outcome.text.startswith("tok0 tok1 tok2 tok3 tok4 tok5 tok6 ")
    assert len(legacy_server.prompts) == 1


def test_fault_32_legacy_proxy_noticed(
    legacy_proxy: FaultServer, caller: Caller, legacy_server: LocalServer
) -> None:
    """Where a proxy keeps the legacy run going, the whole stored answer is read back."""
    legacy_proxy.on(SEND, CutAt(b"tok7 ", keeps_behind=True))
    outcome = caller.ask(legacy_proxy.url, model="slow/drip")
    assert outcome.error is None
    assert outcome.text.rstrip() == outcome.answer.text.rstrip() == DRIP.rstrip()
    assert len(legacy_server.prompts) == 1


def test_fault_33_gone_right_after_the_start(current_proxy: FaultServer, caller: Caller) -> None:
    """A log that is not there yet is asked for again."""
    current_proxy.on(SEND, CutAt(b"tok1 ")).on(RESUME, Instead(GONE), Instead(GONE))
    outcome = caller.ask(current_proxy.url, model="slow/drip")
    assert (outcome.text, outcome.error) == (DRIP, None)


def test_fault_33_gone_for_good(current_proxy: FaultServer, caller: Caller) -> None:
    """Where there is no log, the stored answer is read."""
    current_proxy.on(SEND, CutAt(b"tok1 ")).on(RESUME, Instead(GONE), always=True)
    outcome = caller.ask(current_proxy.url, model="slow/drip")
    assert outcome.error is None
    assert outcome.text.rstrip() == DRIP.rstrip()


def test_fault_34_plain_close(current_proxy: FaultServer, caller: Caller) -> None:
    """A log that is closed without an end, as after five minutes, is opened again."""
    head = response(b"", content_type="text/event-stream", until_close=True)
    frame = b'id: 1\nevent: update\ndata: {"type":"status","status":"started"}\n\n: heartbeat\n\n'
    current_proxy.on(SEND, Cut(0)).on(RESUME, *[Instead(head + frame)] * 3)
    outcome = caller.ask(current_proxy.url)
    assert (outcome.text, outcome.error) == ("You said: hello", None)
    assert current_proxy.count(RESUME) == 4


def test_fault_35_completed_without_events(current_proxy: FaultServer, caller: Caller) -> None:
    """A log that was cleaned up says completed and nothing else: the conversation is read."""
    end = b'event: end\ndata: {"status":"completed"}\n\n'
    done = Instead(response(end, content_type="text/event-stream"))
    current_proxy.on(SEND, CutAt(b'"token":"said')).on(RESUME, done, always=True)
    outcome = caller.ask(current_proxy.url)
    assert (outcome.answer.text, outcome.error) == ("You said: hello", None)
    assert outcome.text == "You said: hello"


def test_fault_36_leaving_the_iterator(proxy: FaultServer, caller: Caller) -> None:
    """Who leaves early closes the connection and stops the run."""

    def leave(conversation: Any) -> Any:
        stream = conversation.stream("hello")
        return _leave_async(stream) if hasattr(stream, "__aiter__") else _leave(stream)

    before = threading.active_count()
    caller.do(proxy.url, steps(lambda client: client.create_conversation("slow/drip"), leave))
    until(lambda: proxy.open_connections == 0)
    assert proxy.count(STOP) == 1
    assert proxy.count(SEND) == 1
    until(lambda: threading.active_count() <= before)


def _leave(stream: Any) -> None:
    with stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break


async def _leave_async(stream: Any) -> None:
    async with stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break


def test_fault_36_exception(proxy: FaultServer) -> None:
    """An exception in the caller's loop closes the connection and stops the run."""
    with HuggingChat(proxy.url) as client:
        conversation = client.create_conversation("slow/drip")
        with pytest.raises(ZeroDivisionError):
            _fail_within(conversation.stream("hello"))
        assert proxy.count(STOP) == 1
        until(lambda: proxy.open_connections == 0)


def _fail_within(stream: Any) -> None:
    with stream:
        for event in stream:
            if isinstance(event, TextDelta):
                raise ZeroDivisionError


def test_fault_36_dropped(proxy: FaultServer) -> None:
    """A stream that is dropped half-way is left when it is collected."""
    with HuggingChat(proxy.url) as client:
        stream = client.create_conversation("slow/drip").stream("hello")
        next(stream)
        del stream
        gc.collect()
        until(lambda: proxy.open_connections == 0)
        assert proxy.count(STOP) == 1


async def test_fault_36_cancellation(proxy: FaultServer) -> None:
    """A cancelled task closes the connection, stops the run, and leaves no task."""
    async with AsyncHuggingChat(proxy.url) as client:
        conversation = await client.create_conversation("slow/drip")
        for _ in range(3):
            begun = asyncio.Event()

            async def ask(begun: asyncio.Event = begun) -> None:
                async with conversation.stream("hello") as stream:
                    async for event in stream:
                        if isinstance(event, TextDelta):
                            begun.set()

            task = asyncio.create_task(ask())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert proxy.count(STOP) == 3
    await asyncio.to_thread(until, lambda: proxy.open_connections == 0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


async def test_fault_36_timeout(proxy: FaultServer, server: LocalServer) -> None:
    """`asyncio.wait_for` around an answer closes the connection at once."""
    async with AsyncHuggingChat(proxy.url) as client:
        conversation = await client.create_conversation("slow/drip")
        await abandoning.by_running_out_of_time(conversation.send("hello"), lambda: server.prompts)
        assert proxy.count(STOP) == 1


@pytest.mark.parametrize("text", ["one 😀 two", "\U00020bb7\U00020bb7 plain"])
def test_fault_37_stop_counts_utf16(current_proxy: FaultServer, caller: Caller, text: str) -> None:
    """A stop says how much was seen in UTF-16 units."""
    events = lines(STARTED, token(text))
    current_proxy.on(SEND, Babble(response(b"", until_close=True) + events))

    def stop(conversation: Any) -> Any:
        stream = conversation.stream("hello")
        return _leave_async(stream) if hasattr(stream, "__aiter__") else _leave(stream)

    caller.do(
        current_proxy.url, steps(lambda client: client.create_conversation("echo/base"), stop)
    )
    sent = next(asked for asked in current_proxy.requests if asked.target.endswith("generating"))
    units = len(text.encode("utf-16-le")) // 2
    assert b'"seenContentLength":%d' % units in sent.body.replace(b" ", b"")


def test_fault_37_no_stop_after_the_end(proxy: FaultServer, caller: Caller) -> None:
    """Who leaves after the final answer stops nothing."""

    def leave_at_the_end(conversation: Any) -> Any:
        stream = conversation.stream("hello")
        return _final_async(stream) if hasattr(stream, "__aiter__") else _final(stream)

    caller.do(
        proxy.url,
        steps(lambda client: client.create_conversation("echo/base"), leave_at_the_end),
    )
    assert proxy.count(STOP) == 0


def _final(stream: Any) -> None:
    with stream:
        for event in stream:
            if type(event).__name__ == "FinalAnswer":
                break


async def _final_async(stream: Any) -> None:
    async with stream:
        async for event in stream:
            if type(event).__name__ == "FinalAnswer":
                break


def test_fault_38_shared_history(proxy: FaultServer, server: LocalServer) -> None:
    """Two calls that share a history get two conversations, also when both are cut."""
    with HuggingChat(proxy.url) as client:
        first = client.chat("hello", model="echo/base")
        proxy.on(SEND, Cut(300, keeps_behind=True), Cut(300, keeps_behind=True))
        history = [
            ChatMessage("user", "hello"),
            ChatMessage("assistant", first.text),
            ChatMessage("user", "and now?"),
        ]
        together = threading.Barrier(2)

        def ask(_: int) -> Any:
            together.wait()
            return client.chat(history, model="echo/base")

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(ask, range(2)))
    assert len({answer.conversation_id for answer in answers}) == 2
    assert all(answer.text.endswith("and now?") for answer in answers)
    assert len(server.prompts) == 3


def test_fault_39_deleted_under_us(server: LocalServer, caller: Caller) -> None:
    """A conversation that was deleted meanwhile is reported as such."""

    def work(client: Any) -> Any:
        return steps(
            lambda client: client.create_conversation("echo/base"),
            lambda conversation: steps(lambda c: c.delete(), lambda _: conversation)(conversation),
            lambda conversation: conversation.send("hello"),
        )(client)

    assert isinstance(refused(caller, server.base_url, work), ConversationNotFoundError)


def test_fault_39_deleted_under_a_history(server: LocalServer, caller: Caller) -> None:
    """A history whose conversation was deleted is sent again; nothing is lost."""

    def work(client: Any) -> Any:
        return steps(
            lambda client: client.chat("hello", model="echo/base"),
            lambda answer: steps(
                lambda client: _forgetful(client, answer.conversation_id),
                lambda _: client.chat(
                    [
                        ChatMessage("user", "hello"),
                        ChatMessage("assistant", answer.text),
                        ChatMessage("user", "and now?"),
                    ],
                    model="echo/base",
                ),
            )(client),
        )(client)

    assert "and now?" in caller.do(server.base_url, work).text
    assert "You said: hello" in str(server.prompts[-1].messages)


def _forgetful(client: Any, conversation_id: str) -> Any:
    """Delete a conversation as somebody else would: the client's index does not hear of it."""
    history, client._index = client._index, type(client._index)()
    gone = client.delete_conversation(conversation_id)
    client._index = history
    return gone


def test_fault_39_deleted_while_it_answers(current_proxy: FaultServer, caller: Caller) -> None:
    """A conversation that is deleted while its answer is lost ends in an error, bounded."""
    gone = Instead(response(b'{"message":"Conversation not found"}', status="404 Not Found"))
    current_proxy.on(SEND, CutAt(b"tok3 ")).on(RESUME, gone, always=True).on(
        READ, gone, always=True
    )
    outcome = caller.ask(current_proxy.url, model="slow/drip")
    assert isinstance(outcome.error, StreamTruncated)
    assert isinstance(outcome.error.__cause__, HuggingChatError)
    assert outcome.text.startswith("tok0 ")
