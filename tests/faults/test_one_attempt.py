"""`Retries(attempts=1)`: whatever a message meets, it is sent once, and at most one model is asked.

So says `max_retries=0` of both wrappers. Looking what became of a message is not sending it: an
answer whose connection is lost is whole all the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain_core.exceptions import ModelError
from llama_index.core.llms import ChatMessage

from hfchat_base import ChatMessage as History
from hfchat_base import ConversationNotFoundError, HuggingChatError, Retries
from langchain_huggingchat import ChatHuggingChat
from llama_index_huggingchat import HuggingChatLLM
from tests.support.faults.caller import asking, refused, short_window, steps
from tests.support.faults.fault_server import (
    CREATE,
    MODELS,
    READ,
    REPLY,
    RESUME,
    SEND,
    FaultServer,
)
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Cut, CutAt, Fault, Instead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hfchat_base.local import LocalServer
    from tests.support.faults.caller import Caller

JSON: Final = "application/json"
ASKING: Final = {"name": "asking", "url": "http://127.0.0.1:9201/mcp"}
ONCE: Final = Retries(attempts=1)
TOO_MANY: Final = b'{"message":"You are sending too many messages. Try again later."}'


def page(status: str, **headers: str) -> bytes:
    """A gateway's page."""
    body = b"<html><title>gateway</title></html>"
    return response(body, status=status, content_type="text/html", headers=headers)


def limit(**headers: str) -> bytes:
    """A refusal because of too many messages."""
    return response(TOO_MANY, status="429 L", content_type=JSON, headers=headers)


REFUSALS: Final[dict[str, Fault]] = {
    "closed": Instead(b""),
    "reset": Instead(b"", how="reset"),
    "502": Instead(page("502 Bad Gateway")),
    "503": Instead(page("503 Unavailable")),
    "503 later": Instead(page("503 Unavailable", **{"retry-after": "0"})),
    "504": Instead(page("504 Timeout")),
    "500": Instead(page("500 Error")),
    "429": Instead(limit()),
    "429 later": Instead(limit(**{"retry-after": "0"})),
    "401": Instead(page("401 Unauthorized")),
    "404": Instead(response(b"{}", status="404 N", content_type=JSON)),
    "page": Instead(page("200 OK")),
    "garbage": Instead(b"\x16\x03\x01 no HTTP at all\r\n\r\n"),
}
"""What stands before the server and keeps the message from it, each time."""

LOSSES: Final[dict[str, Fault]] = {
    "before the head": Cut(0),
    "before the head, unnoticed": Cut(0, keeps_behind=True),
    "in the head": Cut(20, keeps_behind=True),
    "in the answer": CutAt(b"said", keeps_behind=True),
    "in the answer, reset": CutAt(b"said", how="reset", keeps_behind=True),
    "gateway": Instead(page("504 Timeout"), passes_on=True),
}
"""What takes an answer away whose message has arrived."""


@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)
def test_refused_message_is_sent_once(
    proxy: FaultServer, server: LocalServer, caller: Caller, fault: Fault
) -> None:
    """A message that does not reach the server is not sent again, whatever the reason."""
    proxy.on(SEND, fault, always=True)
    outcome = caller.ask(proxy.url, retries=ONCE)
    assert outcome.error is not None
    assert proxy.count(SEND) == 1
    assert server.prompts == []


@pytest.mark.parametrize("fault", LOSSES.values(), ids=LOSSES)
def test_lost_answer_is_sent_once(
    proxy: FaultServer, server: LocalServer, caller: Caller, fault: Fault
) -> None:
    """A message that has arrived is sent once, and its answer, if the server has it, is whole."""
    proxy.on(SEND, fault)
    outcome = caller.ask(proxy.url, retries=ONCE)
    assert proxy.count(SEND) == 1
    assert len(server.prompts) <= 1
    if outcome.error is None:
        assert outcome.answer.text == "You said: hello"


@pytest.mark.parametrize("fault", LOSSES.values(), ids=LOSSES)
def test_looking_is_no_retry(
    current_proxy: FaultServer, current_server: LocalServer, caller: Caller, fault: Fault
) -> None:
    """Without retries a current server's answer is still whole after its connection was lost."""
    current_proxy.on(SEND, fault)
    outcome = caller.ask(current_proxy.url, retries=ONCE)
    assert (outcome.answer.text, outcome.error) == ("You said: hello", None)
    assert len(current_server.prompts) == 1


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_attempts_are_counted_over_all_reasons(
    proxy: FaultServer, caller: Caller, attempts: int
) -> None:
    """So many attempts are so many sendings, also where one reason follows another."""
    reasons = [Instead(b""), Instead(page("503 Unavailable"))] * 2
    proxy.on(SEND, *reasons, Instead(b""), always=True)
    outcome = caller.ask(proxy.url, retries=Retries(attempts=attempts))
    assert outcome.error is not None
    assert proxy.count(SEND) == attempts


