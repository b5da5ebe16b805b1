"""`LocalServer`: the app behind a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from hfchat_base.hosts import is_host_name, listening_socket
from hfchat_base.local.asgi import build_app, create_state
from hfchat_base.local.local_model import Generation
from hfchat_base.local.routes.common import SESSION_COOKIE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from starlette.applications import Starlette
    from typing_extensions import Self

    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.state import (
        Limits,
        RecordedRequest,
        Retention,
        SentPrompt,
        Transcribe,
    )
    from hfchat_base.local.tool_servers import ToolServer


class LocalServer:
    """A HuggingChat server on this machine, in memory.

    It is a context manager, sync and async; in a notebook use `start` and `stop`. A stopped server
    can be started again, on another port, and still has its conversations.

    Args:
        generation: Which chat-ui to act as.
        models: Its models, the first being the default; those of `default_models` if None.
        require_login: Whether users must log in. `cookies` returns a session without a login.
        allow_guests: Whether users get a session without a login; False has the same effect as
            ``require_login``.
        limits: What it rejects; by default only what is too large.
        tool_servers: Its stand-ins for MCP servers, such as `scripted_tool_servers()`.
        base_path: The prefix of all paths: empty, or such as ``/chat``.
        host: Address to listen on.
        port: Port to listen on, or 0 for a free one.
        token_delay: Seconds between two tokens of ``slow/drip``; the flush interval of the logs of
            runs shrinks in proportion. As recorded (0.15) if None.
        hosts: Further hosts that it answers to, besides ``localhost``, loopback addresses and the
            address of the connection, each with the port of the connection. Add the name that a
            port forwarding, a proxy or another machine uses for it: ``chat.example:8000``, or
            without a port for any port. Requests for other hosts, or from pages of other hosts, are
            rejected with a 403, because any web page can send requests to this machine.
        retention: How much it keeps: of requests, prompts, conversations, files and so on.
        transcribe: Turns the bytes of a recording, of a media type, into text (current). Without it
            the server refuses recordings.

    Raises:
        ValueError: One of ``hosts`` is not a host.

    Example:
        >>> with LocalServer() as server:
        ...     print(server.base_url)
    """

    def __init__(
        self,
        *,
        generation: Generation = "current",
        models: Sequence[LocalModel] | None = None,
        require_login: bool = False,
        allow_guests: bool = True,
        limits: Limits | None = None,
        tool_servers: Sequence[ToolServer] = (),
        base_path: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        token_delay: float | None = None,
        hosts: Sequence[str] = (),
        retention: Retention | None = None,
        transcribe: Transcribe | None = None,
    ) -> None:
        self._state = create_state(
            generation=generation,
            models=models,
            require_login=require_login,
            allow_guests=allow_guests,
            limits=limits,
            tool_servers=tool_servers,
            base_path=base_path,
            token_delay=token_delay,
            hosts=[*hosts, host] if is_host_name(host) else hosts,
            retention=retention,
            transcribe=transcribe,
        )
        self._host = host
        self._port = port
        self._running: ServerThread | None = None

    @property
    def base_url(self) -> str:
        """The URL for clients, without a slash at the end.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._running is None:
            raise RuntimeError("the local server is not running: use `with`, or start() it")
        return f"http://{self._running.address}{self._state.base_path}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, in order of arrival; the newest 10,000 (see ``retention``)."""
        return self._state.records.requests

    @property
    def prompts(self) -> list[SentPrompt]:
        """The prompts to the models so far, in order; the newest 10,000 (see ``retention``)."""
        return self._state.records.prompts

    def clear_requests(self) -> None:
        """Remove all requests and prompts so far."""
        self._state.records.clear_requests()

    def new_session(self, username: str = "alice") -> dict[str, str]:
        """Log a user in.

        Args:
            username: The user; a new name is a new user.

        Returns:
            The cookies to send.
        """
        session = self._state.sessions.create(self._state.sessions.user(username))
        return {SESSION_COOKIE: session.secret}

    def cookies(self) -> dict[str, str]:
        """Log ``alice`` in, and return the cookies to send."""
        return self.new_session()

    def end_session(self, cookies: Mapping[str, str]) -> None:
        """End a session, as if it had expired.

        Args:
            cookies: Its cookies.
        """
        self._state.sessions.end(cookies[SESSION_COOKIE])

    def end_all_sessions(self) -> None:
        """End all sessions."""
        self._state.sessions.end_all()

    def cut_answers(self, *pieces: int) -> None:
        """Break the connection of the next answers, as a network failure would.

        The model does not notice, and a current server continues the run. A client that resumes the
        run opens another stream, which counts as the next answer.

        Args:
            pieces: For each answer, how many pieces of its text are sent before the connection
                breaks.
        """
        self._state.cuts.extend(pieces)

    def start(self) -> Self:
        """Start the server; return when it accepts requests.

        Returns:
            This server.
        """
        if self._running is None:
            self._running = ServerThread(build_app(self._state), self._host, self._port)
        return self

    def stop(self) -> None:
        """Stop the server and cancel its runs."""
        running, self._running = self._running, None
        if running is not None:
            running.stop(self._state.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


class _Uvicorn(uvicorn.Server):
    """uvicorn, with events for its start and stop instead of polling ten times a second.

    Attributes:
        ready: Set when it has started, or has failed to.
        stop_requested: Set in the event loop to shut it down.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.stop_requested = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stop_requested.wait()


class ServerThread:
    """A listening socket, and a thread with an event loop that serves an app on it.

    Attributes:
        address: Host and port, as in a URL.

    Raises:
        OSError: The port is not available.
    """

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._socket = listening_socket(host, port)
        # The unspecified address stands for all addresses of this machine; a URL needs one of them.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
        name = f"[{host}]" if ":" in host else host
        self.address = f"{name}:{self._socket.getsockname()[1]}"
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                date_header=False,
            )
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="hfchat-local", daemon=True)
        self._thread.start()
        self._uvicorn.ready.wait()

    def stop(self, close: Callable[[], Awaitable[None]]) -> None:
        """Stop, and return when the thread has ended.

        Args:
            close: Ends the app's own tasks; called in the event loop.
        """
        if not self._thread.is_alive():  # in the child of a fork, where the parent still serves
            self._socket.close()
            return
        asyncio.run_coroutine_threadsafe(self._shut_down(close), self._loop).result()
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._uvicorn.serve(sockets=[self._socket]))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()
            self._socket.close()
            self._uvicorn.ready.set()

    async def _shut_down(self, close: Callable[[], Awaitable[None]]) -> None:
        await close()
        for task in list(self._uvicorn.server_state.tasks):
            task.cancel()
        self._uvicorn.stop_requested.set()
