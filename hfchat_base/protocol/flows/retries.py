"""What is tried again, when, and how often.

A request is repeated only if that is known to be safe: reading at any time, anything else if it
never reached the server, and a message that met the limit per minute, which the server then had not
begun. Waiting grows with jitter, so that many clients do not come back at once. How long to wait
for that limit is decided by `protocol/pace.py`; a lost answer is `mend.py`'s.
"""

from __future__ import annotations

import logging
import random
from typing import Final

from hfchat_base.errors import HuggingChatError, RateLimitError, TransportError
from hfchat_base.protocol import flow
from hfchat_base.protocol.flow import Flow, Request, Response
from hfchat_base.protocol.server import Server
from hfchat_base.types import Retry, RetryReason

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
            response = yield from flow.send(request)
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
    while (seconds := server.pace.take((yield from flow.now()))) > 0:
        yield from _pause(server, Retry("pace", 0, seconds))


def may_send_again(server: Server, error: RateLimitError, attempt: int) -> Flow[bool]:
    """After a refused message: learn from it; tell whether to try again in another window."""
    if error.reason != "messages_per_minute":
        return False
    server.pace.refused((yield from flow.now()))
    return attempt < server.retries.rate_limit_attempts


def _pause(server: Server, retry: Retry) -> Flow[None]:
    level = logging.INFO if retry.wait < _NOTICEABLE_SECONDS else logging.WARNING
    _log.log(level, "waiting %.1f seconds (%s)", retry.wait, retry.reason)
    if server.on_retry is not None:
        server.on_retry(retry)
    yield from flow.sleep(retry.wait, is_due=retry.reason == "pace")
