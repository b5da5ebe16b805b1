"""Errors are hfchat's and LangChain's at once; mistyped arguments are refused."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from hfchat_base import errors as ours
from hfchat_base.errors import RepeatedToolCallError
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat, IgnoredParameterWarning, _errors
from langchain_huggingchat._errors import as_model_error


def test_parameters_without_effect_are_warned_about_once(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server cannot honour is taken, and warned about once."""
    monkeypatch.setattr(_errors, "_warned", set())
    with pytest.warns(IgnoredParameterWarning, match="temperature, max_tokens"):
        model = ChatHuggingChat(base_url=server.base_url, temperature=0, max_tokens=9)  # type: ignore[call-arg]
    with pytest.warns(IgnoredParameterWarning, match="top_p"):
        model.invoke("hi", top_p=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.invoke("hi", top_p=0.5, temperature=1)
    model.close()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("modle", "'model'"), ("base_ulr", "'base_url'"), ("websearch", "'web_search'")],
)
def test_mistyped_setting(name: str, suggestion: str) -> None:
    """A setting that does not exist is an error that names the nearest."""
    settings: dict[str, Any] = {name: "x"}
    with pytest.raises(ours.InvalidRequestError, match=f"Did you mean {suggestion}"):
        ChatHuggingChat(**settings)


def test_unknown_setting() -> None:
    """So is one that is like no other; its value is not shown."""
    settings: dict[str, Any] = {"shoe_size": "a secret"}
    with pytest.raises(core.ModelInvalidRequestError, match="no argument 'shoe_size'") as caught:
        ChatHuggingChat(**settings)
    assert "a secret" not in str(caught.value)


def test_mistyped_argument_of_a_call(server: LocalServer) -> None:
    """A call's argument that looks like a known one is an error; nothing is sent."""
    model = ChatHuggingChat(base_url=server.base_url)
    arguments: list[dict[str, Any]] = [{"web_serach": True}, {"mcp_server": []}, {"tool": []}]
    for mistyped in arguments:
        with pytest.raises(ours.InvalidRequestError, match="Did you mean"):
            model.invoke("hi", **mistyped)
    assert server.prompts == []
    model.close()


def loop(*results: str, args: Any = None) -> list[BaseMessage]:
    """A history in which the model has made a call once for each result."""
    history: list[BaseMessage] = [HumanMessage("Is it ready?")]
    for number, result in enumerate(results):
        call = {"name": "check", "args": args or {"part": "all"}, "id": f"call{number}"}
        history.append(AIMessage("", tool_calls=[call]))
        history.append(ToolMessage(result, tool_call_id=f"call{number}"))
    return history


async def test_tool_loop(server: LocalServer) -> None:
    """A model that makes the same call with the same result over and over is stopped."""
    model = ChatHuggingChat(base_url=server.base_url)
    history = loop(*["no"] * 5)
    with pytest.raises(RepeatedToolCallError, match="called check 5 times in a row"):
        model.invoke(history)
    with pytest.raises(core.ModelError) as caught:
        await model.ainvoke(history)
    assert not caught.value.is_retryable
    assert server.prompts == []
    patient = model.model_copy(update={"max_identical_calls": None})
    assert patient.invoke(history).text
    await model.aclose()


@pytest.mark.parametrize(
    "history",
    [
        loop("no", "no", "no", "no"),
        loop("1 %", "2 %", "3 %", "4 %", "5 %"),
        [*loop("no", "no", "no"), *loop("no", "no", "no")],
        [*loop("no", "no", "no", "no", "no"), HumanMessage("Go on.")],
    ],
    ids=["few", "other results", "asked again", "the user has spoken"],
)
def test_no_tool_loop(server: LocalServer, history: list[BaseMessage]) -> None:
    """A call that is repeated for a reason is not stopped."""
    model = ChatHuggingChat(base_url=server.base_url)
    assert model.invoke(history).text
    model.close()


@pytest.mark.parametrize(
    ("error", "theirs", "is_retryable"),
    [
        (ours.LoginRequired("x"), core.ModelAuthenticationError, False),
        (ours.AccessDeniedError("x", status=403), core.ModelPermissionDeniedError, False),
        (ours.ModelNotFoundError("x", status=404), core.ModelNotFoundError, False),
        (ours.MessageTooLongError("x", status=400), core.ContextOverflowError, False),
        (ours.InvalidRequestError("x"), core.ModelInvalidRequestError, False),
        (ours.RateLimitError("x", retry_after=60), core.ModelRateLimitError, True),
        (ours.ConversationFullError("x"), core.ModelRateLimitError, False),
        (ours.ServerError("x", status=500), core.ModelAPIError, True),
        (ours.TransportError("x"), core.ModelConnectionError, True),
        (ours.ConnectTimeout("x"), core.ModelTimeoutError, True),
        (ours.StreamStalled("x"), core.ModelTimeoutError, True),
        (ours.StreamTruncated("x"), core.ModelConnectionError, True),
        (ours.GenerationFailed("x", upstream_status=500), core.ModelAPIError, True),
        (ours.GenerationFailed("maximum context length"), core.ContextOverflowError, False),
        (ours.UpstreamRateLimitError("x"), core.ModelRateLimitError, True),
        (ours.ProtocolError("x", line_number=3), core.ModelAPIError, False),
    ],
)
def test_errors_are_both(
    error: ours.HuggingChatError, theirs: type[core.ModelError], is_retryable: bool
) -> None:
    """Each error is an instance of its own class and of LangChain's, with all it told."""
    both = as_model_error(error)
    assert isinstance(both, type(error))
    assert isinstance(both, theirs)
    assert both.is_retryable is is_retryable
    assert both.__dict__ == error.__dict__
    assert str(both) == str(error)
    assert type(both) is type(as_model_error(error))


async def test_errors_of_a_server(server: LocalServer) -> None:
    """What fails on the way fails as both, sync and async, streaming or not."""
    model = ChatHuggingChat(base_url=server.base_url, model="broken/http500")
    with pytest.raises(core.ModelAPIError) as caught:
        model.invoke("hi")
    assert isinstance(caught.value, ours.GenerationFailed)
    with pytest.raises(core.ModelAPIError):
        list(model.stream("hi"))
    with pytest.raises(core.ModelAPIError):
        await model.ainvoke("hi")
    with pytest.raises(core.ModelNotFoundError):
        await model.ainvoke("hi", model="no/such-model")
    await model.aclose()
