"""Stored conversations, and finding one's way in them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import MessageNotFoundError, ProtocolError
from hfchat_base._protocol.constants import Generation
from hfchat_base._protocol.encodings import from_superjson, from_sveltekit_data
from hfchat_base._protocol.stored import StoredConversation, read_conversation, read_infos
from hfchat_base.types import branch_to
from tests.support.recordings import body_of, load

FINAL = [{"type": "status", "status": "started"}, {"type": "finalAnswer", "text": "x"}]


def recorded(generation: Generation, scenario: str) -> StoredConversation:
    """The last state of a recorded conversation."""
    marker = "/api/v2/conversations/" if generation == "current" else "__data.json"
    reads = [
        body_of(exchange)
        for exchange in load(generation, scenario).exchanges
        if marker in exchange["request"]["path"] and b"rootMessageId" in body_of(exchange)
    ]
    if generation == "current":
        raw = from_superjson(reads[-1], "conversation")
    else:
        raw = next(n for n in from_sveltekit_data(reads[-1], "conversation") if "messages" in n)
    return read_conversation(raw, "c1")


def message(identity: str, role: str = "user", **fields: Any) -> dict[str, Any]:
    """A message as a server stores it."""
    return {"id": identity, "from": role, "content": identity, "children": [], **fields}


def stored(*messages: dict[str, Any], **fields: Any) -> StoredConversation:
    """A conversation as a server stores it."""
    return read_conversation({"messages": list(messages), **fields}, "c1")


@pytest.mark.parametrize("scenario", ["branch", "retry_and_edit"])
def test_recorded_branches(generation: Generation, scenario: str) -> None:
    """Siblings of recorded conversations are read with their parents."""
    conversation = recorded(generation, scenario)
    assistants = [m for m in conversation.messages if m.role == "assistant"]
    assert all(m.is_complete and m.content.startswith("You said: ") for m in assistants)
    parents = [conversation.message(m.parent_id or "") for m in assistants]
    assert {parent.role for parent in parents} == {"user"}
    assert conversation.latest().id == assistants[-1].id


def test_recorded_thinking() -> None:
    """Stored thinking is distinguished from the text on both generations."""
    for conversation in (recorded("current", "reasoning"), recorded("legacy", "reasoning_events")):
        answer = conversation.latest()
        assert answer.content == "After thinking, the answer is 42."
        assert "what is it?" in answer.reasoning


def test_recorded_upload(generation: Generation) -> None:
    """Stored attachments are read with the messages."""
    user = next(m for m in recorded(generation, "image_upload").messages if m.role == "user")
    assert [file.mime for file in user.files] == ["image/png"]
    assert user.created_at is not None
    assert user.created_at.tzinfo is not None


def test_recorded_stop(generation: Generation) -> None:
    """A run that was stopped is over on both generations."""
    answer = recorded(generation, "stop_generating").latest()
    assert answer.is_complete
    assert answer.content.startswith("tok0 tok1 ")


@pytest.mark.parametrize("scenario", ["upstream_500", "upstream_empty"])
def test_recorded_failure(generation: Generation, scenario: str) -> None:
    """A run that failed is over."""
    assert recorded(generation, scenario).latest().is_complete


@pytest.mark.parametrize(
    ("fields", "is_complete"),
    [
        ({"content": ""}, False),
        ({"content": "", "updates": [], "generationId": "g"}, False),
        ({"content": "x", "updates": [{"type": "status"}], "generationId": "g"}, False),
        ({"content": "x", "updates": FINAL, "generationId": "g"}, True),
        ({"content": "x", "updates": [{"type": "status", "status": "error"}]}, True),
        ({"content": "x", "updates": [{"type": "status", "status": "started"}]}, True),
        ({"content": "x", "interrupted": True, "generationId": "g"}, True),
        ({"content": "x"}, True),
    ],
)
def test_whether_a_run_is_over(fields: dict[str, Any], *, is_complete: bool) -> None:
    """Whether a run is over follows from what is stored of it."""
    assert stored(message("a", "assistant", **fields)).messages[0].is_complete is is_complete


def test_latest_follows_the_newest_children() -> None:
    """The end of a conversation is that of the branch written to last."""
    conversation = stored(
        message("root", "system", children=["a", "b"]),
        message("a", children=["c"], ancestors=["root"]),
        message("b", children=["d"], ancestors=["root"]),
        message("c", "assistant", ancestors=["root", "a"]),
        message("d", "assistant", ancestors=["root", "b"]),
        rootMessageId="root",
    )
    assert conversation.latest().id == "d"
    assert [m.id for m in conversation.path_to("c")] == ["root", "a", "c"]
    with pytest.raises(MessageNotFoundError, match="no message 'e'"):
        conversation.message("e")


@pytest.mark.timeout(20)
def test_branch_that_leads_back_to_itself() -> None:
    """A branch whose messages follow each other in a circle has each of them once."""
    conversation = stored(message("a", ancestors=["b"]), message("b", "assistant", ancestors=["a"]))
    assert [m.id for m in branch_to(conversation.messages, "b")] == ["a", "b"]
    assert [m.id for m in conversation.path_to("b")] == ["a", "b"]


def test_branch_without_its_beginning() -> None:
    """A message whose parent is not there begins its branch, or is an error where that matters."""
    conversation = stored(message("b", "assistant", ancestors=["gone"]))
    assert [m.id for m in branch_to(conversation.messages, "b")] == ["b"]
    assert branch_to(conversation.messages, None) == branch_to(conversation.messages, "x") == []
    with pytest.raises(MessageNotFoundError, match="no message 'gone'"):
        conversation.path_to("b")


def test_children_that_go_round() -> None:
    """Messages that are their own descendants are followed once."""
    conversation = stored(message("a", children=["b"]), message("b", children=["a"]))
    assert conversation.latest().id in {"a", "b"}


def test_run_is_found_by_its_id() -> None:
    """The answer of a run is found by the run's own id, the newest first."""
    conversation = stored(
        message("a", "assistant", generationId="g"), message("b", "assistant", generationId="g")
    )
    found = conversation.written_by("g")
    assert found is not None
    assert found.id == "b"
    assert conversation.written_by("h") is None


