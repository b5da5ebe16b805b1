"""Saved sessions: one file per base URL and account, in the platform's own data folder.

Promises: a file is only ever replaced as a whole, is readable by its owner alone from the moment it
exists, and every change is made to what is in the file at that time, under a lock that holds
between threads and processes. What a session means is `auth/session.py`'s business.

With ``HUGGINGCHAT_KEYRING`` set, the values of the cookies are in the system's keyring and the file
holds the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.auth import vault
from hfchat_base.auth.cookies import Cookie
from hfchat_base.errors import HuggingChatError

DATA_VARIABLE: Final = "HUGGINGCHAT_DATA_DIR"

_VERSION: Final = 1
_LOCK_SECONDS: Final = 10.0
"""How long to wait for another process; each holds the lock for some milliseconds."""

_REPLACE_TRIES: Final = 10
_REPLACE_PAUSE_SECONDS: Final = 0.02

_log = logging.getLogger("hfchat")


@dataclass(frozen=True, slots=True)
class SavedSession:
    """One account's session at one server, as it is on the disk.

    Attributes:
        base_url: The server's address.
        account: The user's name there.
        cookies: All of them; on huggingface.co that is two.
        saved_at: When somebody logged in, in seconds since 1970.
        refreshed_at: When the server last said that it is still good.
        ended_at: When the server was found to have thrown it away; None if it has not.
        in_keyring: Whether the values are in the system's keyring.
    """

    base_url: str
    account: str
    cookies: tuple[Cookie, ...]
    saved_at: float
    refreshed_at: float
    ended_at: float | None = None
    in_keyring: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether it has neither been thrown away nor run out."""
        chat = self._cookie(SESSION_COOKIE)
        return self.ended_at is None and bool(self.cookies) and not (chat and chat.has_expired)

    def is_same_login(self, other: SavedSession) -> bool:
        """Tell whether both came of one login; refreshing changes other cookies only."""
        mine, yours = self._cookie(SESSION_COOKIE), other._cookie(SESSION_COOKIE)
        if mine is None or yours is None:
            return self.saved_at == other.saved_at
        return mine.value == yours.value

    def _cookie(self, name: str) -> Cookie | None:
        return next((cookie for cookie in self.cookies if cookie.name == name), None)


def data_folder() -> Path:
    """Where this package keeps what it saves: ``HUGGINGCHAT_DATA_DIR``, or the platform's place."""
    if chosen := os.environ.get(DATA_VARIABLE, "").strip():
        return Path(chosen).expanduser()
    import platformdirs  # noqa: PLC0415 - only whoever has a saved session needs it

    return platformdirs.user_data_path("hfchat", appauthor=False)


def browser_folder(base_url: str) -> Path:
    """The profile of the browser window that people log in to a server with."""
    return data_folder() / "browser" / hashlib.sha256(base_url.encode()).hexdigest()[:32]


