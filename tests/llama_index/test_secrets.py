"""Secrets of a call are as secret as those of the constructor, in every channel of LlamaIndex.

The methods are tried with the header of a tool server that only this call offers, while an event
handler, a span handler and a callback handler write down all that they are given.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import BoundArguments
from typing import Any, Final

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.span import SimpleSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, PrivateAttr

from hfchat_base.errors import HuggingChatError
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM

SECRET: Final = "s3cr3t-v4lue"
HELLO: Final = [ChatMessage("hello there")]
SERVER: Final[Any] = {
    "name": "local",
    "url": f"http://127.0.0.1:9200/mcp?key={SECRET}",
    "headers": {"authorization": f"Bearer {SECRET}"},
}
CALL: Final[dict[str, Any]] = {"mcp_servers": [SERVER]}


class Events(BaseEventHandler):
    """Writes down every event."""

    _told: list[str] = PrivateAttr(default_factory=list)

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Write an event down in each form."""
        self._told.append(f"{event!r}{event.model_dump()}{event.dict()}")


class Spans(BaseSpanHandler[SimpleSpan]):
    """Writes down the arguments of every span."""

    _told: list[str] = PrivateAttr(default_factory=list)

    def new_span(self, id_: str, bound_args: BoundArguments, *_: Any, **__: Any) -> None:
        """Write the arguments down."""
        self._told.append(f"{id_} {bound_args.arguments!r}")

    def prepare_to_exit_span(
        self, id_: str, bound_args: BoundArguments, *_: Any, result: Any = None, **__: Any
    ) -> None:
        """Write the arguments and the result down."""
        self._told.append(f"{id_} {bound_args.arguments!r} {result!r}")

    def prepare_to_drop_span(
        self, id_: str, bound_args: BoundArguments, *_: Any, err: Any = None, **__: Any
    ) -> None:
        """Write the arguments and the error down."""
        self._told.append(f"{id_} {bound_args.arguments!r} {err!r}")


@pytest.fixture
def told() -> Iterator[Callable[[], str]]:
    """All that handlers of events and spans received."""
    events, spans = Events(), Spans()
    root = get_dispatcher()
    root.add_event_handler(events)
    root.add_span_handler(spans)
    yield lambda: "".join([*events._told, *spans._told])
    root.event_handlers.remove(events)
    root.span_handlers.remove(spans)


class Word(BaseModel):
    """A word."""

    text: str


def shout(text: str) -> str:
    """Say it loud."""
    return text.upper()


SHOUT: Final = FunctionTool.from_defaults(shout)
PROMPT: Final = PromptTemplate("Say {word}.")

SYNC: Final[dict[str, Callable[[HuggingChatLLM], Any]]] = {
    "chat": lambda llm: llm.chat(HELLO, **CALL),
    "stream_chat": lambda llm: list(llm.stream_chat(HELLO, **CALL)),
    "complete": lambda llm: llm.complete("hello", **CALL),
    "stream_complete": lambda llm: list(llm.stream_complete("hello", **CALL)),
    "chat_with_tools": lambda llm: llm.chat_with_tools([SHOUT], "hello", **CALL),
    "stream_chat_with_tools": lambda llm: list(
        llm.stream_chat_with_tools([SHOUT], "hello", **CALL)
    ),
    "predict_and_call": lambda llm: llm.predict_and_call(
        [SHOUT], "hello", error_on_no_tool_call=False, **CALL
    ),
    "structured_predict": lambda llm: llm.structured_predict(
        Word, PROMPT, llm_kwargs=CALL, word="x"
    ),
    "stream_structured_predict": lambda llm: list(
        llm.stream_structured_predict(Word, PROMPT, llm_kwargs=CALL, word="x")
    ),
}


async def _all(stream: Any) -> list[Any]:
    return [one async for one in await stream]


ASYNC: Final[dict[str, Callable[[HuggingChatLLM], Any]]] = {
    "achat": lambda llm: llm.achat(HELLO, **CALL),
    "astream_chat": lambda llm: _all(llm.astream_chat(HELLO, **CALL)),
    "acomplete": lambda llm: llm.acomplete("hello", **CALL),
    "astream_complete": lambda llm: _all(llm.astream_complete("hello", **CALL)),
    "achat_with_tools": lambda llm: llm.achat_with_tools([SHOUT], "hello", **CALL),
    "astream_chat_with_tools": lambda llm: _all(
        llm.astream_chat_with_tools([SHOUT], "hello", **CALL)
    ),
    "apredict_and_call": lambda llm: llm.apredict_and_call(
        [SHOUT], "hello", error_on_no_tool_call=False, **CALL
    ),
    "astructured_predict": lambda llm: llm.astructured_predict(
        Word, PROMPT, llm_kwargs=CALL, word="x"
    ),
    "astream_structured_predict": lambda llm: _all(
        llm.astream_structured_predict(Word, PROMPT, llm_kwargs=CALL, word="x")
    ),
}


