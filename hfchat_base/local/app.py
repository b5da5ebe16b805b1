"""Putting the parts together: the server as one ASGI app.

For people who mount it in an app of their own; everybody else uses `LocalServer` (`context.py`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Router

from hfchat_base._protocol.constants import RESUME_FLUSH_SECONDS, Generation
from hfchat_base.hosts import is_host
from hfchat_base.local.backends.scripted import DRIP_SECONDS, default_models
from hfchat_base.local.http.answers import Mishap, Refusal, mishap_answer, refusal_answer
from hfchat_base.local.http.conversations import ConversationRoutes
from hfchat_base.local.http.current import CurrentRoutes
from hfchat_base.local.http.cut import Cutter
from hfchat_base.local.http.gate import Gate, VaryOnEncoding
from hfchat_base.local.http.hosts import HostGuard
from hfchat_base.local.http.legacy import LegacyRoutes
from hfchat_base.local.http.login import IDENTITY_PROVIDER, IdentityProvider, LoginRoutes, Logins
from hfchat_base.local.http.record import Recorder
from hfchat_base.local.http.resume import ResumeRoutes
from hfchat_base.local.http.send import SendRoutes
from hfchat_base.local.limits import Limits, Retention
from hfchat_base.local.state import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.routing import BaseRoute

    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.tools import ToolServer

__all__ = ["app_of", "create_app", "create_state"]


def create_app(
    *,
    generation: Generation = "current",
    models: Sequence[LocalModel] | None = None,
    require_login: bool = False,
    allow_guests: bool = True,
    limits: Limits | None = None,
    tool_servers: Sequence[ToolServer] = (),
    base_path: str = "",
    token_delay: float | None = None,
    hosts: Sequence[str] = (),
    retention: Retention | None = None,
) -> Starlette:
    """Make a HuggingChat server as an app, to mount or to serve as you like.

    Args:
        generation: Which chat-ui to speak as.
        models: Its models, the first being the default; the scripted ones if None.
        require_login: Whether people must log in, at the little identity provider it comes with.
        allow_guests: Whether people without a session get one; False is as good as
            ``require_login``.
        limits: What it refuses.
        tool_servers: Its stand-ins for MCP servers.
        base_path: What every path begins with: empty, or such as ``/chat``.
        token_delay: Seconds between two tokens of ``slow/drip``; the resume log gathers tokens
            faster in the same proportion. As recorded if None.
        hosts: The hosts that it answers to besides ``localhost``, loopback addresses and the
            address that a connection comes in at, each with the port that it comes in at; one
            without a port stands for all ports. Requests for other hosts, or from pages of other
            hosts, are refused.
        retention: How much it keeps in memory.

    Raises:
        ValueError: One of ``hosts`` is not a host.
    """
    return app_of(
        create_state(
            generation=generation,
            models=models,
            require_login=require_login,
            allow_guests=allow_guests,
            limits=limits,
            tool_servers=tool_servers,
            base_path=base_path,
            token_delay=token_delay,
            hosts=hosts,
            retention=retention,
        )
    )


def create_state(
    *,
    generation: Generation,
    models: Sequence[LocalModel] | None,
    require_login: bool,
    allow_guests: bool,
    limits: Limits | None,
    tool_servers: Sequence[ToolServer],
    base_path: str,
    token_delay: float | None,
    hosts: Sequence[str],
    retention: Retention | None,
) -> ServerState:
    """Make a server's memory; see `create_app` for the arguments."""
    if isinstance(hosts, str):
        raise TypeError("hosts is a list of hosts, not one text")
    for host in hosts:
        if not is_host(host):
            raise ValueError(f"{host!r} is not a host (expected a name or an address, and a port)")
    haste = 1.0 if token_delay is None else min(token_delay / DRIP_SECONDS, 1.0)
    return ServerState(
        generation=generation,
        models=default_models(generation, token_delay=token_delay) if models is None else models,
        login_required=require_login or not allow_guests,
        limits=limits or Limits(),
        tool_servers=tool_servers,
        base_path=base_path.rstrip("/"),
        flush_seconds=RESUME_FLUSH_SECONDS * max(haste, 0.02),
        hosts=tuple(hosts),
        retention=retention or Retention(),
    )


def app_of(state: ServerState) -> Starlette:
    """Make the app of a server.

    Args:
        state: The server's memory.
    """
    logins = Logins(state.retention)
    routes: list[BaseRoute] = [*SendRoutes(state).routes, *ConversationRoutes(state).routes]
    routes += LoginRoutes(state, logins).routes
    if state.generation == "current":
        routes += [*ResumeRoutes(state).routes, *CurrentRoutes(state).routes]
    else:
        routes += LegacyRoutes(state).routes
    chat_ui = Gate(Router(routes, redirect_slashes=False), state, logins)
    below_base: list[BaseRoute] = [
        Mount(IDENTITY_PROVIDER, routes=IdentityProvider(logins).routes),
        Mount("", app=chat_ui),
    ]

    middleware = [Middleware(Recorder, state=state)]
    if state.generation == "current":
        middleware.append(Middleware(VaryOnEncoding))
    middleware += [Middleware(HostGuard, hosts=state.hosts), Middleware(Cutter, cuts=state.cuts)]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await state.close()

    return Starlette(
        routes=[Mount(state.base_path, routes=below_base)] if state.base_path else below_base,
        exception_handlers={Refusal: refusal_answer, Mishap: mishap_answer},
        middleware=middleware,
        lifespan=lifespan,
    )
