"""A request with tools, from what is sent to what is known of the history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hfchat_base import (
    Answer,
    ChatMessage,
    HuggingChat,
    InvalidRequestError,
    TextDelta,
    Title,
    Upload,
)
from hfchat_base.errors import RepeatedToolCallError
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from hfchat_base.tools import (
    FunctionCall,
    InvalidToolCall,
    Piece,
    ToolConfig,
    ToolSession,
    assistant_text,
    result_text,
)
from tests.support.tool_shapes import NOW, PARIS, TOOLS, WEATHER

QUESTION = (ChatMessage("system", "Be good."), ChatMessage("user", "The weather?"))


def answer(session: ToolSession, text: str) -> list[Piece]:
    """Let a session be answered, word by word."""
    pieces: list[Piece] = []
    for word in text.split(" "):
        pieces += session.take(TextDelta(f"{word} "))
    return [*pieces, *session.end(Answer(text=f"{text} "))]


def test_tools_are_told_before_the_first_message() -> None:
    """Tools are no part of the system prompt, which current servers send to the model twice."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS))
    system, instructions, question = session.messages
    assert (system, question) == QUESTION
    assert instructions.role == "user"
    assert instructions.is_preamble
    assert '"name": "get_weather"' in instructions.content
    assert instructions.content.endswith("\n\nMy query:")


def test_schema_is_told_before_the_first_message() -> None:
    """So is the form of a JSON answer, after the tools."""
    config = ToolConfig.from_choice(TOOLS)
    session = ToolSession(QUESTION, config, response_schema={"type": "object"})
    _, instructions, question = session.messages
    assert question == QUESTION[1]
    tools, found, rest = instructions.content.partition("Answer with one JSON object")
    assert found
    assert '"name": "get_weather"' in tools
    assert rest.endswith("\n\nMy query:")


def test_tools_without_a_question() -> None:
    """Instructions alone are nothing to answer."""
    system = QUESTION[:1]
    assert ToolSession(system, ToolConfig.from_choice(TOOLS)).messages is system


@pytest.mark.parametrize(
    ("config", "schema"),
    [
        (ToolConfig.from_choice(TOOLS), None),
        (ToolConfig.from_choice(TOOLS), {"type": "object"}),
        (None, {}),
    ],
    ids=["tools", "tools and a schema", "any JSON"],
)
def test_scripted_models_read_the_query_alone(
    config: ToolConfig | None, schema: dict[str, str] | None
) -> None:
    """The last user text of a request to a scripted model does not hold the instructions."""
    model = LocalModel("my/parrot", FunctionBackend(lambda request: request.last_user_text))
    session = ToolSession(QUESTION, config, response_schema=schema)
    with LocalServer(models=[model]) as server, HuggingChat(server.base_url) as client:
        assert client.chat(session.messages).text == "The weather?"
        (prompt,) = server.prompts
        assert "My query:" in prompt.messages[-1]["content"]


def test_without_tools_nothing_is_added() -> None:
    """A plain request is passed on as it is, and so are its events."""
    session = ToolSession(QUESTION)
    assert session.messages is QUESTION
    assert session.take(TextDelta("hi")) == ("hi",)
    assert session.take(Title("x")) == (Title("x"),)
    assert list(session.end(Answer(text="hi"))) == []
    assert not session.goes_on
    assert session.text == "hi"


def test_forced_call_that_comes_late() -> None:
    """Text of an attempt without a call is not passed on; the next request asks again."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS, "any"))
    assert answer(session, "No thanks.") == []
    assert session.goes_on
    *before, said, reminder = session.messages
    assert len(before) == 3
    assert (said.role, said.content) == ("assistant", "No thanks. ")
    assert "get_weather or now" in reminder.content
    (call,) = answer(session, PARIS)
    assert isinstance(call, FunctionCall)
    assert not session.goes_on


def test_history_is_known_by_its_canonical_form() -> None:
    """However a call was written, the history holds it in the announced form."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS))
    written = Answer(text=f"Let me see:\n```json\n{PARIS}\n```")
    assert session.take(TextDelta(written.text)) == ["Let me see:"]
    *_, last = session.as_history(written)
    assert last.content == assistant_text("Let me see:", [FunctionCall(*WEATHER)])
    (call,) = session.end(written)
    assert isinstance(call, FunctionCall)


def test_broken_calls_stay_in_the_history() -> None:
    """The model sees what it wrote wrong."""
    broken = InvalidToolCall('{"name": x}', "It is not valid JSON.")
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
    offer = ToolConfig.from_choice(TOOLS, choice)  # type: ignore[arg-type]
    assert (offer.names, offer.is_forced) == (names, is_forced)


