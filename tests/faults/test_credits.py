"""What an account cannot pay for, or no longer permits, is an error of its own, in a 200 too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain_core.exceptions import ModelAuthenticationError, ModelError
from llama_index.core.llms import ChatMessage

from hfchat_base import (
    GenerationFailed,
    OutOfCreditsError,
    ResponseError,
    SessionExpired,
    StreamError,
)
from hfchat_base._protocol import responses
from langchain_huggingchat import ChatHuggingChat
from llama_index_huggingchat import HuggingChatLLM
from tests.support.faults.answer_lines import STARTED, failure, lines, token
from tests.support.faults.fault_server import RESUME, SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from tests.support.faults.caller import Caller

WORDS: Final = "You have exceeded your monthly included credits."
REVOKED: Final = (
    "OAuth authorization is no longer valid",
    "The token has been revoked.",
    "Missing the requested scopes",
)


BEGUN: Final = Instead(response(lines(STARTED, token("Ha")), until_close=True), passes_on=True)
"""An answer that begins and is lost."""


def broken(message: str, code: int) -> Instead:
    """An answer that begins and ends in an error with a status code."""
    events = lines(STARTED, token("Half"), failure(message, statusCode=code))
    return Instead(response(events, until_close=True))


def frames(*events: dict[str, Any]) -> bytes:
    """Events as the log of a run holds them."""
    return b"".join(b"event: update\ndata: " + lines(event) + b"\n" for event in events)


def test_out_of_credits_in_an_answer(proxy: FaultServer, caller: Caller) -> None:
    """A 402 inside an answer says so, keeps what had arrived, and is not tried again."""
    proxy.on(SEND, broken(WORDS, 402), always=True)
    error = caller.ask(proxy.url).error
    assert isinstance(error, OutOfCreditsError)
    assert isinstance(error, ResponseError)
    assert isinstance(error, StreamError)
    assert not isinstance(error, GenerationFailed)
    assert error.status == 402
    assert error.partial is not None
    assert error.partial.text == "Half"
    assert WORDS.rstrip(".") in str(error)
    assert proxy.count(SEND) == 1


def test_out_of_credits_in_place_of_an_answer(proxy: FaultServer, caller: Caller) -> None:
    """A 402 of a gateway says the same, with nothing that had arrived."""
    body = b'{"message":"Payment required"}'
    refusal = response(body, status="402 Payment Required", content_type="application/json")
    proxy.on(SEND, Instead(refusal), always=True)
    error = caller.ask(proxy.url).error
    assert isinstance(error, OutOfCreditsError)
    assert error.partial is None
    assert proxy.count(SEND) == 1


def test_out_of_credits_in_the_log(current_proxy: FaultServer, caller: Caller) -> None:
    """A 402 that comes after a lost connection, in the log, is the same error."""
    log = frames(STARTED, token("Half", width=0), failure(WORDS, statusCode=402))
    current_proxy.on(SEND, BEGUN).on(
        RESUME, Instead(response(log, content_type="text/event-stream"))
    )
    error = caller.ask(current_proxy.url).error
    assert isinstance(error, OutOfCreditsError)
    assert error.partial is not None
    assert error.partial.text == "Half"
    assert current_proxy.count(SEND) == 1


@pytest.mark.parametrize("words", REVOKED)
def test_revoked_authorization(proxy: FaultServer, caller: Caller, words: str) -> None:
    """A 401 inside an answer that speaks of a permission taken back wants a new login."""
    proxy.on(SEND, broken(words, 401), always=True)
    error = caller.ask(proxy.url).error
    assert isinstance(error, SessionExpired)
    assert f"hfchat login --base-url {proxy.url}" in str(error)
    assert error.partial is not None
    assert error.partial.text == "Half"
    assert proxy.count(SEND) == 1


def test_revoked_authorization_in_the_log(current_proxy: FaultServer, caller: Caller) -> None:
    """Such a 401 that comes after a lost connection, in the log, is the same error."""
    log = frames(STARTED, token("Half", width=0), failure(REVOKED[1], statusCode=401))
    current_proxy.on(SEND, BEGUN).on(
        RESUME, Instead(response(log, content_type="text/event-stream"))
    )
    error = caller.ask(current_proxy.url).error
    assert isinstance(error, SessionExpired)
    assert error.partial is not None


def test_other_401_in_an_answer(proxy: FaultServer, caller: Caller) -> None:
    """Any other 401 inside an answer is the model's: its server refused the server's key."""
    proxy.on(SEND, broken("Incorrect API key provided", 401))
    error = caller.ask(proxy.url).error
    assert isinstance(error, GenerationFailed)
    assert error.upstream_status == 401


def test_where_to_see_what_is_left() -> None:
    """The error names the page that shows the account's credits."""
    page = "https://huggingface.co/settings/billing"
    theirs = str(responses.out_of_credits("https://huggingface.co/chat", WORDS))
    hosted = str(responses.out_of_credits("https://chat.example.com", WORDS))
    assert theirs.endswith(f"add to it at {page}")
    assert "with which this server pays" in hosted


def _langchain(url: str, *, asynchronous: bool) -> object:
    model = ChatHuggingChat(base_url=url, model="echo/base")
    return asyncio.run(model.ainvoke("hello")) if asynchronous else model.invoke("hello")


def _llama_index(url: str, *, asynchronous: bool) -> object:
    llm = HuggingChatLLM("echo/base", base_url=url)
    messages = [ChatMessage("hello")]
    return asyncio.run(llm.achat(messages)) if asynchronous else llm.chat(messages)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("ask", [_langchain, _llama_index], ids=["langchain", "llama_index"])
@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [(WORDS, 402, OutOfCreditsError), (REVOKED[0], 401, SessionExpired)],
    ids=["credits", "revoked"],
)
def test_wrappers(
    proxy: FaultServer, ask: Any, asynchronous: bool, words: str, code: int, kind: type[Exception]
) -> None:
    """Both wrappers raise the same errors, ask once, and LangChain does not try again."""
    proxy.on(SEND, broken(words, code), always=True)
    with pytest.raises(kind) as caught:
        ask(proxy.url, asynchronous=asynchronous)
    assert proxy.count(SEND) == 1
    if ask is _langchain:
        assert isinstance(caught.value, ModelError)
        assert not caught.value.is_retryable
        assert isinstance(caught.value, ModelAuthenticationError) is (kind is SessionExpired)


@pytest.mark.parametrize(
    ("code", "retryable"), [(400, False), (401, False), (408, True), (429, True), (503, True)]
)
def test_langchain_retries_what_may_pass(proxy: FaultServer, code: int, retryable: bool) -> None:
    """LangChain tries a failed model again unless its server has refused the request."""
    proxy.on(SEND, broken("no", code), always=True)
    with pytest.raises(ModelError) as caught:
        _langchain(proxy.url, asynchronous=False)
    assert caught.value.is_retryable is retryable
