"""Callbacks, instrumentation and serialization: one event of each kind a call, and no secret."""

from __future__ import annotations

import copy
import logging
import pickle
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms import ChatMessage
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from hfchat_base import HuggingChat
from hfchat_base.errors import GenerationFailed, LoginRequired
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.sessions import save_session

SECRET = "s3cr3t-v4lue"
HELLO = [ChatMessage("hello there")]


class EventLog(BaseEventHandler):
    """Keeps every instrumentation event."""

    _events: list[BaseEvent] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized objects."""
        return "event_log"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Keep an event."""
        self._events.append(event)

    @property
    def counts(self) -> Counter[str]:
        """How many events of each kind there were."""
        return Counter(event.class_name() for event in self._events)

    @property
    def text(self) -> str:
        """All events as text, in each way that they are written out."""
        return "".join(f"{event!r}{event.model_dump()}{event.dict()}" for event in self._events)


@pytest.fixture
def log() -> Iterator[EventLog]:
    """A handler of all events of LlamaIndex."""
    handler = EventLog()
    root = get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.fixture
def secretive(current_server: LocalServer) -> HuggingChatLLM:
    """An LLM that was given secrets in every place that takes one."""
    cookies = current_server.cookies()
    return HuggingChatLLM(
        base_url=current_server.base_url,
        cookies={**cookies, "token": SECRET},
        headers={"x-gateway-key": SECRET},
        mcp_servers=[
            {"name": "m", "url": "http://127.0.0.1:1/mcp", "headers": {"authorization": SECRET}}
        ],
    )


CHAT_EVENTS = {"LLMChatStartEvent": 1, "LLMChatEndEvent": 1}
COMPLETION_EVENTS = {"LLMCompletionStartEvent": 1, "LLMCompletionEndEvent": 1}


def test_chat_is_one_event(llm: HuggingChatLLM, log: EventLog) -> None:
    """A chat begins and ends once, and is not reported as a completion too."""
    llm.chat(HELLO)
    assert log.counts == CHAT_EVENTS


def test_completion_is_one_event(llm: HuggingChatLLM, log: EventLog) -> None:
    """A completion begins and ends once, and is not reported as a chat too."""
    llm.complete("hello there")
    assert log.counts == COMPLETION_EVENTS


async def test_async_calls_are_one_event(llm: HuggingChatLLM, log: EventLog) -> None:
    """The same goes for the asynchronous methods."""
    await llm.achat(HELLO)
    assert log.counts == CHAT_EVENTS
    await llm.acomplete("hello there")
    assert log.counts == {**CHAT_EVENTS, **COMPLETION_EVENTS}


def test_streaming_events(llm: HuggingChatLLM, log: EventLog) -> None:
    """A stream is one event with as many steps as there were responses."""
    responses = list(llm.stream_chat(HELLO))
    assert log.counts == {**CHAT_EVENTS, "LLMChatInProgressEvent": len(responses)}


async def test_async_streaming_events(llm: HuggingChatLLM, log: EventLog) -> None:
    """So is an asynchronous stream."""
    responses = [response async for response in await llm.astream_complete("hello there")]
    assert log.counts == {**COMPLETION_EVENTS, "LLMCompletionInProgressEvent": len(responses)}


def test_callbacks(server: LocalServer) -> None:
    """A callback handler sees the LLM, the prompt and the answer."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    llm = HuggingChatLLM(base_url=server.base_url, callback_manager=CallbackManager([handler]))
    llm.chat(HELLO)
    ((start, end),) = handler.get_event_pairs(CBEventType.LLM)
    assert start.payload is not None
    assert start.payload["serialized"]["class_name"] == "huggingchat_llm"
    assert end.payload is not None
    assert end.payload["response"].message.content == "You said: hello there"


def test_failures_are_told_to_callbacks(server: LocalServer) -> None:
    """A call that fails ends its event with the error."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    llm = HuggingChatLLM(
        "broken/http500", base_url=server.base_url, callback_manager=CallbackManager([handler])
    )
    with pytest.raises(GenerationFailed):
        llm.complete("hello")
    ((_, end),) = handler.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert isinstance(end.payload["exception"], GenerationFailed)


