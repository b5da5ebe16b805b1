"""A local server for people who have not logged in, so that anybody can run notebooks and examples.

What lives here decides which server the clients of this process talk to, from what is on this
machine and without using the network. The server itself is `hfchat_base.local`; where a session
comes from is decided in `auth/sources.py`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE, SITE_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.sources import BASE_URL_VARIABLE, COOKIES_VARIABLE, find_session
from hfchat_base.client import MODEL_VARIABLE

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

__all__ = ["LOCAL_VARIABLE", "local_server_unless_logged_in"]

LOCAL_VARIABLE: Final = "HUGGINGCHAT_LOCAL"
"""If this is set, `local_server_unless_logged_in` always chooses the local server."""


def local_server_unless_logged_in(server: LocalServer) -> LocalServer | None:
    """Start a local server unless the user has logged in to another one.

    If ``HUGGINGCHAT_BASE_URL`` names a server, or the user has logged in to huggingface.co, nothing
    changes. Otherwise, and always if ``HUGGINGCHAT_LOCAL`` is set, the given server is started and
    the environment is set up for it: clients that are made without arguments from now on talk to
    it, as a user who has logged in there. No request is sent to decide this.

    Args:
        server: The server to start. It runs until it is stopped or the process ends.

    Returns:
        The server if it was started, else None.

    Raises:
        InvalidRequestError: The environment names cookies that cannot be read.

    Example:
        >>> from hfchat_base import HuggingChat
        >>> from hfchat_base.local import LocalServer
        >>> local_server_unless_logged_in(LocalServer())
        >>> print(HuggingChat().chat("hello").text)
    """
    if not os.environ.get(LOCAL_VARIABLE) and (
        os.environ.get(BASE_URL_VARIABLE) or _has_logged_in()
    ):
        return None
    server.start()
    os.environ[LOCAL_VARIABLE] = "1"  # so that a second call chooses the same server
    os.environ[BASE_URL_VARIABLE] = server.base_url
    os.environ[COOKIES_VARIABLE] = json.dumps(server.cookies())
    os.environ.pop(MODEL_VARIABLE, None)  # it belongs to another server
    return server


def _has_logged_in() -> bool:
    """Whether there is an account's session for huggingface.co, which has both cookies."""
    session = find_session(None, Endpoint.parse(DEFAULT_BASE_URL))
    return {SESSION_COOKIE, SITE_COOKIE} <= {cookie.name for cookie in session.cookies()}
