"""Which hosts and origins the server answers to, on every route (`hfchat_base.hosts` says why).

Not here: the forms that chat-ui itself refuses, and logins (`gate.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from hfchat_base.hosts import HostGuard as SharedGuard
from hfchat_base.local.http.answers import terse_answer, text_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostGuard"]


class HostGuard:
    """Wraps an app, and refuses what is not sent to one of its hosts, or comes from elsewhere.

    Args:
        app: The app.
        hosts: Further hosts; one without a port stands for all ports.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._guard = SharedGuard(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Tell why a request may not pass; None if it may."""
        rejection = self._guard.check(scope)
        headers = Headers(scope=scope)
        if rejection is None:
            return None
        if rejection == "malformed_path":
            return text_answer("Malformed URI", status=400)
        if rejection == "no_host":
            return text_answer("Exactly one host must be named", status=400)
        if rejection == "foreign_host":
            return text_answer(
                "This server does not answer to that host. Name further ones with"
                " LocalServer(hosts=[...]) or hfchat serve --host-name.",
                status=403,
            )
        if rejection == "foreign_origin":
            return terse_answer(headers, 403, f"Invalid referer for {scope['method']} request")
        return terse_answer(headers, 403, "Requests of other sites are refused")
