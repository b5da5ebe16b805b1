"""Secrets among the arguments of a call, hidden before LlamaIndex sees them.

LlamaIndex wraps the methods of an LLM, as soon as its class is there, in spans and events that hold
all arguments. So what hides the secrets has to stand outside of that wrapping.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hfchat_base.secret import hide_arguments

__all__ = ["hides_secrets"]

_Kind = TypeVar("_Kind", bound=type[Any])

_CALLS: Final = (
    *("chat", "stream_chat", "achat", "astream_chat"),
    *("complete", "stream_complete", "acomplete", "astream_complete"),
    *("chat_with_tools", "stream_chat_with_tools"),
    *("achat_with_tools", "astream_chat_with_tools"),
    *("predict_and_call", "apredict_and_call"),
)
"""Methods whose further keyword arguments are the call's own."""

_STRUCTURED_CALLS: Final = (
    *("structured_predict", "astructured_predict"),
    *("stream_structured_predict", "astream_structured_predict"),
)
"""Methods whose further keyword arguments go into the prompt, and ``llm_kwargs`` to the call."""


def hides_secrets(kind: _Kind) -> _Kind:
    """Let the methods of a class that ask the model see hidden secrets alone.

    Args:
        kind: The class, to be changed.
    """
    for name in _CALLS:
        setattr(kind, name, _hiding(getattr(kind, name), hide_arguments))
    for name in _STRUCTURED_CALLS:
        setattr(kind, name, _hiding(getattr(kind, name), _hide_llm_kwargs))
    return kind


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
