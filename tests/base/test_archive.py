"""The archive: what it holds, what it fetches again, and how it is searched."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ConversationNotFoundError,
    HuggingChat,
    InvalidRequestError,
    LoginRequired,
    RateLimitError,
    Retries,
    TransportError,
)
from hfchat_base.archive import DATABASE_NAME, Archive, default_archives, default_folder
from hfchat_base.types import FullConversation
from tests.support.faults.fault_server import READ, FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Cut, Instead
from tests.support.pictures import PNG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.local import LocalServer

LIMITED = Instead(response(b"slow down", status="429 Too Many Requests"))
GONE = Instead(
    response(
        b'{"message":"Conversation not found"}',
        status="404 Not Found",
        content_type="application/json",
    )
)
UNREADABLE = Instead(response(b'{"json":{}}', content_type="application/json"))
OUTPUT = r"GET \S*/output/"
PAGE = '<artifact identifier="a" type="html" title="Otters"><p>river</p></artifact>'


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty archive."""
    with Archive(tmp_path / "archive") as archive:
        yield archive


@pytest.fixture
def guest(current_server: LocalServer) -> Iterator[tuple[HuggingChat, FaultServer]]:
    """A guest who meets no pauses of the client's own, and the proxy on the way to the server."""
    with (
        FaultServer(current_server.base_url) as proxy,
        HuggingChat(proxy.url, retries=Retries(attempts=1)) as client,
    ):
        yield client, proxy


def say(client: HuggingChat, *texts: str, **options: Any) -> str:
    """Have a conversation, and return its id."""
    conversation = client.create_conversation("echo/vision")
    for text in texts:
        conversation.send(text, **options)
    return conversation.id


def outcomes(archive: Archive, client: HuggingChat, **options: Any) -> list[str]:
    """What becomes of the conversations in an update."""
    return [step.outcome for step in archive.update(client, **options)]


def test_everything_is_kept(archive: Archive, client: HuggingChat) -> None:
    """Branches, reasoning, artifacts, system prompt and files are in the archive."""
    conversation = client.create_conversation("think/tags", "Be kind.")
    conversation.send("think")
    conversation.retry()
    scripted = client.create_conversation("script/agent")
    scripted.send(f"SCRIPT: {json.dumps([PAGE])}")
    picture = say(client, "look", files=[PNG])
    assert outcomes(archive, client) == ["new"] * 3
    branched = archive.read_conversation(conversation.id)
    assert branched == client.read_conversation(conversation.id)
    assert branched.system_prompt == "Be kind."
    versions = [m for m in branched.messages if m.role == "assistant"]
    assert len(versions) == 2
    assert all(message.reasoning for message in versions)
    (artifact,) = archive.read_conversation(scripted.id).messages[-1].artifacts
    assert artifact.content == "<p>river</p>"
    (file,) = archive.read_conversation(picture).messages[1].files
    assert archive.read_file(picture, file.sha) == PNG
    assert len(archive) == 3


def test_only_what_has_changed_is_fetched(
    archive: Archive, server: LocalServer, client: HuggingChat
) -> None:
    """What the list shows as before is not read again; a new message or title is a change."""
    ids = [say(client, text) for text in ("one", "two", "three")]
    list(archive.update(client))
    server.clear_requests()
    assert outcomes(archive, client) == ["unchanged"] * 3
    assert not [r for r in server.requests if any(identity in r.path for identity in ids)]
    client.get_conversation(ids[0]).send("more")
    client.get_conversation(ids[1]).rename("Another")
    assert sorted(outcomes(archive, client)) == ["changed", "changed", "unchanged"]
    assert archive.read_conversation(ids[0]) == client.read_conversation(ids[0])
    assert "Another" in [info.title for info in archive.list_conversations()]


def test_an_interrupted_update_goes_on(archive: Archive, client: HuggingChat) -> None:
    """What was fetched before the caller left is there, and only the rest is fetched."""
    for text in ("one", "two", "three"):
        say(client, text)
    update = archive.update(client)
    next(update)
    update.close()
    assert len(archive) == 1
    assert sorted(outcomes(archive, client)) == ["new", "new", "unchanged"]


def test_a_conversation_is_stored_whole_or_not_at_all(
    archive: Archive, guest: tuple[HuggingChat, FaultServer]
) -> None:
    """A connection that is lost at a conversation's file leaves nothing of the conversation."""
    client, proxy = guest
    identity = say(client, "look", files=[PNG])
    proxy.on(OUTPUT, Cut(40))
    with pytest.raises(TransportError):
        list(archive.update(client))
    assert len(archive) == 0
    assert archive.search("look") == []
    assert outcomes(archive, client) == ["new"]
    assert archive.read_conversation(identity).messages[1].files


