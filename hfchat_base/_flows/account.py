"""Ending a session on the server. Who we are is asked in `discovery.py`."""

from __future__ import annotations

from typing import Final

from hfchat_base._flows.commands import Flow, send
from hfchat_base._flows.context import Server
from hfchat_base._protocol import requests, responses
from hfchat_base.errors import SessionExpired

_DONE: Final = (200, 302, 303)
"""Current redirects home with 302, legacy with 303, or says so in JSON (S)."""


def logout(server: Server) -> Flow[None]:
    """End the session on the server; a session that is over already is no error.

    Raises:
        HuggingChatError: The server refused.
    """
    request = requests.logout(server.endpoint)
    try:
        response = yield from send(request)
    except SessionExpired:
        # The answer deletes the session's cookie, which is how any session ends.
        return
    if response.status not in _DONE:
        raise responses.refusal(response, request)
