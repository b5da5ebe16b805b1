"""The base clients behind one chat model: made when they are first needed, one of each kind.

The synchronous and the asynchronous client share session, model list and history, so that a chat
which `invoke` began continues with `ainvoke` in the same conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hfchat_base import AsyncHuggingChat, HuggingChat

__all__ = ["Clients"]


class Clients:
    """A synchronous and an asynchronous client with the same settings. Safe between threads.

    No lock guards it, because a process may be forked while another thread holds one. Clients are
    put into a dict with `setdefault`, which is atomic, and a client that loses the race is dropped
    unused.

    Args:
        settings: The arguments of `HuggingChat`.
        client: A client to use instead of a new one; `close` leaves it open.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        client: HuggingChat | AsyncHuggingChat | None = None,
    ) -> None:
        self.settings = dict(settings)
        self._given = client
        self._made: dict[str, Any] = {}
        if client is not None:
            client.server.wants_details = True  # a model's profile holds them
            self._made["first"] = client
            self._made["sync" if isinstance(client, HuggingChat) else "async"] = client

    @property
    def sync(self) -> HuggingChat:
        """The synchronous client."""
        client: HuggingChat = self._get("sync", lambda: self._first.to_sync().as_managed())
        return client

    @property
    def asynchronous(self) -> AsyncHuggingChat:
        """The asynchronous client."""
        client: AsyncHuggingChat = self._get("async", lambda: self._first.to_async().as_managed())
        return client

    @property
    def any(self) -> HuggingChat | AsyncHuggingChat | None:
        """A client that knows what all know, open or closed; None if none was needed yet."""
        return self._made.get("first")

    def serves(self, settings: Mapping[str, Any]) -> bool:
        """Whether these are the clients for such settings."""
        return self._given is not None or self.settings == settings

    def close(self) -> None:
        """Close the synchronous client; a later call makes another like it."""
        if not isinstance(self._given, HuggingChat) and (client := self._made.pop("sync", None)):
            client.close()

    async def aclose(self) -> None:
        """Close both clients; a later call makes others like them."""
        is_ours = not isinstance(self._given, AsyncHuggingChat)
        if is_ours and (client := self._made.pop("async", None)):
            await client.close()
        self.close()

    def __deepcopy__(self, _memo: object) -> Clients:
        # A copy of a model continues its conversations.
        return self

    @property
    def _first(self) -> HuggingChat | AsyncHuggingChat:
        """The client whose session, model list and history all others share."""
        first: HuggingChat | AsyncHuggingChat = self._get("first", self._make)
        return first

    def _make(self) -> HuggingChat:
        client = HuggingChat(**self.settings).as_managed()
        client.server.wants_details = True  # as above
        return client

    def _get(self, name: str, make: Callable[[], Any]) -> Any:
        client = self._made.get(name)
        return self._made.setdefault(name, make()) if client is None else client
