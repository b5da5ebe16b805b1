"""Listing, reading, changing, sharing and deleting; settings and models."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base._protocol.constants import CONVERSATIONS_PER_PAGE
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer, wire
from tests.support.local_chat import Chat

if TYPE_CHECKING:
    from typing_extensions import Self

    from hfchat_base._protocol.constants import Generation

UNKNOWN = "0" * 24


def test_list_is_paged(chat: Chat) -> None:
    """The list comes in pages, the last changed conversation first."""
    made = [chat.create() for _ in range(CONVERSATIONS_PER_PAGE + 1)]
    chat.send(made[0], "hi")
    first = chat.http.get("/api/v2/conversations").json()["json"]
    assert (len(first["conversations"]), first["hasMore"]) == (CONVERSATIONS_PER_PAGE, True)
    assert first["conversations"][0]["id"] == made[0]
    second = chat.http.get("/api/v2/conversations?p=1").json()["json"]
    assert (len(second["conversations"]), second["hasMore"]) == (1, False)
    assert len(chat.http.get("/api/conversations?p=x").json()) == CONVERSATIONS_PER_PAGE


def test_legacy_list_is_paged(legacy_chat: Chat) -> None:
    """The legacy list has the same pages and does not say whether more follow."""
    for _ in range(CONVERSATIONS_PER_PAGE + 1):
        legacy_chat.create()
    assert len(legacy_chat.http.get("/api/conversations").json()) == CONVERSATIONS_PER_PAGE
    assert len(legacy_chat.http.get("/api/conversations?p=1").json()) == 1


def _set_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Set the server's clock forward or back, and let it stand still."""
    moment = datetime.now(timezone.utc) + by

    class _Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            shown = moment.astimezone(tz)
            return cls.combine(shown.date(), shown.time(), shown.tzinfo)

    monkeypatch.setattr(wire, "datetime", _Clock)


def _ids(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["id"] for entry in entries]


def test_order_within_one_millisecond(either_chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last changed comes first also among changes that share a millisecond."""
    _set_clock(monkeypatch, timedelta(0))
    made = [either_chat.create() for _ in range(CONVERSATIONS_PER_PAGE + 1)]
    either_chat.send(made[7], "hi")
    order = [made[7], *(one for one in reversed(made) if one != made[7])]
    pages = [either_chat.http.get(f"/api/conversations?p={number}").json() for number in (0, 1)]
    assert _ids([*pages[0], *pages[1]]) == order
    page = either_chat.http.get("/").text
    shown = sorted(order[:CONVERSATIONS_PER_PAGE], key=page.index)
    assert shown == order[:CONVERSATIONS_PER_PAGE]


def test_current_list_within_one_millisecond(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current generation's own list has the same order, and imports stand in it."""
    _set_clock(monkeypatch, timedelta(0))
    share = _share(chat)
    first = chat.create()
    imported = chat.http.post("/api/v2/conversations/import-share", json={"shareId": share}).json()[
        "json"
    ]["conversationId"]
    last = chat.create()
    listed = chat.http.get("/api/v2/conversations").json()["json"]["conversations"]
    assert _ids(listed)[:3] == [last, imported, first]


def test_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is later never has an earlier date, and ids keep the order of their creation."""
    before, first = wire.now(), wire.ObjectId.new()
    _set_clock(monkeypatch, timedelta(hours=-1))
    assert wire.now() >= before
    assert wire.ObjectId.new() > first


def test_delete_all(chat: Chat) -> None:
    """All of the user's conversations are deleted at once; the response has their number."""
    chat.create()
    chat.create()
    assert chat.http.delete("/api/v2/conversations").json() == {"json": 2}
    assert chat.http.get("/api/v2/conversations").json()["json"]["conversations"] == []


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"/api/v2/conversations/{UNKNOWN}", 404, "Conversation not found."),
        ("/api/v2/conversations/no-id-at-all", 400, "Invalid conversation ID format"),
        ("/api/v2/conversations/7letter", 404, "Conversation not found"),
        (f"/conversation/{UNKNOWN}/output/x", 404, "Conversation not found"),
        ("/conversation/7letter/output/x", 404, "Conversation not found"),
        ("/api/v2/models/no/such", 404, "Model not found"),
    ],
)
def test_what_cannot_be_read(chat: Chat, path: str, status: int, message: str) -> None:
    """Each endpoint has its own words for what is not there."""
    refused = chat.http.get(path)
    assert (refused.status_code, refused.json()) == (status, {"message": message})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"title": ""}, 400, "Title must be a string between 1 and 100 characters"),
        ({"title": 1}, 400, "Title must be a string between 1 and 100 characters"),
        ({"title": None}, 400, "Title must be a string between 1 and 100 characters"),
        ({"model": "no/such"}, 400, "Invalid model ID"),
        ({"model": None}, 400, "Invalid model ID"),
    ],
)
def test_changes_that_are_rejected(chat: Chat, body: Any, status: int, message: str) -> None:
    """An invalid title and an invalid model are rejected."""
    refused = chat.http.patch(f"/api/v2/conversations/{chat.create()}", json=body)
    assert (refused.status_code, refused.json()) == (status, {"message": message})


