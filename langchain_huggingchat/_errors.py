"""Errors that are hfchat's and LangChain's at once, and arguments that have no effect.

Middleware and fallbacks look for langchain-core's exceptions and their `is_retryable`; people who
know `hfchat_base` look for its errors. What `ChatHuggingChat` raises is both.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final

from langchain_core import exceptions as core

from hfchat_base import errors as ours
from hfchat_base.validation import WITHOUT_EFFECT, without_effect

__all__ = [
    "IgnoredParameterWarning",
    "as_model_error",
    "check_call_arguments",
    "check_settings",
    "model_errors",
]

_COUNTERPARTS: Final[tuple[tuple[type[ours.HuggingChatError], type[core.ModelError]], ...]] = (
    (ours.MissingAuthError, core.ModelAuthenticationError),
    (ours.AccessDeniedError, core.ModelPermissionDeniedError),
    (ours.OriginRejectedError, core.ModelPermissionDeniedError),
    (ours.ModelNotFoundError, core.ModelNotFoundError),
    (ours.MessageTooLongError, core.ContextOverflowError),
    (ours.OutOfCreditsError, core.ModelPermissionDeniedError),
    (ours.RateLimitError, core.ModelRateLimitError),
    (ours.ServerError, core.ModelAPIError),
    (ours.ResponseError, core.ModelInvalidRequestError),
    (ours.ConnectTimeout, core.ModelTimeoutError),
    (ours.StreamStalled, core.ModelTimeoutError),
    (ours.TransportError, core.ModelConnectionError),
    (ours.StreamTruncated, core.ModelConnectionError),
    (ours.StreamError, core.ModelAPIError),
    (ours.ProtocolError, core.ModelAPIError),
    (ours.HuggingChatError, core.ModelError),
)
"""Our errors and LangChain's; the first pair that fits counts."""

_NOT_RETRYABLE: Final = (
    ours.ConversationFullError,
    ours.TooManyConversationsError,
    ours.ProtocolError,
)

_BY_UPSTREAM_STATUS: Final[dict[int, type[core.ModelError]]] = {
    401: core.ModelAuthenticationError,
    403: core.ModelPermissionDeniedError,
    404: core.ModelNotFoundError,
    408: core.ModelTimeoutError,
    409: core.ModelAPIError,
    425: core.ModelAPIError,
    429: core.ModelRateLimitError,
}
"""What the status of the model's own server means; any other 4xx means a bad request."""

_made: Final[dict[tuple[type, type], type[Exception]]] = {}


def _both(own: type[ours.HuggingChatError], theirs: type[core.ModelError]) -> type[Exception]:
    """The class that inherits from both; the same one for the same pair."""
    made = _made.get((own, theirs))
    if made is not None:
        return made
    retryable = theirs.is_retryable and not issubclass(own, _NOT_RETRYABLE)
    namespace = {"__module__": __name__, "__doc__": own.__doc__, "is_retryable": retryable}
    made = type(own.__name__, (own, theirs), namespace)
    return _made.setdefault((own, theirs), made)


def as_model_error(error: ours.HuggingChatError) -> Exception:
    """The same error, as an instance of its own class and of LangChain's.

    Args:
        error: What the base client raised; an error that is both already is returned as it is.
    """
    if isinstance(error, core.ModelError):
        return error
    theirs = next(theirs for own, theirs in _COUNTERPARTS if isinstance(error, own))
    if isinstance(error, ours.GenerationFailed):
        theirs = _failure_class(error, theirs)
    kind = _both(type(error), theirs)
    both = kind.__new__(kind, *error.args)
    both.__dict__.update(error.__dict__)
    return both


def _failure_class(
    error: ours.GenerationFailed, theirs: type[core.ModelError]
) -> type[core.ModelError]:
    """LangChain's class for a failed generation, which says whether another attempt may succeed."""
    if error.is_context_overflow:
        return core.ContextOverflowError
    status = error.upstream_status
    if status is None or not 400 <= status < 500:  # noqa: PLR2004
        return theirs
    return _BY_UPSTREAM_STATUS.get(status, core.ModelInvalidRequestError)


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn the base client's errors into errors that are LangChain's as well."""
    try:
        yield
    except ours.HuggingChatError as error:
        raise as_model_error(error).with_traceback(error.__traceback__) from error.__cause__


_SIMILAR: Final = 0.8
"""How similar a name has to be to a known one, from 0 to 1, to count as mistyped in a call."""

_warned: Final[set[str]] = set()


class IgnoredParameterWarning(UserWarning):
    """An argument has no effect, because the server offers no way to set it."""


def check_settings(arguments: Mapping[str, Any], known: Collection[str]) -> None:
    """Check the names of a model's settings: warn about those without effect.

    Raises:
        InvalidRequestError: A name is neither a setting nor a known one of other chat models.
    """
    unknown = {name: value for name, value in arguments.items() if name not in known}
    ignored = without_effect("ChatHuggingChat", unknown, known)
    warn_ignored(name for name in unknown if name in ignored)


def check_call_arguments(names: Iterable[str], known: Collection[str]) -> None:
    """Check the names of a call's arguments that nothing was done with: warn about them.

    Frameworks pass arguments of any provider to a call, so an unknown one is refused only if it
    looks like a known one that was mistyped.

    Raises:
        InvalidRequestError: A name is mistyped.
    """
    unknown = list(names)
    for name in unknown:
        if name not in WITHOUT_EFFECT and (suggestion := _suggestion(name, known)):
            raise ours.InvalidRequestError(f"A call has no argument {name!r}.{suggestion}")
    warn_ignored(unknown)


def warn_ignored(names: Iterable[str]) -> None:
    """Warn about arguments that have no effect, about each once per process.

    Args:
        names: Their names. Values are not shown, because one may be a secret.
    """
    new = [name for name in names if name not in _warned]
    if not new:
        return
    _warned.update(new)
    warnings.warn(
        f"HuggingChat has no setting for {', '.join(new)}; the server's own values apply.",
        IgnoredParameterWarning,
        stacklevel=4,
    )


def _suggestion(name: str, known: Collection[str]) -> str:
    similar = get_close_matches(name, known, n=1, cutoff=_SIMILAR)
    return f" Did you mean {similar[0]!r}?" if similar else ""