def test_choice_of_no_tool() -> None:
    """A name that no tool has is refused."""
    with pytest.raises(InvalidRequestError, match="get_weather, now"):
        ToolConfig.from_choice(TOOLS, "fly")


def test_conversation_goes_on_with_results(current_server: LocalServer) -> None:
    """Over HTTP: the results of a call go to the conversation that holds it, and nothing else."""
    with HuggingChat(current_server.base_url, model="echo/base") as client:
        history = [ChatMessage("user", f"Please call\n{PARIS}\n{NOW}")]
        session = ToolSession(history, ToolConfig.from_choice(TOOLS))
        with client.stream_chat(session.messages, as_history=session.as_history) as stream:
            pieces = [piece for event in stream for piece in session.take(event)]
            pieces += session.end(stream.answer)
        assert [piece.name for piece in pieces if isinstance(piece, FunctionCall)] == [
            "get_weather",
            "now",
        ]
        history += [
            ChatMessage("assistant", assistant_text(session.text, session.calls)),
            ChatMessage("user", result_text("get_weather", "Sunny")),
        ]
        current_server.clear_requests()
        again = ToolSession(history, ToolConfig.from_choice(TOOLS))
        with client.stream_chat(again.messages, as_history=again.as_history) as stream:
            stream.result()
        sent = [r for r in current_server.requests if r.method == "POST"]
        assert len(sent) == 1
        assert b"Sunny" in sent[0].body
        assert b"Please call" not in sent[0].body


def test_parallel_calls_refused() -> None:
    """Where one call is wanted at a time, the others are dropped."""
    config = ToolConfig.from_choice(TOOLS, parallel=False)
    session = ToolSession(QUESTION, config)
    (call,) = answer(session, f"<tool_call>{PARIS}</tool_call> <tool_call>{NOW}</tool_call>")
    assert isinstance(call, FunctionCall)
    assert call.name == "get_weather"
    assert session.calls == [call]


UNREADABLE = '<tool_call>{"name": "now", "arguments": {x}}</tool_call>'


@pytest.mark.parametrize("streams", [True, False])
def test_invalid_call_is_asked_for_again_once(streams: bool) -> None:
    """A call that cannot be used is asked for again, with the error, though no call is forced."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS), streams=streams)
    assert answer(session, f"Hm.\n{UNREADABLE}") == (["Hm."] if streams else [])
    assert "not valid JSON" in session.messages[-1].content
    *texts, call = answer(session, f"Again.\n{PARIS}")
    assert isinstance(call, FunctionCall)
    assert "".join(map(str, texts)) == ("\n\nAgain." if streams else "Again.")
    assert not session.goes_on
    assert session.text == ("Hm.\n\nAgain." if streams else "Again.")


def test_invalid_call_twice() -> None:
    """The second invalid call is passed on, with its text, so that no answer is empty."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS))
    assert answer(session, UNREADABLE) == []
    text, call = answer(session, UNREADABLE)
    assert isinstance(call, InvalidToolCall)
    assert text == call.text == session.text
    assert not session.goes_on


