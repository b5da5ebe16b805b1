"""Arguments: what is accepted, what has no effect, and what is a mistake."""

from __future__ import annotations

import inspect
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from hfchat_base import HuggingChat
from hfchat_base.errors import InvalidRequestError
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.local_requests import script


def _itself(llm: HuggingChatLLM) -> HuggingChatLLM:
    return llm


def _from_json(llm: HuggingChatLLM) -> HuggingChatLLM:
    return HuggingChatLLM.from_json(llm.to_json())


def _from_pickle(llm: HuggingChatLLM) -> HuggingChatLLM:
    copied = pickle.loads(pickle.dumps(llm))  # noqa: S301 - of our own
    assert isinstance(copied, HuggingChatLLM)
    return copied


HELLO = [ChatMessage("hello there")]


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("modle", "model"),
        ("base_ur", "base_url"),
        ("contextwindow", "context_window"),
        ("sytem_prompt", "system_prompt"),
        ("temprature", "temperature"),
        ("api_base", "base_url"),
        ("default_headers", "headers"),
        ("request_timeout", "timeout"),
    ],
)
def test_mistyped_argument(mistyped: str, meant: str) -> None:
    """An argument that does not exist is an error, which suggests the one that was meant."""
    arguments: dict[str, Any] = {mistyped: "echo/base"}
    with pytest.raises(InvalidRequestError, match=f"no argument '{mistyped}'.*'{meant}'"):
        HuggingChatLLM(**arguments)


def test_unknown_argument() -> None:
    """An argument that resembles nothing is an error as well, and its value is not shown."""
    arguments: dict[str, Any] = {"zzz": "s3cr3t"}
    with pytest.raises(InvalidRequestError, match="no argument 'zzz'") as caught:
        HuggingChatLLM(**arguments)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("method", ["chat", "stream_chat", "complete", "stream_complete"])
def test_mistyped_argument_of_a_call(method: str, llm: HuggingChatLLM, server: LocalServer) -> None:
    """The same holds for single calls, and nothing is sent."""
    question: Any = HELLO if "chat" in method else "hello"
    with pytest.raises(InvalidRequestError, match=r"no argument 'web_serach'.*'web_search'"):
        getattr(llm, method)(question, web_serach=True)
    assert server.requests == []


@pytest.mark.parametrize("method", ["achat", "astream_chat", "acomplete", "astream_complete"])
async def test_mistyped_argument_of_an_asynchronous_call(
    method: str, llm: HuggingChatLLM, server: LocalServer
) -> None:
    """It holds asynchronously."""
    question: Any = HELLO if "chat" in method else "hello"
    with pytest.raises(InvalidRequestError, match=r"no argument 'web_serach'.*'web_search'"):
        await getattr(llm, method)(question, web_serach=True)
    assert server.requests == []


def test_settings_without_effect(llm: HuggingChatLLM) -> None:
    """What a server cannot honour is warned about once for each name, and ignored."""
    with pytest.warns(UserWarning, match="no setting for temperature"):
        llm.chat(HELLO, temperature=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert llm.chat(HELLO, temperature=0.3).message.content == "You said: hello there"


def test_settings_without_effect_of_the_object(server: LocalServer) -> None:
    """The same goes for what the object is made with."""
    with pytest.warns(UserWarning, match="no setting for max_tokens, temperature"):
        HuggingChatLLM(base_url=server.base_url, temperature=0, max_tokens=100)


async def test_reasoning_effort(current_server: LocalServer) -> None:
    """The object's effort and a call's become the account's setting before the message."""
    llm = HuggingChatLLM("think/effort", base_url=current_server.base_url, reasoning_effort="low")
    llm.chat(HELLO)
    await llm.acomplete("hello", reasoning_effort="high")
    written = [r.json for r in current_server.requests if r.path.endswith("/user/settings")]
    efforts = [body["reasoningEffortOverrides"] for body in written if body]
    assert efforts == [{"think/effort": "low"}, {"think/effort": "high"}]


def test_signature() -> None:
    """The signature shows every field, and every argument of the client."""
    shown = inspect.signature(HuggingChatLLM).parameters
    client = inspect.signature(HuggingChat).parameters
    assert {*HuggingChatLLM.model_fields, *client} <= set(shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reasoning_effort", "extreme"),
        ("provider", 5),
        ("bill_to", ["me"]),
        ("artifacts", "yes"),
        ("restores_settings", "no"),
    ],
)
async def test_wrong_options(name: str, value: Any, server: LocalServer) -> None:
    """A wrong value is refused in the constructor and in a call, before anything is sent."""
    with pytest.raises(InvalidRequestError, match=f"{name} should be"):
        HuggingChatLLM(base_url=server.base_url, **{name: value})
    llm = HuggingChatLLM(base_url=server.base_url)
    with pytest.raises(InvalidRequestError, match=f"{name} should be"):
        llm.chat(HELLO, **{name: value})
    with pytest.raises(InvalidRequestError, match=f"{name} should be"):
        await llm.acomplete("hello", **{name: value})
    assert server.requests == []


