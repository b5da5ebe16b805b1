"""Who is asking, and for which path: what the gate leaves in a request for everybody behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Scope

    from hfchat_base.local.store.sessions import Session

__all__ = ["note_session", "origin", "public_base", "route_path", "session_of"]

_KEY: Final = "hfchat.session"


def note_session(scope: Scope, session: Session) -> None:
    """Leave a session in a request.

    Args:
        scope: ASGI scope.
        session: Whose request it is.
    """
    scope[_KEY] = session


def session_of(request: HTTPConnection) -> Session:
    """Return the session that the gate has found for a request.

    Args:
        request: The request.
    """
    session: Session = request.scope[_KEY]
    return session


def route_path(scope: Scope) -> str:
    """Return a request's path below the base path.

    Args:
        scope: ASGI scope.
    """
    path: str = scope["path"]
    return path.removeprefix(public_base(scope))


def public_base(scope: Scope) -> str:
    """Return the path that all of the server's paths begin with, as the client sees it.

    Args:
        scope: ASGI scope.
    """
    base: str = scope.get("root_path", "")
    return base


def origin(request: HTTPConnection) -> str:
    """Return the origin that the client sees.

    Args:
        request: The request.
    """
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