class SessionStore:
    """The saved sessions of this user. Safe between threads and processes.

    Args:
        folder: Where they are; by default ``sessions`` in the data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or data_folder() / "sessions"

    def list(self, base_url: str) -> list[SavedSession]:
        """All sessions at a server, those that are usable first, then the newest login first.

        Raises:
            HuggingChatError: The folder cannot be read.
        """
        try:
            found = [
                saved
                for path in sorted(self._folder.glob("*.json"))
                if (saved := _read(path, base_url)) is not None
            ]
        except OSError as error:
            raise _unusable(self._folder, error) from None
        return sorted(found, key=lambda saved: (not saved.is_usable, -saved.saved_at))

    def find(self, base_url: str, account: str | None) -> SavedSession | None:
        """The session of an account, or the one that comes first in `list`.

        Raises:
            HuggingChatError: The folder cannot be read.
        """
        for saved in self.list(base_url):
            if account in (None, saved.account):
                return saved
        return None

    def save(self, base_url: str, account: str, cookies: Iterable[Cookie]) -> SavedSession:
        """Keep a new login, in place of the account's former one.

        Raises:
            HuggingChatError: It cannot be written.
        """
        now = time.time()
        saved = SavedSession(base_url, account, tuple(cookies), now, now)
        with self._locked():
            return self._write(saved, _read(self._path(saved), base_url))

    def refresh(self, saved: SavedSession, changed: Iterable[Cookie]) -> SavedSession | None:
        """Take over refreshed cookies; None if the file holds another login by now, or none.

        Raises:
            HuggingChatError: It cannot be written.
        """
        changed = tuple(changed)

        def merge(on_disk: SavedSession) -> SavedSession:
            cookies = {cookie.name: cookie for cookie in (*on_disk.cookies, *changed)}
            return replace(on_disk, cookies=tuple(cookies.values()), refreshed_at=time.time())

        return self._change(saved, merge)

    def mark_ended(self, saved: SavedSession) -> None:
        """Note that the server has thrown a session away.

        Raises:
            HuggingChatError: It cannot be written.
        """
        self._change(saved, lambda on_disk: replace(on_disk, ended_at=time.time()))

    def remove(self, saved: SavedSession) -> None:
        """Delete a session.

        Raises:
            HuggingChatError: It cannot be deleted.
        """
        with self._locked():
            path = self._path(saved)
            if saved.in_keyring:
                vault.remove(path.stem)
            path.unlink(missing_ok=True)

    def _change(
        self, saved: SavedSession, change: Callable[[SavedSession], SavedSession]
    ) -> SavedSession | None:
        with self._locked():
            on_disk = _read(self._path(saved), saved.base_url)
            if on_disk is None or not on_disk.is_same_login(saved):
                return None
            return self._write(change(on_disk), on_disk)

    def _path(self, saved: SavedSession) -> Path:
        # Account names come from a server: no path is made of them.
        digest = hashlib.sha256(f"{saved.base_url}\n{saved.account}".encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import filelock  # noqa: PLC0415 - only whoever saves a session needs it

        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = filelock.FileLock(self._folder / ".lock", timeout=_LOCK_SECONDS, mode=0o600)
            with lock:
                yield
        except (OSError, filelock.Timeout) as error:
            raise _unusable(self._folder, error) from None

    def _write(self, saved: SavedSession, former: SavedSession | None) -> SavedSession:
        saved = replace(saved, in_keyring=vault.is_wanted())
        path = self._path(saved)
        if saved.in_keyring:
            vault.store(path.stem, {cookie.name: cookie.value for cookie in saved.cookies})
        document = {
            "version": _VERSION,
            "base_url": saved.base_url,
            "account": saved.account,
            "saved_at": saved.saved_at,
            "refreshed_at": saved.refreshed_at,
            "ended_at": saved.ended_at,
            "in_keyring": saved.in_keyring,
            "cookies": _rows(saved.cookies, with_values=not saved.in_keyring),
        }
        replace_file(path, json.dumps(document, indent=1).encode())
        if former is not None and former.in_keyring and not saved.in_keyring:
            vault.remove(path.stem)
        return saved


def export(saved: SavedSession, path: Path) -> None:
    """Write a session into a file that ``cookies=`` and ``hfchat login --import`` read.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "base_url": saved.base_url,
        "account": saved.account,
        "cookies": _rows(saved.cookies, with_values=True),
    }
    replace_file(path, json.dumps(document, indent=1).encode())


def _rows(cookies: Iterable[Cookie], *, with_values: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": cookie.name,
            "value": cookie.value if with_values else None,
            "domain": cookie.domain,
            "path": cookie.path,
            "expires": cookie.expires,
        }
        for cookie in cookies
    ]


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, all of it or nothing.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _replace(source: Path, target: Path) -> None:
    for _ in range(_REPLACE_TRIES):
        try:
            source.replace(target)
        except PermissionError:
            # On Windows somebody may be reading it, for a millisecond.
            time.sleep(_REPLACE_PAUSE_SECONDS)
        else:
            return
    source.replace(target)


def _read(path: Path, base_url: str) -> SavedSession | None:
    """Read a file; None if it is not there, is for another server, or cannot be read."""
    try:
        raw = json.loads(path.read_bytes())
        if raw["version"] != _VERSION:
            raise ValueError  # noqa: TRY301 - told below, as all that cannot be read
        if raw["base_url"] != base_url:
            # The keyring is asked for what is wanted, and nothing else.
            return None
        values = vault.load(path.stem) if raw["in_keyring"] else None
        return SavedSession(
            base_url=base_url,
            account=str(raw["account"]),
            cookies=tuple(_cookies(raw["cookies"], values)),
            saved_at=float(raw["saved_at"]),
            refreshed_at=float(raw["refreshed_at"]),
            ended_at=None if raw["ended_at"] is None else float(raw["ended_at"]),
            in_keyring=bool(raw["in_keyring"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        _log.warning("the saved session in %s cannot be read; log in again", path)
        return None


def _cookies(raw: Any, values: dict[str, str] | None) -> Iterator[Cookie]:
    for one in raw:
        name = str(one["name"])
        value = one["value"] if values is None else values.get(name)
        expires = one["expires"]
        if isinstance(value, str):
            yield Cookie(
                name,
                value,
                str(one["domain"]),
                str(one["path"]),
                None if expires is None else float(expires),
            )


def _unusable(folder: Path, error: Exception) -> HuggingChatError:
    reason = getattr(error, "strerror", None) or "another process holds its lock"
    return HuggingChatError(
        f"Saved sessions in {folder} cannot be used: {reason}. {DATA_VARIABLE} names another"
        " folder."
    )