def test_limit_has_attempts_of_its_own(proxy: FaultServer, caller: Caller) -> None:
    """How often a limit is met can be set by itself, also without other retries."""
    proxy.on(SEND, Instead(limit()), always=True)
    retries = Retries(attempts=1, rate_limit_attempts=2)
    refused(caller, proxy.url, steps(short_window, asking), retries=retries)
    assert proxy.count(SEND) == 2


@pytest.mark.parametrize("route", [MODELS, CREATE, READ])
def test_other_requests_are_sent_once(proxy: FaultServer, caller: Caller, route: str) -> None:
    """Without retries other requests are sent once as well."""
    proxy.on(route, Instead(page("503 Unavailable", **{"retry-after": "0"})), always=True)

    def work(client: Any) -> Any:
        if route == MODELS:
            return client.get_models()
        if route == CREATE:
            return client.create_conversation("echo/base")
        return client.get_conversation("0123456789abcdef01234567")

    outcome: list[BaseException] = []
    try:
        caller.do(proxy.url, work, retries=ONCE)
    except HuggingChatError as error:
        outcome.append(error)
    assert proxy.count(route) == 1


@pytest.mark.parametrize("attempts", [1, 3])
def test_reply_to_a_question_is_sent_so_often(
    current_proxy: FaultServer, caller: Caller, attempts: int
) -> None:
    """The reply to a tool's question is sent as often as there are attempts."""
    current_proxy.on(REPLY, Instead(b""), always=True)
    outcome = caller.ask(
        current_proxy.url,
        "book a table",
        model="tools/agent",
        mcp_servers=[ASKING],
        on_elicitation=lambda _: None,
        retries=Retries(attempts=attempts),
    )
    assert outcome.error is not None
    assert current_proxy.count(REPLY) == attempts


def _langchain(url: str, *, asynchronous: bool) -> object:
    model = ChatHuggingChat(base_url=url, model="echo/base", max_retries=0)
    if not asynchronous:
        try:
            return model.invoke("hello").content
        finally:
            model.close()

    async def ask() -> object:
        try:
            return (await model.ainvoke("hello")).content
        finally:
            await model.aclose()

    return asyncio.run(ask())


def _llama_index(url: str, *, asynchronous: bool) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUGGINGCHAT_BASE_URL", url)
        llm = HuggingChatLLM("echo/base", max_retries=0)
    messages = [ChatMessage("hello")]
    if not asynchronous:
        return llm.chat(messages).message.content
    return asyncio.run(_content(llm.achat(messages)))


async def _content(coming: Awaitable[Any]) -> object:
    return (await coming).message.content


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("ask", [_langchain, _llama_index], ids=["langchain", "llama_index"])
@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)
def test_wrappers_send_a_refused_message_once(
    proxy: FaultServer,
    server: LocalServer,
    ask: Callable[..., object],
    asynchronous: bool,
    fault: Fault,
) -> None:
    """With `max_retries=0` both wrappers send a message once, whatever keeps it from the server."""
    proxy.on(SEND, fault, always=True)
    with pytest.raises(HuggingChatError) as caught:
        ask(proxy.url, asynchronous=asynchronous)
    assert proxy.count(SEND) == 1
    assert server.prompts == []
    assert isinstance(caught.value, ModelError) is (ask is _langchain)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("ask", [_langchain, _llama_index], ids=["langchain", "llama_index"])
@pytest.mark.parametrize("fault", LOSSES.values(), ids=LOSSES)
def test_wrappers_send_a_lost_message_once(
    current_proxy: FaultServer,
    current_server: LocalServer,
    ask: Callable[..., object],
    asynchronous: bool,
    fault: Fault,
) -> None:
    """With `max_retries=0` both wrappers still return the answer of a message that has arrived."""
    current_proxy.on(SEND, fault)
    assert ask(current_proxy.url, asynchronous=asynchronous) == "You said: hello"
    assert current_proxy.count(SEND) == 1
    assert len(current_server.prompts) == 1


def test_conversation_that_goes_after_the_message_has_arrived(
    proxy: FaultServer, server: LocalServer, caller: Caller
) -> None:
    """A message that may have been answered is not sent to another conversation."""
    gone = Instead(response(b"{}", status="404 N", content_type=JSON))

    def lose(client: Any) -> Any:
        proxy.on(SEND, Cut(0, keeps_behind=True))
        proxy.on(READ, gone, always=True).on(RESUME, gone, always=True)
        return client

    def work(client: Any) -> Any:
        return steps(
            lambda client: client.chat("hello", model="echo/base"),
            lambda answer: lose(client).chat(
                [
                    History("user", "hello"),
                    History("assistant", answer.text),
                    History("user", "and now?"),
                ],
                model="echo/base",
            ),
        )(client)

    error = refused(caller, proxy.url, work, retries=ONCE)
    assert isinstance(error, ConversationNotFoundError)
    assert proxy.count(SEND) == 2
    assert len(server.prompts) <= 2