def test_no_messages() -> None:
    """A conversation without messages has no latest one."""
    with pytest.raises(MessageNotFoundError, match="holds no messages"):
        stored().latest()


@pytest.mark.parametrize("raw", [None, [], {}, {"messages": {}}, {"messages": [{"from": "user"}]}])
def test_what_is_no_conversation(raw: Any) -> None:
    """What is not a conversation is a protocol error."""
    with pytest.raises(ProtocolError):
        read_conversation(raw, "c1")


def test_rows_of_a_list() -> None:
    """Rows of both generations' lists are read; what has no id is left out."""
    rows = [
        {"id": "1", "title": "T", "modelId": "m", "updatedAt": "2026-11-22T06:39:11.204Z"},
        {"_id": "2", "title": "U", "model": "m", "updatedAt": "nonsense"},
        {"title": "V"},
        7,
    ]
    one, two = read_infos(rows)
    assert (one.id, one.title, one.model) == ("1", "T", "m")
    assert one.updated_at == datetime(2026, 11, 22, 6, 39, 11, 204000, tzinfo=timezone.utc)
    assert (two.id, two.updated_at) == ("2", None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = [
    *("from", "content", "reasoning", "ancestors", "children", "files", "updates"),
    *("interrupted", "generationId", "createdAt", "routerMetadata"),
]
MESSAGES = st.builds(
    lambda identity, fields: {"id": identity, **fields},
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.sampled_from(NAMES), VALUES | st.sampled_from([["a"], ["b", "c"]])),
)


@given(st.lists(MESSAGES, max_size=4), VALUES)
def test_any_data_is_a_conversation_or_our_error(messages: list[Any], root: Any) -> None:
    """Whatever a server stores, nothing but our errors leaves the reader."""
    with suppress(ProtocolError, MessageNotFoundError):
        conversation = read_conversation({"messages": messages, "rootMessageId": root}, "c1")
        conversation.path_to(conversation.latest().id)


@given(VALUES)
def test_any_list(raw: Any) -> None:
    """Whatever a list holds, its rows are read."""
    assert json.dumps([info.id for info in read_infos(raw)])
