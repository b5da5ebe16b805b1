"""The base clients behind one chat model: made when they are first needed, one of each kind.

The synchronous and the asynchronous client share session, model list and history, so that a chat
may go on with `ainvoke` where `invoke` has left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfchat_base import AsyncHuggingChat, HuggingChat
from hfchat_base._forks import Lock

__all__ = ["Clients"]


class Clients:
    """A synchronous and an asynchronous client with the same settings. Safe between threads.

    Args:
        settings: The arguments of `HuggingChat`.
        client: A client to use instead of one that is made; it is not closed by `close`.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        client: HuggingChat | AsyncHuggingChat | None = None,
    ) -> None:
        self.settings = dict(settings)
        self._given = client
        self._first = client  # what all others share session and history with
        self._sync = client if isinstance(client, HuggingChat) else None
        self._async = client if isinstance(client, AsyncHuggingChat) else None
        self._lock = Lock()

    @property
    def sync(self) -> HuggingChat:
        """The synchronous client."""
        with self._lock:
            if self._sync is None:
                first = self._first
                made = first.to_sync() if first else HuggingChat(**self.settings)
                self._sync = made.as_managed()
                self._first = first or self._sync
            return self._sync

    @property
    def asynchronous(self) -> AsyncHuggingChat:
        """The asynchronous client."""
        with self._lock:
            if self._async is None:
                first = self._first
                made = first.to_async() if first else AsyncHuggingChat(**self.settings)
                self._async = made.as_managed()
                self._first = first or self._async
            return self._async

    @property
    def any(self) -> HuggingChat | AsyncHuggingChat | None:
        """A client for what all know, open or closed; None if none was needed yet."""
        return self._first

    def serves(self, settings: Mapping[str, Any]) -> bool:
        """Whether these are the clients for such settings."""
        return self._given is not None or self.settings == settings

    def close(self) -> None:
        """Close the synchronous client; a later call makes another like it."""
        with self._lock:
            client, self._sync = self._sync, self._kept(HuggingChat)
        if client is not None and client is not self._given:
            client.close()

    async def aclose(self) -> None:
        """Close both clients; a later call makes others like them."""
        with self._lock:
            client, self._async = self._async, self._kept(AsyncHuggingChat)
        if client is not None and client is not self._given:
            await client.close()
        self.close()

    def __deepcopy__(self, _memo: object) -> Clients:
        # A copy of a model goes on with its conversations.
        return self

    def _kept(self, kind: type) -> Any:
        return self._given if isinstance(self._given, kind) else None
