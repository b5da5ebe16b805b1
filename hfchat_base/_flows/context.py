"""What is known of a server, shared by all flows of a client.

Facts that were found out and settings that were given; no behaviour beyond remembering. The
generation is remembered per base URL for the life of the process, so that a second client does not
ask again.

What is tried again, when, and how often.

A request is repeated only if that is known to be safe: reading at any time, anything else if it
never reached the server, and a message that met the limit per minute, which the server then had not
begun. Waiting grows with jitter, so that many clients do not come back at once. How long to wait
for that limit is decided by `_flows/policy.py`; a lost answer is `resume.py`'s.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final

from hfchat_base._flows import commands
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.policy import Pace
from hfchat_base._protocol.constants import MAX_BODY_BYTES
from hfchat_base._protocol.dialects import Dialect
from hfchat_base._protocol.http import Request, Response
from hfchat_base._protocol.models import Catalog
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.errors import HuggingChatError, RateLimitError, TransportError
from hfchat_base.types import Retries, Retry, RetryReason, Timeouts

_dialects: Final[dict[str, Dialect]] = {}


class Server:
    """One server, as far as it is known.

    Args:
        endpoint: Where it is.
        has_account: Tells whether the client's session is one that somebody logged in with.
        timeouts: How long to wait for what.
        max_body_bytes: The largest request body that it takes.
        retries: What to try again.
        on_retry: Told of every pause before another attempt.
        messages_per_minute: The server's limit, or None to learn it when it is met.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        has_account: Callable[[], bool] = lambda: False,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        retries: Retries | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        messages_per_minute: int | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.has_account = has_account
        self.timeouts = timeouts or Timeouts()
        self.max_body_bytes = max_body_bytes
        self.retries = retries or Retries()
        self.on_retry = on_retry
        self.pace = Pace(messages_per_minute)
        self.catalog: Catalog | None = None

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

_NOTICEABLE_SECONDS: Final = 1.0


def send(server: Server, request: Request) -> Flow[Response]:
    """Send a request and wait for the whole response, again where that is safe.

    Raises:
        TransportError: There is none, also after the last attempt.
    """
    attempt = 0
    while True:
        attempt += 1
        failure: HuggingChatError | None = None
        try:
            response = yield from commands.send(request)
        except TransportError as error:
            if error.may_have_arrived and request.method != "GET":
                raise
            failure = error
        else:
            if request.method != "GET" or response.status not in OVERLOADED:
                return response
        if attempt >= server.retries.attempts:
            if failure is not None:
                raise failure
            return response
        yield from wait(server, "connection" if failure else "overloaded", attempt)


def wait(server: Server, reason: RetryReason, attempt: int) -> Flow[None]:
    """Wait before another attempt: longer each time, and never quite as long as others do."""
    policy = server.retries
    longest = min(policy.first_wait * 2.0 ** (attempt - 1), policy.longest_wait)
    seconds = random.uniform(longest / 2, longest)  # noqa: S311 - jitter
    yield from _pause(server, Retry(reason, attempt, seconds))


def keep_pace(server: Server) -> Flow[None]:
    """Wait for a place in the server's window of messages, if it is known to count them."""
    while (seconds := server.pace.take((yield from commands.now()))) > 0:
        yield from _pause(server, Retry("pace", 0, seconds))


def may_send_again(server: Server, error: RateLimitError, attempt: int) -> Flow[bool]:
    """After a refused message: learn from it; tell whether to try again in another window."""
    if error.reason != "messages_per_minute":
        return False
    server.pace.refused((yield from commands.now()))
    return attempt < server.retries.rate_limit_attempts


def _pause(server: Server, retry: Retry) -> Flow[None]:
    level = logging.INFO if retry.wait < _NOTICEABLE_SECONDS else logging.WARNING
    _log.log(level, "waiting %.1f seconds (%s)", retry.wait, retry.reason)
    if server.on_retry is not None:
        server.on_retry(retry)
    yield from commands.sleep(retry.wait, is_due=retry.reason == "pace")
