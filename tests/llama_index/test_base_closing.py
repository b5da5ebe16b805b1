"""LLMs whose streams are left before their end, in every way: the run is stopped."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, cast

import pytest
from llama_index.core.llms import ChatMessage

from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support import abandoning

GO = [ChatMessage("go")]


@pytest.fixture
def slow(current_server: LocalServer) -> HuggingChatLLM:
    """An LLM that takes its time."""
    llm = HuggingChatLLM("slow/drip", base_url=current_server.base_url)
    llm.get_models()
    return llm


@pytest.mark.parametrize("leave", abandoning.WAYS)
def test_leaving(
    leave: Callable[[abandoning.Begin], None], slow: HuggingChatLLM, current_server: LocalServer
) -> None:
    """Whichever way `stream_chat` is left, its run is stopped."""
    leave(lambda: cast("Generator[Any, None, None]", slow.stream_chat(GO)))
    abandoning.assert_stopped_once(current_server)


@pytest.mark.parametrize("leave", abandoning.ASYNC_WAYS)
@pytest.mark.parametrize("method", ["astream_chat", "astream_complete"])
async def test_leaving_asynchronously(
    leave: Callable[[abandoning.BeginAsync], Any],
    method: str,
    slow: HuggingChatLLM,
    current_server: LocalServer,
) -> None:
    """Whichever way an asynchronous stream is left, its run is stopped."""

    async def begin() -> AsyncGenerator[Any, None]:
        pieces = await getattr(slow, method)(GO if method == "astream_chat" else "go")
        return cast("AsyncGenerator[Any, None]", pieces)

    await slow._async_client.whoami()
    tasks = asyncio.all_tasks()
    await leave(begin)
    await abandoning.assert_stopped_once_async(current_server, tasks)
    await slow._async_client.close()


async def test_achat_runs_out_of_time(slow: HuggingChatLLM, current_server: LocalServer) -> None:
    """An answer that nobody waits for any more is stopped."""
    await abandoning.by_running_out_of_time(slow.achat(GO), lambda: current_server.prompts)
    assert abandoning.stops(current_server) == 1
    await slow._async_client.close()


def test_program_that_ends_in_the_middle(current_server: LocalServer) -> None:
    """A script that leaves one stream and ends, with another one open, says nothing."""
    program = """
import asyncio, sys
from llama_index.core.llms import ChatMessage
from llama_index_huggingchat import HuggingChatLLM

llm = HuggingChatLLM("slow/drip", base_url=sys.argv[1])

async def main():
    global kept
    kept = await llm.astream_chat([ChatMessage("go")])
    await anext(kept)
    async for _ in await llm.astream_complete("go"):
        break

asyncio.run(main())
"""
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", program, current_server.base_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert abandoning.stops(current_server) == 2
