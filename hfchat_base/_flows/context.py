"""What is known of a server, shared by all flows of a client.

Facts that were found out and settings that were given; no behaviour beyond remembering. The
generation is remembered per base URL for the life of the process, so that a second client does not
ask again.

What is tried again, when, and how often.

A request is repeated only if that is known to be safe: reading at any time, anything else if it
never reached the server or was refused because of a limit, and a message that met the limit per
minute, which the server then had not begun. Waiting grows with jitter, so that many clients do not
come back at once; a ``Retry-After`` is waited for in full, if the policy allows so much. How long
to wait for the limit per minute is decided by `policy.py`; a lost answer is `resume.py`'s.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Final

from hfchat_base._flows import commands
from hfchat_base._flows.commands import Flow, Notify
from hfchat_base._flows.timing import RateLimiter
from hfchat_base._protocol import responses
from hfchat_base._protocol.constants import MAX_BODY_BYTES
from hfchat_base._protocol.dialects import Dialect
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import Catalog
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import HuggingChatError, RateLimitError, ResponseError, TransportError
from hfchat_base.policy import Policy, check_count
from hfchat_base.types import McpServerInfo, ModelDetails, Retry, RetryReason

_dialects: Final[dict[str, Dialect]] = {}


class ServerInfo:
    """One server, as far as it is known.

    Args:
        endpoint: Where it is.
        policy: How long to wait, and what to try again how often.
        max_body_bytes: The largest request body that it takes.
        messages_per_minute: The server's limit, or None to learn it when it is met.
        settings_lock: Finds the lock of the account's settings (`_flows/settings.py`).

    Raises:
        InvalidRequestError: Such a limit is less than one message.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        policy: Policy | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        messages_per_minute: int | None = None,
        settings_lock: Callable[[], Any] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.policy = policy or Policy()
        self.max_body_bytes = max_body_bytes
        if messages_per_minute is not None:
            check_count("messages_per_minute", messages_per_minute)
        pacing = self.policy.pacing
        self.pace = RateLimiter(messages_per_minute, window=pacing.window, margin=pacing.margin)
        self.catalog: Catalog | None = None
        self.details: dict[str, ModelDetails] = {}
        self.mcp_servers: tuple[McpServerInfo, ...] | None = None
        self.settings_lock: Callable[[], Any] = settings_lock or (lambda: None)

    @property
    def dialect(self) -> Dialect | None:
        """Which generation of the protocol it speaks, or None while that is not known.

        Remembered per base URL for the life of the process: a second client does not ask again.
        """
        return _dialects.get(self.endpoint.base_url)

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        _dialects[self.endpoint.base_url] = dialect


_log = logging.getLogger("hfchat")

OVERLOADED: Final = (502, 503, 504)
"""What gateways answer for a server that they cannot reach, or no longer wait for."""

_LIMITED: Final = 429


class Attempts:
    """The attempts at one request, or at one message: one budget for all reasons.

    Args:
        server: Whose policy sets the budget.

    Attributes:
        failed: How many have failed so far, those left out that met a limit.
    """

    def __init__(self, server: ServerInfo) -> None:
        self._server = server
        self._policy = server.policy.retries
        self._limited = 0
        self.failed = 0

    def fail(self) -> bool:
        """Count an attempt that has failed; tell whether there is another."""
        self.failed += 1
        return self.failed < self._policy.attempts

    def again(self, reason: RetryReason, error: HuggingChatError) -> Flow[bool]:
        """Count an attempt that has failed, and wait before the next; False if there is none.

        Raises:
            ResponseError: The server asks for a longer pause than the policy allows.
        """
        if not self.fail():
            return False
        yield from self._wait(reason, self.failed, error)
        return True

    def again_at_limit(self, error: RateLimitError, *, is_gateway: bool) -> Flow[bool]:
        """Count a message that a limit has refused; False if it is not to be sent again.

        Args:
            error: The refusal.
            is_gateway: Whether it says when to come back, which chat-ui never does. Otherwise it
                teaches how many messages the server's window holds.

        Raises:
            RateLimitError: The server asks for a longer pause than the policy allows.
        """
        if error.reason != "messages_per_minute":
            return False
        self._limited += 1
        if not is_gateway:
            self._server.pace.refused((yield from commands.now()))
        if self._limited >= self._policy.attempts_at_limit:
            return False
        if is_gateway:
            yield from self._wait("limit", self._limited, error)
        return True

    def _wait(self, reason: RetryReason, attempt: int, error: HuggingChatError) -> Flow[None]:
        asked = check_pause(self._server, error)
        longest = self._policy.longest_pause(attempt)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        if asked is None:
            yield from _pause(self._server, Retry(reason, attempt, seconds))
        else:
            # Nobody is to come back early, and not all at once.
            yield from _pause(self._server, Retry(reason, attempt, asked + seconds), is_due=True)


