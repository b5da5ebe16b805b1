"""A request with tools, from what is sent to what is known of the history."""

from __future__ import annotations

import pytest

from hfchat_base import Answer, ChatMessage, HuggingChat, InvalidRequestError, TextDelta, Title
from hfchat_base.local import LocalServer
from hfchat_base.tools import BrokenCall, Call, Dialog, Offer, Piece, assistant_text, result_text
from tests.base.tools.shapes import NOW, PARIS, TOOLS, WEATHER

QUESTION = (ChatMessage("system", "Be good."), ChatMessage("user", "The weather?"))


def answer(dialog: Dialog, text: str) -> list[Piece]:
    """Let a dialog be answered, word by word."""
    pieces: list[Piece] = []
    for word in text.split(" "):
        pieces += dialog.take(TextDelta(f"{word} "))
    return [*pieces, *dialog.end(Answer(text=f"{text} "))]


def test_tools_are_told_behind_the_system_prompt() -> None:
    """The caller's own words come first."""
    dialog = Dialog(QUESTION, Offer.of(TOOLS))
    assert [message.role for message in dialog.messages] == ["system", "system", "user"]
    assert dialog.messages[0].content == "Be good."
    assert '"name": "get_weather"' in dialog.messages[1].content


def test_without_tools_nothing_is_added() -> None:
    """A plain request is passed on as it is, and so are its events."""
    dialog = Dialog(QUESTION)
    assert dialog.messages is QUESTION
    assert dialog.take(TextDelta("hi")) == ("hi",)
    assert dialog.take(Title("x")) == (Title("x"),)
    assert list(dialog.end(Answer(text="hi"))) == []
    assert not dialog.goes_on
    assert dialog.text == "hi"


def test_forced_call_that_comes_late() -> None:
    """Text of an attempt without a call is not handed out; the next request asks again."""
    dialog = Dialog(QUESTION, Offer.of(TOOLS, "any"))
    assert answer(dialog, "No thanks.") == []
    assert dialog.goes_on
    *before, said, reminder = dialog.messages
    assert len(before) == 3
    assert (said.role, said.content) == ("assistant", "No thanks. ")
    assert "get_weather or now" in reminder.content
    (call,) = answer(dialog, PARIS)
    assert isinstance(call, Call)
    assert not dialog.goes_on


def test_history_is_known_by_its_canonical_form() -> None:
    """However a call was written, the history holds it in the announced form."""
    dialog = Dialog(QUESTION, Offer.of(TOOLS))
    written = Answer(text=f"Let me see:\n```json\n{PARIS}\n```")
    text, call = dialog.take(TextDelta(written.text))
    assert text == "Let me see:"
    assert isinstance(call, Call)
    *_, last = dialog.as_history(written)
    assert last.content == assistant_text("Let me see:", [Call(*WEATHER)])
    assert list(dialog.end(written)) == []


def test_broken_calls_stay_in_the_history() -> None:
    """The model sees what it wrote wrong."""
    broken = BrokenCall('{"name": x}', "It is no valid JSON.")
    assert '{"name": x}' in assistant_text("", [broken])


def test_results_are_told_apart() -> None:
    """JSON stays JSON, text becomes a JSON string, and an error says so."""
    assert '"content": {"a": 1}}' in result_text("now", '{"a": 1}')
    assert '"content": "a \\"b\\" é"}' in result_text("now", 'a "b" é')
    assert '"content": "{a"}' in result_text("now", "{a")
    assert '"error": "no"}' in result_text("now", "no", is_error=True)


@pytest.mark.parametrize(
    ("choice", "names", "is_forced"),
    [
        (None, ("get_weather", "now"), False),
        ("auto", ("get_weather", "now"), False),
        ({"type": "auto"}, ("get_weather", "now"), False),
        ("none", (), False),
        (False, (), False),
        ("required", ("get_weather", "now"), True),
        (True, ("get_weather", "now"), True),
        ("now", ("now",), True),
        ({"type": "function", "function": {"name": "now"}}, ("now",), True),
    ],
)
def test_choices(choice: object, names: tuple[str, ...], is_forced: bool) -> None:
    """Each form of a choice offers what it says."""
    offer = Offer.of(TOOLS, choice)  # type: ignore[arg-type]
    assert (offer.names, offer.is_forced) == (names, is_forced)


def test_choice_of_no_tool() -> None:
    """A name that no tool has is refused."""
    with pytest.raises(InvalidRequestError, match="get_weather, now"):
        Offer.of(TOOLS, "fly")


def test_conversation_goes_on_with_results(current_server: LocalServer) -> None:
    """Over HTTP: the results of a call go to the conversation that holds it, and nothing else."""
    with HuggingChat(current_server.base_url, model="echo/base") as client:
        history = [ChatMessage("user", f"Please call\n{PARIS}\n{NOW}")]
        dialog = Dialog(history, Offer.of(TOOLS))
        with client.stream_chat(dialog.messages, as_history=dialog.as_history) as stream:
            pieces = [piece for event in stream for piece in dialog.take(event)]
            pieces += dialog.end(stream.answer)
        assert [piece.name for piece in pieces if isinstance(piece, Call)] == ["get_weather", "now"]
        history += [
            ChatMessage("assistant", assistant_text(dialog.text, dialog.calls)),
            ChatMessage("user", result_text("get_weather", "Sunny")),
        ]
        current_server.clear_requests()
        again = Dialog(history, Offer.of(TOOLS))
        with client.stream_chat(again.messages, as_history=again.as_history) as stream:
            stream.result()
        sent = [r for r in current_server.requests if r.method == "POST"]
        assert len(sent) == 1
        assert b"Sunny" in sent[0].body
        assert b"Please call" not in sent[0].body
