"""Streams of answers: reading them, leaving them, stopping them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hfchat_base import (
    AsyncAnswerStream,
    AsyncConversation,
    AsyncHuggingChat,
    Conversation,
    FinalAnswer,
    HuggingChat,
    InvalidRequestError,
    Status,
    TextDelta,
)
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support import abandoning
from tests.support.abandoning import stops
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hfchat_base import AnswerStream
    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local import RecordedRequest

TOKENS = 40


@pytest.fixture
def conversation(client: HuggingChat) -> Conversation:
    """A conversation with a model that takes its time."""
    return client.create_conversation("slow/drip")


@pytest.fixture
async def async_conversation(async_client: AsyncHuggingChat) -> AsyncConversation:
    """The same, asynchronously."""
    return await async_client.create_conversation("slow/drip")


def first_token(stream: AnswerStream) -> str:
    """Read up to the first piece of text."""
    return next(event.text for event in stream if isinstance(event, TextDelta))


async def first_token_of(stream: AsyncAnswerStream) -> str:
    """Read up to the first piece of text."""
    while not isinstance(event := await anext(stream), TextDelta):
        pass
    return event.text


def assert_stopped(server: LocalServer, conversation: Conversation) -> None:
    """Check that the run was stopped on the server, once, and wrote no whole answer."""
    assert stops(server) == 1
    until(lambda: conversation.messages()[-1].is_complete)
    assert conversation.messages()[-1].content.count("tok") < TOKENS


def leave_by_break(stream: AnswerStream) -> None:
    """Leave the loop inside of a `with` block."""
    with stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break


def leave_by_exception(stream: AnswerStream) -> None:
    """Fail inside of a `with` block."""
    with suppress(ZeroDivisionError), stream:
        first_token(stream)
        raise ZeroDivisionError


def leave_by_close(stream: AnswerStream) -> None:
    """Close the stream."""
    first_token(stream)
    stream.close()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_exception, leave_by_close])
def test_leaving_stops_the_run(
    leave: Callable[[AnswerStream], None], conversation: Conversation, server: LocalServer
) -> None:
    """Whichever way a stream is left, its run is stopped."""
    leave(conversation.stream("go"))
    assert_stopped(server, conversation)


def test_leaving_leaves_no_thread(conversation: Conversation) -> None:
    """The synchronous client has no threads, so leaving leaves none."""
    before = threading.active_count()
    with conversation.stream("go") as stream:
        first_token(stream)
        assert threading.active_count() == before
    assert threading.active_count() == before


def test_a_whole_answer_is_not_stopped(conversation: Conversation, server: LocalServer) -> None:
    """Leaving after the end stops nothing: such a stop would hit the next run."""
    with conversation.stream("go") as stream:
        stream.result()
    stream.close()
    assert stops(server) == 0


def test_leaving_at_the_final_answer_is_not_a_stop(
    conversation: Conversation, server: LocalServer
) -> None:
    """Once the final answer is there, the run is as good as over."""
    with conversation.stream("go") as stream:
        for event in stream:
            if isinstance(event, FinalAnswer):
                break
    assert stops(server) == 0


def test_leaving_may_let_the_run_go_on(server: LocalServer) -> None:
    """With `stops_on_leave` off, a run that is left continues and is stored."""
    with HuggingChat(server.base_url, stops_on_leave=False) as client:
        conversation = client.create_conversation("slow/drip")
        with conversation.stream("go") as stream:
            first_token(stream)
        assert stops(server) == 0


def test_current_run_that_was_left_is_stored(current_server: LocalServer) -> None:
    """On current servers it is stored whole."""
    with HuggingChat(current_server.base_url, stops_on_leave=False) as client:
        conversation = client.create_conversation("slow/drip")
        with conversation.stream("go") as stream:
            first_token(stream)
        until(lambda: conversation.messages()[-1].is_complete)
        assert conversation.messages()[-1].content.count("tok") == TOKENS


def test_nothing_is_sent_before_the_first_event(
    conversation: Conversation, server: LocalServer
) -> None:
    """A stream that is never read costs nothing."""
    server.clear_requests()
    with conversation.stream("go"):
        pass
    assert server.requests == []


def test_conversation_goes_on_after_leaving(conversation: Conversation) -> None:
    """A message after a run that was left follows what was kept of it."""
    leave_by_break(conversation.stream("go"))
    conversation.send("again")
    by_id = {message.id: message for message in conversation.messages()}
    again = next(message for message in by_id.values() if message.content == "again")
    left = by_id[again.parent_id or ""]
    assert left.role == "assistant"
    assert 0 < left.content.count("tok") < TOKENS


def test_stop_keeps_what_was_said(conversation: Conversation, server: LocalServer) -> None:
    """A run that is stopped ends well, as interrupted, with what had come."""
    with conversation.stream("go") as stream:
        said = first_token(stream)
        assert stream.stop()
        answer = stream.result()
    assert answer.finish_reason == "interrupted"
    assert answer.text.startswith(said.rstrip())
    assert answer.text.count("tok") < TOKENS
    assert stops(server) == 1


def test_stop_counts_utf16_units(current_server: LocalServer) -> None:
    """A stop says how much was seen in the units of JavaScript, tags and padding aside."""
    with HuggingChat(current_server.base_url) as client:
        with client.create_conversation("slow/drip").stream("go") as stream:
            seen = first_token(stream)
            stream.stop()
        stop = next(r for r in current_server.requests if r.path.endswith("stop-generating"))
    assert f'"seenContentLength": {len(seen)}'.encode() in stop.body


def test_stop_from_another_thread(conversation: Conversation) -> None:
    """A run may be stopped by a thread that does not read it."""
    with conversation.stream("go") as stream:
        first_token(stream)
        thread = threading.Thread(target=conversation.stop)
        thread.start()
        answer = stream.result()
        thread.join()
    assert answer.finish_reason == "interrupted"


def test_stop_without_a_run(conversation: Conversation, server: LocalServer) -> None:
    """Where nothing runs, nothing is stopped."""
    assert conversation.stop() is False
    conversation.send("go")
    assert conversation.stop() is False
    assert stops(server) == 0


def test_answer_grows_while_it_streams(conversation: Conversation) -> None:
    """What has arrived can be looked at at any time."""
    with conversation.stream("go") as stream:
        said = first_token(stream)
        assert stream.answer.text == said
        assert stream.answer.finish_reason is None
        whole = stream.result()
    assert stream.answer == whole


def test_text_alone(conversation: Conversation) -> None:
    """A stream can be read as text."""
    with conversation.stream("go") as stream:
        assert "".join(stream.text()).split() == [f"tok{i}" for i in range(TOKENS)]


def test_events_come_in_order(conversation: Conversation, generation: Generation) -> None:
    """A stream begins with `started`, and ends as its generation ends.

    A `keepAlive` may come at any moment, also after the last of the others.
    """
    events = [event for event in conversation.stream("go") if event != Status("keepAlive")]
    assert events[0] == Status("started")
    last = events[-1]
    assert last == Status("finished") if generation == "current" else isinstance(last, FinalAnswer)


async def test_leaving_a_block_asynchronously(
    async_conversation: AsyncConversation, server: LocalServer
) -> None:
    """Leaving an `async with` block stops the run and leaves no task."""
    tasks = asyncio.all_tasks()
    async with async_conversation.stream("go") as stream:
        await first_token_of(stream)
    assert stops(server) == 1
    assert asyncio.all_tasks() <= tasks


async def test_exception_asynchronously(
    async_conversation: AsyncConversation, server: LocalServer
) -> None:
    """An exception in the block stops the run and comes out unchanged."""
    with suppress(ZeroDivisionError):
        async with async_conversation.stream("go") as stream:
            await first_token_of(stream)
            raise ZeroDivisionError
    assert stops(server) == 1


async def test_cancelled_task(async_conversation: AsyncConversation, server: LocalServer) -> None:
    """Cancelling the task that reads stops the run, at once, and leaves no task."""
    tasks = asyncio.all_tasks()
    began = asyncio.Event()

    async def read() -> None:
        async with async_conversation.stream("go") as stream:
            await first_token_of(stream)
            began.set()
            await stream.result()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stops(server) == 1
    assert asyncio.all_tasks() <= tasks


async def test_cancelled_send(async_conversation: AsyncConversation, server: LocalServer) -> None:
    """Waiting for a whole answer can be cancelled too, by a timeout for one."""
    await abandoning.by_running_out_of_time(async_conversation.send("go"), lambda: server.prompts)
    assert stops(server) == 1


async def test_cancelled_before_the_head(async_client: AsyncHuggingChat) -> None:
    """A task that is cancelled before anything came leaves no task."""
    await async_client.get_models()
    tasks = asyncio.all_tasks()
    task = asyncio.create_task(async_client.chat("go", model="slow/drip"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() <= tasks


async def test_closed_client_leaves_no_task(server: LocalServer) -> None:
    """Closing a client in the middle of an answer leaves no task at all."""
    tasks = asyncio.all_tasks()
    async with AsyncHuggingChat(server.base_url) as client:
        stream = client.stream_chat("go", model="slow/drip")
        await first_token_of(stream)
        await stream.close()
    assert asyncio.all_tasks() <= tasks


async def test_conversation_goes_on_after_leaving_asynchronously(
    async_conversation: AsyncConversation,
) -> None:
    """A message after a run that was left is stored and answered."""
    async with async_conversation.stream("go") as stream:
        await first_token_of(stream)
    await async_conversation.send("again")
    users = [m.content for m in await async_conversation.messages() if m.role == "user"]
    assert users == ["go", "again"]


async def test_stop_asynchronously(async_conversation: AsyncConversation) -> None:
    """A run may be stopped by a task that does not read it."""
    async with async_conversation.stream("go") as stream:
        await first_token_of(stream)
        stopping = asyncio.create_task(stream.stop())
        answer = await stream.result()
        assert await stopping
    assert answer.finish_reason == "interrupted"


async def test_text_alone_asynchronously(async_conversation: AsyncConversation) -> None:
    """A stream can be read as text."""
    async with async_conversation.stream("go") as stream:
        pieces = [piece async for piece in stream.text()]
    assert "".join(pieces).split() == [f"tok{i}" for i in range(TOKENS)]


def test_coroutine_function_for_the_synchronous_client(current_server: LocalServer) -> None:
    """A coroutine function cannot answer questions synchronously, and is rejected."""

    async def answer(_: object) -> None:
        """Decline."""

    with HuggingChat(current_server.base_url) as client:
        conversation = client.create_conversation("tools/agent")
        server = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
        with pytest.raises(InvalidRequestError, match="takes a plain one"):
            conversation.send("book", mcp_servers=[server], on_elicitation=answer)  # type: ignore[list-item]


async def test_id_is_read_while_the_answer_comes(generation: Generation) -> None:
    """The answer's id is known when its last token comes: nothing is asked for after it."""
    servers: list[LocalServer] = []

    def reads() -> int:
        requests = servers[0].requests if servers else []
        sent = [number for number, r in enumerate(requests) if is_message(r)]
        return sum("conversation" in r.path for r in requests[sent[-1] + 1 :]) if sent else 0

    async def patient(_: object) -> AsyncIterator[str]:
        yield "one "
        while not reads():  # noqa: ASYNC110 - what is waited for is a request to the server
            await asyncio.sleep(0.005)
        yield "two"

    model = LocalModel("a/patient", FunctionBackend(patient))
    with LocalServer(generation=generation, models=[model]) as server:
        servers.append(server)
        with HuggingChat(server.base_url) as client:
            answer = await asyncio.to_thread(client.chat, "hello")
        assert answer.message_id
        async with AsyncHuggingChat(server.base_url) as async_client:
            answer = await async_client.chat("hello")
        assert (answer.text, reads()) == ("one two", 1)
        assert answer.message_id


def is_message(request: RecordedRequest) -> bool:
    """Whether a request sends a message."""
    return request.method == "POST" and request.path.rpartition("/")[2] != "conversation"
