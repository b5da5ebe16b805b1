"""Sessions that somebody has saved by logging in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore

if TYPE_CHECKING:
    from hfchat_base.local import LocalServer


def save_session(server: LocalServer, name: str = "alice") -> None:
    """Save a session of somebody at a server."""
    (value,) = server.new_session(name).values()
    SessionStore().save(server.base_url, name, [Cookie("hf-chat", value)])
