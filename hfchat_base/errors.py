"""Every exception that hfchat raises on purpose.

Whatever a server, a proxy or the network does, callers see one of these classes or a result; any
other exception that leaves the package is a bug. Not here: the rules that turn a response into one
of them (`_protocol/responses.py`) and the frameworks' own exception classes (the wrappers).

* HuggingChatError
  * MissingRequirementsError        an extra is not installed (also an ImportError)
  * MissingAuthError
    * LoginRequired                 the server wants a session and there is none
    * SessionExpired                there was one, and the server invalidated it
  * TransportError                  no answer came: DNS, refused, reset before the headers
    * ConnectTimeout                nothing within the connect deadline
    * ProxyError                    the proxy refused or is unreachable
    * TLSError                      certificate or handshake
  * ConversationBusyError           an answer is already running in this conversation
  * RepeatedToolCallError           an agent's model repeats the same call without progress
  * ResponseError                   the server refused, or would have (`status` is None then)
    * InvalidRequestError           what was asked cannot be sent (also a ValueError)
      * MessageTooLongError
      * FileTooLargeError
    * OriginRejectedError           403: the Origin header did not arrive or did not match
    * AccessDeniedError             403: not yours
    * ModelNotFoundError            unknown model, or one that was removed (410)
    * ConversationNotFoundError     404
    * MessageNotFoundError          no such message in the conversation
    * FileNotAvailableError         404 for a file of an answer
    * OutOfCreditsError             402: no credits left for answers (also a StreamError)
    * RateLimitError                429, see `reason`
      * ConversationFullError       this conversation has reached its message limit
      * TooManyConversationsError   the account has reached its limit of conversations
    * ServerError                   5xx
  * ProtocolError                   bytes that are not the protocol
    * UnexpectedPageError           an HTML page instead of JSON
  * StreamError                     a run that began and did not end well; see `partial`
    * StreamTruncated               the connection ended before the answer did
    * StreamStalled                 the connection stayed open, without progress
    * GenerationFailed              the server says that the model failed
      * UpstreamRateLimitError      … with a 429 (also a RateLimitError)
    * GenerationInterrupted         stopped by somebody else
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from hfchat_base.types import Answer

__all__ = [
    "AccessDeniedError",
    "ConnectTimeout",
    "ConversationBusyError",
    "ConversationFullError",
    "ConversationNotFoundError",
    "FileNotAvailableError",
    "FileTooLargeError",
    "GenerationFailed",
    "GenerationInterrupted",
    "HuggingChatError",
    "InvalidRequestError",
    "LoginRequired",
    "MessageNotFoundError",
    "MessageTooLongError",
    "MissingAuthError",
    "MissingRequirementsError",
    "ModelNotFoundError",
    "OriginRejectedError",
    "OutOfCreditsError",
    "ProtocolError",
    "ProxyError",
    "RateLimitError",
    "RepeatedToolCallError",
    "ResponseError",
    "ServerError",
    "SessionExpired",
    "StreamError",
    "StreamStalled",
    "StreamTruncated",
    "TLSError",
    "TooManyConversationsError",
    "TransportError",
    "UnexpectedPageError",
    "UpstreamRateLimitError",
]

# How the engines behind chat-ui (TGI, vLLM, llama.cpp, OpenAI's own) say that a prompt is too long.
_CONTEXT_OVERFLOW: Final = re.compile(
    r"context[ _](?:length|size|window)|exceed_context|maximum context|too many (?:input )?tokens"
    r"|`inputs` tokens",
    re.IGNORECASE,
)

LimitReason = Literal["messages_per_minute", "conversation_full", "conversations", "upstream"]


class HuggingChatError(Exception):
    """The root of all errors of this package."""


class MissingRequirementsError(HuggingChatError, ImportError):
    """An optional package is missing; the message contains the exact install command.

    Attributes:
        extra: The extra that brings it, or None if no extra does here.
    """

    extra: str | None = None

    @classmethod
    def for_extra(cls, extra: str, *, what: str) -> MissingRequirementsError:
        """Say what needs which extra, and how to install it.

        Args:
            extra: The extra's name, such as ``"local"``.
            what: What was asked for, as the subject of a sentence.
        """
        from hfchat_base.installation import install_command  # noqa: PLC0415 - only for errors

        error = cls(f"{what} needs an extra: {install_command(extra)}")
        error.extra = extra
        return error


class MissingAuthError(HuggingChatError):
    """The server requires a session, and there is none or it is no longer valid.

    Attributes:
        partial: What had arrived of an answer, or None outside of one.
    """

    partial: Answer | None = None


class LoginRequired(MissingAuthError):  # noqa: N818 - the public name says what to do
    """The server requires a login for this, and there is no session."""


class SessionExpired(MissingAuthError):  # noqa: N818 - the public name says what happened
    """The session that was used is no longer known to the server."""


class TransportError(HuggingChatError):
    """No HTTP answer arrived: name resolution, connection, or a reset.

    Attributes:
        may_have_arrived: Whether the server may have got the request; False if it is known that no
            connection came about.
    """

    def __init__(self, message: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived


class ConnectTimeout(TransportError):  # noqa: N818 - the field's standard term
    """No connection within the connect deadline."""


class ProxyError(TransportError):
    """The proxy cannot be reached or refused. The message holds no credentials."""


class TLSError(TransportError):
    """The TLS handshake failed or the certificate was not accepted."""


class ConversationBusyError(HuggingChatError):
    """An answer is already running in this conversation; with a second one, one would be lost."""


class RepeatedToolCallError(HuggingChatError):
    """A model makes the same tool calls again and again, and their results are the same."""


class ResponseError(HuggingChatError):
    """The server refused a request, or is known to refuse it so that it was never sent.

    Attributes:
        status: HTTP status code, or None if the refusal was foreseen and nothing was sent.
        error_id: chat-ui's ``errorId`` of an unexpected failure, for the server's owner.
        retry_after: Seconds after which it is worth trying again, or None if nobody has said.
            chat-ui never does, gateways do (``Retry-After``).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        error_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_id = error_id
        self.retry_after = retry_after


