"""Tools: offered by prompt, called by a model that reads it, run by LlamaIndex."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool

from hfchat_base.errors import InvalidRequestError
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM

SUM = "What is the sum of 17 and 25?"
BOTH = "What is the sum and the product of 17 and 25?"


def add(a: int, b: int) -> int:
    """Give the sum of two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Give the product of two numbers."""
    return a * b


ADD = FunctionTool.from_defaults(add)
MULTIPLY = FunctionTool.from_defaults(multiply)
TOOLS = [ADD, MULTIPLY]


def the_call(response: ChatResponse, llm: HuggingChatLLM) -> tuple[str, dict[str, int]]:
    """Name and arguments of a response's only call."""
    (selection,) = llm.get_tool_calls_from_response(response)
    return selection.tool_name, selection.tool_kwargs


def test_chat_with_tools(reader: HuggingChatLLM) -> None:
    """The model's call comes as a call, and its tags are not part of the text."""
    response = reader.chat_with_tools(TOOLS, SUM)
    assert the_call(response, reader) == ("add", {"a": 17, "b": 25})
    assert response.message.content == ""


async def test_achat_with_tools(reader: HuggingChatLLM) -> None:
    """It does asynchronously."""
    response = await reader.achat_with_tools(TOOLS, SUM)
    assert the_call(response, reader) == ("add", {"a": 17, "b": 25})


def test_stream_chat_with_tools(reader: HuggingChatLLM) -> None:
    """A stream ends with the call, and no delta holds any of it."""
    responses = list(reader.stream_chat_with_tools(TOOLS, SUM))
    assert the_call(responses[-1], reader) == ("add", {"a": 17, "b": 25})
    assert "".join(response.delta or "" for response in responses) == ""


async def test_astream_chat_with_tools(reader: HuggingChatLLM) -> None:
    """An asynchronous stream does, too."""
    stream = await reader.astream_chat_with_tools(TOOLS, SUM)
    responses = [response async for response in stream]
    assert the_call(responses[-1], reader) == ("add", {"a": 17, "b": 25})


def test_no_call(reader: HuggingChatLLM) -> None:
    """A model that needs no tool answers in text, which is not a call."""
    history = [ChatMessage("The mayor of Tamsk keeps bees.")]
    response = reader.chat_with_tools(TOOLS, "Who keeps bees?", chat_history=history)
    assert response.message.content == "The mayor of Tamsk keeps bees."
    with pytest.raises(ValueError, match="called no tool"):
        reader.get_tool_calls_from_response(response)
    assert reader.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


def test_parallel_calls(reader: HuggingChatLLM) -> None:
    """Several calls come at once where they are welcome, each with an id of its own."""
    response = reader.chat_with_tools(TOOLS, BOTH, allow_parallel_tool_calls=True)
    selections = reader.get_tool_calls_from_response(response)
    assert [selection.tool_name for selection in selections] == ["add", "multiply"]
    assert len({selection.tool_id for selection in selections}) == 2


def test_one_call_at_a_time(reader: HuggingChatLLM) -> None:
    """Where they are not, there is one."""
    response = reader.chat_with_tools(TOOLS, BOTH)
    assert the_call(response, reader)[0] == "add"


def test_calls_stand_in_both_places(reader: HuggingChatLLM) -> None:
    """A call is a block, and also in OpenAI's form where older consumers look for it."""
    message = reader.chat_with_tools(TOOLS, SUM).message
    (block,) = (block for block in message.blocks if isinstance(block, ToolCallBlock))
    (call,) = message.additional_kwargs["tool_calls"]
    assert call["id"] == block.tool_call_id
    assert call["function"] == {"name": "add", "arguments": '{"a": 17, "b": 25}'}


def test_forced_call(reader: HuggingChatLLM) -> None:
    """A tool that has to be called is called though the question needs none."""
    response = reader.chat_with_tools([ADD], "Hello 1, hello 2", tool_required=True)
    assert the_call(response, reader) == ("add", {"a": 1, "b": 2})


def test_tool_choice(reader: HuggingChatLLM) -> None:
    """A tool is chosen by its name."""
    response = reader.chat_with_tools(TOOLS, SUM, tool_choice="multiply")
    assert the_call(response, reader)[0] == "multiply"


def test_tool_choice_none(reader: HuggingChatLLM, reader_server: LocalServer) -> None:
    """Tools that must not be called are not offered."""
    response = reader.chat_with_tools(TOOLS, SUM, tool_choice="none")
    assert not reader.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    assert "<tools>" not in str(reader_server.prompts[-1].messages)


def test_unknown_tool_choice(reader: HuggingChatLLM) -> None:
    """A choice that is not there is an error that lists what is."""
    with pytest.raises(InvalidRequestError, match="add, multiply"):
        reader.chat_with_tools(TOOLS, SUM, tool_choice="divide")


