"""Faults 41 to 45: what must never be shown, stored openly, sent elsewhere, or believed."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pickle
import stat
import traceback
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import HuggingChat, HuggingChatError, InvalidRequestError, Retries, TransportError
from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore
from hfchat_base.errors import FileNotAvailableError, ProxyError, TLSError
from hfchat_base.files import fetch_public_file
from tests.support import extras
from tests.support.faults.caller import asking, create, refused, steps
from tests.support.faults.certificates import unknown_authority
from tests.support.faults.fault_server import ANY, SEND, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead
from tests.support.faults.origins import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hfchat_base.local import LocalServer
    from tests.support.faults.caller import Caller

ONCE = Retries(attempts=1)
SECRET = "s3cr3t-of-nobody"


@pytest.mark.parametrize(
    "fault",
    [
        Instead(b""),
        Instead(response(b'{"type":"status","status":"started"}\n{"ty', length=9999)),
        Instead(response(b"<html>", content_type="text/html")),
        Instead(response(b'{"error":"no"}', status="401 U", content_type="application/json")),
        Instead(response(b"{", content_type="application/jsonl", chunk_bytes=1)),
    ],
    ids=["lost", "cut", "page", "refused", "garbage"],
)
def test_fault_41_cookies_stay_out_of_errors_and_logs(
    proxy: FaultServer, caller: Caller, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """No error, cause, representation or log line holds a cookie, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    proxy.on(SEND, fault, always=True)
    error = refused(caller, proxy.url, asking, cookies={"hf-chat": SECRET})
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert SECRET not in shown
    assert SECRET not in caplog.text


def test_fault_41_cookies_stay_out_of_objects() -> None:
    """Neither a client's representation nor a pickle holds a cookie."""
    with HuggingChat("http://127.0.0.1:9", cookies={"hf-chat": SECRET}) as client:
        assert SECRET not in repr(client) + str(client)
        try:
            pickled = pickle.dumps(client)
        except (HuggingChatError, TypeError):
            return
        assert SECRET.encode() not in pickled


