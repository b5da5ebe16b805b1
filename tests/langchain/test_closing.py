"""Chat models whose streams are left before their end, in every way: the run is stopped."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, cast

import pytest

from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support import abandoning


@pytest.fixture
def slow(server: LocalServer) -> ChatHuggingChat:
    """A chat model that takes its time."""
    return ChatHuggingChat(base_url=server.base_url, model="slow/drip")


@pytest.mark.parametrize("leave", abandoning.WAYS)
def test_leaving(
    leave: Callable[[abandoning.Begin], None], slow: ChatHuggingChat, server: LocalServer
) -> None:
    """Whichever way `stream` is left, its run is stopped."""
    leave(lambda: cast("Generator[Any, None, None]", slow.stream("go")))
    abandoning.assert_stopped_once(server)


@pytest.mark.parametrize("leave", abandoning.ASYNC_WAYS)
async def test_leaving_asynchronously(
    leave: Callable[[abandoning.BeginAsync], Any], slow: ChatHuggingChat, server: LocalServer
) -> None:
    """Whichever way `astream` is left, its run is stopped and no task is left."""
    await slow.client.asynchronous.get_models()
    tasks = asyncio.all_tasks()

    async def begin() -> AsyncGenerator[Any, None]:
        return cast("AsyncGenerator[Any, None]", slow.astream("go"))

    await leave(begin)
    await abandoning.assert_stopped_once_async(server, tasks)
    await slow.aclose()


async def test_ainvoke_runs_out_of_time(slow: ChatHuggingChat, server: LocalServer) -> None:
    """An answer that nobody waits for any more is stopped."""
    await abandoning.by_running_out_of_time(slow.ainvoke("go"), lambda: server.prompts)
    assert abandoning.stops(server) == 1
    await slow.aclose()


def test_program_that_ends_in_the_middle(server: LocalServer) -> None:
    """A script that breaks out of `astream` and ends, with another stream open, says nothing."""
    program = """
import asyncio, sys
from langchain_huggingchat import ChatHuggingChat

model = ChatHuggingChat(base_url=sys.argv[1], model="slow/drip")

async def main():
    global kept
    kept = model.astream("go")
    await anext(kept)
    async for _ in model.astream("go"):
        break

asyncio.run(main())
"""
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", program, server.base_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert abandoning.stops(server) == 2