@pytest.fixture
def debugger() -> LlamaDebugHandler:
    """Keeps the payloads of all callbacks."""
    return LlamaDebugHandler(print_trace_on_end=False)


@pytest.fixture
def llm(current_server: LocalServer, debugger: LlamaDebugHandler) -> HuggingChatLLM:
    """An LLM whose answers say nothing of the tools on offer."""
    return HuggingChatLLM(
        "echo/base",
        base_url=current_server.base_url,
        callback_manager=CallbackManager([debugger]),
    )


def payloads(debugger: LlamaDebugHandler) -> str:
    """All that callbacks received."""
    return repr([event.payload for event in debugger.get_events()])


def assert_sent_and_not_shown(server: LocalServer, shown: str) -> None:
    """Check that the server got the secret and nobody else did."""
    body = "".join(request.body.decode() for request in server.requests)
    assert f"http://127.0.0.1:9200/mcp?key={SECRET}" in body
    assert f'{{"key": "authorization", "value": "Bearer {SECRET}"}}' in body
    assert SECRET not in shown
    assert "127.0.0.1:9200/mcp" in shown


@pytest.mark.parametrize("way", list(SYNC))
def test_secrets_of_a_call_are_sent_and_not_shown(
    llm: HuggingChatLLM,
    current_server: LocalServer,
    told: Callable[[], str],
    debugger: LlamaDebugHandler,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    """Each synchronous method sends what it was given, and no handler or log sees it."""
    caplog.set_level(logging.DEBUG)
    with suppress(ValueError):  # the model makes no object
        SYNC[way](llm)
    assert_sent_and_not_shown(current_server, told() + payloads(debugger) + caplog.text)


@pytest.mark.parametrize("way", list(ASYNC))
async def test_secrets_of_an_asynchronous_call_are_sent_and_not_shown(
    llm: HuggingChatLLM,
    current_server: LocalServer,
    told: Callable[[], str],
    debugger: LlamaDebugHandler,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    """So does each asynchronous one."""
    caplog.set_level(logging.DEBUG)
    with suppress(ValueError):  # the model makes no object
        await ASYNC[way](llm)
    assert_sent_and_not_shown(current_server, told() + payloads(debugger) + caplog.text)


@pytest.mark.filterwarnings("ignore:HuggingChat has no setting for")
def test_what_a_call_cannot_set_is_not_shown_either(
    llm: HuggingChatLLM, told: Callable[[], str], debugger: LlamaDebugHandler
) -> None:
    """Cookies, headers, proxies and keys in a call have no effect, and are hidden all the same."""
    arguments: Any = {
        "cookies": {"hf-chat": SECRET},
        "headers": {"x-key": SECRET},
        "proxy": f"http://u:{SECRET}@127.0.0.1:1",
        "api_key": SECRET,
    }
    llm.chat(HELLO, **arguments)
    assert SECRET not in told() + payloads(debugger)


def test_variables_of_a_prompt_are_no_secrets(llm: HuggingChatLLM) -> None:
    """What goes into a prompt is left alone, whatever its name is."""
    assert llm.predict(PromptTemplate("{token}"), token="my word") == "You said: my word"


def test_failures_show_none(current_server: LocalServer, told: Callable[[], str]) -> None:
    """A call that fails shows no secret in its error or its events."""
    llm = HuggingChatLLM("broken/http500", base_url=current_server.base_url)
    with pytest.raises(HuggingChatError) as caught:
        llm.chat(HELLO, **CALL)
    assert SECRET not in repr(vars(caught.value)) + repr(caught.value) + told()


def test_no_form_of_the_object_shows_them(current_server: LocalServer) -> None:
    """An LLM with secrets of its own shows none, in its private attributes neither."""
    llm = HuggingChatLLM("echo/base", base_url=current_server.base_url, mcp_servers=[SERVER])
    shown = [repr(llm), str(llm.to_dict()), llm.to_json(), json.dumps(llm.to_payload())]
    shown += [str(llm.__pydantic_private__), pickle.dumps(llm).decode("latin-1")]
    assert not [text for text in shown if SECRET in text]
    copy.deepcopy(llm).complete("hello")
    assert any(SECRET.encode() in request.body for request in current_server.requests)
