"""An archive of an account's conversations on this machine, with full-text search.

    with HuggingChat() as client, Archive("my-chats") as archive:
        for step in archive.update(client):
            print(f"{step.done} of {step.total}: {step.outcome}")
        for hit in archive.search(["ferry"]):
            print(hit.conversation_id, hit.snippet)

An archive is a folder with a SQLite file (`DATABASE_NAME`). An update fetches what has changed
since the one before: a conversation whose row in the server's list is the same is not fetched
again. Each is written in one transaction, with the files of its messages, so an update that is
interrupted goes on where it was when it is called again. What has gone from the server stays.
`write_markdown` and `write_json` write the conversations into files beside it.

The tables: ``conversations`` (``document`` is a `~hfchat_base.types.FullConversation` in JSON),
``files``, and ``passages``, the texts that ``passage_index`` (FTS5) indexes. Nothing that a server
says becomes a path: ids are checked, and files are named after digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import takewhile
from pathlib import Path
from time import sleep
from typing import Any, Final, Literal, TypeVar

from pydantic import ValidationError
from typing_extensions import Self

from hfchat_base.auth.store import data_folder, make_private, replace_file
from hfchat_base.client import HuggingChat
from hfchat_base.errors import (
    ConversationNotFoundError,
    FileNotAvailableError,
    HuggingChatError,
    InvalidRequestError,
    LoginRequired,
    MissingAuthError,
    RateLimitError,
    TransportError,
)
from hfchat_base.files import ending_for
from hfchat_base.safe_text import clean
from hfchat_base.transcripts import files_of, markdown_line, to_json, to_markdown
from hfchat_base.types import ConversationInfo, FullConversation, MessageFile, User

__all__ = [
    "DATABASE_NAME",
    "Archive",
    "SearchHit",
    "UpdateStep",
    "default_archives",
    "default_folder",
]

T = TypeVar("T")

DATABASE_NAME: Final = "archive.sqlite3"

_VERSION: Final = "1"
_LONGEST_WAIT_SECONDS: Final = 300.0
_WAITS_AT_LIMIT: Final = 10
_WAIT_SECONDS: Final = 60.0
_BUSY_SECONDS: Final = 30.0
_MOST_HITS: Final = 2**31
_SNIPPET_WORDS: Final = 16
_SNIPPET_CHARACTERS: Final = 60
_BEGIN, _END = "\x02", "\x03"
"""Around a match, as SQLite marks it; `clean` has taken both out of all texts."""

_INDEX_TITLE: Final = "# Conversations"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, model TEXT NOT NULL, updated_at TEXT,
    info TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    conversation_id TEXT NOT NULL, sha TEXT NOT NULL, name TEXT NOT NULL, mime TEXT NOT NULL,
    data BLOB, PRIMARY KEY (conversation_id, sha));
CREATE TABLE IF NOT EXISTS passages (
    number INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL, message_id TEXT,
    kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS passages_by_conversation ON passages (conversation_id);
CREATE VIRTUAL TABLE IF NOT EXISTS passage_index USING fts5 (
    text, content=passages, content_rowid=number, tokenize='unicode61 remove_diacritics 2');
CREATE TRIGGER IF NOT EXISTS passage_added AFTER INSERT ON passages BEGIN
    INSERT INTO passage_index (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER IF NOT EXISTS passage_removed AFTER DELETE ON passages BEGIN
    INSERT INTO passage_index (passage_index, rowid, text)
    VALUES ('delete', old.number, old.text);
END;
"""

_Stored = TypeVar("_Stored", ConversationInfo, FullConversation)
_Render = Callable[[FullConversation, datetime | None, Mapping[str, str]], str]

Outcome = Literal["new", "changed", "unchanged", "gone", "failed", "waiting"]
Kind = Literal["title", "system", "user", "assistant", "reasoning"]