async def test_an_asynchronous_program_uses_a_thread(
    archive: Archive, async_client: AsyncHuggingChat
) -> None:
    """An update runs in another thread than the one that has opened the archive."""
    conversation = await async_client.create_conversation("echo/base")
    with async_client.to_sync() as client:
        steps = await asyncio.to_thread(list, archive.update(client))
    assert [step.outcome for step in steps] == ["new"]
    assert archive.read_conversation(conversation.id).id == conversation.id


def test_a_limit_is_waited_for(
    archive: Archive, guest: tuple[HuggingChat, FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that a limit refuses is made again after a minute, or after what is asked for."""
    client, proxy = guest
    say(client, "hello")
    waits: list[float] = []
    monkeypatch.setattr("hfchat_base.archive.sleep", waits.append)
    asking = response(b"", status="429 Too Many Requests", headers={"retry-after": "7"})
    proxy.on(READ, LIMITED, Instead(asking))
    assert outcomes(archive, client) == ["waiting", "waiting", "new"]
    assert waits == [60, 7]


def test_a_limit_on_the_list_is_waited_for(
    archive: Archive, guest: tuple[HuggingChat, FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a limit on asking who we are, and on the list, before there is any conversation."""
    client, proxy = guest
    say(client, "hello")
    waits: list[float] = []
    monkeypatch.setattr("hfchat_base.archive.sleep", waits.append)
    proxy.on(r"GET \S*/api/v2/user$", LIMITED)
    proxy.on(r"GET \S*/conversations\?", LIMITED)
    steps = list(archive.update(client))
    assert [step.outcome for step in steps] == ["waiting", "waiting", "new"]
    assert [step.info is None for step in steps] == [True, True, False]
    assert waits == [60, 60]


def test_a_limit_that_does_not_let_go(
    archive: Archive, guest: tuple[HuggingChat, FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waits have an end, and so has the longest of them."""
    client, proxy = guest
    say(client, "hello")
    waits: list[float] = []
    monkeypatch.setattr("hfchat_base.archive.sleep", waits.append)
    proxy.on(READ, LIMITED, always=True)
    with pytest.raises(RateLimitError):
        list(archive.update(client))
    assert len(waits) == 10
    proxy.reset()
    asking = response(b"", status="429 Too Many Requests", headers={"retry-after": "3600"})
    proxy.on(READ, Instead(asking))
    with pytest.raises(RateLimitError):
        list(archive.update(client))


def test_one_conversation_does_not_stop_the_others(
    archive: Archive, guest: tuple[HuggingChat, FaultServer]
) -> None:
    """One that was deleted meanwhile is skipped; one that cannot be read is tried next time."""
    client, proxy = guest
    for text in ("one", "two", "three"):
        say(client, text)
    proxy.on(READ, GONE, UNREADABLE)
    steps = list(archive.update(client))
    assert [step.outcome for step in steps] == ["gone", "failed", "new"]
    assert "cannot be read" in steps[1].problem
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert sorted(outcomes(archive, client)) == ["new", "new", "unchanged"]


def test_a_file_that_the_server_does_not_have(
    archive: Archive, guest: tuple[HuggingChat, FaultServer]
) -> None:
    """A conversation whose file has gone is kept without its bytes."""
    client, proxy = guest
    identity = say(client, "look", files=[PNG])
    proxy.on(OUTPUT, Instead(response(b"", status="404 Not Found")))
    assert outcomes(archive, client) == ["new"]
    (file,) = archive.read_conversation(identity).messages[1].files
    assert archive.read_file(identity, file.sha) is None


def test_what_has_gone_from_the_server_stays(archive: Archive, client: HuggingChat) -> None:
    """An archive is not emptied when the account is."""
    identity = say(client, "hello")
    list(archive.update(client))
    client.delete_conversation(identity)
    assert outcomes(archive, client) == []
    assert archive.read_conversation(identity).messages
    with pytest.raises(ConversationNotFoundError):
        archive.read_conversation("0" * 24)


def test_only_since_a_moment(archive: Archive, client: HuggingChat) -> None:
    """Conversations that were not used since then are left out."""
    say(client, "hello")
    now = datetime.now(timezone.utc)
    assert outcomes(archive, client, since=now + timedelta(days=1)) == []
    assert outcomes(archive, client, since=now - timedelta(days=1)) == ["new"]


def test_another_account_is_refused(archive: Archive, current_server: LocalServer) -> None:
    """An archive is one account's: another one, and a session that is over, do not get into it."""
    url = current_server.base_url
    with HuggingChat(url, current_server.new_session("ada")) as ada:
        list(archive.update(ada))
    with (
        HuggingChat(url, current_server.new_session("bob")) as bob,
        pytest.raises(InvalidRequestError, match="another account"),
    ):
        list(archive.update(bob))
    with HuggingChat(url) as nobody, pytest.raises(LoginRequired, match="hfchat login"):
        list(archive.update(nobody))


def test_hostile_ids_and_titles_are_no_paths(
    archive: Archive, guest: tuple[HuggingChat, FaultServer], tmp_path: Path
) -> None:
    """An id that is none is a failure; a title is text, and so is the name of a file."""
    client, proxy = guest
    identity = say(client, "look", files=[PNG])
    client.get_conversation(identity).rename("../../../../evil\x1b[31m")
    row = {"id": "../../evil", "title": "x", "updatedAt": "2026-08-01T00:00:00.000Z"}
    listed = json.dumps({"json": {"conversations": [row], "hasMore": False}}).encode()
    proxy.on(r"GET \S*/conversations\?", Instead(response(listed, content_type="application/json")))
    assert outcomes(archive, client) == ["failed"]
    assert outcomes(archive, client) == ["new"]
    archive.write_markdown()
    archive.write_json()
    names = {str(p.relative_to(archive.folder)) for p in archive.folder.rglob("*") if p.is_file()}
    assert {DATABASE_NAME, f"markdown/{identity}.md", f"json/{identity}.json"} <= names
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert "\x1b" not in (archive.folder / "markdown" / "index.md").read_text("utf-8")


def test_files_for_people(archive: Archive, client: HuggingChat) -> None:
    """Markdown and JSON have the conversations and their files; what is there already is left."""
    identity = say(client, "look", files=[PNG])
    list(archive.update(client))
    assert archive.write_markdown() == 3
    assert archive.write_json() == 2
    assert (archive.write_markdown(), archive.write_json()) == (0, 0)
    text = (archive.folder / "markdown" / f"{identity}.md").read_text("utf-8")
    path = text.partition("](")[2].partition(")")[0]
    assert (archive.folder / "markdown" / path).read_bytes() == PNG
    written = (archive.folder / "json" / f"{identity}.json").read_text("utf-8")
    assert FullConversation.model_validate_json(written) == archive.read_conversation(identity)
    client.get_conversation(identity).rename("Another")
    list(archive.update(client))
    assert archive.write_markdown() == 2  # itself and the index


@pytest.fixture
def filled(archive: Archive, client: HuggingChat) -> Archive:
    """An archive of two conversations."""
    conversation = client.create_conversation("echo/base")
    conversation.send("The Café by the north sea. \x1b[31mRed tides")
    conversation.rename("Ferries")
    client.get_conversation(say(client, "see 天气很好 today")).rename("Another")
    list(archive.update(client))
    return archive


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cafe"], "Café"),
        (["SEA", "café"], "Café"),
        (["north sea"], "north sea"),
        (["red tides"], "Red tides"),
        (["tid*"], "tides"),
        (["天气"], "天气"),
        (["orth se"], "orth se"),
        ("north sea", "north sea"),
    ],
)
def test_words_are_found(filled: Archive, words: list[str] | str, found: str) -> None:
    """All words count, without case and accents; as parts of words if nothing else has them."""
    hits = filled.search(words)
    assert {hit.kind for hit in hits} == {"user", "assistant"}
    matches = [text for text, is_match in hits[0].pieces if is_match]
    assert found in " ".join(matches)
    assert "\x1b" not in hits[0].snippet


@pytest.mark.parametrize(
    "words", [["sea north"], ["café", "today"], ["zzz"], ["*"], [""], [], ['"'], ["31m"]]
)
def test_words_that_are_not_there(filled: Archive, words: list[str]) -> None:
    """A text has to have all of them, a phrase in its order; nothing is asked without words."""
    assert filled.search(words) == []


@pytest.mark.parametrize(
    "words", ['" OR text:*', "a AND", "NEAR(", "x'; DROP TABLE files; --", "%"]
)
def test_words_are_no_language(filled: Archive, words: str) -> None:
    """What means something to SQLite is words here."""
    assert filled.search([words]) == []
    assert len(filled) == 2


def test_titles_are_found_first(filled: Archive) -> None:
    """A title is a hit of its own, without a message; the number of hits is limited."""
    (hit,) = filled.search(["ferries"])
    assert (hit.kind, hit.title, hit.message_id) == ("title", "Ferries", None)
    assert len(filled.search(["the*"], limit=1)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of Unix")
def test_an_archive_is_private(filled: Archive) -> None:
    """Only its owner can read it, whatever the umask, and what is written beside it."""
    filled.write_markdown()
    modes = {p.stat().st_mode & 0o777 for p in [filled.folder, *filled.folder.rglob("*")]}
    assert modes == {0o700, 0o600}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of Unix")
def test_a_folder_of_the_users_stays_as_it_is(tmp_path: Path) -> None:
    """A folder that is there already keeps its permissions; the archive's file is private."""
    tmp_path.chmod(0o755)
    with Archive(tmp_path):
        pass
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A file that is none, one of another version, and one that is not there are clear errors."""
    with pytest.raises(InvalidRequestError, match="no archive"):
        Archive(tmp_path, create=False)
    (tmp_path / DATABASE_NAME).write_bytes(b"x" * 4096)
    with pytest.raises(InvalidRequestError, match="cannot be used"):
        Archive(tmp_path)
    (tmp_path / DATABASE_NAME).unlink()
    with Archive(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.execute("UPDATE about SET value = '99'")
    database.commit()
    database.close()
    with pytest.raises(InvalidRequestError, match="another version"):
        Archive(tmp_path)


def test_a_database_of_another_program(tmp_path: Path) -> None:
    """It is left as it is, with its permissions, also where a link leads to it."""
    theirs = tmp_path / "theirs.sqlite3"
    database = sqlite3.connect(theirs)
    database.execute("CREATE TABLE notes (text)")
    database.commit()
    database.close()
    theirs.chmod(0o644)
    before = theirs.read_bytes(), theirs.stat().st_mode
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / DATABASE_NAME).symlink_to(theirs)
    with pytest.raises(InvalidRequestError, match="another program's database"):
        Archive(tmp_path / "archive")
    assert (theirs.read_bytes(), theirs.stat().st_mode) == before


def test_an_index_of_somebody_else(filled: Archive, tmp_path: Path) -> None:
    """A folder of the user's may hold an index.md, which is not overwritten."""
    (tmp_path / "index.md").write_text("My notes")
    with pytest.raises(InvalidRequestError, match="would be overwritten"):
        filled.write_markdown(tmp_path)
    assert (tmp_path / "index.md").read_text() == "My notes"
    assert list(tmp_path.glob("*.md")) == [tmp_path / "index.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of Unix")
def test_a_pipe_in_the_place_of_a_file(filled: Archive, tmp_path: Path) -> None:
    """It is replaced, rather than read, which would never end."""
    (info, *_) = filled.list_conversations()
    os.mkfifo(tmp_path / f"{info.id}.json")
    filled.write_json(tmp_path)
    assert json.loads((tmp_path / f"{info.id}.json").read_text())["id"] == info.id


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE conversations SET info = 'x', document = '{'",
        "UPDATE conversations SET info = CAST(x'84ff' AS TEXT), document = CAST(x'84ff' AS TEXT)",
    ],
    ids=["no JSON", "no text"],
)
def test_damaged_rows(filled: Archive, change: str) -> None:
    """What is damaged within the file is the same clear error."""
    database = sqlite3.connect(filled.folder / DATABASE_NAME)
    (identity,) = database.execute("SELECT id FROM conversations LIMIT 1").fetchone()
    database.execute(change)
    database.commit()
    database.close()
    for read in (
        lambda: list(filled.list_conversations()),
        lambda: filled.read_conversation(identity),
        lambda: filled.search(["the*"]),
        filled.write_json,
    ):
        with pytest.raises(InvalidRequestError, match="cannot be used"):
            read()


def test_a_text_that_cannot_be_stored_is_not_found(filled: Archive) -> None:
    """An id from a command line may hold what is no text."""
    with pytest.raises(ConversationNotFoundError):
        filled.read_conversation("\udcff")


def test_many_words_and_many_hits(filled: Archive) -> None:
    """A pasted page is as good a search as one word, and any number a limit."""
    assert filled.search(["zzz"] * 1500) == []
    assert filled.search(["the*"], limit=2**70) == filled.search(["the*"])


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of Unix")
def test_an_archive_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    """A file that was copied loses its permissions; the next update is not for everybody's eyes."""
    (tmp_path / DATABASE_NAME).touch(0o644)
    with Archive(tmp_path):
        assert (tmp_path / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_where_archives_are(client: HuggingChat) -> None:
    """Each account has a folder of its own by default, and a server's are found again."""
    mine = default_folder(client.base_url, "ada")
    assert mine != default_folder(client.base_url, "bob")
    assert default_archives(client.base_url) == []
    with Archive(mine) as archive:
        list(archive.update(client))
    assert default_archives(client.base_url) == [mine]
    assert default_archives("https://example.com/chat") == []
