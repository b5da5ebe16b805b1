"""Saved sessions: one file per base URL and account, in the platform's data folder.

Promises: a file is only ever replaced as a whole, is readable by its owner only from the moment it
exists, and every change applies to what is in the file at that time, under a lock that holds
between threads and processes. What a session means is decided in `session.py`.

With ``HUGGINGCHAT_KEYRING`` set, the values of the cookies are in the system's keyring, and the
file holds the rest. That needs the extra ``keyring``, and the keyring may ask for its password.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, TypeAdapter, ValidationError

from hfchat_base._protocol.constants import SESSION_COOKIE
from hfchat_base.auth.cookies import Cookie, merge
from hfchat_base.errors import HuggingChatError, MissingRequirementsError
from hfchat_base.validation import invalid

DATA_VARIABLE: Final = "HUGGINGCHAT_DATA_DIR"
KEYRING_VARIABLE: Final = "HUGGINGCHAT_KEYRING"

_VERSION: Final = 1
_LOCK_SECONDS: Final = 10.0
"""How long to wait for another process; each holds the lock for some milliseconds."""

_OWNER_FOLDER: Final = stat.S_IRWXU
_OWNER_FILE: Final = stat.S_IRUSR | stat.S_IWUSR
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

_REPLACE_TRIES: Final = 10
_REPLACE_PAUSE_SECONDS: Final = 0.02

_log = logging.getLogger("hfchat")


Moment = Annotated[float, Field(strict=True, ge=0, lt=253_402_300_800)]
"""Seconds since 1970, before the year 10000, so that a calendar can show it."""


class SavedSession(BaseModel):
    """One account's session at one server, as it is on the disk.

    Attributes:
        base_url: The server's address.
        account: The user's name there.
        cookies: All of them; on huggingface.co there are two.
        saved_at: When the account logged in, in seconds since 1970.
        refreshed_at: When the server last confirmed it.
        ended_at: When the server was found to have invalidated it; None if it has not.
        in_keyring: Whether the values are in the system's keyring.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    base_url: str
    account: str
    saved_at: Moment
    refreshed_at: Moment
    ended_at: Moment | None = None
    in_keyring: StrictBool = False
    cookies: tuple[Cookie, ...]

    @property
    def is_usable(self) -> bool:
        """Whether it has neither been invalidated nor expired."""
        chat = self._cookie(SESSION_COOKIE)
        return self.ended_at is None and bool(self.cookies) and not (chat and chat.has_expired)

    def is_same_login(self, other: SavedSession) -> bool:
        """Whether both come from one login; refreshing changes other cookies only."""
        mine, yours = self._cookie(SESSION_COOKIE), other._cookie(SESSION_COOKIE)
        if mine is None or yours is None:
            return self.saved_at == other.saved_at
        return mine.value == yours.value

    def _cookie(self, name: str) -> Cookie | None:
        return next((cookie for cookie in self.cookies if cookie.name == name), None)


class _Header(BaseModel):
    """What has to be known of a file before the rest is read."""

    version: int
    base_url: str
    in_keyring: StrictBool
    cookies: list[dict[str, Any]]


def data_folder() -> Path:
    """Where this package saves its files: ``HUGGINGCHAT_DATA_DIR``, or the platform's folder."""
    if chosen := os.environ.get(DATA_VARIABLE, "").strip():
        return Path(chosen).expanduser()
    import platformdirs  # noqa: PLC0415 - only whoever has a saved session needs it

    return platformdirs.user_data_path("hfchat", appauthor=False)


def browser_folder(base_url: str) -> Path:
    """The profile of the browser window in which people log in to a server."""
    return data_folder() / "browser" / hashlib.sha256(base_url.encode()).hexdigest()[:32]


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, and its missing parents.

    The umask does not matter. An existing folder is used if it is ours, and closed to others; a
    link is followed if it is ours.

    Raises:
        HuggingChatError: It belongs to another user, or is not a folder.
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
    """Refuse a folder that another user could have written to, and close one of ours to others.

    Raises:
        HuggingChatError: It belongs to another user, or is not a folder.
        OSError: It does not exist, or its permissions cannot be changed.
    """
    state = folder.stat()
    if not stat.S_ISDIR(state.st_mode):
        raise HuggingChatError(f"{folder} is not a folder.")
    if sys.platform == "win32":
        return
    # Root may use anybody's, as in containers with mounted folders.
    me = os.geteuid()
    owners = {state.st_uid, folder.lstat().st_uid}
    if me and not owners <= {me, 0}:
        raise HuggingChatError(
            f"{folder} belongs to another user, who could read the sessions in it or plant one."
            f" Set {DATA_VARIABLE} to use another folder."
        )
    if state.st_mode & _OTHERS and state.st_uid == me:
        _log.info("%s was open to other users; now only you can enter it", folder)
        folder.chmod(_OWNER_FOLDER)