@pytest.mark.parametrize("body", [None, [], "title", {}])
def test_changes_of_nothing(chat: Chat, body: Any) -> None:
    """A body without a title and a model changes nothing, which is no error."""
    path = f"/api/v2/conversations/{chat.create()}"
    before = chat.http.get(path).json()
    changed = chat.http.patch(path, content=json.dumps(body))
    assert (changed.status_code, changed.json()) == (200, {"json": {"success": True}})
    assert chat.http.get(path).json() == before


@pytest.mark.parametrize("body", [{"title": " "}, {"title": "x" * 101}, {"model": "no/such"}])
def test_older_path_rejects_changes_with_500(either_chat: Chat, body: Any) -> None:
    """The older path has a schema, and a body that does not fit it is a 500."""
    refused = either_chat.http.patch(f"/conversation/{either_chat.create()}", json=body)
    assert refused.status_code == 500


def test_title_and_model_can_be_changed(either_chat: Chat) -> None:
    """The older path changes both, in both generations."""
    conversation = either_chat.create()
    either_chat.http.patch(
        f"/conversation/{conversation}", json={"title": " New ", "model": "echo/vision"}
    )
    entry = either_chat.http.get("/api/conversations").json()[0]
    assert (entry["title"], entry["model"]) == ("New", "echo/vision")


def test_title_is_given_once(either_chat: Chat) -> None:
    """Only the first message of a conversation gives it a title."""
    conversation = either_chat.create()
    first = either_chat.send(conversation, "one")
    second = either_chat.send(conversation, "two")
    assert [any(event["type"] == "title" for event in turn) for turn in (first, second)] == [
        True,
        False,
    ]


def test_bad_ids_of_v2(chat: Chat) -> None:
    """Deleting needs a real id, of something that is there."""
    assert chat.http.delete("/api/v2/conversations/x").status_code == 400
    assert chat.http.delete(f"/api/v2/conversations/{UNKNOWN}").status_code == 404
    missing = chat.http.delete(f"/api/v2/conversations/{chat.create()}/message/x")
    assert missing.json() == {"message": "Message not found"}


def test_share_is_frozen(chat: Chat) -> None:
    """A share shows what was there when it was made, and has the files."""
    conversation = chat.create("image/painter")
    chat.send(conversation, "one")
    path = f"/conversation/{conversation}/share"
    origin = {"origin": chat.origin}
    share = chat.http.post(path, headers=origin).json()["shareId"]
    assert chat.http.post(path, headers=origin).json()["shareId"] == share
    chat.send(conversation, "two")
    assert len(chat.messages(share)) == 3
    assert chat.http.post(path, headers=origin).json()["shareId"] != share
    sha = chat.messages(share)[-1]["files"][0]["value"]
    assert chat.http.get(f"/conversation/{share}/output/{sha}").status_code == 200


def _share(chat: Chat) -> str:
    """Share a conversation with one answer that holds a file."""
    conversation = chat.create("image/painter")
    chat.send(conversation, "one")
    path = f"/conversation/{conversation}/share"
    return str(chat.http.post(path, headers={"origin": chat.origin}).json()["shareId"])


