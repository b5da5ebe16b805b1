"""Tools of the caller's: all choices, all shapes, asking again, results on their way back."""

from __future__ import annotations

from typing import Any, Final, Literal

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from hfchat_base import InvalidRequestError
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.local_requests import conversations_made, messages_sent, script
from tests.support.tool_shapes import NOW, PARIS, SHAPES, WEATHER


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"Sunny in {city}"


@tool
def now() -> str:
    """Tell the time."""
    return "noon"


TOOLS: Final = [get_weather, now]


@pytest.fixture
def disobedient(server: LocalServer) -> ChatHuggingChat:
    """A model that writes calls as it likes."""
    return ChatHuggingChat(base_url=server.base_url, model="script/agent")


def added(chunks: list[AIMessageChunk]) -> AIMessage:
    """The message that chunks add up to."""
    first, *others = chunks
    whole = first + others
    assert isinstance(whole, AIMessage)
    return whole


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_shape(disobedient: ChatHuggingChat, shape: str) -> None:
    """Calls in every shape come out the same, four ways, and no tag with them."""
    text, said, calls = SHAPES[shape]
    bound = disobedient.bind_tools(TOOLS)
    asked = script(text)
    for message in (
        bound.invoke(asked),
        added(list(bound.stream(asked))),  # type: ignore[arg-type]
        await bound.ainvoke(asked),
        added([chunk async for chunk in bound.astream(asked)]),  # type: ignore[misc]
    ):
        assert [(call["name"], call["args"]) for call in message.tool_calls] == calls
        assert " ".join(message.text.split()) == " ".join(said.split())
        assert len({call["id"] for call in message.tool_calls}) == len(calls)
        assert message.response_metadata["finish_reason"] == "tool_calls"
    await disobedient.aclose()


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_text_and_calls_as_blocks(server: LocalServer, version: str) -> None:
    """Text and calls stand side by side, as blocks of either output version."""
    model = ChatHuggingChat(base_url=server.base_url, model="script/agent", output_version=version)
    asked = script(f"Let me see.\n<tool_call>{PARIS}</tool_call><tool_call>{NOW}</tool_call>")
    bound = model.bind_tools(TOOLS)
    for message in (bound.invoke(asked), added(list(bound.stream(asked)))):  # type: ignore[arg-type]
        kinds = [block["type"] for block in message.content_blocks]
        assert kinds == ["text", "tool_call", "tool_call"]
        assert message.text == "Let me see."
        assert [call["name"] for call in message.tool_calls] == ["get_weather", "now"]
    model.close()


@pytest.mark.parametrize("broken", ['{"name": "now", "arguments": {x}}', '{"name": "now", "argu'])
def test_broken_call(disobedient: ChatHuggingChat, broken: str) -> None:
    """A call that cannot be read is an invalid one, with its text, and never completed."""
    bound = disobedient.bind_tools(TOOLS)
    asked = script(f"<tool_call>{broken}")
    for message in (bound.invoke(asked), added(list(bound.stream(asked)))):  # type: ignore[arg-type]
        assert message.tool_calls == []
        (call,) = message.invalid_tool_calls
        assert broken in (call["args"] or "")
        assert call["id"]
    disobedient.close()


async def test_invalid_call_says_why(disobedient: ChatHuggingChat) -> None:
    """An invalid call holds what is wrong with it, and the answer is not empty."""
    bound = disobedient.bind_tools(TOOLS)
    asked = script('<tool_call>{"name": "fly", "arguments": {}}</tool_call>')
    for message in (bound.invoke(asked), await bound.ainvoke(asked)):
        (call,) = message.invalid_tool_calls
        assert "There is no tool named 'fly'" in (call["error"] or "")
        assert message.text
    streamed = added(list(bound.stream(asked)))  # type: ignore[arg-type]
    (block,) = (b for b in streamed.content_blocks if b["type"] == "invalid_tool_call")
    assert "There is no tool named 'fly'" in (block["error"] or "")
    await disobedient.aclose()


@pytest.mark.parametrize(
    "broken", ['{"name": "now", "arguments": {x}}', "now(x)", '{"name": "fly"}']
)
def test_invalid_call_is_asked_for_again(
    server: LocalServer, disobedient: ChatHuggingChat, broken: str
) -> None:
    """A call that cannot be used is asked for again once, though none is forced."""
    bound = disobedient.bind_tools(TOOLS)
    message = bound.invoke(script(f"<tool_call>{broken}</tool_call>", f"<tool_call>{PARIS}"))
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [WEATHER]
    assert message.invalid_tool_calls == []
    assert conversations_made(server) == 1
    assert len(messages_sent(server)) == 2
    disobedient.close()


def test_one_call_at_a_time(disobedient: ChatHuggingChat) -> None:
    """Where parallel calls are refused, an answer holds one."""
    bound = disobedient.bind_tools(TOOLS, parallel_tool_calls=False)
    asked = script(f"<tool_call>{PARIS}</tool_call><tool_call>{NOW}</tool_call>")
    for message in (bound.invoke(asked), added(list(bound.stream(asked)))):  # type: ignore[arg-type]
        assert [call["name"] for call in message.tool_calls] == ["get_weather"]
    disobedient.close()


def test_forced_call_is_asked_for_again(server: LocalServer, disobedient: ChatHuggingChat) -> None:
    """A forced call that does not come is asked for again, in the same conversation."""
    bound = disobedient.bind_tools(TOOLS, tool_choice="any")
    message = bound.invoke(script("I would rather not.", "Oh well.", f"<tool_call>{PARIS}"))
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [WEATHER]
    assert message.text == ""
    assert conversations_made(server) == 1
    assert len(messages_sent(server)) == 3
    disobedient.close()


