"""A message is cut off at every byte before its answer, and the model is asked exactly once.

The judge is the local server, which notes every prompt that its models get. A part of the
cuts is tried, the same ones each time, and always the ones at the seams; ``pytest -m exhaustive``
tries all of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from hfchat_base import AsyncHuggingChat, HuggingChat
from hfchat_base.local import LocalServer
from tests.support.faults.cutting import CuttingProxy, Exchanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hfchat_base._protocol.constants import Generation
    from tests.support.faults.kinds import How

EVERY_SO_MANY: Final = (
    pytest.param(211, id="few"),
    pytest.param(17, id="many", marks=pytest.mark.slow),
    pytest.param(1, id="all", marks=pytest.mark.exhaustive),
)
"""Every so many bytes there is a cut."""

_MESSAGES_EACH: Final = 20
"""How many messages a conversation gets, because long ones take long to look into."""

_HEAD_END: Final = b"\r\n\r\n"


def cuts(whole: Exchanged, step: int) -> list[int]:
    """After how many bytes to cut: in the request, before the response, and in its head."""
    request = len(whole.request)
    everywhere = range(request + whole.response.index(_HEAD_END) + len(_HEAD_END))
    body = whole.request.index(_HEAD_END) + len(_HEAD_END)
    seams = {0, 1, body - 1, body, request - 1, request, request + 1, everywhere[-1]}
    return sorted(seams | set(everywhere[::step]))


async def check(
    proxy: CuttingProxy,
    server: LocalServer,
    begin: Callable[[], Awaitable[None]],
    send: Callable[[str], Awaitable[str]],
    how: How,
    step: int,
    *,
    is_reused: bool,
) -> None:
    """Send one message uncut, then one for each cut."""
    await begin()
    assert await send("hello") == "You said: hello"
    whole = next(e for e in reversed(proxy.exchanges) if e.request.startswith(b"POST "))
    places = cuts(whole, step)
    for number, after in enumerate(places):
        if number % _MESSAGES_EACH == 0:
            await begin()
        server.clear_requests()
        begun = len(proxy.exchanges)
        proxy.cut_next(after, how)
        text = await send("hello")
        cut = proxy.exchanges[begun]
        assert cut.is_first is not is_reused
        assert len(cut.request) + len(cut.response) == after
        assert (after, len(server.prompts), text) == (after, 1, "You said: hello")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("step", EVERY_SO_MANY)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("is_reused", [False, True], ids=["fresh", "reused"])
def test_cut_before_the_answer(
    generation: Generation,
    how: How,
    step: int,
    *,
    is_async: bool,
    is_reused: bool,
) -> None:
    """A connection that ends at any byte before the answer is not noticed, and costs no prompt."""

    async def run(proxy: CuttingProxy, server: LocalServer) -> None:
        if is_async:
            async with AsyncHuggingChat(proxy.url) as aclient:
                ahere = [await aclient.create_conversation("echo/base")]

                async def abegin() -> None:
                    ahere[0] = await aclient.create_conversation("echo/base")

                async def asend(text: str) -> str:
                    return (await ahere[0].send(text)).text

                await check(proxy, server, abegin, asend, how, step, is_reused=is_reused)
            return
        with HuggingChat(proxy.url) as client:
            here = [client.create_conversation("echo/base")]

            async def begin() -> None:
                here[0] = client.create_conversation("echo/base")

            async def send(text: str) -> str:
                return here[0].send(text).text

            await check(proxy, server, begin, send, how, step, is_reused=is_reused)

    with (
        LocalServer(generation=generation, hosts=["127.0.0.1"]) as server,
        CuttingProxy(server.base_url, keeps=is_reused) as proxy,
    ):
        asyncio.run(run(proxy, server))