class SessionStore:
    """The saved sessions of this user. Safe between threads and processes.

    Args:
        folder: Where they are; by default ``sessions`` in the data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or data_folder() / "sessions"
        # A folder that the user has chosen may hold other files, so its permissions are theirs.
        is_ours = folder is None and not os.environ.get(DATA_VARIABLE, "").strip()
        self._own = data_folder() if is_ours else None
        self.problems: list[str] = []
        """What was wrong with the files that the last `list` left out, a sentence each."""

    def list(self, base_url: str) -> list[SavedSession]:
        """All sessions at a server: usable ones first, then the newest login first.

        A file that cannot be read is left out and named in `problems`.

        Raises:
            HuggingChatError: The folder cannot be read, or belongs to another user.
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
        """The session of an account, or the first one of `list`.

        Raises:
            HuggingChatError: The folder cannot be read.
        """
        for saved in self.list(base_url):
            if account in (None, saved.account):
                return saved
        return None

    def save(self, base_url: str, account: str, cookies: Iterable[Cookie]) -> SavedSession:
        """Save a new login, in place of the account's former one.

        Raises:
            HuggingChatError: It cannot be written.
        """
        now = time.time()
        saved = SavedSession(
            base_url=base_url,
            account=account,
            saved_at=now,
            refreshed_at=now,
            cookies=tuple(cookies),
        )
        with self._locked():
            return self._write(saved, self._former(saved))

    def refresh(self, saved: SavedSession, changed: Iterable[Cookie]) -> SavedSession | None:
        """Apply refreshed cookies; None if the file holds another login by now, or none.

        Raises:
            HuggingChatError: It cannot be written.
        """
        changed = tuple(changed)

        def refreshed(on_disk: SavedSession) -> SavedSession:
            cookies = merge(on_disk.cookies, changed)
            return on_disk.model_copy(update={"cookies": cookies, "refreshed_at": time.time()})

        return self._change(saved, refreshed)

    def mark_ended(self, saved: SavedSession) -> None:
        """Record that the server has invalidated a session.

        Raises:
            HuggingChatError: It cannot be written.
        """
        self._change(saved, lambda on_disk: on_disk.model_copy(update={"ended_at": time.time()}))

    def remove(self, saved: SavedSession) -> None:
        """Delete a session.

        Raises:
            HuggingChatError: It cannot be deleted.
        """
        with self._locked():
            path = self._path(saved)
            if saved.in_keyring:
                _delete_from_keyring(path.stem)
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
        """What the account's file holds now; None if it does not exist or cannot be read."""
        try:
            return _read(self._path(saved), saved.base_url)
        except _BrokenFileError as error:
            _log.warning("the saved session in %s", error)
            return None

    def _path(self, saved: SavedSession) -> Path:
        # Account names come from a server: they are never used in a path.
        text = f"{saved.base_url}\n{saved.account}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
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
        saved = saved.model_copy(update={"in_keyring": _wants_keyring()})
        path = self._path(saved)
        document = {"version": _VERSION, **saved.model_dump()}
        if saved.in_keyring:
            rows = document["cookies"]
            _store_in_keyring(path.stem, {_keyring_name(row): row["value"] for row in rows})
            document["cookies"] = [{**row, "value": None} for row in rows]
        replace_file(path, json.dumps(document, indent=1).encode())
        if former is not None and former.in_keyring and not saved.in_keyring:
            _delete_from_keyring(path.stem)
        return saved