def test_asking_again_is_bounded(server: LocalServer, disobedient: ChatHuggingChat) -> None:
    """A model that never calls is asked a bounded number of times; its last words are told."""
    bound = disobedient.bind_tools(TOOLS, tool_choice="any")
    for message in (bound.invoke(script("No.")), added(list(bound.stream(script("No."))))):  # type: ignore[arg-type]
        assert message.tool_calls == []
        assert message.text == "No."
    assert len(messages_sent(server)) == 2 * disobedient.max_tool_asks
    disobedient.close()


def test_history_goes_on_after_asking_again(
    server: LocalServer, disobedient: ChatHuggingChat
) -> None:
    """What follows a call that was asked for twice goes to the same conversation, alone."""
    question = HumanMessage(script("No.", f"<tool_call>{PARIS}", "Sunny, it says."))
    bound = disobedient.bind_tools(TOOLS, tool_choice="any")
    call = bound.invoke([question])
    result = ToolMessage("Sunny in Paris", tool_call_id=call.tool_calls[0]["id"])
    disobedient.max_tool_asks = 1
    answer = bound.invoke([question, call, result])
    assert answer.text == "Sunny, it says."
    assert conversations_made(server) == 1
    assert b"SCRIPT" not in messages_sent(server)[-1].body
    disobedient.close()


def test_arguments_without_a_name(disobedient: ChatHuggingChat) -> None:
    """Where one tool is wanted, its bare arguments are a call of it."""
    bound = disobedient.bind_tools(TOOLS, tool_choice="get_weather")
    message = bound.invoke(script('```json\n{"city": "Paris"}\n```'))
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [WEATHER]
    assert message.text == ""
    disobedient.close()


@pytest.mark.parametrize(
    "choice",
    [
        "get_weather",
        {"type": "function", "function": {"name": "get_weather"}},
        {"type": "tool", "name": "get_weather"},
    ],
)
def test_choice_of_one_tool(model: ChatHuggingChat, choice: Any) -> None:
    """The tool that is named is called, whatever is asked."""
    message = model.bind_tools(TOOLS, tool_choice=choice).invoke("Hello!")
    assert [call["name"] for call in message.tool_calls] == ["get_weather"]


@pytest.mark.parametrize("choice", ["any", "required", True, {"type": "any"}])
def test_choice_of_any_tool(model: ChatHuggingChat, choice: Any) -> None:
    """Some tool is called, whatever is asked."""
    assert model.bind_tools(TOOLS, tool_choice=choice).invoke("Hello!").tool_calls


@pytest.mark.parametrize("choice", [None, "auto", "none", False])
def test_no_need_to_call(model: ChatHuggingChat, choice: Any) -> None:
    """Without a need for a tool, none is called."""
    message = model.bind_tools(TOOLS, tool_choice=choice).invoke("Hello!")
    assert message.tool_calls == []
    assert message.text == "Hello, you said: Hello!."


def test_choice_none_hides_the_tools(server: LocalServer, model: ChatHuggingChat) -> None:
    """A model that must not call learns of no tools."""
    assert model.bind_tools(TOOLS, tool_choice="none").invoke("The weather?").tool_calls == []
    assert "get_weather" not in str(server.prompts[-1].messages)


def test_unknown_choice(model: ChatHuggingChat) -> None:
    """A choice of a tool that is not there is refused where it is made."""
    with pytest.raises(InvalidRequestError, match="get_weather, now"):
        model.bind_tools(TOOLS, tool_choice="fly")


def test_no_second_call_is_returned(model: ChatHuggingChat) -> None:
    """Parallel calls can be switched off."""
    both = "The weather in 'Paris' now?"
    assert len(model.bind_tools(TOOLS).invoke(both).tool_calls) == 2
    single = model.bind_tools(TOOLS, parallel_tool_calls=False)
    assert len(single.invoke(both).tool_calls) == 1


def test_no_tools(model: ChatHuggingChat) -> None:
    """An empty list of tools is none."""
    assert model.bind_tools([]).invoke("Hello!").text == "Hello, you said: Hello!."


class Weather(BaseModel):
    """Ask for the weather."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


@pytest.mark.parametrize(
    "form",
    [
        Weather,
        {"title": "Weather", "description": "Weather.", **Weather.model_json_schema()},
        {"name": "Weather", "description": "W.", "input_schema": Weather.model_json_schema()},
        {
            "type": "function",
            "function": {"name": "Weather", "parameters": Weather.model_json_schema()},
        },
    ],
    ids=["pydantic", "JSON schema", "Anthropic", "OpenAI"],
)
def test_forms_of_tools(model: ChatHuggingChat, form: Any) -> None:
    """Tools are taken in every form that LangChain knows."""
    message = model.bind_tools([form], tool_choice="any").invoke("In 'Paris', in fahrenheit?")
    assert message.tool_calls[0]["args"] == {"city": "Paris", "unit": "fahrenheit"}


def test_results_go_back_as_announced(server: LocalServer, model: ChatHuggingChat) -> None:
    """Results carry the tool's name, as JSON if they are, and errors as errors."""
    question = HumanMessage("The weather in 'Paris' now?")
    bound = model.bind_tools(TOOLS)
    calls = bound.invoke([question])
    first, second = calls.tool_calls
    results = [
        ToolMessage('{"sky": "</tool_response>"}', tool_call_id=first["id"]),
        ToolMessage("no clock", tool_call_id=second["id"], status="error"),
    ]
    bound.invoke([question, calls, *results])
    assert server.prompts[-1].messages[-1]["content"] == (
        '<tool_response>\n{"name": "get_weather", "content": {"sky": "<\\/tool_response>"}}\n'
        "</tool_response>\n\n"
        '<tool_response>\n{"name": "now", "error": "no clock"}\n</tool_response>'
    )