def test_no_secret_is_shown(
    secretive: HuggingChatLLM, log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    """No cookie, header or key is in what is printed, serialized, logged or handed to handlers."""
    caplog.set_level(logging.DEBUG, "hfchat")
    list(secretive.stream_chat(HELLO))
    secretive.complete("hello")
    with pytest.raises(GenerationFailed) as failure:
        secretive.complete("hello", model="broken/http500")
    shown = [
        *(repr(secretive), str(secretive), str(secretive.to_dict()), secretive.to_json()),
        *(str(secretive.to_payload()), str(secretive.metadata), secretive.model_dump_json()),
        *(log.text, caplog.text, repr(failure.value), pickle.dumps(secretive).decode("latin-1")),
    ]
    assert not [text for text in shown if SECRET in text]


def test_secrets_do_their_work(secretive: HuggingChatLLM, current_server: LocalServer) -> None:
    """What is not shown is sent all the same."""
    secretive.complete("hello")
    posts = [r for r in current_server.requests if r.method == "POST"]
    assert all(SECRET in request.headers["cookie"] for request in posts)
    assert all(request.headers["x-gateway-key"] == SECRET for request in posts)
    assert SECRET.encode() in posts[-1].body


def test_dict_round_trip(server: LocalServer) -> None:
    """An object is made again from its dictionary."""
    llm = HuggingChatLLM("think/tags", base_url=server.base_url, context_window=1000)
    again = HuggingChatLLM.from_dict(llm.to_dict())
    assert again.to_dict() == llm.to_dict()
    assert again.complete("hello").text == "After thinking, the answer is 42."


def test_pickle_round_trip(llm: HuggingChatLLM) -> None:
    """It is from its pickle, so that ingestion pipelines may use several processes."""
    again = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own
    assert again.complete("hello").text == "You said: hello"


@pytest.mark.parametrize("way", ["dict", "pickle"])
def test_copies_keep_the_account(current_server: LocalServer, way: str) -> None:
    """Where several accounts are logged in, a copy does not speak for another one."""
    save_session(current_server, "alice")
    save_session(current_server, "bob")  # the newest login is the default
    llm = HuggingChatLLM("echo/base", base_url=current_server.base_url, account="alice")
    if way == "dict":
        again = HuggingChatLLM.from_dict(llm.to_dict())
    else:
        again = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own
    llm.complete("hello")
    again.complete("hello")
    used = {r.headers["cookie"] for r in current_server.requests if r.json and "inputs" in r.json}
    assert len(used) == 1


def test_objects_share_a_client(server: LocalServer) -> None:
    """Objects made with one client are one session with one history."""
    with HuggingChat(server.base_url) as client:
        first = HuggingChatLLM(client=client).chat(HELLO)
        history = [*HELLO, first.message, ChatMessage("go on")]
        second = HuggingChatLLM(client=client.to_async()).chat(history)
    assert second.additional_kwargs["conversation_id"] == first.additional_kwargs["conversation_id"]


def test_copies_share_the_session(secretive: HuggingChatLLM) -> None:
    """A copy, deep or not, continues with the same session and history."""
    for copied in (copy.copy(secretive), copy.deepcopy(secretive), secretive.model_copy()):
        assert copied.complete("hello").text == "You said: hello"


def test_an_access_token_cannot_chat(server: LocalServer) -> None:
    """A token with which nobody can chat is refused with advice, and without showing it."""
    llm = HuggingChatLLM(base_url=server.base_url, cookies=f"hf_{SECRET}")
    with pytest.raises(LoginRequired, match="hfchat login") as refusal:
        llm.complete("hello")
    assert SECRET not in str(refusal.value)


def test_rate_limiter(server: LocalServer) -> None:
    """LlamaIndex's rate limiter is asked before every call."""
    rate_limiter = pytest.importorskip("llama_index.core.rate_limiter")  # older cores have none
    waits: list[float] = []

    base: Any = rate_limiter.BaseRateLimiter

    class Limiter(base):  # type: ignore[misc]  # imported at run time
        def acquire(self, num_tokens: int = 0) -> None:
            waits.append(num_tokens)

        async def async_acquire(self, num_tokens: int = 0) -> None:
            waits.append(num_tokens)

    llm = HuggingChatLLM(base_url=server.base_url, rate_limiter=Limiter())
    llm.complete("hello")
    assert len(waits) == 1


def test_settings_take_it(llm: HuggingChatLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """LlamaIndex takes it as the default LLM, and gives it its callback manager."""
    monkeypatch.setattr(Settings, "_llm", None)
    Settings.llm = llm
    assert Settings.llm is llm