def test_share_is_imported_once(chat: Chat) -> None:
    """Importing a share twice gives the same conversation, with the files, and it goes on."""
    share = _share(chat)
    path = "/api/v2/conversations/import-share"
    with Chat(chat.server) as other:
        first, second = (
            other.http.post(path, json={"shareId": share}).json()["json"]["conversationId"]
            for _ in range(2)
        )
        assert first == second
        sha = other.messages(first)[-1]["files"][0]["value"]
        assert other.http.get(f"/conversation/{first}/output/{sha}").status_code == 200
        other.send(first, "two")
    assert len(chat.messages(share)) == 3


def test_conversations_begun_from_a_share(chat: Chat) -> None:
    """A conversation that is created from a share is a new one each time, as on real servers."""
    share = _share(chat)
    body = {"model": "echo/base", "fromShare": share}
    first, second = (chat.http.post("/conversation", json=body).json() for _ in range(2))
    assert first["conversationId"] != second["conversationId"]
    assert len(chat.messages(first["conversationId"])) == len(chat.messages(share))


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ({"shareId": 1}, 400), ({"shareId": "7letter"}, 404)]
)
def test_imports_that_are_rejected(chat: Chat, body: Any, status: int) -> None:
    """An import needs the id of a share."""
    path = "/api/v2/conversations/import-share"
    assert chat.http.post(path, json=body).status_code == status


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ([], 400, "Invalid request"),
        ({"model": "echo/base", "preprompt": 1}, 400, "Invalid request"),
        ({"model": "echo/base", "fromShare": "7letter"}, 404, "Conversation not found"),
        (
            {"model": "my/unlisted"},
            400,
            "Can't start a conversation with an unlisted model",
        ),
    ],
)
def test_conversations_that_are_not_made(body: Any, status: int, message: str) -> None:
    """A conversation needs a listed model and well-formed fields."""
    echo = FunctionBackend(lambda request: request.last_user_text)
    models = [LocalModel("echo/base", echo), LocalModel("my/unlisted", echo, unlisted=True)]
    with LocalServer(models=models) as server, Chat(server) as chat:
        refused = chat.http.post("/conversation", json=body)
        assert (refused.status_code, refused.json()) == (status, {"message": message})


def test_models_own_preprompt(generation: Generation) -> None:
    """A conversation without a system prompt gets the model's."""
    echo = FunctionBackend(lambda request: request.last_user_text)
    model = LocalModel("my/model", echo, preprompt="Be kind.")
    with LocalServer(models=[model], generation=generation) as server, Chat(server) as chat:
        assert chat.messages(chat.create("my/model"))[0]["content"] == "Be kind."
        assert chat.messages(chat.create("my/model", preprompt=""))[0]["content"] == ""


def test_model_can_be_looked_up(chat: Chat) -> None:
    """One model's entry is the one in the list."""
    listed = chat.http.get("/api/v2/models").json()["json"]
    details = chat.http.get("/api/v2/models/echo/vision").json()["json"]
    assert {key: value for key, value in details.items() if key in listed[1]} == listed[1]
    assert chat.http.get("/api/v2/models/old").json() == {"json": []}


def test_settings_are_overwritten(chat: Chat) -> None:
    """A change of settings resets every setting that it leaves out."""
    path = "/api/v2/user/settings"
    chat.create()
    chat.http.post(path, json={"customPrompts": {"echo/base": "x"}, "welcomeModalSeen": True})
    kept = chat.http.get(path).json()["json"]
    assert (kept["customPrompts"], kept["welcomeModalSeen"]) == ({"echo/base": "x"}, True)
    chat.http.post(path, json={"activeModel": "echo/vision", "no_such": 1})
    reset = chat.http.get(path).json()["json"]
    assert (reset["customPrompts"], reset["activeModel"]) == ({}, "echo/vision")
    assert reset["welcomeModalSeen"] is True


@pytest.mark.parametrize("body", [[], {"directPaste": "yes"}, {"activeModel": None}])
def test_settings_of_a_wrong_type(chat: Chat, body: Any) -> None:
    """Invalid settings are rejected by the schema."""
    assert chat.http.post("/api/v2/user/settings", json=body).status_code == 500
