"""What is known of a server, shared by all flows of a client.

Facts that were found out and settings that were given; no behaviour beyond remembering. The
generation is remembered per base URL for the life of the process, so that a second client does not
ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hfchat_base.protocol.catalog import Catalog
from hfchat_base.protocol.facts import MAX_BODY_BYTES, Generation
from hfchat_base.protocol.pace import Pace
from hfchat_base.protocol.requests import Endpoint
from hfchat_base.types import Retries, Retry, Timeouts

_generations: Final[dict[str, Generation]] = {}


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
    def generation(self) -> Generation | None:
        """Which protocol it speaks, or None while that is not known."""
        return _generations.get(self.endpoint.base_url)

    @generation.setter
    def generation(self, generation: Generation) -> None:
        _generations[self.endpoint.base_url] = generation