class InvalidRequestError(ResponseError, ValueError):
    """What was asked for cannot be sent, or the server's schema refused it."""


class MessageTooLongError(InvalidRequestError):
    """The text is longer than this server takes in one message."""


class FileTooLargeError(InvalidRequestError):
    """An attachment, or the whole request, is larger than the server takes."""


class OriginRejectedError(ResponseError):
    """403: the Origin header was missing or foreign when the request reached the server."""


class AccessDeniedError(ResponseError):
    """403: the conversation or file belongs to somebody else."""


class ModelNotFoundError(ResponseError):
    """The server has no such model, or (status 410) no longer has it."""


class ConversationNotFoundError(ResponseError):
    """No such conversation, or it was deleted."""


class MessageNotFoundError(ResponseError):
    """No such message in the conversation."""


class FileNotAvailableError(ResponseError):
    """The file of an answer is not on the server, or no longer."""


class RateLimitError(ResponseError):
    """A limit of the server was reached.

    Attributes:
        reason: Which limit; chat-ui's three 429s differ only in their text.
        retry_after: Seconds after which it is worth trying again, or None if waiting is of no
            use. chat-ui sends no ``Retry-After``; its window is known from its source.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: LimitReason = "messages_per_minute",
        retry_after: float | None = None,
        status: int | None = 429,
        error_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, error_id=error_id, retry_after=retry_after)
        self.reason: LimitReason = reason


class ConversationFullError(RateLimitError):
    """The conversation holds as many messages as the server allows."""


class TooManyConversationsError(RateLimitError):
    """The account holds as many conversations as the server allows."""


class ServerError(ResponseError):
    """The server failed (5xx)."""


class ProtocolError(HuggingChatError):
    """The server's bytes are not the protocol.

    Attributes:
        line_number: The line of the stream, counted from 1, or None outside of a stream.
        excerpt: The beginning of what arrived, shortened, or None.
        partial: What had arrived of an answer, or None outside of one.
    """

    partial: Answer | None = None

    def __init__(
        self, message: str, *, line_number: int | None = None, excerpt: str | None = None
    ) -> None:
        super().__init__(message)
        self.line_number = line_number
        self.excerpt = excerpt


class UnexpectedPageError(ProtocolError):
    """An HTML page came instead of data: a proxy, a login wall, or a wrong base URL."""


class StreamError(HuggingChatError):
    """A run began and did not end well.

    Attributes:
        partial: Everything that had arrived, as an `Answer`; None if nothing had.
    """

    def __init__(self, message: str, *, partial: Answer | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class StreamTruncated(StreamError):  # noqa: N818 - the public name says what happened
    """The connection ended before the answer did, and the rest could not be read."""


class StreamStalled(StreamError):  # noqa: N818 - the public name says what happened
    """The connection stayed open without progress for longer than the deadline."""


class GenerationFailed(StreamError):  # noqa: N818 - the public name says what happened
    """The server reports, inside its 200, that the model failed.

    Attributes:
        upstream_status: HTTP status of the model behind the server, if the server names it.
    """

    def __init__(
        self,
        message: str,
        *,
        partial: Answer | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message, partial=partial)
        self.upstream_status = upstream_status

    @property
    def is_context_overflow(self) -> bool:
        """Whether the model failed because the prompt was longer than its context."""
        return _CONTEXT_OVERFLOW.search(str(self)) is not None


class UpstreamRateLimitError(GenerationFailed, RateLimitError):
    """The model behind the server answered 429."""

    def __init__(self, message: str, *, partial: Answer | None = None) -> None:
        RateLimitError.__init__(self, message, reason="upstream", status=None)
        self.partial = partial
        self.upstream_status = 429


class OutOfCreditsError(ResponseError, StreamError):
    """402: the account has no credits left for answers. Trying again does not help.

    It comes inside an answer, or from a gateway in place of one.

    Attributes:
        partial: What had arrived of the answer, or None if none had begun.
    """

    def __init__(self, message: str, *, partial: Answer | None = None) -> None:
        ResponseError.__init__(self, message, status=402)
        self.partial = partial


class GenerationInterrupted(StreamError):  # noqa: N818 - the public name says what happened
    """The server ended the run early, and this client had not asked for it."""
