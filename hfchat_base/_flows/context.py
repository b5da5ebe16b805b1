"""What all flows of a client share: what is known of the server, retries, rate limit, deadlines.

A request is repeated only if that is safe: reading at any time; anything else only if it never
reached the server, or if a limit refused it. Waits grow with jitter, so that many clients do not
come back at once. A ``Retry-After`` is waited for in full, up to what the policy allows.

Every attempt counts on the server, also a refused one (R: ``usage_limits``), so many callers that
come back after a refusal would keep each other out for ever. One client's callers therefore share a
sliding window of messages (`RateLimiter`). If its size is not given, it is learnt from refusals,
and grows again slowly, because others may have used the account at the same time.

The server's ``keepAlive`` lines come ten times a second whatever happens (R), so a connection that
is alive says nothing. What counts for a deadline is progress (`Deadlines`).

The numbers are in `policy.py`. What happens to an answer whose connection was lost is in
`resume.py`. Times on the driver's clock are arguments, and the drivers do the waiting.
"""

from __future__ import annotations

import logging
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from hfchat_base._flows import commands
from hfchat_base._flows.commands import Flow, Notify
from hfchat_base._forks import Lock
from hfchat_base._protocol import responses
from hfchat_base._protocol.constants import MAX_BODY_BYTES
from hfchat_base._protocol.dialects import Dialect
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import Catalog
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import (
    HuggingChatError,
    RateLimitError,
    ResponseError,
    ServerError,
    TransportError,
)
from hfchat_base.policy import Pacing, Policy, check_count
from hfchat_base.types import McpServerInfo, ModelDetails, Retry, RetryReason

_log = logging.getLogger("hfchat")

OVERLOADED: Final = (502, 503, 504)
"""Statuses of a gateway that cannot reach the server, or no longer waits for it."""

_LIMITED: Final = 429

_FAILED: Final = 500
"""What chat-ui answers where it fails itself; all other 5xx are a gateway's."""

_DEFAULT: Final = Pacing()

_dialects: Final[dict[str, Dialect]] = {}
"""The dialect of each server, by base URL, for the life of the process."""


class RateLimiter:
    """A sliding window over the messages of an account. Safe between threads.

    Args:
        limit: How many messages the window holds, at least 1, or None to learn it.
        window: Its length in seconds.
        margin: How many seconds longer ours is.
    """

    def __init__(
        self,
        limit: int | None = None,
        *,
        window: float = _DEFAULT.window,
        margin: float = _DEFAULT.margin,
    ) -> None:
        self._given = limit
        self._limit = limit
        self._window = window + margin
        self._sent: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._learnt_at = 0.0
        self._lock = Lock()

    @property
    def limit(self) -> int | None:
        """How many messages the window holds, or None while that is not known."""
        return self._limit

    def take(self, now: float) -> float:
        """Count a message, and return 0; or the seconds to wait first if the window is full.

        Args:
            now: Seconds on the driver's clock.
        """
        with self._lock:
            self._forget(now)
            if self._limit is not None and len(self._sent) >= self._limit:
                return self._sent[-self._limit] + self._window - now
            self._sent.append(now)
            return 0.0

    def refused(self, now: float) -> None:
        """Learn from a refused message how many the window holds.

        Args:
            now: Seconds on the driver's clock.
        """
        with self._lock:
            self._forget(now)
            self._refused.append(now)
            accepted = max(1, len(self._sent) - len(self._refused))
            self._limit = accepted if self._limit is None else min(self._limit, accepted)
            self._learnt_at = now

    def _forget(self, now: float) -> None:
        begin = now - self._window
        for times in (self._sent, self._refused):
            while times and times[0] <= begin:
                times.popleft()
        if self._limit is None or self._limit == self._given:
            return
        quiet_windows = int((now - self._learnt_at) / self._window) - 1
        if quiet_windows > 0:
            self._limit += quiet_windows
            self._learnt_at = now - self._window
            if self._given is not None:
                self._limit = min(self._limit, self._given)


class TextCache:
    """The texts of attachments, so that a history that comes again is not read again.

    Args:
        most: How many to keep; the least recently used ones are dropped first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> str | None:
        """The text of an attachment; None if it is not known."""
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key)

    def keep(self, key: bytes, text: str) -> None:
        """Keep the text of an attachment."""
        with self._lock:
            self._texts[key] = text
            self._texts.move_to_end(key)
            while len(self._texts) > self._most:
                self._texts.popitem(last=False)


class ServerInfo:
    """What a client knows of its server, and the settings that apply to it.

    Args:
        endpoint: Where it is.
        policy: Timeouts, retries and limits.
        max_body_bytes: The largest request body that the server accepts.
        messages_per_minute: The server's limit; None to learn it from the first refusal.
        settings_lock: Finds the lock of the account's settings (`_flows/settings.py`).

    Attributes:
        wants_details: Whether a model's details are fetched along with its first answer, for a
            framework that plans with them.
        attachment_texts: The texts that were read from attachments.

    Raises:
        InvalidRequestError: `messages_per_minute` is less than 1.
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
        self.rate_limiter = RateLimiter(
            messages_per_minute, window=pacing.window, margin=pacing.margin
        )
        self.catalog: Catalog | None = None
        self.details: dict[str, ModelDetails] = {}
        self.wants_details = False
        self.attachment_texts = TextCache(self.policy.limits.attachment_texts)
        self.mcp_servers: tuple[McpServerInfo, ...] | None = None
        self.settings_lock: Callable[[], Any] = settings_lock or (lambda: None)

    @property
    def dialect(self) -> Dialect | None:
        """The generation of the protocol that the server speaks; None until it is known.

        Remembered per base URL for the life of the process: a second client does not ask again.
        """
        return _dialects.get(self.endpoint.base_url)

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        _dialects[self.endpoint.base_url] = dialect


