"""The server as an ASGI app: its options, its routes and its middleware.

`create_app` is for people who mount it in an app of their own; use `LocalServer` otherwise.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Router

from hfchat_base.hosts import is_host
from hfchat_base.local.local_model import Generation
from hfchat_base.local.middleware import (
    AuthMiddleware,
    DisconnectMiddleware,
    HostMiddleware,
    RecordingMiddleware,
    VaryMiddleware,
)
from hfchat_base.local.routes.common import (
    HTTPError,
    InternalError,
    http_error_response,
    internal_error_response,
)
from hfchat_base.local.routes.conversation_routes import ConversationRoutes
from hfchat_base.local.routes.current_routes import CurrentRoutes
from hfchat_base.local.routes.legacy_routes import LegacyRoutes
from hfchat_base.local.routes.login_routes import (
    IDENTITY_PROVIDER,
    IdentityProvider,
    LoginRoutes,
    PendingLogins,
)
from hfchat_base.local.routes.message_routes import MessageRoutes
from hfchat_base.local.scripted import DRIP_SECONDS, default_models
from hfchat_base.local.state import RESUME_FLUSH_SECONDS, Limits, Retention, ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.routing import BaseRoute

    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.state import Transcribe
    from hfchat_base.local.tool_servers import ToolServer


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
    transcribe: Transcribe | None = None,
) -> Starlette:
    """Create a HuggingChat server as an ASGI app.

    Args:
        generation: Which chat-ui to act as.
        models: Its models, the first being the default; the scripted ones if None.
        require_login: Whether users must log in, at the built-in identity provider.
        allow_guests: Whether users get a session without a login; False has the same effect as
            ``require_login``.
        limits: What it rejects.
        tool_servers: Its stand-ins for MCP servers.
        base_path: The prefix of all paths: empty, or such as ``/chat``.
        token_delay: Seconds between two tokens of ``slow/drip``; the flush interval of the logs of
            runs shrinks in proportion. As recorded if None.
        hosts: Further hosts that it answers to, besides ``localhost``, loopback addresses and the
            address of the connection, each with the port of the connection. A host without a port
            matches any port. Requests for other hosts, or from pages of other hosts, are rejected.
        retention: How much it keeps in memory.
        transcribe: Turns a recording into text; without it the server does not.

    Raises:
        ValueError: One of ``hosts`` is not a host.
    """
    return build_app(
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
            transcribe=transcribe,
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
    transcribe: Transcribe | None,
) -> ServerState:
    """Create the state of a server; see `create_app` for the arguments."""
    if isinstance(hosts, str):
        raise TypeError("hosts must be a list of hosts, not a string")
    for host in hosts:
        if not is_host(host):
            raise ValueError(f"{host!r} is not a host (expected a name or an address, and a port)")
    speed = 1.0 if token_delay is None else min(token_delay / DRIP_SECONDS, 1.0)
    return ServerState(
        generation=generation,
        models=default_models(generation, token_delay=token_delay) if models is None else models,
        login_required=require_login or not allow_guests,
        limits=limits or Limits(),
        tool_servers=tool_servers,
        base_path=base_path.rstrip("/"),
        flush_seconds=RESUME_FLUSH_SECONDS * max(speed, 0.02),
        hosts=tuple(hosts),
        retention=retention or Retention(),
        transcribe=transcribe,
    )


def build_app(state: ServerState) -> Starlette:
    """Create the app of a server from its state."""
    logins = PendingLogins(state.retention.sessions)
    routes: list[BaseRoute] = [*MessageRoutes(state).routes, *ConversationRoutes(state).routes]
    routes += LoginRoutes(state, logins).routes
    if state.generation == "current":
        routes += CurrentRoutes(state).routes
    else:
        routes += LegacyRoutes(state).routes
    chat_routes = AuthMiddleware(Router(routes, redirect_slashes=False), state, logins)
    below_base: list[BaseRoute] = [
        Mount(IDENTITY_PROVIDER, routes=IdentityProvider(logins).routes),
        Mount("", app=chat_routes),
    ]

    middleware = [Middleware(RecordingMiddleware, state=state)]
    if state.generation == "current":
        middleware.append(Middleware(VaryMiddleware))
    middleware += [
        Middleware(HostMiddleware, hosts=state.hosts),
        Middleware(DisconnectMiddleware, cuts=state.cuts),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await state.close()

    return Starlette(
        routes=[Mount(state.base_path, routes=below_base)] if state.base_path else below_base,
        exception_handlers={HTTPError: http_error_response, InternalError: internal_error_response},
        middleware=middleware,
        lifespan=lifespan,
    )