def send(server: ServerInfo, request: Request) -> Flow[Response]:
    """Send a request and wait for the whole response, again where that is safe.

    Raises:
        TransportError: There is none, also after the last attempt.
        ServerError: The server is overloaded, also at the last attempt.
        RateLimitError: It still takes no requests then.
    """
    attempts = Attempts(server)
    while True:
        try:
            response = yield from commands.send(request)
        except TransportError as lost:
            if lost.may_have_arrived and request.method != "GET":
                raise
            if not (yield from attempts.again("connection", lost)):
                raise
            continue
        reason = _reason(request, response)
        if reason is None:
            return response
        refusal = responses.refusal(response, request)
        if not (yield from attempts.again(reason, refusal)):
            raise refusal


def _reason(request: Request, response: Response) -> RetryReason | None:
    """Tell why a request is worth sending again, if it is."""
    if response.status in OVERLOADED and request.method == "GET":
        return "overloaded"
    # Refused, so not begun; and chat-ui's own limits, which no such pause lifts, name no time.
    if response.status == _LIMITED and responses.retry_after(response) is not None:
        return "limit"
    return None


def check_pause(server: ServerInfo, error: HuggingChatError) -> float | None:
    """Tell how many seconds a refusal asks to wait, or None if it does not.

    Raises:
        ResponseError: It is more than the policy allows.
    """
    asked = error.retry_after if isinstance(error, ResponseError) else None
    longest = server.policy.retries.longest_retry_after
    if asked is not None and asked > longest:
        more = (
            f"The server asks to wait for {asked:.0f} s (Retry-After); hfchat waits for"
            f" {longest:.0f} s at most (Retries.longest_retry_after)."
        )
        error.args = (f"{error} {more}",)
        raise error
    return asked


def heed(server: ServerInfo, error: ResponseError) -> Flow[None]:
    """Wait as long as a refusal asks for, if it does.

    Raises:
        ResponseError: It is more than the policy allows.
    """
    asked = check_pause(server, error)
    if asked:
        yield from _pause(server, Retry("overloaded", 1, asked), is_due=True)


def keep_pace(server: ServerInfo) -> Flow[None]:
    """Wait for a place in the server's window of messages, if it is known to count them.

    Raises:
        RateLimitError: Too many others are waiting.
    """
    left = server.policy.pacing.longest_wait
    while (seconds := server.pace.take((yield from commands.now()))) > 0:
        left -= seconds
        if left < 0:
            msg = "Too many messages are waiting for the server's limit per minute."
            raise RateLimitError(msg, retry_after=seconds, status=None)
        yield from _pause(server, Retry("pace", 0, seconds), is_due=True)


def _pause(server: ServerInfo, retry: Retry, *, is_due: bool = False) -> Flow[None]:
    is_quiet = retry.wait < server.policy.limits.quiet_pause
    level = logging.INFO if is_quiet else logging.WARNING
    _log.log(level, "waiting %.1f seconds (%s)", retry.wait, retry.reason)
    yield Notify(retry)
    yield from commands.sleep(retry.wait, is_due=is_due)
