"""The base client's errors as OpenAI's: their status, type and code, in one table.

Clients of OpenAI try again by themselves after 408, 409, 429 and 5xx. The base client has done so
already where it is safe, and a run that failed half-way has cost its credits. So ``x-should-retry``
tells them not to, unless the server has said when to come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from hfchat_base import errors

__all__ = ["ApiError", "Failure", "InvalidJsonError", "RequestError"]


TOO_LARGE: Final = "request_too_large"
"""The code of a request whose body is not read to its end."""


class ApiError(Exception):
    """What this endpoint itself finds wrong.

    Attributes:
        failure: What to answer.
    """

    failure: Failure


class RequestError(ApiError):
    """A request that this endpoint refuses."""

    def __init__(
        self, message: str, *, status: int, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        kind = "authentication_error" if status == 401 else "invalid_request_error"  # noqa: PLR2004
        self.failure = Failure(status, message, kind, code, param)


class InvalidJsonError(ApiError):
    """An answer that is not the JSON that it has to be, not even at the second attempt.

    The status is not one that clients try again after, since each attempt costs two answers and not
    all clients heed ``x-should-retry``. Status and code are Groq's.
    """

    def __init__(self, problem: str) -> None:
        message = f"The answer is not the JSON that was wanted: {problem}"
        super().__init__(message)
        self.failure = Failure(400, message, "server_error", "json_validate_failed")


_Row = tuple[type[BaseException], int, str, str | None]

_TABLE: Final[tuple[_Row, ...]] = (
    (errors.LoginRequired, 401, "authentication_error", "login_required"),
    (errors.SessionExpired, 401, "authentication_error", "session_expired"),
    (errors.MissingAuthError, 401, "authentication_error", "login_required"),
    (errors.OutOfCreditsError, 402, "insufficient_quota", "insufficient_quota"),
    (errors.AccessDeniedError, 403, "permission_error", "access_denied"),
    (errors.OriginRejectedError, 403, "permission_error", "origin_rejected"),
    (errors.ModelNotFoundError, 404, "invalid_request_error", "model_not_found"),
    (errors.ConversationNotFoundError, 404, "invalid_request_error", "conversation_not_found"),
    (errors.MessageNotFoundError, 404, "invalid_request_error", "message_not_found"),
    (errors.FileNotAvailableError, 404, "invalid_request_error", "file_not_found"),
    (errors.ConversationBusyError, 409, "conflict_error", "conversation_busy"),
    (errors.FileTooLargeError, 413, "invalid_request_error", "file_too_large"),
    (errors.MessageTooLongError, 400, "invalid_request_error", "context_length_exceeded"),
    (errors.InvalidRequestError, 400, "invalid_request_error", None),
    (errors.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    (errors.ServerError, 502, "server_error", "upstream_error"),
    (errors.ConnectTimeout, 504, "server_error", "timeout"),
    (errors.StreamStalled, 504, "server_error", "timeout"),
    (errors.StreamTruncated, 502, "server_error", "upstream_disconnected"),
    (errors.GenerationInterrupted, 502, "server_error", "generation_interrupted"),
    (errors.GenerationFailed, 502, "server_error", "generation_failed"),
    (errors.TransportError, 502, "server_error", "upstream_unreachable"),
    (errors.HuggingChatError, 502, "server_error", "upstream_error"),
)
"""Each error, the status that it is answered with, OpenAI's type and a code; the first fits."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in OpenAI's form.

    Attributes:
        status: The HTTP status.
        message: What went wrong, for people.
        type: OpenAI's name for its kind.
        code: What programs know it by, or None.
        param: The field of the request that is wrong, or None.
        retry_after: Seconds after which to try again, or None.
    """

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None

    @classmethod
    def from_error(cls, error: BaseException) -> Failure:
        """Find out what to answer for an error; an unexpected one is answered without details."""
        if isinstance(error, ApiError):
            return error.failure
        if isinstance(error, errors.GenerationFailed) and error.is_context_overflow:
            return cls(400, str(error), "invalid_request_error", "context_length_exceeded")
        for kind, status, type_, code in _TABLE:
            if isinstance(error, kind):
                retry_after = error.retry_after if isinstance(error, errors.ResponseError) else None
                return cls(status, str(error), type_, code, None, retry_after)
        return cls(500, "An internal error occurred.", "server_error", "internal_error")

    @classmethod
    def from_validation(cls, error: ValidationError) -> Failure:
        """Say which field of a request is wrong, without its value."""
        first = error.errors(include_url=False, include_input=False)[0]
        # Names of classes among the place stand for the choices of a union.
        place = ".".join(
            str(p) for p in first["loc"] if not (isinstance(p, str) and p[:1].isupper())
        )
        message = f"{place}: {first['msg']}" if place else first["msg"]
        return cls(400, message, "invalid_request_error", None, place or None)

    @property
    def body(self) -> dict[str, Any]:
        """The body of a response, and the data of an event."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        headers: dict[str, str] = {}
        if self.status == 401:  # noqa: PLR2004
            headers["www-authenticate"] = "Bearer"
        if self.code == TOO_LARGE:
            headers["connection"] = "close"  # or its sender could go on for ever
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        elif self.status == 429 or self.status >= 500:  # noqa: PLR2004
            headers["x-should-retry"] = "false"
        return headers