def test_answer_after_an_invalid_call() -> None:
    """A model that answers in text after hearing of its invalid call has answered."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS))
    assert answer(session, UNREADABLE) == []
    pieces = answer(session, "It is noon.")
    assert "".join(map(str, pieces)).strip() == "It is noon."
    assert session.calls == []


def test_invalid_call_beside_a_valid_one() -> None:
    """Nothing is asked for again if one of several calls can be used."""
    session = ToolSession(QUESTION, ToolConfig.from_choice(TOOLS))
    pieces = answer(session, f"<tool_call>{PARIS}</tool_call>\n{UNREADABLE}")
    assert [type(piece) for piece in pieces] == [FunctionCall, InvalidToolCall]
    assert not session.goes_on


CALL = FunctionCall("check", {"part": "all"})
OTHER = FunctionCall("check", {"part": "one"})
ASKED = ChatMessage("user", "Is it ready?")


def agent(*rounds: tuple[Sequence[FunctionCall], str]) -> list[ChatMessage]:
    """The history of an agent: a question, then calls with the result of each."""
    history = [ASKED]
    for calls, result in rounds:
        history.append(ChatMessage("assistant", assistant_text("", calls)))
        history += [ChatMessage("user", result_text(call.name, result)) for call in calls]
    return history


@pytest.mark.parametrize(
    "history",
    [
        agent(([CALL], "no"), ([CALL], "no")),
        agent(([CALL], "no"), ([CALL], "yes"), ([CALL], "no")),
        agent(([CALL], "no"), ([OTHER], "no"), ([CALL], "no")),
        agent(([CALL], "no"), ([CALL, CALL], "no"), ([CALL], "no")),
        [*agent(*[([CALL], "no")] * 3), ASKED],
        [ASKED, *[ChatMessage("assistant", "no"), ChatMessage("user", "no")] * 3],
    ],
    ids=["few", "another result", "other arguments", "more calls", "a new question", "no calls"],
)
def test_progress(history: list[ChatMessage]) -> None:
    """An agent whose calls or results change is not stopped."""
    assert ToolSession(history, max_identical_calls=3).goes_on


def test_progress_in_pictures() -> None:
    """A call whose result is another picture is progress, though the text is the same."""
    history = [ASKED]
    for number in range(3):
        history.append(ChatMessage("assistant", assistant_text("", [CALL])))
        picture = Upload("screen.png", f"{number}".encode())
        history.append(ChatMessage("user", result_text("check", "the screen"), (picture,)))
    session = ToolSession(history, max_identical_calls=3)
    assert session.messages == history


def test_repeated_calls() -> None:
    """An agent whose newest calls and results are the same too often is stopped, with the names."""
    look = FunctionCall("look", {})
    history = agent(([CALL], "yes"), *[([CALL, look], "no")] * 3)
    with pytest.raises(RepeatedToolCallError) as caught:
        ToolSession(history, max_identical_calls=3)
    assert str(caught.value) == (
        "The model called check and look 3 times in a row with the same arguments and the same"
        " result. Improve the tool's description or result, use another model, or raise"
        " max_identical_calls."
    )


@pytest.mark.parametrize("text", ['{"part": "all"}', "[1]", "now!", "[" * 100_000])
def test_repeated_calls_that_are_none(text: str) -> None:
    """Calls that nobody can read are counted as others are."""
    unreadable = ChatMessage("assistant", assistant_text("", [InvalidToolCall(text, "No.")]))
    history = [ASKED, *[unreadable, ChatMessage("user", result_text("tool", "What?"))] * 3]
    assert ToolSession(history, max_identical_calls=4).goes_on
    with pytest.raises(RepeatedToolCallError, match="called something unreadable 3 times"):
        ToolSession(history, max_identical_calls=3)


def test_no_limit_of_repeated_calls() -> None:
    """Without a limit no agent is stopped."""
    assert ToolSession(agent(*[([CALL], "no")] * 100)).goes_on


@pytest.mark.parametrize(
    "rounds",
    [
        [([CALL], "no"), ([CALL], "no")],
        [([CALL], "no"), ([OTHER], "yes"), ([CALL], "no")],
    ],
    ids=["at once", "later"],
)
def test_reminder(rounds: list[tuple[list[FunctionCall], str]]) -> None:
    """A model that makes a call again whose result it has gets the question once more."""
    history = agent(*rounds)
    session = ToolSession(history)
    assert session.messages == [
        *history,
        ChatMessage(
            "user",
            "My question was: Is it ready?\nAnswer it in a sentence with the results above.",
        ),
    ]


@pytest.mark.parametrize(
    "history",
    [
        agent(([CALL], "no")),
        agent(([CALL], "no"), ([OTHER], "no")),
        agent(([CALL], "no"), ([CALL], "yes")),
        [*agent(([CALL], "no"), ([CALL], "no")), ASKED],
        agent(([CALL], "no"), ([CALL], "no"))[1:],
    ],
    ids=["one call", "other arguments", "another result", "a new question", "no question"],
)
def test_no_reminder(history: list[ChatMessage]) -> None:
    """A model that makes progress gets its history as it is."""
    assert list(ToolSession(history).messages) == history


def test_reminder_of_a_long_question() -> None:
    """A long question is not sent once more."""
    long = ChatMessage("user", "Is this ready? " + "word " * 500)
    session = ToolSession([long, *agent(([CALL], "no"), ([CALL], "no"))[1:]])
    assert session.messages[-1].content == (
        "Answer my question in a sentence with the results above."
    )


def test_reminder_is_no_part_of_the_history() -> None:
    """An answer is continued under the caller's own history, without the reminder."""
    history = agent(([CALL], "no"), ([CALL], "no"))
    session = ToolSession(history)
    answer(session, "It is not.")
    known_as = session.as_history(Answer(text="It is not."))
    assert known_as == [*history, ChatMessage("assistant", "It is not.")]
