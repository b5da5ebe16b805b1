"""After a fork: the child has connections, streams and locks of its own, and harms no parent's.

Each test runs a program of its own, since a fork copies whatever the process of the tests holds.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.faults.certificates import unknown_authority
from tests.support.faults.fault_server import STOP, FaultServer
from tests.support.replay import RawRequest, RawServer, Wire
from tests.support.waiting import until

if TYPE_CHECKING:
    import ssl
    from pathlib import Path
    from typing import TypeAlias

    from hfchat_base.local import LocalServer

    Tls: TypeAlias = tuple[ssl.SSLContext | None, tuple[str, ...]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

BEGIN: Final = """
import asyncio, gc, multiprocessing, os, signal, sys, threading
from hfchat_base import AsyncHuggingChat, HuggingChat, StreamError, TextDelta
from hfchat_base._protocol.http import Request

url, verify = (*sys.argv[1:], *(None, True)[len(sys.argv) - 1:])
resting = threading.Event()
threading.Thread(target=resting.wait, daemon=True).start()

# A child that hangs ends all the same.
os.register_at_fork(after_in_child=lambda: signal.alarm(100))

def end(check=None):
    "What a child does last: all that Python does at the end of a program."
    if check is not None:
        assert check, check
    gc.collect()
    sys.exit()

