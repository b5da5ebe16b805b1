"""How an answer is wanted: reasoning effort, provider, payer, artifacts."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.runnables import ConfigurableField

import hfchat_base as ours
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.local_requests import messages_sent, script


async def test_reasoning_effort(current_server: LocalServer) -> None:
    """The model's effort and a call's become the account's setting before the message."""
    model = ChatHuggingChat(
        base_url=current_server.base_url, model="think/effort", reasoning_effort="low"
    )
    model.invoke("hello")
    await model.bind(reasoning_effort="high").ainvoke("hello")
    written = [r.json for r in current_server.requests if r.path.endswith("/user/settings")]
    efforts = [body["reasoningEffortOverrides"] for body in written if body]
    assert efforts == [{"think/effort": "low"}, {"think/effort": "high"}]
    await model.aclose()


def test_reasoning_effort_of_a_model_that_does_not_reason(current_server: LocalServer) -> None:
    """It is refused before anything is sent."""
    model = ChatHuggingChat(base_url=current_server.base_url, model="echo/base")
    with pytest.raises(ours.InvalidRequestError, match="reason"):
        model.invoke("hello", reasoning_effort="high")
    assert current_server.prompts == []
    model.close()


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
    with pytest.raises(core.ModelInvalidRequestError, match=f"{name} should be"):
        ChatHuggingChat(base_url=server.base_url, **{name: value})
    model = ChatHuggingChat(base_url=server.base_url)
    with pytest.raises(core.ModelInvalidRequestError, match=f"{name} should be"):
        model.invoke("hi", **{name: value})
    with pytest.raises(core.ModelInvalidRequestError, match=f"{name} should be"):
        await model.ainvoke("hi", **{name: value})
    assert server.requests == []
    await model.aclose()


async def test_options_of_an_answer(described: LocalServer) -> None:
    """The model's options and a call's become the account's settings before the message."""
    model = ChatHuggingChat(base_url=described.base_url, provider="large", artifacts=False)
    model.invoke("hi")
    await model.ainvoke("hi", provider="small", artifacts=True, restores_settings=True)
    written = [r.json for r in described.requests if r.path.endswith("/user/settings") and r.json]
    seen = [
        (each["providerOverrides"]["big/reasoner"], each["artifactsOverrides"]["big/reasoner"])
        for each in written
    ]
    assert seen == [("large", False), ("small", True), ("large", False)]
    await model.aclose()


@pytest.mark.parametrize("options", [{"provider": "nobody"}, {"bill_to": "nobody"}])
def test_options_that_the_server_does_not_have(
    options: dict[str, Any], described: LocalServer
) -> None:
    """A provider or a payer that there is not is refused before anything is sent."""
    model = ChatHuggingChat(base_url=described.base_url, **options)
    with pytest.raises(core.ModelInvalidRequestError, match="'nobody'"):
        model.invoke("hi")
    assert described.prompts == []
    model.close()


def test_raw_artifacts(server: LocalServer) -> None:
    """An artifact is a code block in the text, or its tags as the model wrote them."""
    tags = '<artifact identifier="p" type="html" title="Page"><b>x</b></artifact>'
    told = script(tags)
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent")
    assert model.invoke(told).text == "```html\n<b>x</b>\n```"
    assert model.invoke(told, artifacts="raw").text == tags
    model.close()


def test_time_zone(server: LocalServer) -> None:
    """The time zone of the model goes along with a message, or none does."""
    for zone in ("Asia/Tokyo", False):
        model = ChatHuggingChat(base_url=server.base_url, timezone=zone)
        model.invoke("hi")
        model.close()
    sent = [message.json.get("timezone") for message in messages_sent(server)]
    assert sent == ["Asia/Tokyo", None]


async def test_time_zone_of_a_call(server: LocalServer) -> None:
    """A call, a binding or a configuration may choose another time zone, without a warning."""
    model = ChatHuggingChat(base_url=server.base_url, timezone="Asia/Tokyo")
    chosen = model.configurable_fields(timezone=ConfigurableField(id="zone"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.invoke("hi", timezone="Europe/Berlin")
        await model.ainvoke("hi", timezone=False)
        model.bind(timezone="America/Lima").invoke("hi")
        await chosen.ainvoke("hi", {"configurable": {"zone": "Africa/Cairo"}})
    await model.aclose()
    sent = [message.json.get("timezone") for message in messages_sent(server)]
    assert sent == ["Europe/Berlin", None, "America/Lima", "Africa/Cairo"]


def test_time_zone_that_there_is_not(server: LocalServer) -> None:
    """A call's time zone is checked as the model's is, before anything is sent."""
    model = ChatHuggingChat(base_url=server.base_url)
    with pytest.raises(ours.InvalidRequestError, match=r"timezone should be an IANA name"):
        model.invoke("hi", timezone="Berlin/Europe")
    model.close()
    assert messages_sent(server) == []