BROKEN = {
    "lost": Instead(b""),
    "page": Instead(response(b"<html>", content_type="text/html")),
    "refused": Instead(
        response(b'{"error":"no"}', status="500 U", content_type="application/json")
    ),
    "garbage": Instead(response(b"no event\n", chunk_bytes=5)),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_fault_41_cookies_stay_out_of_langchain(
    current_proxy: FaultServer,
    current_server: LocalServer,
    fault: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No trace, event, log or error of a chat model holds a cookie, with an answer or without."""
    extras.require("langchain")
    wrapper = importlib.import_module("langchain_huggingchat")
    collectors = importlib.import_module("langchain_core.tracers.run_collector")
    caplog.set_level(logging.DEBUG)
    cookies = current_server.cookies()
    model = wrapper.ChatHuggingChat(
        model="echo/base",
        base_url=current_proxy.url,
        cookies=cookies,
        headers={"x-key": SECRET},
        max_retries=0,
    )
    collector = collectors.RunCollectorCallbackHandler()
    config = {"callbacks": [collector]}

    async def ask() -> list[str]:
        events = [str(event) async for event in model.astream_events("hello", config, version="v2")]
        await model.aclose()
        return events

    shown = [str(model.invoke("hello", config).model_dump()), *asyncio.run(ask())]
    current_proxy.on(SEND, fault, always=True)
    for work in (lambda: model.invoke("hello", config), lambda: asyncio.run(ask())):
        with pytest.raises(HuggingChatError) as caught:
            work()
        shown += traceback.format_exception(caught.value)
    runs = [run.model_dump_json() for run in collector.traced_runs]
    assert sum('"error":null' not in run for run in runs) == 2
    shown += [*runs, repr(model), str(model._identifying_params), caplog.text]
    for secret in (*cookies.values(), SECRET):
        assert secret not in "".join(shown)
        assert secret.encode() not in pickle.dumps(model)
    model.close()


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_fault_41_cookies_stay_out_of_llama_index(
    current_proxy: FaultServer,
    current_server: LocalServer,
    fault: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No event, dictionary, log or error of an LLM holds a cookie, with an answer or without."""
    extras.require("llama-index")
    wrapper = importlib.import_module("llama_index_huggingchat")
    instrumentation = importlib.import_module("llama_index.core.instrumentation")
    handlers = importlib.import_module("llama_index.core.instrumentation.event_handlers")
    caplog.set_level(logging.DEBUG)
    cookies = current_server.cookies()
    shown: list[str] = []

    class Handler(handlers.BaseEventHandler):  # type: ignore[misc,name-defined]
        def handle(self, event: Any, **_: Any) -> None:
            shown.append(f"{event!r} {event.model_dump()}")

    handler = Handler()
    instrumentation.get_dispatcher().add_event_handler(handler)
    llm = wrapper.HuggingChatLLM(
        "echo/base",
        base_url=current_proxy.url,
        cookies=cookies,
        headers={"x-key": SECRET},
        retries=ONCE,
    )
    try:
        llm.complete("hello")
        asyncio.run(llm.acomplete("hello"))
        current_proxy.on(SEND, fault, always=True)
        ways: list[Callable[[], Any]] = [
            lambda: llm.complete("hello"),
            lambda: asyncio.run(llm.acomplete("hello")),
        ]
        for ask in ways:
            with pytest.raises(HuggingChatError) as caught:
                ask()
            shown += traceback.format_exception(caught.value)
    finally:
        instrumentation.get_dispatcher().event_handlers.remove(handler)
    assert any("LLMCompletionEndEvent" in one for one in shown)
    shown += [repr(llm), str(llm.to_dict()), llm.to_json(), caplog.text]
    for secret in (*cookies.values(), SECRET):
        assert secret not in "".join(shown)
        assert secret.encode() not in pickle.dumps(llm)


def test_fault_42_saved_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved session is for its owner's eyes only, and written whole or not at all."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HUGGINGCHAT_KEYRING", "0")
    SessionStore().save("http://127.0.0.1:9", "alice", [Cookie("hf-chat", SECRET)])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_fault_43_cookies_go_nowhere_else(
    proxy: FaultServer, caller: Caller, server: LocalServer
) -> None:
    """A redirect to another host is not followed, so that it gets neither cookie nor message."""
    cookies = server.cookies()
    with FaultServer(Scripted(lambda _: response(b"{}"))) as elsewhere:
        away = {"location": f"http://localhost:{elsewhere.port}/"}
        proxy.on(ANY, Instead(response(b"", status="307 T", headers=away)), always=True)
        assert isinstance(refused(caller, proxy.url, asking, cookies=cookies), HuggingChatError)
        assert elsewhere.asked == []


PRIVATE_HOSTS = [
    *("127.0.0.1", "localhost", "localhost.", "[::1]", "169.254.169.254", "10.0.0.1", "127.1"),
    *("0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "%6cocalhost"),
    *("user@127.0.0.1", "\uff11\uff12\uff17.0.0.1"),
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_fault_43_private_addresses_are_not_fetched(host: str) -> None:
    """The address of a file in a message may not lead into the user's own network."""
    with FaultServer(Scripted(lambda _: response(b"inside", content_type="text/plain"))) as inside:
        with pytest.raises(InvalidRequestError):
            fetch_public_file(f"http://{host}:{inside.port}/secret.png")
        assert inside.asked == []


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_fault_43_nor_for_langchain(host: str, current_server: LocalServer) -> None:
    """Nor is it for an image in a message of LangChain's."""
    wrapper = pytest.importorskip("langchain_huggingchat")
    with FaultServer(Scripted(lambda _: response(b"inside", content_type="text/plain"))) as inside:
        url = f"http://{host}:{inside.port}/secret.png"
        messages = [("user", [{"type": "image_url", "image_url": {"url": url}}])]
        with closing(wrapper.ChatHuggingChat(base_url=current_server.base_url)) as model:
            for ask in (model.invoke, lambda given: asyncio.run(model.ainvoke(given))):
                with pytest.raises(InvalidRequestError, match=r"The file's (host|address) "):
                    ask(messages)
        assert inside.asked == []


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_fault_43_nor_for_llama_index(host: str, current_server: LocalServer) -> None:
    """Nor is it for an image in a message of LlamaIndex's, whose own type of addresses differs."""
    wrapper = pytest.importorskip("llama_index_huggingchat")
    types = pytest.importorskip("llama_index.core.base.llms.types")
    with FaultServer(Scripted(lambda _: response(b"inside", content_type="text/plain"))) as inside:
        block = types.ImageBlock(url=f"http://{host}:{inside.port}/secret.png")
        messages = [types.ChatMessage(role="user", blocks=[block])]
        llm = wrapper.HuggingChatLLM(base_url=current_server.base_url)
        for ask in (llm.chat, lambda given: asyncio.run(llm.achat(given))):
            with pytest.raises(InvalidRequestError, match=r"The file's (host|address) "):
                ask(messages)
        assert inside.asked == []


def test_fault_44_dns(caller: Caller) -> None:
    """A name that does not exist is reported as such."""
    error = refused(caller, "http://no-such-host.invalid", create, retries=ONCE)
    assert isinstance(error, TransportError)
    assert error.may_have_arrived is False


def test_fault_44_proxy(caller: Caller) -> None:
    """A proxy that refuses is reported as a proxy, without its password."""
    forbidden = response(b"", status="407 Proxy Authentication Required")
    with FaultServer(Scripted(lambda _: forbidden)) as gate:
        address = f"http://alice:{SECRET}@127.0.0.1:{gate.port}"
        error = refused(caller, "https://chat.invalid", create, proxy=address, retries=ONCE)
        assert isinstance(error, ProxyError)
        assert SECRET not in "".join(traceback.format_exception(error))


def test_fault_44_certificate(caller: Caller, current_server: LocalServer, tmp_path: Path) -> None:
    """A certificate that nobody vouches for is a TLS error, and one of our own authority is not."""
    context, pem = unknown_authority(tmp_path)
    with FaultServer(current_server.base_url, tls=context) as server:
        assert isinstance(refused(caller, server.url, create, retries=ONCE), TLSError)
        models = caller.do(server.url, lambda client: client.get_models(), verify=str(pem))
        assert models


def test_fault_44_no_tls_at_all(caller: Caller) -> None:
    """A server that does not speak TLS is a TLS error."""
    with FaultServer(Scripted(lambda _: b"SSH-2.0-OpenSSH\r\n")) as server:
        url = f"https://127.0.0.1:{server.port}"
        server.refuse(10)
        error = refused(caller, url, create, retries=ONCE)
        assert isinstance(error, TransportError)


def test_fault_45_names_are_data(proxy: FaultServer, caller: Caller) -> None:
    """A file's name in an answer is passed on as it is; fetching goes by its sha alone."""
    with suppress(HuggingChatError):
        caller.do(proxy.url, steps(create, lambda conversation: conversation.download("../../x")))
    fetched = [asked.target for asked in proxy.requests if "/output/" in asked.target]
    assert [target.rpartition("/")[2] for target in fetched] == ["..%2F..%2Fx"]


@pytest.mark.parametrize("sha", [".", ".."])
def test_fault_45_dots_are_data(proxy: FaultServer, caller: Caller, sha: str) -> None:
    """A file that a server calls by dots, which are steps in a path, is not asked for at all."""
    with pytest.raises(FileNotAvailableError):
        caller.do(proxy.url, steps(create, lambda conversation: conversation.download(sha)))
    assert not [asked for asked in proxy.requests if "/output" in asked.target]