def wait_for(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

SYNC: Final = """
client = HuggingChat(url, verify=verify)
transport = client._transport

def do(call, *arguments):
    return call(*arguments)

def begin():
    stream = client.stream_chat("one two three", model="slow/drip")
    next(event for event in stream if isinstance(event, TextDelta))
    return stream

def read(stream):
    return stream.result()
"""

ASYNC: Final = """
loop = asyncio.new_event_loop()
client = AsyncHuggingChat(url, verify=verify)
transport = client._transport

def do(call, *arguments):
    async def wait():
        return await call(*arguments)
    return loop.run_until_complete(wait())

parents = []

def in_child():
    global loop
    parents.append(loop)
    loop = asyncio.new_event_loop()

os.register_at_fork(after_in_child=in_child)

def begin():
    async def first():
        stream = client.stream_chat("one two three", model="slow/drip")
        async for event in stream:
            if isinstance(event, TextDelta):
                return stream
    return loop.run_until_complete(first())

def read(stream):
    return loop.run_until_complete(stream.result())
"""

DRIVERS: Final = pytest.mark.parametrize("driver", [SYNC, ASYNC], ids=["sync", "async"])


PYTHON: Final = (
    *(sys.executable, "-W", "default::ResourceWarning"),
    # The programs leave their event loops open, and in a child nobody may close the parent's.
    *("-W", "ignore:unclosed event loop:ResourceWarning"),
    # From Python 3.12 on it warns of forks while there are threads, which is the point here.
    *("-W", "ignore::DeprecationWarning"),
    "-c",
)


def run(text: str, *arguments: str) -> None:
    """Run a program, which has to end well and say nothing."""
    done = subprocess.run(  # noqa: S603 - our own program
        [*PYTHON, BEGIN + text, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(params=["http", pytest.param("https", marks=pytest.mark.slow)])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Tls:
    """What a server needs to speak TLS or not, and what a program needs to trust it."""
    if request.param == "http":
        return None, ()
    context, certificate = unknown_authority(tmp_path)
    return context, (str(certificate),)


def keeps_alive(_: RawRequest, wire: Wire) -> None:
    """Answer one request after another on the same connection."""
    while True:
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        if not wire._connection.recv(65536):
            return


@DRIVERS
def test_child_opens_a_connection_of_its_own(driver: str, tls: Tls) -> None:
    """An idle connection stays the parent's; the child and its child open others."""
    text = """
request = Request("GET", "/x")
do(transport.send, request)
if not (child := os.fork()):
    do(transport.send, request)
    if not (child := os.fork()):
        do(transport.send, request)
        do(transport.send, request)
        end()
    wait_for(child)
    do(transport.send, request)
    end()
wait_for(child)
do(transport.send, request)
do(client.close)
"""
    context, trusted = tls
    with RawServer(keeps_alive, tls=context) as server:
        run(driver + text, server.base_url, *trusted)
    assert server.connections == 3


@DRIVERS
def test_child_that_closes_the_client_leaves_the_parent_alone(driver: str, tls: Tls) -> None:
    """Closing or dropping a client in the child closes none of the parent's connections."""
    text = """
request = Request("GET", "/x")
do(transport.send, request)
if not (child := os.fork()):
    do(client.close)
    end()
wait_for(child)
if not (child := os.fork()):
    del client, transport
    end()
wait_for(child)
do(transport.send, request)
do(client.close)
"""
    context, trusted = tls
    with RawServer(keeps_alive, tls=context) as server:
        run(driver + text, server.base_url, *trusted)
    assert server.connections == 1


@DRIVERS
def test_processes_get_their_own_answers(server: LocalServer, driver: str) -> None:
    """Processes of `multiprocessing` that share a client get the answers to their questions."""
    text = """
def answers(name):
    for number in range(5):
        words = f"{name} {number}"
        assert do(lambda: client.chat(words, model="echo/base")).text == f"You said: {words}"

answers("before")
context = multiprocessing.get_context("fork")
children = [context.Process(target=answers, args=(f"child {n}",)) for n in range(4)]
for child in children:
    child.start()
answers("parent")
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0] * 4
do(client.close)
"""
    run(driver + text, server.base_url)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        """
from langchain_huggingchat import ChatHuggingChat
model = ChatHuggingChat(model="echo/base", base_url=url)
def ask(words): return model.invoke(words).content
async def aask(words): return (await model.ainvoke(words)).content
""",
        """
from llama_index_huggingchat import HuggingChatLLM
model = HuggingChatLLM(model="echo/base", base_url=url)
def ask(words): return model.complete(words).text
async def aask(words): return (await model.acomplete(words)).text
""",
    ],
    ids=["langchain", "llama_index"],
)
def test_models_of_the_frameworks(current_server: LocalServer, model: str) -> None:
    """The clients inside of a framework's model are as safe, in either manner of calling."""
    text = """
def answers(name):
    for number in range(3):
        words = f"{name} {number}"
        assert ask(words) == asyncio.run(aask(words)) == f"You said: {words}"

answers("before")
context = multiprocessing.get_context("fork")
children = [context.Process(target=answers, args=(f"child {n}",)) for n in range(3)]
for child in children:
    child.start()
answers("parent")
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0] * 3
"""
    run(model + text, current_server.base_url)


@DRIVERS
def test_stream_goes_on_in_the_parent_alone(
    current_server: LocalServer, driver: str, tls: Tls
) -> None:
    """A child that reads, closes or just inherits a stream gets an error, and stops no run."""
    text = """
stream = begin()
if not (child := os.fork()):
    try:
        for _ in range(2):
            read(stream)
    except StreamError as error:
        assert "continues only in the" in str(error)
        assert error.partial is not None
        assert error.partial.text
        end()
    os._exit(1)
wait_for(child)
if not (child := os.fork()):
    do(stream.close)
    end()
wait_for(child)
if not (child := os.fork()):
    end()
wait_for(child)
assert read(stream).finish_reason == "stop"
do(client.close)
"""
    if driver is SYNC:
        text = text.replace("do(stream.close)", "stream.close()")
    context, trusted = tls
    with FaultServer(current_server.base_url, tls=context) as proxy:
        run(driver + text, proxy.url, *trusted)
        assert proxy.count(STOP) == 0


@DRIVERS
def test_parent_that_leaves_a_stream_is_seen_to_leave(driver: str) -> None:
    """The connection closes with the parent's stream, although a child that inherited it lives."""
    text = """
async def aopen():
    return await transport.open(Request("GET", "/x"))

stream, _ = transport.open(Request("GET", "/x")) if loop_free else do(aopen)
reading, writing = os.pipe()
if not (child := os.fork()):
    os.close(writing)
    os.read(reading, 1)
    end()
os.close(reading)
stream.close()
sys.stdin.read()
os.close(writing)
wait_for(child)
do(client.close)
"""
    left = threading.Event()

    def handle(_: RawRequest, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        if wire.closed_within(60):
            left.set()

    loop_free = f"loop_free = {driver is SYNC}\n"
    with (
        RawServer(handle) as server,
        subprocess.Popen(  # noqa: S603 - our own program
            [*PYTHON, BEGIN + driver + loop_free + text, server.base_url],
            stdin=subprocess.PIPE,
        ) as program,
    ):
        until(left.is_set)
        program.communicate(timeout=60)
        assert program.returncode == 0


@DRIVERS
def test_child_goes_on_in_conversations_of_its_own(
    current_server: LocalServer, driver: str
) -> None:
    """Parent and child that continue one history do so in two conversations."""
    text = """
from hfchat_base.types import ChatMessage
def ask(*turns):
    messages = [ChatMessage("assistant" if i % 2 else "user", t) for i, t in enumerate(turns)]
    return do(lambda: client.chat(messages, model="echo/base"))

first = ask("one")
if not (child := os.fork()):
    end(ask("one", first.text, "two").conversation_id != first.conversation_id)
wait_for(child)
assert ask("one", first.text, "two").conversation_id == first.conversation_id
do(client.close)
"""
    run(driver + text, current_server.base_url)


@DRIVERS
def test_locks_that_others_hold(current_server: LocalServer, driver: str) -> None:
    """A child does not wait for a lock that a thread of its parent holds."""
    text = """
held, over = threading.Event(), threading.Event()
locks = [client.session._lock, client._index._lock, client.server.rate_limiter._lock]
locks += [transport._lock] if hasattr(transport, "_lock") else []

def hold():
    for lock in locks:
        lock.__enter__()
    held.set()
    over.wait()
    for lock in locks:
        lock.__exit__()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
if not (child := os.fork()):
    end(do(lambda: client.chat("hello", model="echo/base")).text == "You said: hello")
wait_for(child)
over.set()
thread.join()
do(client.close)
"""
    run(driver + text, current_server.base_url)


def test_child_that_leaves_a_local_server() -> None:
    """A child leaves the parent's local server without stopping it, and without waiting."""
    text = """
from hfchat_base.local import LocalServer
with LocalServer() as server:
    if not (child := os.fork()):
        server.stop()
        end()
    wait_for(child)
    with HuggingChat(server.base_url) as client:
        assert client.chat("hello", model="echo/base").text == "You said: hello"
"""
    run(text)
