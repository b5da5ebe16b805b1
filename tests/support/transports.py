"""Either of the two drivers, with one interface for the tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from hfchat_base import AsyncHuggingChat, HuggingChat, Timeouts
from hfchat_base._protocol.http import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GET: Final = Request("GET", "/x", {"accept": "application/json"})

_SECRET: Final = {"hf-chat": "secret"}


class Driver:
    """Either driver with one synchronous interface."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        self._loop = asyncio.new_event_loop() if is_async else None
        self._clients: list[Any] = []

    def transport(
        self,
        base_url: str,
        *,
        cookies: Mapping[str, str] | None = _SECRET,
        timeout: float = 60.0,
        **settings: Any,
    ) -> Any:
        """Make a transport, as a client has it."""
        kind = AsyncHuggingChat if self._is_async else HuggingChat
        timeouts = Timeouts(response=timeout, first_event=timeout)
        client = kind(base_url, cookies=cookies, timeouts=timeouts, **settings)
        self._clients.append(client)
        return client._transport

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method, and wait for it if need be."""
        if self._loop is None:
            return function(*arguments)

        async def call() -> Any:
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result

        return self._loop.run_until_complete(call())

    def send(self, base_url: str, request: Request, **settings: Any) -> Response:
        """Send one request."""
        response: Response = self.do(self.transport(base_url, **settings).send, request)
        return response

    def open(self, base_url: str, **settings: Any) -> Any:
        """Open a stream, and wait for its head."""
        stream, response = self.do(self.transport(base_url, **settings).open, GET)
        assert response.status == 200
        return stream

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            self.do(client.close)
        if self._loop is not None:
            self._loop.close()
