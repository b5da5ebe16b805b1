"""A conversation continues in another process: messages refer to what the server keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import Answer, AsyncHuggingChat, ChatMessage, HuggingChat
from hfchat_base._flows.index import ConversationIndex
from hfchat_base.local import LocalServer
from hfchat_base.types import AnswerReference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base._protocol.constants import Generation

MODEL = "echo/base"
SYSTEM = ChatMessage("system", "Be terse.")
ONE = ChatMessage("user", "one")
TWO = ChatMessage("user", "two")


@pytest.fixture
def server(generation: Generation) -> Iterator[LocalServer]:
    """A server of each generation."""
    with LocalServer(generation=generation) as server:
        yield server


@pytest.fixture
def cookies(server: LocalServer) -> dict[str, str]:
    """An account that all clients of a test share."""
    return server.cookies()


def as_message(answer: Answer) -> ChatMessage:
    """An answer as a caller keeps it."""
    return ChatMessage("assistant", answer.text, reference=answer.reference)


def begin(server: LocalServer, cookies: Any, *beginning: ChatMessage) -> Answer:
    """Have a client, which nobody sees again, begin a conversation."""
    with HuggingChat(server.base_url, cookies) as client:
        return client.chat(beginning or [SYSTEM, ONE], model=MODEL)


def go_on(server: LocalServer, cookies: Any, history: Sequence[ChatMessage], **how: Any) -> Answer:
    """Have another client answer a history."""
    server.clear_requests()
    with HuggingChat(server.base_url, cookies) as client:
        return client.chat(history, **{"model": MODEL, **how})


def roles(server: LocalServer) -> list[str]:
    """The roles of the messages that the model got last."""
    return [message["role"] for message in server.prompts[-1].messages]


def test_another_client_continues(server: LocalServer, cookies: Any) -> None:
    """A client that knows nothing continues the conversation, and sends only what is new."""
    first = begin(server, cookies)
    second = go_on(server, cookies, [SYSTEM, ONE, as_message(first), TWO])
    assert second.conversation_id == first.conversation_id
    assert roles(server) == ["system", "user", "assistant", "user"]
    assert not any(b'"one"' in request.body for request in server.requests)


async def test_another_asynchronous_client_continues(server: LocalServer, cookies: Any) -> None:
    """The same goes for an asynchronous client."""
    first = begin(server, cookies)
    async with AsyncHuggingChat(server.base_url, cookies) as client:
        second = await client.chat([SYSTEM, ONE, as_message(first), TWO], model=MODEL)
        third = await client.chat(
            [SYSTEM, ONE, as_message(first), TWO, as_message(second), ONE], model=MODEL
        )
    assert first.conversation_id == second.conversation_id == third.conversation_id


def test_short_name_of_a_model(server: LocalServer, cookies: Any) -> None:
    """A short name leads to the same conversation in another client."""
    first = begin(server, cookies)
    second = go_on(server, cookies, [SYSTEM, ONE, as_message(first), TWO], model="base")
    assert second.conversation_id == first.conversation_id


def test_asked_once(server: LocalServer, cookies: Any) -> None:
    """The conversation is read once; from then on the client knows it."""
    first = begin(server, cookies)
    history = [SYSTEM, ONE, as_message(first), TWO]
    with HuggingChat(server.base_url, cookies) as client:
        history += [as_message(client.chat(history, model=MODEL)), ONE]
        server.clear_requests()
        assert client.chat(history, model=MODEL).conversation_id == first.conversation_id
    # The answer's id is read, and nothing else.
    reads = [r for r in server.requests if r.method == "GET" and first.conversation_id in r.path]
    assert len(reads) <= 1


@pytest.mark.parametrize(
    "changed",
    [
        [SYSTEM, ChatMessage("user", "ONE")],
        [ChatMessage("system", "Be verbose."), ONE],
        [ONE],
    ],
    ids=["the question", "the system prompt", "no system prompt"],
)
def test_edited_history(server: LocalServer, cookies: Any, changed: list[ChatMessage]) -> None:
    """A reference in another history than its own is not followed."""
    first = begin(server, cookies)
    second = go_on(server, cookies, [*changed, as_message(first), TWO])
    assert second.conversation_id != first.conversation_id
    assert changed[-1].content in str(server.prompts[-1].messages[-1]["content"])


def test_edited_answer(server: LocalServer, cookies: Any) -> None:
    """An answer that the caller has changed is not the server's."""
    first = begin(server, cookies)
    changed = replace(as_message(first), content="something else")
    second = go_on(server, cookies, [SYSTEM, ONE, changed, TWO])
    assert second.conversation_id != first.conversation_id