def test_tool_result_goes_back(reader: HuggingChatLLM, reader_server: LocalServer) -> None:
    """A result is sent alone, named by the call it answers, and the model reads it."""
    question = ChatMessage(SUM)
    response = reader.chat_with_tools(TOOLS, chat_history=[question])
    (selection,) = reader.get_tool_calls_from_response(response)
    result = ChatMessage(
        "42", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": selection.tool_id}
    )
    reader_server.clear_requests()
    answer = reader.chat_with_tools(TOOLS, chat_history=[question, response.message, result])
    assert answer.message.content == "42"
    posts = [r for r in reader_server.requests if r.method == "POST"]
    assert len(posts) == 1
    assert b'"name\\": \\"add\\"' in posts[0].body
    assert b"sum of" not in posts[0].body


def test_predict_and_call(reader: HuggingChatLLM) -> None:
    """LlamaIndex runs the tool that the model picked."""
    assert reader.predict_and_call(TOOLS, SUM).response == "42"


async def test_apredict_and_call(reader: HuggingChatLLM) -> None:
    """It does asynchronously."""
    assert (await reader.apredict_and_call(TOOLS, SUM)).response == "42"


def test_predict_and_call_in_parallel(reader: HuggingChatLLM) -> None:
    """It runs several tools at once."""
    answer = reader.predict_and_call(TOOLS, BOTH, allow_parallel_tool_calls=True)
    assert answer.response == "42\n\n425"


def test_history_is_not_changed(reader: HuggingChatLLM) -> None:
    """The caller's messages are not changed."""
    history = [ChatMessage(SUM)]
    reader.chat_with_tools(TOOLS, "Now.", chat_history=history)
    assert history == [ChatMessage(SUM)]


def test_a_broken_call_is_text() -> None:
    """A call that cannot be read is shown, not run."""
    broken = "<tool_call>\n{'name': add, arguments}\n</tool_call>"
    model = LocalModel("test/broken", FunctionBackend(lambda _request: broken))
    with LocalServer(models=[model]) as server:
        llm = HuggingChatLLM(base_url=server.base_url)
        response = llm.chat_with_tools(TOOLS, SUM)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    assert "{'name': add, arguments}" in (response.message.content or "")


def test_a_forced_call_is_asked_for_again() -> None:
    """A model that talks instead of calling is reminded, and only its call reaches the caller."""

    def reluctant(request: ChatRequest) -> str:
        if "held no function call" in request.last_user_text:
            return '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
        return "Let me think about that."

    with LocalServer(models=[LocalModel("test/reluctant", FunctionBackend(reluctant))]) as server:
        llm = HuggingChatLLM(base_url=server.base_url)
        response = llm.chat_with_tools([ADD], SUM, tool_required=True)
    assert the_call(response, llm) == ("add", {"a": 1, "b": 2})
    assert response.message.content == ""


@pytest.mark.parametrize("streams", [True, False])
def test_an_invalid_call_is_asked_for_again(streams: bool) -> None:
    """A call of a tool that is not there is asked for again once."""

    def answer(request: ChatRequest) -> str:
        if "no tool named 'plus'" in request.last_user_text:
            return '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
        return 'Well.\n<tool_call>{"name": "plus", "arguments": {}}</tool_call>'

    model = LocalModel("test/wrong", FunctionBackend(answer))
    with LocalServer(models=[model]) as server:
        llm = HuggingChatLLM(base_url=server.base_url)
        if streams:
            responses = list(llm.stream_chat_with_tools(TOOLS, "1 + 2?"))
            assert "".join(response.delta or "" for response in responses) == "Well."
            response = responses[-1]
        else:
            response = llm.chat_with_tools(TOOLS, "1 + 2?")
    assert response.message.content == ("Well." if streams else "")
    assert the_call(response, llm) == ("add", {"a": 1, "b": 2})


def test_function_calling_can_be_switched_off(server: LocalServer) -> None:
    """Without it LlamaIndex falls back on what needs no tool calls."""
    llm = HuggingChatLLM(base_url=server.base_url, is_function_calling_model=False)
    assert not llm.metadata.is_function_calling_model


def test_stop_sequence(llm: HuggingChatLLM) -> None:
    """Text from a stop sequence on never leaves, whole and streamed."""
    messages = [ChatMessage("one two three four")]
    response = llm.chat(messages, stop=[" three"])
    assert response.message.content == "You said: one two"
    assert response.additional_kwargs["finish_reason"] == "stop"
    streamed = [response.delta or "" for response in llm.stream_chat(messages, stop=" three")]
    assert "".join(streamed) == "You said: one two"
