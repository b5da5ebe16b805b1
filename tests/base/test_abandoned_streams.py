"""Streams that are left before their end, in every way: the run is stopped, and nothing remains."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest

from hfchat_base import AsyncHuggingChat, HuggingChat, ServerError, StreamError, Timeouts
from tests.support import abandoning
from tests.support.faults.fault_server import SEND, STOP, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Hold, Instead, Stall
from tests.support.waiting import LONGEST_WAIT, until, until_async

if TYPE_CHECKING:
    from hfchat_base.events import ElicitationRequest, Event
    from hfchat_base.local import LocalServer
    from hfchat_base.streams import AsyncAnswerStream
    from hfchat_base.types import McpServerConfig

ASKING: McpServerConfig = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
"""A tool server of the local server whose tool asks the user."""

PATIENT = Timeouts(response=3600.0, first_event=3600.0, progress=3600.0)
"""Deadlines that no test waits for."""


def begin(client: HuggingChat) -> Generator[Any, None, None]:
    """Begin a slow answer."""
    return cast("Generator[Any, None, None]", iter(client.stream_chat("go", model="slow/drip")))


async def begin_async(client: AsyncHuggingChat) -> AsyncGenerator[Any, None]:
    """Begin a slow answer."""
    return cast("AsyncGenerator[Any, None]", aiter(client.stream_chat("go", model="slow/drip")))


@pytest.mark.parametrize("leave", abandoning.WAYS)
def test_leaving(
    leave: Callable[[abandoning.Begin], None], client: HuggingChat, server: LocalServer
) -> None:
    """Whichever way a stream is left, without a `with` block, its run is stopped."""
    leave(lambda: begin(client))
    abandoning.assert_stopped_once(server)


async def by_async_close(begin: abandoning.BeginAsync) -> None:
    """Close the stream."""
    stream = cast("AsyncAnswerStream", await begin())
    await anext(stream)
    await stream.close()


ASYNC_WAYS = [
    by_async_close,
    *(way for way in abandoning.ASYNC_WAYS if way is not abandoning.by_aclose),
]


@pytest.mark.parametrize("leave", ASYNC_WAYS)
async def test_leaving_asynchronously(
    leave: Callable[[abandoning.BeginAsync], Any],
    async_client: AsyncHuggingChat,
    server: LocalServer,
) -> None:
    """The same, asynchronously; no task is left."""
    await async_client.get_models()
    tasks = asyncio.all_tasks()
    await leave(lambda: begin_async(async_client))
    await abandoning.assert_stopped_once_async(server, tasks)


def test_client_that_was_closed_first(server: LocalServer) -> None:
    """A stream that is left after its client was closed stops its run all the same."""
    with HuggingChat(server.base_url) as client:
        pieces = begin(client)
        next(pieces)
    pieces.close()
    abandoning.assert_stopped_once(server)


async def test_break_out_of_a_block_of_the_client(server: LocalServer) -> None:
    """An asynchronous generator is closed after the block that its loop was left in: no matter."""
    async with AsyncHuggingChat(server.base_url) as client:
        async for _ in client.stream_chat("go", model="slow/drip"):
            break
    await abandoning.assert_stopped_once_async(server, asyncio.all_tasks())


async def test_close_while_another_task_reads(
    async_client: AsyncHuggingChat, server: LocalServer
) -> None:
    """A stream that is closed under its reader ends there, with what had arrived."""
    stream = async_client.stream_chat("go", model="slow/drip")
    reader = asyncio.create_task(stream.result())
    await until_async(lambda: stream.answer.text)
    await stream.close()
    with pytest.raises(StreamError, match="closed before its end") as caught:
        await reader
    assert caught.value.partial is not None
    assert abandoning.stops(server) == 1


def test_close_while_another_thread_reads(client: HuggingChat, server: LocalServer) -> None:
    """The same with threads: the run is stopped, and the reader gets an error."""
    stream = client.stream_chat("go", model="slow/drip")
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(stream.result)
        until(lambda: stream.answer.text)
        stream.close()
        with pytest.raises(StreamError, match="closed before its end") as caught:
            reading.result()
    assert caught.value.partial is not None
    abandoning.assert_stopped_once(server)


@pytest.mark.parametrize("received", [0, 1000], ids=["nothing", "a beginning"])
def test_close_while_the_server_is_silent(received: int, server: LocalServer) -> None:
    """A reader that waits for a silent server is woken, and not by its own deadline."""
    with FaultServer(server.base_url) as proxy, HuggingChat(proxy.url, timeouts=PATIENT) as client:
        proxy.on(SEND, Stall(received))
        stream = client.stream_chat("go", model="slow/drip")
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(stream.result)
            until(lambda: stream.answer.text if received else proxy.count(SEND))
            stream.close()
            with pytest.raises(StreamError, match="closed before its end"):
                reading.result(LONGEST_WAIT)


def test_two_threads_with_one_stream(server: LocalServer) -> None:
    """The second reader of a stream gets an error that says so, and disturbs nobody."""
    with FaultServer(server.base_url) as proxy, HuggingChat(proxy.url, timeouts=PATIENT) as client:
        released = threading.Event()
        proxy.on(SEND, Hold(released))
        stream = client.stream_chat("go", model="echo/base")
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(stream.result)
            try:
                until(lambda: proxy.count(SEND))
                with pytest.raises(StreamError, match="Another thread or task is reading"):
                    next(stream)
            finally:
                released.set()
            assert reading.result(LONGEST_WAIT).text == "You said: go"


async def test_two_tasks_with_one_stream(async_client: AsyncHuggingChat) -> None:
    """The same with tasks."""
    stream = async_client.stream_chat("go", model="echo/base")
    reading = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    with pytest.raises(StreamError, match="Another thread or task is reading"):
        await anext(stream)
    assert (await reading).text == "You said: go"


def test_error_of_what_a_stream_calls(current_server: LocalServer) -> None:
    """A ValueError that a caller's own function raises is not taken for a second reader's."""

    def ask(_: ElicitationRequest) -> None:
        raise ValueError("mine")

    with HuggingChat(current_server.base_url) as client:
        agent = client.create_conversation("tools/agent")
        with pytest.raises(ValueError, match="mine"):
            agent.send("book a table", mcp_servers=[ASKING], on_elicitation=ask)


def test_read_while_another_thread_closes(server: LocalServer) -> None:
    """Reading on while another thread is about to close the stream raises an error."""
    released = threading.Event()
    with FaultServer(server.base_url) as proxy, HuggingChat(proxy.url) as client:
        proxy.on(STOP, Hold(released))
        stream = client.stream_chat("go", model="slow/drip")
        next(stream)
        with ThreadPoolExecutor() as pool:
            closing = pool.submit(stream.close)
            try:
                until(lambda: proxy.count(STOP))
                with pytest.raises(StreamError, match="closed before its end") as caught:
                    next(stream)
            finally:
                released.set()
            closing.result()
    assert caught.value.partial is not None
    abandoning.assert_stopped_once(server)


async def test_read_while_another_task_closes(server: LocalServer) -> None:
    """The same with tasks."""
    released = threading.Event()
    with FaultServer(server.base_url) as proxy:
        async with AsyncHuggingChat(proxy.url) as client:
            proxy.on(STOP, Hold(released))
            stream = client.stream_chat("go", model="slow/drip")
            await anext(stream)
            closing = asyncio.create_task(stream.close())
            try:
                await until_async(lambda: proxy.count(STOP))
                with pytest.raises(StreamError, match="closed before its end") as caught:
                    await anext(stream)
            finally:
                released.set()
            await closing
    assert caught.value.partial is not None
    abandoning.assert_stopped_once(server)


def test_loop_that_another_thread_ends(client: HuggingChat) -> None:
    """A stream that another thread closes between two events does not end as if it was whole."""
    stream = client.stream_chat("go", model="slow/drip")
    with ThreadPoolExecutor() as pool:

        def read() -> None:
            for _ in stream:
                pool.submit(stream.close).result()

        with pytest.raises(StreamError, match="closed before its end"):
            read()


async def test_loop_that_another_task_ends(async_client: AsyncHuggingChat) -> None:
    """The same with tasks."""
    stream = async_client.stream_chat("go", model="slow/drip")

    async def read() -> None:
        async for _ in stream:
            await asyncio.create_task(stream.close())

    with pytest.raises(StreamError, match="closed before its end"):
        await read()


def test_close_in_what_the_stream_calls(current_server: LocalServer) -> None:
    """A stream that is closed while it runs delivers nothing more."""
    taken: list[Event] = []
    before: list[int] = []

    def close(_: ElicitationRequest) -> None:
        before.append(len(taken))
        stream.close()

    def read() -> None:
        for event in stream:
            taken.append(event)  # noqa: PERF402 - one by one, for `close` to count

    with HuggingChat(current_server.base_url) as client:
        agent = client.create_conversation("tools/agent")
        stream = agent.stream("book a table", mcp_servers=[ASKING], on_elicitation=close)
        with pytest.raises(StreamError, match="closed before its end"):
            read()
    assert before == [len(taken)]


async def test_close_in_what_the_stream_calls_asynchronously(current_server: LocalServer) -> None:
    """The same, asynchronously."""
    taken: list[Event] = []
    before: list[int] = []

    async def close(_: ElicitationRequest) -> None:
        before.append(len(taken))
        await stream.close()

    async def read() -> None:
        async for event in stream:
            taken.append(event)  # noqa: PERF401 - one by one, for `close` to count

    async with AsyncHuggingChat(current_server.base_url) as client:
        agent = await client.create_conversation("tools/agent")
        stream = agent.stream("book a table", mcp_servers=[ASKING], on_elicitation=close)
        with pytest.raises(StreamError, match="closed before its end"):
            await read()
    assert before == [len(taken)]


def test_result_of_a_closed_stream(client: HuggingChat) -> None:
    """What had arrived when a stream was closed is never returned as the whole answer."""
    stream = client.stream_chat("go", model="slow/drip")
    next(stream)
    stream.close()
    with pytest.raises(StreamError, match="closed before its end"):
        stream.result()


async def test_result_of_a_closed_stream_asynchronously(async_client: AsyncHuggingChat) -> None:
    """The same, asynchronously."""
    stream = async_client.stream_chat("go", model="slow/drip")
    await anext(stream)
    await stream.close()
    with pytest.raises(StreamError, match="closed before its end"):
        await stream.result()


@pytest.mark.parametrize("is_async", [False, True])
async def test_stop_that_was_refused(server: LocalServer, *, is_async: bool) -> None:
    """A run that a first stop did not end is stopped again when its stream is left."""
    with FaultServer(server.base_url) as proxy:
        proxy.on(STOP, Instead(response(b"", status="500 No")))
        if is_async:
            async with (
                AsyncHuggingChat(proxy.url) as async_client,
                async_client.stream_chat("go", model="slow/drip") as async_stream,
            ):
                await anext(async_stream)
                with pytest.raises(ServerError):
                    await async_stream.stop()
        else:
            with (
                HuggingChat(proxy.url) as client,
                client.stream_chat("go", model="slow/drip") as stream,
            ):
                next(stream)
                with pytest.raises(ServerError):
                    stream.stop()
        assert proxy.count(STOP) == 2
    abandoning.assert_stopped_once(server)


@pytest.mark.slow
@pytest.mark.parametrize("is_async", [False, True])
async def test_run_that_had_ended_unseen(server: LocalServer, *, is_async: bool) -> None:
    """A stop that comes after the end of a run that nobody read does not stop the next message."""
    if is_async:
        async with AsyncHuggingChat(server.base_url) as async_client:
            async_conversation = await async_client.create_conversation("slow/drip")

            async def has_ended() -> bool:
                return all(message.is_complete for message in await async_conversation.messages())

            async with async_conversation.stream("one") as async_stream:
                await anext(async_stream)
                await until_async(has_ended)
            said = await async_conversation.send("two")
    else:
        with HuggingChat(server.base_url) as client:
            conversation = client.create_conversation("slow/drip")
            with conversation.stream("one") as stream:
                next(stream)
                until(lambda: all(message.is_complete for message in conversation.messages()))
            said = conversation.send("two")
    assert said.text.endswith("tok39")


async def test_client_that_was_closed_first_asynchronously(server: LocalServer) -> None:
    """A stream whose client is closed holds what had arrived, and its run is stopped."""
    tasks = asyncio.all_tasks()
    async with AsyncHuggingChat(server.base_url) as client:
        stream = client.stream_chat("go", model="slow/drip")
        while not stream.answer.text:
            await anext(stream)
    with pytest.raises(StreamError, match="client was closed") as caught:
        await stream.result()
    assert caught.value.partial is not None
    assert caught.value.partial.text
    await abandoning.assert_stopped_once_async(server, tasks)


async def test_stream_that_is_closed_after_its_client(server: LocalServer) -> None:
    """Its run is stopped all the same."""
    tasks = asyncio.all_tasks()
    async with AsyncHuggingChat(server.base_url) as client:
        stream = client.stream_chat("go", model="slow/drip")
        await anext(stream)
    await stream.close()
    await abandoning.assert_stopped_once_async(server, tasks)


async def test_silent_server(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer the stop holds nobody who leaves."""
    monkeypatch.setattr("hfchat_base.streams._CLEANUP_SECONDS", 0.1)
    patient = Timeouts(response=1000)
    with FaultServer(server.base_url) as proxy:
        proxy.on(STOP, Stall(0), always=True)
        with HuggingChat(proxy.url, timeouts=patient) as client:
            abandoning.by_break(lambda: begin(client))
        async with AsyncHuggingChat(proxy.url, timeouts=patient) as async_client:
            stream = async_client.stream_chat("go", model="slow/drip")
            await anext(stream)
            await stream.close()
            await abandoning.by_async_break(lambda: begin_async(async_client))
            await until_async(lambda: proxy.count(STOP) >= 3 and not proxy.open_connections)
