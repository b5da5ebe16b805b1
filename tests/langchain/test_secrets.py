"""Secrets of a call are as secret as those of the constructor, in every channel that LangChain has.

Whatever shows a secret is tried with the header of a tool server, given in each way that a call
takes one, and with what a HuggingChat server cannot honour in a call but people try.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import ConfigurableField, Runnable
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import SecretStr

from hfchat_base import HuggingChatError, Timeouts
from langchain_huggingchat import ChatHuggingChat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfchat_base.local import LocalServer

SECRET: Final = "s3cr3t-v4lue"
SERVER: Final = {
    "name": "local",
    "url": "http://127.0.0.1:9200/mcp",
    "headers": {"authorization": SECRET},
}
TOOL: Final = {
    "type": "mcp",
    "server_label": "local",
    "server_url": f"http://127.0.0.1:9200/mcp?key={SECRET}",
    "headers": {"x-key": SECRET},
    "authorization": SECRET,
}
IGNORED: Final[dict[str, Any]] = {
    "headers": {"x-key": SECRET},
    "cookies": {"hf-chat": SECRET},
    "proxy": f"http://user:{SECRET}@127.0.0.1:1",
    "api_key": SECRET,
}

WAYS: Final[dict[str, Callable[[ChatHuggingChat], Runnable[Any, Any]]]] = {
    "bind": lambda model: model.bind(mcp_servers=[SERVER]),
    "bind twice": lambda model: model.bind(stop=["x"]).bind(mcp_servers=[SERVER]),
    "bind_tools": lambda model: model.bind_tools([TOOL]),
    "bind_tools and bind": lambda model: model.bind_tools([], mcp_servers=[SERVER]),
    "bound with config": lambda model: model.bind_tools([TOOL]).with_config(tags=["x"]),
    "structured": lambda model: model.with_structured_output(
        None, method="json_mode", mcp_servers=[SERVER], include_raw=True
    ),
    "ignored": lambda model: model.bind(**IGNORED),
    "fallbacks": lambda model: model.bind(mcp_servers=[SERVER]).with_fallbacks(
        [model.bind_tools([TOOL])]
    ),
    "retry": lambda model: model.bind_tools([TOOL]).with_retry(),
}


class Recorder(BaseCallbackHandler):
    """Writes down all that callbacks are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Note the start, with all parameters."""
        self.told.append(f"{args!r} {kwargs!r} {json.dumps(kwargs, default=repr)}")

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        """Note the start, with all parameters."""
        self.told.append(f"{args!r} {kwargs!r}")

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        """Note the end."""
        self.told.append(f"{args!r} {kwargs!r}")

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Note an error."""
        self.told.append("".join(traceback.format_exception(error)) + repr(kwargs))


@pytest.fixture
def model(server: LocalServer) -> Iterator[ChatHuggingChat]:
    """A chat model whose answers say nothing of the tools on offer."""
    model = ChatHuggingChat(base_url=server.base_url, model="echo/base")
    yield model
    model.close()


@pytest.fixture(params=list(WAYS))
def bound(request: pytest.FixtureRequest, model: ChatHuggingChat) -> Runnable[Any, Any]:
    """The model with secrets bound to it in each way."""
    return WAYS[request.param](model)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_dump_and_load(server: LocalServer) -> None:
    """A model that was dumped and loaded has its settings, and none of its secrets."""
    model = ChatHuggingChat(
        base_url=server.base_url,
        model="echo/base",
        stop=["x"],
        timeout=Timeouts(progress=7),
        cookies={"hf-chat": SECRET},
        headers={"x-key": SECRET},
        proxy=f"http://user:{SECRET}@127.0.0.1:1",
        mcp_servers=["fetch", {"name": "own", "url": "http://127.0.0.1:9200/mcp"}, SERVER],
    )
    dumped = json.loads(dumps(model))
    assert SECRET not in str(dumped)
    assert dumpd(model) == dumped
    namespaces = ["langchain_huggingchat"]
    loaded = load(dumped, allowed_objects=[ChatHuggingChat], valid_namespaces=namespaces)
    for name in ("base_url", "model", "stop", "timeout"):
        assert getattr(loaded, name) == getattr(model, name)
    assert list(loaded.mcp_servers) == list(model.mcp_servers)[:2]
    assert loaded.cookies is None
    loaded.mcp_servers = ()
    assert loaded.invoke("hi").text == "You said: hi"
    loaded.close()


@pytest.mark.filterwarnings("ignore:HuggingChat has no setting for")
def test_no_representation_shows_them(bound: Runnable[Any, Any]) -> None:
    """A runnable with secrets bound to it shows none when it is printed, dumped or pickled."""
    shown = [repr(bound), str(bound), str(vars(bound)), dumps(bound), str(dumpd(bound))]
    if hasattr(bound, "model_dump"):
        shown.append(str(bound.model_dump()))
    for text in shown:
        assert SECRET not in text


@pytest.mark.parametrize("way", ["bind", "bind twice", "bind_tools", "bound with config"])
def test_pickles_leave_them_behind(model: ChatHuggingChat, way: str) -> None:
    """A pickled binding works without its secrets."""
    pickled = pickle.dumps(WAYS[way](model))
    assert SECRET.encode() not in pickled
    assert type(pickle.loads(pickled)) is type(WAYS[way](model))  # noqa: S301 - our own


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("way", ["bind", "bind twice", "bind_tools", "bound with config"])
def test_copies_keep_them(
    model: ChatHuggingChat, server: LocalServer, way: str, copied: Callable[[Any], Any]
) -> None:
    """A copy of a binding sends what the original would, and shows as little."""
    twin = copied(WAYS[way](model))
    assert SECRET not in repr(twin)
    twin.invoke("hi")
    assert any(SECRET.encode() in request.body for request in server.requests)


