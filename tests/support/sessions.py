"""Sessions that this machine holds: saved by a login, or as cookies in a Firefox profile."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from hfchat_base.auth.cookies import Cookie
from hfchat_base.auth.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hfchat_base.local import LocalServer

SCHEMA: Final = """
CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '',
  name TEXT, value TEXT, host TEXT, path TEXT, expiry INTEGER, lastAccessed INTEGER,
  creationTime INTEGER, isSecure INTEGER, isHttpOnly INTEGER, inBrowserElement INTEGER DEFAULT 0,
  sameSite INTEGER DEFAULT 0, schemeMap INTEGER DEFAULT 0,
  isPartitionedAttributeSet INTEGER DEFAULT 0, updateTime INTEGER,
  CONSTRAINT moz_uniqueid UNIQUE (name, host, path, originAttributes));
PRAGMA user_version = 17;
"""
"""What Firefox 153 itself makes."""


def save_session(server: LocalServer, name: str = "alice") -> None:
    """Save a session of somebody at a server."""
    (value,) = server.new_session(name).values()
    SessionStore().save(server.base_url, name, [Cookie("hf-chat", value)])


def write_profile(home: Path, cookies: Sequence[tuple[str, str]], *, host: str) -> Path:
    """Write a Firefox profile, with its list of profiles, into a home folder.

    Args:
        home: The folder that ``HOME`` names.
        cookies: Names and values, all for one host.
        host: That host.

    Returns:
        The database.
    """
    root = home / (
        "Library/Application Support/Firefox" if sys.platform == "darwin" else ".mozilla/firefox"
    )
    profile = root / "abc.default-release"
    profile.mkdir(parents=True)
    (root / "profiles.ini").write_text(
        "[Profile0]\nName=default-release\nIsRelative=1\nPath=abc.default-release\nDefault=1\n",
        encoding="utf-8",
    )
    database = profile / "cookies.sqlite"
    now = int(time.time())
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT INTO moz_cookies (name, value, host, path, expiry, lastAccessed, creationTime,"
            " isSecure, isHttpOnly) VALUES (?, ?, ?, '/', ?, ?, ?, 0, 1)",
            [
                (name, value, host, (now + 86400) * 1000, now * 1_000_000, now * 1_000_000 + i)
                for i, (name, value) in enumerate(cookies)
            ],
        )
        connection.commit()
    return database
