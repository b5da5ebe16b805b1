"""Errors are hfchat's and LangChain's at once; arguments without effect are warned about."""

from __future__ import annotations

import warnings

import pytest
from langchain_core import exceptions as core

import hfchat_base as ours
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