async def test_artifacts(current_server: LocalServer) -> None:
    """The object's option and a call's: a switch is the account's setting, raw leaves the tags."""
    tags = '<artifact identifier="p" type="html" title="Page"><b>x</b></artifact>'
    llm = HuggingChatLLM("script/agent", base_url=current_server.base_url, artifacts=False)
    assert llm.complete(script(tags)).text == "```html\n<b>x</b>\n```"
    answer = await llm.acomplete(script(tags), artifacts="raw", restores_settings=True)
    assert answer.text == tags
    written = [r.json for r in current_server.requests if r.path.endswith("/user/settings")]
    switched = [body["artifactsOverrides"] for body in written if body]
    assert switched == [{"script/agent": False}]


@pytest.mark.parametrize("options", [{"provider": "nobody"}, {"bill_to": "nobody"}])
def test_options_that_the_server_does_not_have(
    options: dict[str, Any], current_server: LocalServer
) -> None:
    """A provider or a payer that there is not is refused before anything is sent."""
    llm = HuggingChatLLM("echo/base", base_url=current_server.base_url)
    with pytest.raises(InvalidRequestError, match=r"provider|nobody"):
        llm.chat(HELLO, **options)
    assert current_server.prompts == []


@pytest.mark.parametrize("copied", [_itself, _from_json, _from_pickle])
@pytest.mark.parametrize(("wanted", "sent"), [("Europe/Berlin", "Europe/Berlin"), (False, None)])
async def test_time_zone(
    wanted: Any,
    sent: str | None,
    copied: Callable[[HuggingChatLLM], HuggingChatLLM],
    current_server: LocalServer,
) -> None:
    """The time zone goes along, another one or none, also from a copy; a call has the last word."""
    llm = copied(HuggingChatLLM("echo/base", base_url=current_server.base_url, timezone=wanted))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        llm.chat(HELLO)
        await llm.achat(HELLO)
        llm.chat(HELLO, timezone="Asia/Tokyo")
        await llm.achat(HELLO, timezone=False)
    bodies = [r.json for r in current_server.requests if r.json and "inputs" in r.json]
    assert [body.get("timezone") for body in bodies] == [sent, sent, "Asia/Tokyo", None]


def test_timeout() -> None:
    """A timeout is the seconds without progress after which a call fails."""
    timeouts = HuggingChatLLM(timeout=7)._client.server.policy.timeouts
    assert (timeouts.first_event, timeouts.progress) == (7, 7)


def test_connection_of_a_client(server: LocalServer) -> None:
    """With a client, arguments about the connection are an error: they would have no effect."""
    with (
        HuggingChat(server.base_url) as client,
        pytest.raises(InvalidRequestError, match=r"client has settings.*proxy"),
    ):
        HuggingChatLLM(client=client, proxy="http://127.0.0.1:1")