def export(saved: SavedSession, path: Path) -> None:
    """Write a session into a file that ``cookies=`` and ``hfchat login --import`` read.

    Raises:
        OSError: It cannot be written.
    """
    document = saved.model_dump(include={"base_url", "account", "cookies"})
    replace_file(path, json.dumps(document, indent=1).encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, completely or not at all.

    Raises:
        OSError: It cannot be written; the former file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(_OWNER_FILE)  # the umask may have removed even the owner's permissions
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _replace(source: Path, target: Path) -> None:
    for _ in range(_REPLACE_TRIES):
        try:
            source.replace(target)
        except PermissionError:
            # On Windows another process may be reading it, for a millisecond.
            time.sleep(_REPLACE_PAUSE_SECONDS)
        else:
            return
    source.replace(target)


class _BrokenFileError(Exception):
    """A file that holds no session; the message names it and says what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        reason = reason.rstrip(".")
        super().__init__(f"{path} cannot be read ({reason}); log in again, or delete it")


def _read(path: Path, base_url: str) -> SavedSession | None:
    """Read a file; None if it does not exist or is for another server.

    Raises:
        _BrokenFileError: It cannot be read. The message quotes nothing of the file, which may be
            secret.
    """
    try:
        return _parse(json.loads(path.read_bytes()), base_url, path.stem)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or "the system does not allow it"
    except HuggingChatError as error:
        reason = str(error)
    except ValidationError as error:
        reason = str(invalid(error))
    except (ValueError, RecursionError):
        reason = "it is not JSON"
    raise _BrokenFileError(path, reason)


def _parse(raw: Any, base_url: str, keyring_key: str) -> SavedSession | None:
    header = _Header.model_validate(raw)
    if header.version != _VERSION:
        raise HuggingChatError("another version of hfchat wrote it")
    if header.base_url != base_url:
        # The keyring is asked for what is needed, and nothing else.
        return None
    rows = header.cookies
    if header.in_keyring:
        values = _load_from_keyring(keyring_key)
        names = [(row, _keyring_name(row)) for row in rows]
        rows = [{**row, "value": values[name]} for row, name in names if name in values]
    return SavedSession.model_validate({**raw, "cookies": rows})


def _unusable(folder: Path, error: Exception) -> HuggingChatError:
    reason = getattr(error, "strerror", None) or "another process holds its lock"
    return HuggingChatError(
        f"Saved sessions in {folder} cannot be used: {reason}. Set {DATA_VARIABLE} to use another"
        " folder."
    )


# --- the keyring ----------------------------------------------------------------------------------

_KEYRING_SERVICE: Final = "hfchat"
_OFF: Final = ("", "0", "false", "no", "off")
_VALUES: Final = TypeAdapter(dict[str, str])


def _wants_keyring() -> bool:
    return os.environ.get(KEYRING_VARIABLE, "").strip().lower() not in _OFF


def _keyring_name(row: Mapping[str, Any]) -> str:
    """The name of a cookie's value in the keyring; several cookies may have one name."""
    return f"{row.get('name')};{row.get('domain')};{row.get('path')}"


def _store_in_keyring(key: str, values: Mapping[str, str]) -> None:
    with _keyring() as keyring:
        keyring.set_password(_KEYRING_SERVICE, key, json.dumps(values))


def _load_from_keyring(key: str) -> dict[str, str]:
    """The values that the keyring has; empty if it has none."""
    with _keyring() as keyring:
        text = keyring.get_password(_KEYRING_SERVICE, key)
    return _VALUES.validate_python(json.loads(text)) if text else {}


def _delete_from_keyring(key: str) -> None:
    """Delete values, which may be gone already."""
    with _keyring() as keyring, contextlib.suppress(keyring.errors.PasswordDeleteError):
        keyring.delete_password(_KEYRING_SERVICE, key)


@contextlib.contextmanager
def _keyring() -> Iterator[ModuleType]:
    """The library for the system's keyring.

    Raises:
        MissingRequirementsError: The extra is not installed.
        HuggingChatError: There is no keyring, or it refused.
    """
    try:
        import keyring.errors  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise MissingRequirementsError.for_extra(
            "keyring", what="Saving a session in the system's keyring"
        ) from None
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        raise HuggingChatError(
            f"The system's keyring cannot be used ({type(error).__name__}). Unset"
            f" {KEYRING_VARIABLE} to save the session in a file."
        ) from None
