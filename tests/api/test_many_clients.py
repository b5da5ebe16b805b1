"""Clients that go away, and many at once."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import httpx
import openai
import pytest

from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletionMessageParam

    from hfchat_base.local import ChatRequest

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
BEARER = {"authorization": f"Bearer {KEY}"}


class Endless:
    """A model that goes on until it is stopped.

    Attributes:
        stopped: Set when its run has ended.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self, _request: ChatRequest) -> AsyncIterator[str]:
        """Write words for ever."""
        try:
            while True:
                yield "word "
                self.begun.set()
                await asyncio.sleep(0.01)
        finally:
            self.stopped.set()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_stops_the_run(path: str, stream: bool) -> None:
    """Whether it streams or waits, once it has gone the server's run is stopped."""
    endless = Endless()
    model = LocalModel("endless", FunctionBackend(endless))
    body = {"model": "endless", "messages": HELLO, "input": "Hello", "stream": stream}
    with LocalServer(models=[model]) as server, ApiServer(server.base_url) as api:
        async with httpx.AsyncClient(headers=BEARER) as http:
            asked = asyncio.create_task(http.post(f"{api.address}{path}", json=body))
            assert await asyncio.to_thread(endless.begun.wait, 60)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        assert await asyncio.to_thread(endless.stopped.wait, 60)


async def test_ten_clients_at_once(api: ApiServer, current_server: LocalServer) -> None:
    """Each gets its own answer, and no conversation is used by two of them at once."""
    async with openai.AsyncOpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client:

        async def ask(number: int) -> str:
            stream = await client.chat.completions.create(
                model="slow/drip" if number % 2 else "echo/base",
                messages=[{"role": "user", "content": f"Client {number % 2}"}],
                stream=True,
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        answers = await asyncio.gather(*map(ask, range(10)))
    dripped = "".join(f"tok{n} " for n in range(40))
    assert [a.strip() for a in answers] == ["You said: Client 0", dripped.strip()] * 5
    asked = [r.path for r in current_server.requests if r.path.startswith("/conversation/")]
    posted = [path for path in asked if path.count("/") == 2]
    assert len(set(posted)) == 10


async def test_one_history_continued_twice_at_once(
    api: ApiServer, current_server: LocalServer
) -> None:
    """Two calls that continue the same history get a conversation each."""
    async with openai.AsyncOpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client:
        first = await client.chat.completions.create(model="slow/drip", messages=HELLO)
        messages: list[ChatCompletionMessageParam] = [
            *HELLO,
            {"role": "assistant", "content": first.choices[0].message.content},
            {"role": "user", "content": "Again"},
        ]
        current_server.clear_requests()
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="slow/drip", messages=messages)
                for _ in range(2)
            )
        )
    assert {answer.choices[0].finish_reason for answer in answers} == {"stop"}
    created = [json.loads(r.body) for r in current_server.requests if r.path == "/conversation"]
    assert len(created) == 1


def test_a_long_answer_comes_whole(client: openai.OpenAI) -> None:
    """An answer that is faster than its reader is held back, and nothing of it is lost."""
    stream = client.chat.completions.create(
        model="long/flood", messages=[{"role": "user", "content": "flood 20000"}], stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.split() == [f"tok{number}" for number in range(20000)]