class _UnusableError(InvalidRequestError):
    """The archive itself cannot be read or written, whatever the conversation."""


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """What became of one conversation in an update.

    Attributes:
        info: Which one; None while the list is asked for.
        done: How many were looked at, with this one.
        total: How many there are to look at.
        outcome: ``new``, ``changed``, ``unchanged``, ``gone`` (deleted meanwhile), ``failed`` (it
            cannot be read; the former state stays), or ``waiting`` (for the server's limit, after
            which this conversation is tried again).
        problem: Why it has failed, or is waited for; else empty.
        wait: How long the pause is, in seconds.
    """

    info: ConversationInfo | None
    done: int
    total: int
    outcome: Outcome
    problem: str = ""
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A text that was found.

    Attributes:
        conversation_id: Its conversation.
        title: The conversation's title.
        updated_at: When the conversation was last used, or None.
        message_id: Its message; None for a title.
        kind: ``title``, ``system``, ``user``, ``assistant``, or ``reasoning``.
        pieces: A part of the text in pieces, each with whether it matches.
    """

    conversation_id: str
    title: str
    updated_at: datetime | None
    message_id: str | None
    kind: Kind
    pieces: tuple[tuple[str, bool], ...]

    @property
    def snippet(self) -> str:
        """The part of the text in one piece."""
        return "".join(text for text, _ in self.pieces)


def default_folder(base_url: str, account: str) -> Path:
    """Where the archive of an account is by default, in the data folder.

    Args:
        base_url: The account's server.
        account: The account's id there; empty for a guest.
    """
    digest = hashlib.sha256(f"{base_url}\n{account}".encode("utf-8", "surrogatepass")).hexdigest()
    return data_folder() / "archives" / digest[:32]


def default_archives(base_url: str) -> list[Path]:
    """The default folders that hold an archive of a server's accounts, the newest first."""
    found = []
    for file in (data_folder() / "archives").glob(f"*/{DATABASE_NAME}"):
        with suppress(HuggingChatError), Archive(file.parent, create=False) as archive:
            if archive.base_url == base_url:
                found.append((file.stat().st_mtime, file.parent))
    return [folder for _, folder in sorted(found, reverse=True)]