def test_another_model(server: LocalServer, cookies: Any) -> None:
    """Another model gets a conversation of its own."""
    first = begin(server, cookies)
    history = [SYSTEM, ONE, as_message(first), TWO]
    second = go_on(server, cookies, history, model="think/reasoner")
    assert second.conversation_id != first.conversation_id


def test_conversation_of_another_account(server: LocalServer, cookies: Any) -> None:
    """To a guest, the conversation of an account is somebody else's; it is rebuilt."""
    first = begin(server, cookies)
    second = go_on(server, None, [SYSTEM, ONE, as_message(first), TWO])
    assert second.conversation_id != first.conversation_id
    assert "one" in str(server.prompts[-1].messages[-1]["content"])


def test_conversation_that_has_gone(server: LocalServer, cookies: Any) -> None:
    """A conversation that was deleted is rebuilt."""
    first = begin(server, cookies)
    with HuggingChat(server.base_url, cookies) as client:
        client.delete_conversation(first.conversation_id)
    second = go_on(server, cookies, [SYSTEM, ONE, as_message(first), TWO])
    assert second.conversation_id != first.conversation_id
    assert "one" in str(server.prompts[-1].messages[-1]["content"])


@pytest.mark.parametrize(
    "field",
    [
        {"conversation_id": "../../api/v2/user"},
        {"conversation_id": "f" * 24},
        {"message_id": "not a message"},
        {"message_id": "00000000-0000-4000-8000-000000000000"},
    ],
    ids=str,
)
def test_forged_reference(server: LocalServer, cookies: Any, field: dict[str, str]) -> None:
    """Ids that the server does not know, or that are none, are not followed."""
    first = begin(server, cookies)
    assert first.reference is not None
    forged = replace(as_message(first), reference=replace(first.reference, **field))
    second = go_on(server, cookies, [SYSTEM, ONE, forged, TWO])
    assert second.conversation_id != first.conversation_id
    assert not any("user" in request.path.split("/")[-1] for request in server.requests)


@pytest.mark.slow
def test_run_in_progress(server: LocalServer, cookies: Any) -> None:
    """While a run is going on in a conversation, another client does not send to it."""
    with HuggingChat(server.base_url, cookies) as client:
        first = client.chat([SYSTEM, ONE], model="slow/drip")
        history = [SYSTEM, ONE, as_message(first), TWO]
        with client.stream_chat(history, model="slow/drip") as stream:
            next(iter(stream))
            second = go_on(server, cookies, history, model="slow/drip")
    assert second.conversation_id != first.conversation_id


def test_ephemeral_answers_have_no_reference(server: LocalServer) -> None:
    """A conversation that is deleted is not referred to."""
    with HuggingChat(server.base_url, ephemeral=True) as client:
        assert client.chat([ONE], model=MODEL).reference is None


def test_reference_survives_json(server: LocalServer, cookies: Any) -> None:
    """An answer that was stored as JSON still knows where it is."""
    first = begin(server, cookies)
    assert Answer.model_validate_json(first.model_dump_json()).reference == first.reference


# --- what the index makes of references -----------------------------------------------------------


def referring() -> tuple[ConversationIndex, list[ChatMessage], AnswerReference]:
    """An index that knows nothing, and a history whose answer refers to the server's."""
    other = ConversationIndex()
    plan = other.plan(MODEL, [ONE])
    answer = Answer(text="A", conversation_id="c1", message_id="m1")
    answer = answer.model_copy(update={"history_id": other.done(plan, "c1", answer)})
    assert answer.reference is not None
    return ConversationIndex(), [ONE, as_message(answer), TWO], answer.reference


def test_plan_names_the_reference() -> None:
    """The plan for an unknown history starts a conversation, and names what may be continued."""
    index, history, reference = referring()
    plan = index.plan(MODEL, history)
    assert plan.conversation_id is None
    assert plan.reference == reference


def test_confirmed_reference_is_known() -> None:
    """Once confirmed, the history continues there, for one call at a time."""
    index, history, reference = referring()
    index.confirm(reference)
    plan = index.plan(MODEL, history)
    assert (plan.conversation_id, plan.parent_id, plan.text) == ("c1", "m1", "two")
    index.confirm(reference)
    second = index.plan(MODEL, history)
    assert second.conversation_id is None
    assert second.reference is None


def test_forgotten_conversation_is_not_named() -> None:
    """What the index had to forget is not brought back by a reference."""
    index, history, reference = referring()
    index.forget(reference.conversation_id)
    assert index.plan(MODEL, history).reference is None


def test_fork_does_not_follow_its_parent() -> None:
    """A forked process leaves the conversations of its parent alone."""
    index, history, reference = referring()
    index.confirm(reference)
    index.after_fork()
    plan = index.plan(MODEL, history)
    assert (plan.conversation_id, plan.reference) == (None, None)
