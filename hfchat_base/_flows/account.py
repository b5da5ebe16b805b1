"""The account: who we are to the server, and ending the session there."""

from __future__ import annotations

from typing import Final

from hfchat_base._flows import commands, discovery
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._protocol import responses
from hfchat_base._protocol.dialects import base
from hfchat_base.errors import SessionExpired
from hfchat_base.types import User

_DONE: Final = (200, 302, 303)
"""Current redirects home with 302, legacy with 303, or says so in JSON (S)."""


def whoami(server: ServerInfo) -> Flow[User | None]:
    """Ask the server who we are: None for a guest."""
    dialect = yield from discovery.dialect(server)
    request = dialect.get_user()
    return dialect.parse_user((yield from send(server, request)), request)


def logout(server: ServerInfo) -> Flow[None]:
    """End the session on the server; a session that has already ended is not an error.

    Raises:
        HuggingChatError: The server refused.
    """
    request = base.logout(server.endpoint)
    try:
        response = yield from commands.send(request)
    except SessionExpired:
        # The answer deletes the session's cookie, which is how any session ends.
        return
    if response.status not in _DONE:
        raise responses.refusal(response, request)
