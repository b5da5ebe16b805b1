"""Histories that callers keep: each call gets the context that it asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfchat_base import Answer, ChatMessage, HuggingChat, InvalidRequestError, Upload
from hfchat_base._flows.index import ConversationIndex, Plan, render
from hfchat_base.local import Limits, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.types import Role

MODEL = "echo/base"


def messages(*texts: str, first: Role = "user") -> list[ChatMessage]:
    """A history whose roles take turns."""
    other: Role = "assistant" if first == "user" else "user"
    roles: tuple[Role, Role] = (first, other)
    return [ChatMessage(roles[i % 2], text) for i, text in enumerate(texts)]


def answered(
    history: ConversationIndex, asked: list[ChatMessage], answer: str = "A", at: str = "m1"
) -> Plan:
    """Plan for a history and note its answer."""
    plan = history.plan(MODEL, asked)
    conversation_id = plan.conversation_id or "c1"
    history.done(plan, conversation_id, Answer(text=answer, message_id=at))
    return plan


# --- where a message goes -------------------------------------------------------------------------


def test_first_message_starts_a_conversation() -> None:
    """A lone message is sent as it is."""
    plan = ConversationIndex().plan(MODEL, messages("hi"))
    assert (plan.conversation_id, plan.parent_id, plan.text) == (None, None, "hi")


def test_next_message_follows_the_answer() -> None:
    """Only what is new is sent, as a child of the answer."""
    history = ConversationIndex()
    answered(history, messages("hi"))
    plan = history.plan(MODEL, messages("hi", "A", "more"))
    assert (plan.conversation_id, plan.parent_id, plan.text) == ("c1", "m1", "more")


def test_trimmed_answer_is_recognised() -> None:
    """An output parser may have trimmed the answer."""
    history = ConversationIndex()
    answered(history, messages("hi"), " A\n")
    assert history.plan(MODEL, messages("hi", "A", "more")).conversation_id == "c1"


def test_edited_message_branches() -> None:
    """After an edit the longest beginning that is known is continued."""
    history = ConversationIndex()
    answered(history, messages("one"), "A", "m1")
    answered(history, messages("one", "A", "two"), "B", "m2")
    plan = history.plan(MODEL, messages("one", "A", "TWO"))
    assert (plan.conversation_id, plan.parent_id, plan.text) == ("c1", "m1", "TWO")


@pytest.mark.parametrize(
    ("model", "system", "answer"),
    [("other/model", "", "A"), (MODEL, "Be terse.", "A"), (MODEL, "", "another answer")],
)
def test_other_beginning_is_another_conversation(model: str, system: str, answer: str) -> None:
    """Another model, system prompt or answer is another conversation."""
    history = ConversationIndex()
    answered(history, messages("hi"))
    asked = [ChatMessage("system", system)] if system else []
    plan = history.plan(model, asked + messages("hi", answer, "more"))
    assert plan.conversation_id is None
    assert plan.system_prompt == system


def test_system_messages_are_joined() -> None:
    """Leading system messages become the system prompt, empty ones are left out."""
    leading = [ChatMessage("system", text) for text in ("One.", "", "Two.")]
    assert (
        ConversationIndex().plan(MODEL, [*leading, *messages("hi")]).system_prompt == "One.\n\nTwo."
    )


def test_attachments_belong_to_the_beginning() -> None:
    """The same words with another attachment are another message."""
    history = ConversationIndex()
    one = [ChatMessage("user", "hi", [Upload("a.txt", b"1")])]
    two = [ChatMessage("user", "hi", [Upload("a.txt", b"2")])]
    answered(history, one)
    rest = messages("A", "more", first="assistant")
    assert history.plan(MODEL, one + rest).conversation_id == "c1"
    assert history.plan(MODEL, two + rest).conversation_id is None


def test_busy_conversation_is_not_shared() -> None:
    """While one call uses a conversation, another gets its own; then it is free again."""
    history = ConversationIndex()
    answered(history, messages("hi"))
    asked = messages("hi", "A", "more")
    first = history.plan(MODEL, asked)
    assert first.conversation_id == "c1"
    assert history.plan(MODEL, asked).conversation_id is None
    history.release(first)
    assert history.plan(MODEL, asked).conversation_id == "c1"


def test_conversation_that_has_gone_is_forgotten() -> None:
    """Nothing of a conversation that has gone is remembered."""
    history = ConversationIndex()
    answered(history, messages("hi"))
    answered(history, messages("hi", "A", "more"), "B", "m2")
    history.forget("c1")
    assert len(history) == 0
    assert history.plan(MODEL, messages("hi", "A", "more")).conversation_id is None


def test_answer_without_an_id() -> None:
    """An answer whose id is not known cannot be continued from, and frees its conversation."""
    history = ConversationIndex()
    plan = history.plan(MODEL, messages("hi"))
    history.done(plan, "c1", Answer(text="A"))
    assert len(history) == 0


def test_memory_is_bounded() -> None:
    """Beginnings that were not used for longest go first."""
    history = ConversationIndex(max_entries=2)
    for text in ("one", "two"):
        answered(history, messages(text))
    history.release(history.plan(MODEL, messages("one", "A", "more")))
    answered(history, messages("three"))
    assert len(history) == 2
    assert history.plan(MODEL, messages("one", "A", "more")).conversation_id == "c1"
    assert history.plan(MODEL, messages("two", "A", "more")).conversation_id is None


@pytest.mark.parametrize("asked", [[], [ChatMessage("system", "x")]])
def test_nothing_to_answer(asked: list[ChatMessage]) -> None:
    """A history without a message to answer is refused."""
    with pytest.raises(InvalidRequestError, match="no message to answer"):
        ConversationIndex().plan(MODEL, asked)


# --- how what is new is put into one message ------------------------------------------------------


def test_user_messages_are_joined() -> None:
    """Several messages of the user are one, with blank lines between."""
    turns = [ChatMessage("user", "one"), ChatMessage("user", "two")]
    assert render(turns) == ("one\n\ntwo", ())


def test_transcript() -> None:
    """A mix of roles is marked as a transcript; what is to be answered stands apart."""
    text, _ = render(messages("one", "two", "three"))
    assert text == (
        "This is our conversation so far:\n\n<transcript>\nUser: one\n\nAssistant: two\n"
        "</transcript>\n\nthree"
    )


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([ChatMessage("user", "one")], "Know this.\n\none"),
        (
            [ChatMessage("user", "one"), ChatMessage("assistant", "two"), ChatMessage("user", "3")],
            (
                "Know this.\n\nThis is our conversation so far:\n\n<transcript>\nUser: one\n\n"
                "Assistant: two\n</transcript>\n\n3"
            ),
        ),
        ([], "Know this."),
    ],
    ids=["a message", "a transcript", "nothing"],
)
def test_preamble(history: list[ChatMessage], expected: str) -> None:
    """A preamble stands before all that was said, and outside of a transcript."""
    preamble = ChatMessage("user", "Know this.", is_preamble=True)
    assert render([preamble, *history]) == (expected, ())


def test_transcript_that_ends_with_the_assistant() -> None:
    """A history that ends with an answer asks to continue it."""
    text, _ = render(messages("one", "two"))
    assert "Assistant: two" in text
    assert text.endswith("Go on with your last message from where it ends.")


def test_attachments_of_all_messages_are_sent() -> None:
    """Attachments go along, and the transcript names them."""
    upload = Upload("a.txt", b"1")
    text, files = render(
        [ChatMessage("user", "look", [upload]), *messages("ok", "so?", first="assistant")]
    )
    assert files == (upload,)
    assert "User: look [attached: a.txt]" in text


# --- what the model is really sent ----------------------------------------------------------------


@pytest.fixture(scope="module", params=["current", "legacy"])
def echo(request: pytest.FixtureRequest) -> Iterator[tuple[LocalServer, HuggingChat]]:
    """A server and a client that many examples share."""
    with LocalServer(generation=request.param) as server, HuggingChat(server.base_url) as client:
        yield server, client


def prompt_of(server: LocalServer) -> list[tuple[str, str]]:
    """What the model was sent last, but for an empty system prompt."""
    sent: list[dict[str, Any]] = list(server.prompts[-1].messages)
    pairs = [(message["role"], message["content"]) for message in sent]
    return [pair for pair in pairs if pair != ("system", "")]


# No thinking among them: servers leave `<think>…</think>` out of what they send to a model again.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 9),  # which history is continued
        st.integers(0, 9),  # how much of it is kept
        st.sampled_from(["yes", "no", "maybe\nso", " spaces ", "é世🌍", "<b>x</b>", "[1]"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12)
@given(system=st.sampled_from(["", "Be terse.", "Sei knapp."]), steps=STEPS)
def test_each_call_gets_its_context(
    echo: tuple[LocalServer, HuggingChat], system: str, steps: list[tuple[int, int, str]]
) -> None:
    """However histories grow and branch, the model is sent exactly the one that was asked with."""
    server, client = echo
    known: list[list[ChatMessage]] = [[ChatMessage("system", system)] if system else []]
    for which, kept, text in steps:
        beginning = known[which % len(known)]
        turns = len(beginning) // 2
        cut = len(beginning) - 2 * (kept % (turns + 1))
        asked = [*beginning[:cut], ChatMessage("user", text)]
        server.clear_requests()
        answer = client.chat(asked, model=MODEL)
        assert prompt_of(server) == [(message.role, message.content) for message in asked]
        known.append([*asked, ChatMessage("assistant", answer.text)])


def test_restored_history(client: HuggingChat, server: LocalServer) -> None:
    """A history that the server has never seen reaches the model as a transcript."""
    client.chat([ChatMessage("system", "Be terse."), *messages("one", "two", "three")], model=MODEL)
    system, user = prompt_of(server)
    assert system == ("system", "Be terse.")
    assert user[1].endswith("</transcript>\n\nthree")


def test_conversation_that_was_deleted_is_rebuilt(server: LocalServer) -> None:
    """When the server has lost a conversation, the next call starts another with all of it."""
    cookies = server.cookies()
    with HuggingChat(server.base_url, cookies) as client:
        first = client.chat("one", model=MODEL)
        with HuggingChat(server.base_url, cookies) as other:
            other.delete_conversation(first.conversation_id)
        second = client.chat(messages("one", first.text, "two"), model=MODEL)
    assert second.conversation_id != first.conversation_id
    assert "one" in prompt_of(server)[-1][1]
    assert second.text.endswith("two")


def test_message_that_was_deleted_is_rebuilt(client: HuggingChat) -> None:
    """When the message to continue from has gone, the next call starts a new conversation, too."""
    first = client.chat("one", model=MODEL)
    conversation = client.get_conversation(first.conversation_id)
    assert first.message_id is not None
    conversation.delete_message(first.message_id)
    second = client.chat(messages("one", first.text, "two"), model=MODEL)
    assert second.text.endswith("two")


def test_full_conversation_is_rebuilt() -> None:
    """When a conversation takes no more messages, the next call starts another."""
    with (
        LocalServer(limits=Limits(messages_per_conversation=2)) as server,
        HuggingChat(server.base_url) as client,
    ):
        first = client.chat("one", model=MODEL)
        second = client.chat(messages("one", first.text, "two"), model=MODEL)
    assert second.conversation_id != first.conversation_id
    assert second.text.endswith("two")


def test_failed_answer_can_be_asked_again(client: HuggingChat) -> None:
    """A failure in the middle of a chat does not lose the conversation."""
    first = client.chat("one", model=MODEL)
    asked = messages("one", first.text, "two")
    with client.stream_chat(asked, model=MODEL) as stream:
        next(iter(stream))
    again = client.chat(asked, model=MODEL)
    assert again.text.endswith("two")


def test_short_name_is_the_same_conversation(client: HuggingChat) -> None:
    """A short name of a model leads to the same conversation from the first call on."""
    first = client.chat("one", model="base")
    second = client.chat(messages("one", first.text, "two"), model="base")
    assert second.conversation_id == first.conversation_id
