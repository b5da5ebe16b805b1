"""`LocalServer`: the app behind a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from hfchat_base._protocol.constants import SESSION_COOKIE, Generation
from hfchat_base.hosts import is_host_name
from hfchat_base.local.app import app_of, create_state

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from starlette.applications import Starlette
    from typing_extensions import Self

    from hfchat_base.local.limits import Limits, Retention
    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.records import RecordedRequest, SentPrompt
    from hfchat_base.local.tools import ToolServer

__all__ = ["LocalServer"]

_BACKLOG = 1024


class LocalServer:
    """A HuggingChat server on this machine, in memory.

    It is a context manager, sync and async; in a notebook use `start` and `stop`. A server that
    was stopped can be started again, at another port, and still has its conversations.

    Args:
        generation: Which chat-ui to speak as.
        models: Its models, the first being the default; the scripted ones if None
            (`hfchat_base.local.backends.scripted.default_models`).
        require_login: Whether people must log in. `cookies` gives a session without the detour.
        allow_guests: Whether people without a session get one; False is as good as
            ``require_login``.
        limits: What it refuses; by default only what is too large.
        tool_servers: Its stand-ins for MCP servers, such as `scripted_tool_servers()`.
        base_path: What every path begins with: empty, or such as ``/chat``.
        host: Address to listen on.
        port: Port to listen on, or 0 for a free one.
        token_delay: Seconds between two tokens of ``slow/drip``; the resume log gathers tokens
            faster in the same proportion. As recorded (0.15) if None.
        hosts: The hosts that it answers to besides its own, which are ``localhost``, loopback
            addresses and the address that a connection comes in at, each with its port. Name what
            a port forwarding, a proxy or another machine calls it: ``chat.example:8000``, or
            without a port for all ports. Requests for other hosts, or from pages of other hosts,
            are refused with a 403, because any web page can send requests to this machine.
        retention: How much it keeps: of requests, prompts, conversations, files and so on.

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
        )
        self._host = host
        self._port = port
        self._running: _Running | None = None

    @property
    def base_url(self) -> str:
        """The URL that clients are given, without a slash at the end.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._running is None:
            raise RuntimeError("the local server is not running: use `with`, or start() it")
        return f"http://{self._running.address}{self._state.base_path}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """What was asked so far, in the order of arrival; the newest 10,000 (see ``retention``)."""
        return self._state.records.requests

    @property
    def prompts(self) -> list[SentPrompt]:
        """What the models were sent so far, in order; the newest 10,000 (see ``retention``)."""
        return self._state.records.prompts

    def clear_requests(self) -> None:
        """Forget all requests and prompts so far."""
        self._state.records.clear_requests()

    def new_session(self, username: str = "alice") -> dict[str, str]:
        """Log somebody in.

        Args:
            username: Who; a new name is a new user.

        Returns:
            The cookies to send.
        """
        session = self._state.sessions.mint(self._state.sessions.user(username))
        return {SESSION_COOKIE: session.secret}

    def cookies(self) -> dict[str, str]:
        """Log ``alice`` in, and return the cookies to send."""
        return self.new_session()

    def end_session(self, cookies: Mapping[str, str]) -> None:
        """Throw a session away, as if it had run out.

        Args:
            cookies: Its cookies.
        """
        self._state.sessions.end(cookies[SESSION_COOKIE])

    def end_all_sessions(self) -> None:
        """Throw all sessions away."""
        self._state.sessions.end_all()

    def cut_answers(self, *pieces: int) -> None:
        """Let the next answers lose their connection, as a network may do it.

        The model is not told, and a current server goes on with the run. A client that comes back
        to it opens another stream, which counts as the next answer.

        Args:
            pieces: For each answer, how many pieces of its text are sent before the connection is
                closed.
        """
        self._state.cuts.extend(pieces)

    def start(self) -> Self:
        """Start to serve; return when requests are answered.

        Returns:
            This server.
        """
        if self._running is None:
            self._running = _Running(app_of(self._state), self._host, self._port)
        return self

    def stop(self) -> None:
        """Stop to serve. Runs under way are abandoned."""
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
    """uvicorn, with events for "started" and "leave" in place of looking around ten times a second.

    Attributes:
        ready: Set when it is up, or will never be.
        leave: Set, in the event loop, to shut it down.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.leave = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.leave.wait()


class _Running:
    """One stretch of serving: a listening socket, and a thread with an event loop.

    Attributes:
        address: Host and port, as in a URL.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._socket = _listening(host, port)
        # Nobody can be sent to the unspecified address, which stands for all of this machine's.
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
        """Stop, and return when nothing is left.

        Args:
            close: Ends the app's own work; called in the event loop.
        """
        if not self._thread.is_alive():  # in the child of a fork, where the parent still serves
            self._socket.close()
            return
        asyncio.run_coroutine_threadsafe(self._wind_down(close), self._loop).result()
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

    async def _wind_down(self, close: Callable[[], Awaitable[None]]) -> None:
        await close()
        for task in list(self._uvicorn.server_state.tasks):
            task.cancel()
        self._uvicorn.leave.set()


def _listening(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    The protocol is spelled out, because asyncio turns Nagle's algorithm off only then; with it on,
    every answer of two writes takes 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