@pytest.mark.filterwarnings("ignore:HuggingChat has no setting for")
def test_no_callback_is_told(bound: Runnable[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks, runs and the log see the call and its parameters without the secrets."""
    caplog.set_level(logging.DEBUG)
    recorder, collector = Recorder(), RunCollectorCallbackHandler()
    config: Any = {"callbacks": [recorder, collector]}
    bound.invoke("hi", config)
    list(bound.stream("hi", config))
    runs = [run.model_dump_json(fallback=repr) for run in collector.traced_runs]
    assert recorder.told
    assert runs
    for text in (*recorder.told, *runs, caplog.text):
        assert SECRET not in text


@pytest.mark.filterwarnings("ignore:HuggingChat has no setting for")
async def test_no_asynchronous_callback_is_told(
    bound: Runnable[Any, Any], model: ChatHuggingChat
) -> None:
    """The same goes for asynchronous calls and for the stream of events."""
    recorder = Recorder()
    await bound.ainvoke("hi", {"callbacks": [recorder]})
    events = [str(event) async for event in bound.astream_events("hi", version="v2")]
    await model.aclose()
    for text in (*recorder.told, *events):
        assert SECRET not in text


@pytest.mark.parametrize(
    "arguments", [{"mcp_servers": [SERVER]}, {"tools": [TOOL]}, IGNORED], ids=str
)
@pytest.mark.filterwarnings("ignore:HuggingChat has no setting for")
def test_arguments_of_a_call_are_hidden(
    model: ChatHuggingChat, server: LocalServer, arguments: dict[str, Any]
) -> None:
    """Given to the call itself, they are hidden as well, and do their work."""
    recorder = Recorder()
    model.invoke("hi", {"callbacks": [recorder]}, **arguments)
    list(model.stream("hi", {"callbacks": [recorder]}, **arguments))
    assert SECRET not in "".join(recorder.told)
    sent = any(SECRET.encode() in request.body for request in server.requests)
    assert sent is ("headers" not in arguments)


def test_errors_show_none(server: LocalServer) -> None:
    """A call that fails shows no secret in its error, its traceback or its callbacks."""
    recorder = Recorder()
    model = ChatHuggingChat(base_url=server.base_url, model="broken/http500")
    with pytest.raises(HuggingChatError) as caught:
        model.invoke("hi", {"callbacks": [recorder]}, mcp_servers=[SERVER], tools=[TOOL])
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert SECRET not in shown + "".join(recorder.told)
    model.close()


def test_headers_of_a_tool_arrive(model: ChatHuggingChat, server: LocalServer) -> None:
    """Headers, bearer token and key of a bound tool server are sent as they were given."""
    model.bind_tools([TOOL]).invoke("hi")
    (sent,) = [request for request in server.requests if b"selectedMcpServers" in request.body]
    body = sent.body.decode()
    assert f"http://127.0.0.1:9200/mcp?key={SECRET}" in body
    assert f'{{"key": "x-key", "value": "{SECRET}"}}' in body
    assert f'{{"key": "authorization", "value": "Bearer {SECRET}"}}' in body
    assert "****" not in body


def test_cached_answers_belong_to_their_secrets(server: LocalServer) -> None:
    """Calls with other secrets have other cache keys, and no key holds a secret."""
    cache = InMemoryCache()
    cached = ChatHuggingChat(base_url=server.base_url, model="echo/base", cache=cache)
    other = {**SERVER, "headers": {"authorization": "another"}}
    for servers in ([SERVER], [other], [SERVER], []):
        cached.invoke("hi", mcp_servers=servers)
    for secret in ("one", "two", "one"):
        made_with = {**SERVER, "headers": {"authorization": secret}}
        settings: Any = {"base_url": server.base_url, "model": "echo/base", "cache": cache}
        ChatHuggingChat(**settings, mcp_servers=[made_with]).invoke("hi")
    assert len(cache._cache) == 5
    assert SECRET not in str(list(cache._cache))
    cached.close()


def test_settings_of_a_call_may_be_secret_strings(server: LocalServer) -> None:
    """Given as `SecretStr` in a call's configuration, cookies and headers are in no metadata."""
    fields = {name: ConfigurableField(id=name) for name in ("cookies", "headers")}
    model = ChatHuggingChat(base_url=server.base_url, model="echo/base")
    cookies = server.cookies()
    recorder = Recorder()
    config: Any = {
        "callbacks": [recorder],
        "configurable": {
            "cookies": SecretStr("; ".join(map("=".join, cookies.items()))),
            "headers": {"x-key": SecretStr(SECRET)},
        },
    }
    model.configurable_fields(**fields).invoke("hi", config)
    posted = [request for request in server.requests if request.method == "POST"]
    assert all(request.headers["x-key"] == SECRET for request in posted)
    assert all(cookies["hf-chat"] in request.headers["cookie"] for request in posted)
    shown = "".join(recorder.told)
    assert SECRET not in shown
    assert cookies["hf-chat"] not in shown
    model.close()
