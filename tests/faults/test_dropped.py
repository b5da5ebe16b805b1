"""Clients that are dropped without `close`: collected at once, with a warning, and few descriptors.

Each test runs a program of its own, with a low limit of descriptors and no garbage collector: being
dropped is enough.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit to set")

BEGIN: Final = """
import asyncio, gc, os, resource, sys, threading, warnings
from hfchat_base import AsyncHuggingChat, HuggingChat, TransportError

url, DESCRIPTORS = sys.argv[1], 64
gc.disable()

def limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
"""

SYNC: Final = """
def use():
    assert HuggingChat(url).chat("hello", model="echo/base").text == "You said: hello"
"""

ASYNC: Final = """
async def ause():
    answer = await AsyncHuggingChat(url).chat("hello", model="echo/base")
    assert answer.text == "You said: hello"

def use():
    asyncio.run(ause())
"""

DRIVERS: Final = pytest.mark.parametrize("driver", [SYNC, ASYNC], ids=["sync", "async"])

WRAPPERS: Final = pytest.mark.parametrize(
    "model",
    [
        """
from langchain_huggingchat import ChatHuggingChat
def make(): return ChatHuggingChat(model="echo/base", base_url=url)
def ask(): return make().invoke("hello").content
async def aask(): return (await make().ainvoke("hello")).content
""",
        """
from llama_index_huggingchat import HuggingChatLLM
def make(): return HuggingChatLLM(model="echo/base", base_url=url)
def ask(): return make().complete("hello").text
async def aask(): return (await make().acomplete("hello")).text
""",
    ],
    ids=["langchain", "llama_index"],
)


def run(text: str, url: str, *, warnings: str = "error") -> str:
    """Run a program, which has to end well, and return what it says."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", f"{warnings}::ResourceWarning", "-c", BEGIN + text, url],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@DRIVERS
def test_a_thousand_clients(current_server: LocalServer, driver: str) -> None:
    """Clients that are dropped after an answer leave no descriptor and no task behind."""
    text = """
limit()
if "ause" not in globals():
    for _ in range(1000):
        use()
else:
    async def main():
        for _ in range(1000):
            await ause()
        assert len(asyncio.all_tasks()) < 5, asyncio.all_tasks()
    asyncio.run(main())
"""
    run(driver + text, current_server.base_url, warnings="ignore")


@pytest.mark.slow
@WRAPPERS
def test_hundreds_of_models(current_server: LocalServer, model: str) -> None:
    """One model per request, as a web service makes them, leaves nothing and warns of nothing."""
    text = """
import llama_index.core, langchain_core  # they open files of their own
make()
limit()
gc.enable()  # the frameworks' objects may wait for it

async def main():
    for _ in range(200):
        assert await aask() == "You said: hello"

for _ in range(200):
    assert ask() == "You said: hello"
asyncio.run(main())
"""
    run(model + text, current_server.base_url)


@pytest.mark.slow
def test_event_loops_that_are_over(current_server: LocalServer) -> None:
    """Asynchronous clients are collected after their event loop has ended, too."""
    text = """
limit()
kept = []

async def main():
    kept.append(AsyncHuggingChat(url))
    await kept[-1].chat("hello", model="echo/base")

for _ in range(200):
    asyncio.run(main())
    kept.clear()
"""
    run(text, current_server.base_url, warnings="ignore")


def test_clients_that_another_thread_drops(current_server: LocalServer) -> None:
    """The last reference to an asynchronous client may go away in any thread."""
    text = """
limit()

async def main():
    for _ in range(200):
        client = [AsyncHuggingChat(url)]
        await client[0].chat("hello", model="echo/base")
        thread = threading.Thread(target=client.clear)
        thread.start()
        thread.join()
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) < 5, asyncio.all_tasks()

asyncio.run(main())
"""
    run(text, current_server.base_url, warnings="ignore")


@DRIVERS
def test_warning(current_server: LocalServer, driver: str) -> None:
    """Dropping a client that has connections open is warned about, as with files and sockets."""
    text = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    use()
print([(warning.category.__name__, str(warning.message)) for warning in caught])
"""
    said = run(driver + text, current_server.base_url)
    assert said.count("ResourceWarning") == 1
    assert f"A client of {current_server.base_url} was dropped without close()." in said


def test_clients_that_warn_of_nothing(current_server: LocalServer) -> None:
    """A client that was closed, or never used, or lives until the end, gives no warning."""
    text = """
HuggingChat(url)
AsyncHuggingChat(url)
with HuggingChat(url) as client:
    client.get_models()
del client

async def main():
    global kept
    async with AsyncHuggingChat(url) as client:
        await client.get_models()
    kept = AsyncHuggingChat(url)
    await kept.get_models()

asyncio.run(main())
also_kept = HuggingChat(url)
also_kept.get_models()
"""
    assert run(text, current_server.base_url) == ""


@DRIVERS
def test_no_descriptor_left(current_server: LocalServer, driver: str) -> None:
    """Running out of descriptors is reported as that, and as something that was not sent."""
    text = """
limit()
async def ask(client):
    await client.get_models()

clients = []
error = None

async def main():
    global error
    for _ in range(DESCRIPTORS):
        try:
            if "ause" in globals():
                clients.append(AsyncHuggingChat(url))
                await clients[-1].get_models()
            else:
                clients.append(HuggingChat(url))
                clients[-1].get_models()
        except TransportError as raised:
            error = raised
            break

asyncio.run(main())
assert error is not None
assert "no file descriptor left" in str(error), error
assert "refused" not in str(error), error
assert not error.may_have_arrived
"""
    run(driver + text, current_server.base_url)


def test_refused_is_still_refused() -> None:
    """A refused connection is reported as refused, even if few descriptors are left."""
    text = """
kept = []
limit()
client = HuggingChat("http://127.0.0.1:1")
try:
    client.get_models()
except TransportError as error:
    assert "refused" in str(error), error
"""
    run(text, "")
