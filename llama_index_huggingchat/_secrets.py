"""Secrets among the arguments of a call, hidden before LlamaIndex sees them.

LlamaIndex wraps the methods of an LLM class in spans and events, which hold all arguments, when the
class is created. So secrets have to be hidden outside of that wrapping, by a class decorator.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hfchat_base.secret import hide_arguments

__all__ = ["hides_secrets"]

_Class = TypeVar("_Class", bound=type[Any])

_CALLS: Final = (
    *("chat", "stream_chat", "achat", "astream_chat"),
    *("complete", "stream_complete", "acomplete", "astream_complete"),
    *("chat_with_tools", "stream_chat_with_tools"),
    *("achat_with_tools", "astream_chat_with_tools"),
    *("predict_and_call", "apredict_and_call"),
)
"""Methods whose extra keyword arguments are options of the call."""

_STRUCTURED_CALLS: Final = (
    *("structured_predict", "astructured_predict"),
    *("stream_structured_predict", "astream_structured_predict"),
)
"""Methods whose extra keyword arguments fill the prompt; ``llm_kwargs`` holds the options."""


def hides_secrets(cls: _Class) -> _Class:
    """Wrap the methods that call the model, so that LlamaIndex sees hidden secrets only.

    Args:
        cls: The class; it is changed in place.
    """
    for name in _CALLS:
        setattr(cls, name, _hiding(getattr(cls, name), hide_arguments))
    for name in _STRUCTURED_CALLS:
        setattr(cls, name, _hiding(getattr(cls, name), _hide_llm_kwargs))
    return cls


def _hide_llm_kwargs(arguments: dict[str, Any]) -> dict[str, Any]:
    given = {name: arguments[name] for name in ("llm_kwargs",) if name in arguments}
    return {**arguments, **hide_arguments(given)}


def _hiding(
    method: Callable[..., Any], hide: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def hidden_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await method(self, *args, **hide(kwargs))

        return hidden_async

    @functools.wraps(method)
    def hidden(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **hide(kwargs))

    return hidden
