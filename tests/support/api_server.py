"""The OpenAI-compatible API on a real socket, in front of a local server."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from hfchat_base import AsyncHuggingChat
from hfchat_base.api import create_app

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

KEY = "test-key"


class ApiServer:
    """Serves the API in a thread of its own, on a free port of loopback.

    Args:
        base_url: The server behind it.
        key: The key of `create_app`.
        options: Options of `create_app`.
        client: Options of the client.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = KEY,
        client: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._base_url = base_url
        self._key = key
        self._client = client or {}
        self._options = options
        self._ready = threading.Event()

    @property
    def address(self) -> str:
        """Where it listens, without a path."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def url(self) -> str:
        """What clients take as their base URL."""
        return f"{self.address}/v1"

    def tasks(self) -> int:
        """How many tasks its event loop has."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return asyncio.run_coroutine_threadsafe(count(), self._loop).result(60)

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)
        self._socket.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        async with AsyncHuggingChat(self._base_url, **self._client) as client:
            app = create_app(client, key=self._key, **self._options)
            server = _Uvicorn(uvicorn.Config(app, log_config=None, ws="none"), self._ready)
            serving = asyncio.create_task(server.serve([self._socket]))
            await self._over.wait()
            server.should_exit = server.force_exit = True
            await serving


class _Uvicorn(uvicorn.Server):
    """Says when it listens, and leaves signals to the tests."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    def install_signal_handlers(self) -> None:
        """Install none."""
