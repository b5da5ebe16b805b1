"""A server of one's own where there is no login, for notebooks and examples that anybody can run.

What lives here decides which server the clients of this process talk to, from what is on this
machine and without asking the network. The server itself is `hfchat_base.local`; where a session is
found is decided in `auth/find.py`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from hfchat_base._protocol.constants import DEFAULT_BASE_URL, SESSION_COOKIE, SITE_COOKIE
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.find import COOKIES_VARIABLE, find_session
from hfchat_base.client import BASE_URL_VARIABLE, MODEL_VARIABLE

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer

__all__ = ["LOCAL_VARIABLE", "local_server_unless_logged_in"]

LOCAL_VARIABLE: Final = "HUGGINGCHAT_LOCAL"
"""Set to anything, it makes `local_server_unless_logged_in` choose the local server always."""


def local_server_unless_logged_in(server: LocalServer) -> LocalServer | None:
    """Start a local server if nobody has logged in to another one.

    A server that ``HUGGINGCHAT_BASE_URL`` names is taken, and so is huggingface.co for somebody who
    has logged in to it. Otherwise, and always if ``HUGGINGCHAT_LOCAL`` is set, the given server is
    started, and the environment is set up for it: clients that are made without arguments from
    now on talk to it, as somebody who has logged in there. Nothing is sent to find out.

    Args:
        server: The server to start, which runs until it is stopped or the process ends.

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
    os.environ[LOCAL_VARIABLE] = "1"  # so that a second call chooses the same
    os.environ[BASE_URL_VARIABLE] = server.base_url
    os.environ[COOKIES_VARIABLE] = json.dumps(server.cookies())
    os.environ.pop(MODEL_VARIABLE, None)  # that of another server
    return server


def _has_logged_in() -> bool:
    """Whether there is a session for huggingface.co that is no guest's: both of its cookies."""
    session = find_session(None, Endpoint.parse(DEFAULT_BASE_URL))
    return {SESSION_COOKIE, SITE_COOKIE} <= {cookie.name for cookie in session.cookies()}