class Attempts:
    """Counts the attempts to send one request or one message; all reasons share one budget.

    Args:
        server: The server; its policy sets the budget.

    Attributes:
        failed: Failed attempts so far, without those that a limit refused.
    """

    def __init__(self, server: ServerInfo) -> None:
        self._server = server
        self._policy = server.policy.retries
        self._limited = 0
        self.failed = 0

    def fail(self) -> bool:
        """Count a failed attempt; return whether another one is allowed."""
        self.failed += 1
        return self.failed < self._policy.attempts

    def again(self, reason: RetryReason, error: HuggingChatError) -> Flow[bool]:
        """Count a failed attempt and wait before the next one; False if none is allowed.

        Raises:
            ResponseError: The server asks for a longer pause than the policy allows.
        """
        if not self.fail():
            return False
        yield from self._wait(reason, self.failed, error)
        return True

    def again_at_limit(self, error: RateLimitError, *, is_gateway: bool) -> Flow[bool]:
        """Count a message that a limit refused; False if it must not be sent again.

        Args:
            error: The refusal.
            is_gateway: Whether a gateway sent it: it says when to come back, which chat-ui never
                does. A refusal of chat-ui shows how many messages its window holds.

        Raises:
            RateLimitError: The server asks for a longer pause than the policy allows.
        """
        if error.reason != "messages_per_minute":
            return False
        self._limited += 1
        if not is_gateway:
            self._server.rate_limiter.refused((yield from commands.now()))
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
            # Not earlier than asked, and not all clients at once.
            yield from _pause(self._server, Retry(reason, attempt, asked + seconds), is_due=True)


def send(server: ServerInfo, request: Request) -> Flow[Response]:
    """Send a request and wait for the whole response; repeat it where that is safe.

    Raises:
        TransportError: No response came, even at the last attempt.
        ServerError: The server was overloaded, even at the last attempt.
        RateLimitError: The server refused the request, even at the last attempt.
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
    """Why the request should be sent again; None if it should not."""
    if response.status in OVERLOADED and request.method == "GET":
        return "overloaded"
    # A gateway refused it, so the server has not begun. chat-ui's own limits name no time.
    if response.status == _LIMITED and responses.retry_after(response) is not None:
        return "limit"
    return None


def is_temporary(error: HuggingChatError) -> bool:
    """Whether a refusal is about the moment, and not about what was asked for.

    It says nothing about the resource. Trying another route or another conversation instead would
    be one more request to a server that has asked to wait, or that cannot be reached.
    """
    if isinstance(error, RateLimitError):
        return True
    if isinstance(error, ServerError) and error.status != _FAILED:
        return True
    return isinstance(error, ResponseError) and error.retry_after is not None


def check_pause(server: ServerInfo, error: HuggingChatError) -> float | None:
    """The seconds that a refusal asks to wait; None if it names none.

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


def wait_as_asked(server: ServerInfo, error: ResponseError) -> Flow[None]:
    """Wait as long as a refusal asks, if it names a time.

    Raises:
        ResponseError: It is more than the policy allows.
    """
    asked = check_pause(server, error)
    if asked:
        yield from _pause(server, Retry("overloaded", 1, asked), is_due=True)


def wait_for_rate_limit(server: ServerInfo) -> Flow[None]:
    """Wait until the server's limit of messages per minute allows another one.

    Raises:
        RateLimitError: So many messages are waiting that this one would wait too long.
    """
    left = server.policy.retries.longest_limit_wait
    while (seconds := server.rate_limiter.take((yield from commands.now()))) > 0:
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


class Deadlines:
    """The deadlines of one run.

    Attributes:
        next: The nearest one, or None.
        limit: How many seconds it allowed.
    """

    def __init__(self, policy: Policy, begun_at: float) -> None:
        timeouts = self._timeouts = policy.timeouts
        self._end_of_response = policy.resuming.end_of_response
        self._total = after(begun_at, timeouts.total)
        self.limit = 0.0
        self.next: float | None = None
        self._set(begun_at, timeouts.first_event)

    def progress(self, at: float) -> None:
        """Something came that is progress."""
        self._set(at, self._timeouts.progress)

    def finish(self, at: float) -> None:
        """The server has said that it is done."""
        self._timeouts = replace(self._timeouts, progress=self._end_of_response)
        self.progress(at)

    def passed(self, at: float) -> bool:
        """Return whether waiting has taken too long, although something came."""
        return self.next is not None and at > self.next

    def _set(self, at: float, seconds: float | None) -> None:
        self.next = None if seconds is None else at + seconds
        self.limit = seconds or 0.0
        if self._total is not None and (self.next is None or self._total < self.next):
            self.next = self._total
            self.limit = self._timeouts.total or 0.0


def after(at: float, seconds: float | None) -> float | None:
    """The moment so many seconds after another, or never."""
    return None if seconds is None else at + seconds
