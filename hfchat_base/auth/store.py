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
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.auth import vault
from hfchat_base.auth.cookies import Cookie, merge
from hfchat_base.errors import HuggingChatError

DATA_VARIABLE: Final = "HUGGINGCHAT_DATA_DIR"

_VERSION: Final = 1
_LOCK_SECONDS: Final = 10.0
"""How long to wait for another process; each holds the lock for some milliseconds."""

_OWNER_FOLDER: Final = stat.S_IRWXU
_OWNER_FILE: Final = stat.S_IRUSR | stat.S_IWUSR
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

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


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, with all that is missing above it.

    What the umask says does not matter. One that is there already is used if it is ours, and closed
    to others; a link is followed if we have set it.

    Raises:
        HuggingChatError: It belongs to another user, or is no folder.
        OSError: It cannot be made.
    """
    missing = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        missing.append(place)
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was faster
            place.mkdir(mode=_OWNER_FOLDER)
            place.chmod(_OWNER_FOLDER)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Refuse a folder that another user could have filled, and close an open one of ours.

    Raises:
        HuggingChatError: It belongs to another user, or is no folder.
        OSError: It is not there, or its rights cannot be changed.
    """
    state = folder.stat()
    if not stat.S_ISDIR(state.st_mode):
        raise HuggingChatError(f"{folder} is not a folder.")
    if sys.platform == "win32":
        return
    # Root may use everybody's, as in containers with mounted folders.
    me = os.geteuid()
    owners = {state.st_uid, folder.lstat().st_uid}
    if me and not owners <= {me, 0}:
        raise HuggingChatError(
            f"{folder} belongs to another user, who could read what is saved in it or plant a"
            f" session. {DATA_VARIABLE} names another folder."
        )
    if state.st_mode & _OTHERS and state.st_uid == me:
        _log.info("%s was open to other users; now only you may enter it", folder)
        folder.chmod(_OWNER_FOLDER)


class SessionStore:
    """The saved sessions of this user. Safe between threads and processes.

    Args:
        folder: Where they are; by default ``sessions`` in the data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or data_folder() / "sessions"
        # A folder that the user has named may hold more than ours, so its rights are theirs.
        is_ours = folder is None and not os.environ.get(DATA_VARIABLE, "").strip()
        self._own = data_folder() if is_ours else None
        self.problems: list[str] = []
        """What was wrong with files that the last `list` left out, a sentence each."""

    def list(self, base_url: str) -> list[SavedSession]:
        """All sessions at a server, those that are usable first, then the newest login first.

        A file that cannot be read costs its own session alone; see `problems`.

        Raises:
            HuggingChatError: The folder cannot be read, or is another user's.
        """
        self.problems = []
        found = []
        try:
            for folder in (self._own, self._folder):
                if folder is not None and os.path.lexists(folder):
                    check_private(folder)
            paths = sorted(self._folder.glob("*.json"))
        except OSError as error:
            raise _unusable(self._folder, error) from None
        for path in paths:
            try:
                saved = _read(path, base_url)
            except _BrokenFileError as error:
                self.problems.append(str(error))
                _log.warning("the saved session in %s", error)
            else:
                if saved is not None:
                    found.append(saved)
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
            return self._write(saved, self._former(saved))

    def refresh(self, saved: SavedSession, changed: Iterable[Cookie]) -> SavedSession | None:
        """Take over refreshed cookies; None if the file holds another login by now, or none.

        Raises:
            HuggingChatError: It cannot be written.
        """
        changed = tuple(changed)

        def refreshed(on_disk: SavedSession) -> SavedSession:
            cookies = merge(on_disk.cookies, changed)
            return replace(on_disk, cookies=cookies, refreshed_at=time.time())

        return self._change(saved, refreshed)

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
            on_disk = self._former(saved)
            if on_disk is None or not on_disk.is_same_login(saved):
                return None
            return self._write(change(on_disk), on_disk)

    def _former(self, saved: SavedSession) -> SavedSession | None:
        """What the account's file holds now; None if it is not there or cannot be read."""
        try:
            return _read(self._path(saved), saved.base_url)
        except _BrokenFileError as error:
            _log.warning("the saved session in %s", error)
            return None

    def _path(self, saved: SavedSession) -> Path:
        # Account names come from a server: no path is made of them.
        digest = hashlib.sha256(f"{saved.base_url}\n{saved.account}".encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import filelock  # noqa: PLC0415 - only whoever saves a session needs it

        try:
            if self._own is not None:
                make_private(self._own)
            make_private(self._folder)
            lock = filelock.FileLock(self._folder / ".lock", timeout=_LOCK_SECONDS, mode=0o600)
            with lock:
                yield
        except (OSError, filelock.Timeout) as error:
            raise _unusable(self._folder, error) from None

    def _write(self, saved: SavedSession, former: SavedSession | None) -> SavedSession:
        saved = replace(saved, in_keyring=vault.is_wanted())
        path = self._path(saved)
        if saved.in_keyring:
            rows = _rows(saved.cookies, with_values=True)
            vault.store(path.stem, {_key(row): row["value"] for row in rows})
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
            "secure": cookie.secure,
        }
        for cookie in cookies
    ]


def _key(row: dict[str, Any]) -> str:
    """What a cookie's value is called in the keyring; names alone may come twice."""
    return f"{row['name']};{row['domain']};{row['path']}"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, all of it or nothing.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            beside.chmod(_OWNER_FILE)  # the umask may have taken even the owner's rights
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


class _BrokenFileError(Exception):
    """A file that holds no session; the message names it and says what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}); log in again, or delete it")


def _read(path: Path, base_url: str) -> SavedSession | None:
    """Read a file; None if it is not there or is for another server.

    Raises:
        _BrokenFileError: It cannot be read.
    """
    try:
        raw = json.loads(path.read_bytes())
        if raw["version"] != _VERSION:
            raise _BrokenFileError(path, "another version of hfchat wrote it")
        if raw["base_url"] != base_url:
            # The keyring is asked for what is wanted, and nothing else.
            return None
        values = vault.load(path.stem) if raw["in_keyring"] else None
        return SavedSession(
            base_url=base_url,
            account=str(raw["account"]),
            cookies=tuple(_cookies(raw["cookies"], values)),
            saved_at=_moment(raw["saved_at"]),
            refreshed_at=_moment(raw["refreshed_at"]),
            ended_at=None if raw["ended_at"] is None else _moment(raw["ended_at"]),
            in_keyring=bool(raw["in_keyring"]),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _BrokenFileError(path, error.strerror or "the system refuses it") from None
    except HuggingChatError as error:
        raise _BrokenFileError(path, str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        # What is in it may be a secret, so nothing of it is told.
        raise _BrokenFileError(path, "it is damaged") from None


def _moment(raw: Any) -> float:
    """Seconds since 1970, of a time that a calendar can write."""
    seconds = float(raw)
    time.gmtime(seconds)
    return seconds


def _cookies(raw: Any, values: dict[str, str] | None) -> Iterator[Cookie]:
    for one in raw:
        name = str(one["name"])
        value = one["value"] if values is None else values.get(_key(one))
        expires = one["expires"]
        if isinstance(value, str):
            yield Cookie(
                name,
                value,
                str(one["domain"]),
                str(one["path"]),
                None if expires is None else float(expires),
                one.get("secure") is True,
            )


def _unusable(folder: Path, error: Exception) -> HuggingChatError:
    reason = getattr(error, "strerror", None) or "another process holds its lock"
    return HuggingChatError(
        f"Saved sessions in {folder} cannot be used: {reason}. {DATA_VARIABLE} names another"
        " folder."
    )
