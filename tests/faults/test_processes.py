"""Fault 36 in processes of their own: Ctrl-C, and the end of a program with a stream open."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.faults.fault_server import STOP, FaultServer
from tests.support.waiting import until

BEGIN = """
import asyncio, gc, logging, sys, threading
from hfchat_base import AsyncHuggingChat, HuggingChat, TextDelta

url = sys.argv[1]
logging.getLogger("asyncio").setLevel(logging.ERROR)  # in this mode it notes slow steps

clients = []  # for a client that is dropped with connections open is warned about

def begin(client):
    clients.append(client)
    stream = client.stream_chat("go", model="slow/drip")
    next(event for event in stream if isinstance(event, TextDelta))
    return stream

async def begin_async(client):
    clients.append(client)
    stream = client.stream_chat("go", model="slow/drip")
    async for event in stream:
        if isinstance(event, TextDelta):
            return stream
"""

CTRL_C = {
    "sync": """
client = HuggingChat(url)
try:
    stream = begin(client)
    print("begun", flush=True)
    for event in stream:
        pass
except KeyboardInterrupt:
    print("interrupted")
""",
    "async": """
async def main():
    stream = await begin_async(AsyncHuggingChat(url))
    print("begun", flush=True)
    async for event in stream:
        pass

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
""",
}

THE_END = {
    "sync": """
gc.disable()
kept = begin(HuggingChat(url))
garbage = [begin(HuggingChat(url))]
garbage.append(garbage)
del garbage
with HuggingChat(url) as client:
    of_closed_client = begin(client)
for event in begin(HuggingChat(url)):
    sys.exit()
""",
    "async": """
async def main():
    global kept, of_closed_client, task
    gc.disable()
    kept = await begin_async(AsyncHuggingChat(url))
    garbage = [await begin_async(AsyncHuggingChat(url))]
    garbage.append(garbage)
    del garbage
    async with AsyncHuggingChat(url) as client:
        of_closed_client = await begin_async(client)
    async for event in await begin_async(AsyncHuggingChat(url)):
        break

asyncio.run(main())
""",
}
"""Four streams each, left open in four places."""


class Program(subprocess.Popen[str]):
    """A program that talks to a server, in Python's development mode, with warnings as errors.

    Args:
        text: What follows `BEGIN`.
        url: The server.
    """

    def __init__(self, text: str, url: str) -> None:
        super().__init__(
            [sys.executable, "-X", "dev", "-W", "error", "-c", BEGIN + text, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
@pytest.mark.parametrize("text", CTRL_C.values(), ids=CTRL_C)
def test_fault_36_ctrl_c(proxy: FaultServer, text: str) -> None:
    """Ctrl-C reaches the caller, closes the connection and stops the run, without a word."""
    with Program(text, proxy.url) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=240)
    assert (program.returncode, *said) == (0, "interrupted\n", "")
    until(lambda: proxy.open_connections == 0)
    assert proxy.count(STOP) == 1


@pytest.mark.parametrize("text", THE_END.values(), ids=THE_END)
def test_fault_36_end_of_the_program(current_proxy: FaultServer, text: str) -> None:
    """A program that ends with streams open closes them and stops their runs, without a word."""
    with Program(text, current_proxy.url) as program:
        said = program.communicate(timeout=240)
    assert (program.returncode, *said) == (0, "", "")
    until(lambda: current_proxy.open_connections == 0)
    assert current_proxy.count(STOP) == 4


def test_fault_36_end_of_the_program_while_a_thread_reads(current_proxy: FaultServer) -> None:
    """A thread that nobody waits for does not hold the end of a program up."""
    text = """
client = HuggingChat(url)
stream = begin(client)
threading.Thread(target=stream.result, daemon=True).start()
"""
    with Program(text, current_proxy.url) as program:
        said = program.communicate(timeout=240)
    assert (program.returncode, *said) == (0, "", "")
    until(lambda: current_proxy.open_connections == 0)