class Archive:
    """An archive of one account's conversations: a folder with a SQLite file. See the module.

    Use it as a context manager, in any thread, but in one at a time.

    Args:
        folder: Where it is. A folder that does not exist yet is made so that only you can enter it;
            its files can always be read by you alone.
        create: Whether to make it if it does not exist.

    Raises:
        InvalidRequestError: There is none and none is to be made, or it cannot be read or written.
    """

    def __init__(self, folder: str | os.PathLike[str], *, create: bool = True) -> None:
        self.folder = Path(folder).expanduser()
        path = self.folder / DATABASE_NAME
        if not create and not path.is_file():
            raise InvalidRequestError(f"There is no archive in {self.folder}.")
        with self._errors():
            if create:
                if not self.folder.exists():
                    make_private(self.folder)
                # SQLite gives the files that it makes beside this one the same permissions.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            self._check_owner()
            with self._errors():
                if create and path.stat().st_mode & 0o077:  # a copy, whose permissions were lost
                    path.chmod(0o600)
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _check_owner(self) -> None:
        """Refuse a database that another program has made, before anything in it is changed."""
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master")}
        if tables and not {"about", "conversations"} <= tables:
            raise InvalidRequestError(
                f"{self.folder / DATABASE_NAME} is another program's database. Choose another"
                " folder."
            )

    def _prepare(self) -> None:
        with self._errors():
            self._database.executescript(_TABLES)
        if self._keep("version", _VERSION) != _VERSION:
            raise InvalidRequestError(
                f"The archive in {self.folder} was made by another version of hfchat."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def base_url(self) -> str | None:
        """The server whose conversations it holds; None before the first update."""
        return self._about("base_url")

    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM conversations"))

    # --- filling it -------------------------------------------------------------------------------

    def update(
        self, client: HuggingChat, *, since: datetime | None = None
    ) -> Generator[UpdateStep, None, None]:
        """Fetch what is new or has changed, a conversation at each step.

        Requests that a limit refuses are made again after the pause that it asks for, or after a
        minute. What was fetched is kept if the update is given up.

        Args:
            client: A client of the account.
            since: Only conversations that were used at that time or later, by the server's list.

        Raises:
            InvalidRequestError: The archive holds conversations of another account or server.
            MissingAuthError: The session is over.
            RateLimitError: The server's limit did not let go.
            TransportError: The server cannot be reached.
        """
        self._claim(client, (yield from _within_limits(client.whoami)))
        since = since and since.astimezone()
        infos = yield from _within_limits(
            lambda: list(takewhile(lambda i: _is_since(i, since), client.list_conversations()))
        )
        known: dict[str, str] = dict(self._rows("SELECT id, info FROM conversations"))
        for done, info in enumerate(infos, 1):
            row, before = _json(info), known.get(info.id)
            outcome: Outcome = "unchanged" if before == row else "changed" if before else "new"
            problem = ""
            if outcome != "unchanged":
                fetch = partial(self._fetch, client, info, row)
                try:
                    yield from _within_limits(fetch, info, done, len(infos))
                except ConversationNotFoundError:
                    outcome = "gone"
                except (RateLimitError, TransportError, MissingAuthError, _UnusableError):
                    raise
                except HuggingChatError as error:
                    outcome, problem = "failed", str(error)
            yield UpdateStep(info, done, len(infos), outcome, problem)

    def _claim(self, client: HuggingChat, user: User | None) -> None:
        """See to it that conversations of two accounts do not get into one archive."""
        if user is None and self._about("account"):
            raise LoginRequired(
                f"The server does not know this session. Log in again: {client.login_command}"
            )
        mine = {"base_url": client.base_url, "account": user.id if user else ""}
        for name, value in mine.items():
            if self._keep(name, value) != value:
                raise InvalidRequestError(
                    f"The archive in {self.folder} holds the conversations of another account."
                    " Choose another folder."
                )

    def _fetch(self, client: HuggingChat, info: ConversationInfo, row: str) -> None:
        """Fetch a conversation with its files, and store it whole."""
        conversation = client.read_conversation(info.id)
        had = {sha for (sha,) in self._rows(_FILES_OF, info.id)}
        fetched: dict[str, tuple[MessageFile, bytes | None]] = {}
        for file in files_of(conversation):
            if file.sha not in had and file.sha not in fetched:
                try:
                    data = client.download_file(info.id, file.sha)
                except FileNotAvailableError:
                    data = None
                fetched[file.sha] = file, data
        # Texts as JSON has them: SQLite takes no lone surrogates either.
        document = conversation.model_dump_json()
        as_stored = FullConversation.model_validate_json(document)
        with self._errors(), self._database:
            run = self._database.execute
            run("DELETE FROM passages WHERE conversation_id = ?", [info.id])
            run(
                "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                [
                    *(info.id, as_stored.title, as_stored.model),
                    *(json.loads(row)["updated_at"], row, document),
                ],
            )
            self._database.executemany(
                "INSERT INTO passages (conversation_id, message_id, kind, text)"
                " VALUES (?, ?, ?, ?)",
                [(info.id, *passage) for passage in _passages(as_stored)],
            )
            for file, data in fetched.values():
                values = json.loads(_json(file))
                run(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                    [info.id, values["sha"], values["name"], values["mime"], data],
                )

    # --- what it holds ----------------------------------------------------------------------------

    def list_conversations(self) -> Iterator[ConversationInfo]:
        """List what it holds, as the server last listed it, the newest first."""
        for (info,) in self._rows("SELECT info FROM conversations ORDER BY updated_at DESC, id"):
            yield self._read(ConversationInfo, info)

    def read_conversation(self, conversation_id: str) -> FullConversation:
        """Read a conversation with its messages.

        Raises:
            ConversationNotFoundError: It holds none of this id.
        """
        query = "SELECT document FROM conversations WHERE id = ?"
        for (document,) in self._rows(query, conversation_id):
            return self._read(FullConversation, document)
        raise ConversationNotFoundError(f"The archive has no conversation {conversation_id!r}.")

    def read_file(self, conversation_id: str, sha: str) -> bytes | None:
        """Read a file of a message; None if the server did not have it."""
        query = "SELECT data FROM files WHERE conversation_id = ? AND sha = ?"
        data: bytes | None = self._one(query, conversation_id, sha)
        return data

    def search(self, words: str | Iterable[str], *, limit: int = 20) -> list[SearchHit]:
        """Find texts that contain all of some words, the best first.

        Words are compared without case and accents. One that ends in ``*`` stands for all that
        begin like it. If no text has them as words, texts that contain them anywhere are found, as
        in languages that put no space between words.

        Args:
            words: Words, or phrases of several words that have to follow each other.
            limit: How many texts at most.
        """
        phrases = [words] if isinstance(words, str) else list(words)
        phrases = [phrase for phrase in map(clean, phrases) if phrase.strip("* ")]
        if not phrases:
            return []
        quoted = (
            '"{}"{}'.format(phrase.rstrip("*").replace('"', '""'), "*" * phrase.endswith("*"))
            for phrase in phrases
        )
        limit = min(limit, _MOST_HITS)
        marks = (_BEGIN, _END, "…", _SNIPPET_WORDS)
        rows = self._rows(_SEARCH, *marks, " ".join(quoted), limit)
        hits = [self._hit(row) for row in rows]
        if hits:
            return hits
        plain = list(dict.fromkeys(phrase.strip("*") for phrase in phrases))
        rows = self._rows(_SCAN, json.dumps(plain), limit)
        return [self._hit((*row[:-1], _around(row[-1], plain))) for row in rows]

    def _hit(self, row: Sequence[Any]) -> SearchHit:
        listed, message_id, kind, marked = row
        info = self._read(ConversationInfo, listed)
        pieces = []
        for number, part in enumerate(marked.split(_BEGIN)):
            match, end, rest = part.partition(_END)
            pieces += [(match, True), (rest, False)] if number and end else [(part, False)]
        shown = tuple((text, is_match) for text, is_match in pieces if text)
        return SearchHit(info.id, info.title, info.updated_at, message_id, kind, shown)

    # --- files for people -------------------------------------------------------------------------

    def write_markdown(self, folder: Path | None = None) -> int:
        """Write each conversation as a Markdown file, and ``index.md``, which lists them.

        Args:
            folder: Where to; by default ``markdown`` beside the SQLite file.

        Returns:
            How many files were written; those that hold the same already are left alone.

        Raises:
            InvalidRequestError: The folder has an ``index.md`` of somebody else.
        """
        written = 0
        folder = folder or self.folder / "markdown"
        self._check_index(folder / "index.md")
        index = [_INDEX_TITLE, ""]
        for info in self.list_conversations():
            written += self._write(folder, info, "md", to_markdown)
            when = f"{info.updated_at:%Y-%m-%d} " if info.updated_at else ""
            index.append(f"- {when}[{markdown_line(info.title) or info.id}]({info.id}.md)")
        return written + self._replace(folder / "index.md", "\n".join([*index, ""]).encode())

    def _check_index(self, path: Path) -> None:
        """Refuse to replace an index that was not written here. Other files are named by ids."""
        with self._errors():
            if not path.is_file():
                return
            with path.open("rb") as file:
                is_ours = file.read(len(_INDEX_TITLE)) == _INDEX_TITLE.encode()
        if not is_ours:
            raise InvalidRequestError(
                f"{path} is not an index of conversations, and would be overwritten. Choose"
                " another folder."
            )

    def write_json(self, folder: Path | None = None) -> int:
        """Write each conversation as a JSON file: a `~hfchat_base.types.FullConversation`.

        Each file of a message has ``path``, where its bytes are, or None.

        Args:
            folder: Where to; by default ``json`` beside the SQLite file.

        Returns:
            How many files were written; those that hold the same already are left alone.
        """
        folder = folder or self.folder / "json"
        infos = self.list_conversations()
        return sum(self._write(folder, info, "json", to_json) for info in infos)

    def _write(self, folder: Path, info: ConversationInfo, ending: str, render: _Render) -> int:
        conversation = self.read_conversation(info.id)
        paths: dict[str, str] = {}
        written = 0
        for file in files_of(conversation):
            data = self.read_file(info.id, file.sha)
            if data is not None and file.sha not in paths:
                digest = hashlib.sha256(f"{info.id} {file.sha}".encode()).hexdigest()[:32]
                paths[file.sha] = f"files/{digest}{ending_for(file.mime)}"
                written += self._replace(folder / paths[file.sha], data)
        text = render(conversation, info.updated_at, paths)
        return written + self._replace(folder / f"{info.id}.{ending}", text.encode())

    def _replace(self, path: Path, data: bytes) -> int:
        with self._errors():
            if not path.parent.exists():
                make_private(path.parent)
            # What is no file, a pipe for one, might never end.
            is_there = path.is_file() and path.stat().st_size == len(data)
            if is_there and path.read_bytes() == data:
                return 0
            replace_file(path, data)
        return 1

    # --- SQLite -----------------------------------------------------------------------------------

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._errors():
            try:
                return self._database.execute(query, values).fetchall()
            except UnicodeEncodeError:
                return []  # nothing is stored under what is no text

    def _one(self, query: str, *values: object) -> Any:
        rows = self._rows(query, *values)
        return rows[0][0] if rows else None

    def _read(self, kind: type[_Stored], text: str) -> _Stored:
        with self._errors():
            return kind.model_validate_json(text)

    def _about(self, name: str) -> str | None:
        value: str | None = self._one("SELECT value FROM about WHERE name = ?", name)
        return value

    def _keep(self, name: str, value: str) -> str | None:
        """Note something about the archive, if it is not noted yet; return what is noted."""
        with self._errors(), self._database:
            self._database.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", [name, value])
        return self._about(name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        except (ValidationError, UnicodeDecodeError):
            reason = "it is damaged"
        else:
            return
        # Outside of the handler: pydantic's error holds a part of the conversation.
        raise _UnusableError(f"The archive in {self.folder} cannot be used: {reason}.")


_FILES_OF: Final = "SELECT sha FROM files WHERE conversation_id = ?"
_HIT: Final = """
SELECT conversations.info, message_id, kind, {}
FROM {} JOIN conversations ON conversations.id = conversation_id WHERE"""
_SEARCH: Final = (
    _HIT.format(
        "snippet(passage_index, 0, ?, ?, ?, ?)",
        "passage_index JOIN passages ON number = passage_index.rowid",
    )
    + " passage_index MATCH ? ORDER BY kind <> 'title', rank, number LIMIT ?"
)
_HAS_ALL: Final = """
NOT EXISTS (SELECT 1 FROM json_each(?) WHERE NOT instr(lower(text), lower(value)))
ORDER BY updated_at DESC, number LIMIT ?"""
_SCAN: Final = _HIT.format("text", "passages") + _HAS_ALL


def _within_limits(
    action: Callable[[], T], info: ConversationInfo | None = None, done: int = 0, total: int = 0
) -> Generator[UpdateStep, None, T]:
    """Do something, again after each pause of a limit; return what comes of it.

    Raises:
        RateLimitError: The limit does not let go, or asks for a longer pause.
    """
    waited = 0
    while True:
        try:
            return action()
        except RateLimitError as error:
            asked = error.retry_after
            wait = _WAIT_SECONDS if asked is None else asked
            if waited == _WAITS_AT_LIMIT or wait > _LONGEST_WAIT_SECONDS:
                raise
            waited += 1
            yield UpdateStep(info, done, total, "waiting", str(error), wait)
            sleep(wait)


def _around(text: str, words: Sequence[str]) -> str:
    """The part of a text around the first of some words, which is marked."""
    lower = text.lower()
    found = ((lower.find(word.lower()), word) for word in words)
    at, word = min(((at, word) for at, word in found if at >= 0), default=(0, ""))
    end = at + len(word)
    before, after = max(at - _SNIPPET_CHARACTERS, 0), end + _SNIPPET_CHARACTERS
    parts = ("…" if before else "", text[before:at], _BEGIN, text[at:end], _END, text[end:after])
    return "".join((*parts, "…" if after < len(text) else ""))


def _is_since(info: ConversationInfo, since: datetime | None) -> bool:
    return since is None or info.updated_at is None or info.updated_at >= since


def _json(value: ConversationInfo | MessageFile) -> str:
    return value.model_dump_json()


def _passages(conversation: FullConversation) -> Iterator[tuple[str | None, Kind, str]]:
    """The texts of a conversation that are searched: message, kind and text."""
    yield None, "title", clean(conversation.title)
    for message in conversation.messages:
        texts: tuple[tuple[Kind, str], ...] = (
            (message.role, message.content),
            ("reasoning", message.reasoning),
        )
        for kind, text in texts:
            if text.strip():
                yield message.id, kind, clean(text)
