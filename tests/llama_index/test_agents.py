"""Agents, over HTTP, with a model that reads the prompt it gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from llama_index.core.agent.react import ReActChatFormatter, ReActOutputParser
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import WorkflowRuntimeError

from hfchat_base.errors import RepeatedToolCallError
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.local_requests import conversations_made

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own


def add(a: int, b: int) -> int:
    """Give the sum of two numbers."""
    return a + b


def weather(town: str) -> str:
    """Tell the weather in a town."""
    if town == "Nowhere":
        message = f"no such town: {town}"
        raise LookupError(message)
    return f"It rains in {town}."


async def test_function_agent(reader: HuggingChatLLM) -> None:
    """A function agent runs the tool that the model calls, and answers with what it gave."""
    agent = FunctionAgent(tools=[add, weather], llm=reader)
    assert str(await agent.run("What is the sum of 17 and 25?")) == "42"


async def test_function_agent_without_streaming(reader: HuggingChatLLM) -> None:
    """It does without streaming."""
    agent = FunctionAgent(tools=[add, weather], llm=reader, streaming=False)
    assert str(await agent.run("What is the weather in Tamsk?")) == "It rains in Tamsk."


async def test_function_agent_streams(reader: HuggingChatLLM) -> None:
    """Text and calls come as events while the agent works."""
    handler = FunctionAgent(tools=[add, weather], llm=reader).run("What is the weather in Tamsk?")
    streamed = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    await handler
    assert "".join(event.delta for event in streamed) == "It rains in Tamsk."
    assert "weather" in {call.tool_name for event in streamed for call in event.tool_calls}


async def test_function_agent_with_a_failing_tool(reader: HuggingChatLLM) -> None:
    """A tool that fails is reported to the model, and the agent continues."""
    agent = FunctionAgent(tools=[add, weather], llm=reader)
    assert "no such town" in str(await agent.run("What is the weather in Nowhere?"))


async def test_function_agent_of_many_turns(
    reader: HuggingChatLLM, reader_server: LocalServer
) -> None:
    """An agent's history goes out once: no later turn sends more than the first ones."""
    agent = FunctionAgent(tools=[add, weather], llm=reader)
    memory = ChatMemoryBuffer.from_defaults(llm=reader)
    sizes = []
    for number in range(10, 20):
        reader_server.clear_requests()
        answer = await agent.run(f"What is the sum of {number} and 1?", memory=memory)
        assert str(answer) == str(number + 1)
        sizes.append(sum(len(request.body) for request in reader_server.requests))
    assert max(sizes[1:]) - min(sizes[1:]) < 50


def repeats(request: ChatRequest) -> str:
    """Call the same tool with the same arguments, whatever its result is."""
    assert request.messages
    return '<tool_call>\n{"name": "weather", "arguments": {"town": "Tamsk"}}\n</tool_call>'


@pytest.fixture
def repeating_server() -> Iterator[LocalServer]:
    """A server whose model repeats one call for ever."""
    with LocalServer(models=[LocalModel("test/repeating", FunctionBackend(repeats))]) as server:
        yield server


@pytest.mark.parametrize("streaming", [True, False])
async def test_function_agent_that_repeats_a_call(
    repeating_server: LocalServer, *, streaming: bool
) -> None:
    """An agent whose model repeats a call with the same result ends early, with the reason."""
    llm = HuggingChatLLM(base_url=repeating_server.base_url, max_identical_calls=3)
    agent = FunctionAgent(tools=[weather], llm=llm, streaming=streaming)
    with pytest.raises(RepeatedToolCallError, match="called weather 3 times in a row"):
        await agent.run("What is the weather in Tamsk?")
    assert len(repeating_server.prompts) == 3


def repeats_until_reminded(request: ChatRequest) -> str:
    """Call the same tool until the question stands behind the result."""
    last = request.messages[-1]["content"]
    if last.endswith(
        "My question was: Is it wet?\nAnswer it in a sentence with the results above."
    ):
        return "It is."
    return "You are welcome." if last == "Thank you." else repeats(request)


async def test_function_agent_that_is_reminded() -> None:
    """A model that makes a call again gets the question again, and so its agent comes to an end."""
    model = LocalModel("test/forgetful", FunctionBackend(repeats_until_reminded))
    with LocalServer(models=[model]) as server:
        llm = HuggingChatLLM(base_url=server.base_url)
        agent = FunctionAgent(tools=[weather], llm=llm)
        memory = ChatMemoryBuffer.from_defaults(llm=llm)
        assert str(await agent.run("Is it wet?", memory=memory)) == "It is."
        assert str(await agent.run("Thank you.", memory=memory)) == "You are welcome."
        assert conversations_made(server) == 1


async def test_function_agent_that_waits(repeating_server: LocalServer) -> None:
    """The same call with other results is progress, up to the agent's own limit."""
    hours = iter(range(100))

    def weather(town: str) -> str:
        """Tell the weather in a town."""
        return f"{next(hours)}: it rains in {town}."

    llm = HuggingChatLLM(base_url=repeating_server.base_url, max_identical_calls=3)
    agent = FunctionAgent(tools=[weather], llm=llm)
    with pytest.raises(WorkflowRuntimeError, match="7"):
        await agent.run("What is the weather in Tamsk?", max_iterations=7)


def test_no_limit_of_identical_calls(repeating_server: LocalServer) -> None:
    """The limit can be switched off."""
    call = ToolCallBlock(tool_call_id="1", tool_name="weather", tool_kwargs={"town": "Tamsk"})
    asked = ChatMessage(role="assistant", blocks=[call])
    result = ChatMessage("rain", role="tool", additional_kwargs={"tool_call_id": "1"})
    messages = [ChatMessage("?"), *[asked, result] * 9]
    llm = HuggingChatLLM(base_url=repeating_server.base_url, max_identical_calls=None)
    assert llm.chat(messages)
    with pytest.raises(RepeatedToolCallError, match="5 times"):
        HuggingChatLLM(base_url=repeating_server.base_url).chat(messages)


async def test_hand_over(reader: HuggingChatLLM) -> None:
    """One agent passes the question to another, which answers."""
    clerk = FunctionAgent(
        name="clerk",
        description="Knows nothing himself.",
        system_prompt="You are a clerk.",
        tools=[],
        llm=reader,
        can_handoff_to=["weatherman"],
    )
    weatherman = FunctionAgent(
        name="weatherman",
        description="Tells the weather anywhere.",
        system_prompt="You are a weatherman.",
        tools=[weather],
        llm=reader,
        can_handoff_to=[],
    )
    workflow = AgentWorkflow(agents=[clerk, weatherman], root_agent="clerk")
    output: AgentOutput = await workflow.run("What is the weather in Tamsk?")
    assert str(output) == "It rains in Tamsk."
    assert output.current_agent_name == "weatherman"


async def test_workflow_picks_the_agent_by_the_llm(reader: HuggingChatLLM) -> None:
    """LlamaIndex makes a function agent of tools for a function-calling LLM."""
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=reader)
    assert isinstance(next(iter(workflow.agents.values())), FunctionAgent)


async def test_react_agent(reader_server: LocalServer) -> None:
    """An agent that reasons in text needs no function calling."""
    llm = HuggingChatLLM(base_url=reader_server.base_url, is_function_calling_model=False)
    workflow = AgentWorkflow.from_tools_or_functions([add, weather], llm=llm)
    assert isinstance(next(iter(workflow.agents.values())), ReActAgent)
    assert str(await workflow.run("What is the sum of 17 and 25?")) == "42"


async def test_code_act_agent(reader: HuggingChatLLM) -> None:
    """An agent that writes code gets it run, and answers with what was printed."""

    async def execute(code: str) -> str:
        """Run the one form of program that this test's model writes."""
        arguments = [int(n) for n in code.partition("(add(")[2].rstrip(")").split(", ")]
        return str(add(arguments[0], arguments[1]))

    agent = CodeActAgent(code_execute_fn=execute, tools=[add], llm=reader)
    assert str(await agent.run("What is the sum of 17 and 25?")) == "It is 42."


async def test_predict_and_call_without_function_calling(reader_server: LocalServer) -> None:
    """LlamaIndex then reasons one step in text."""
    llm = HuggingChatLLM(base_url=reader_server.base_url, is_function_calling_model=False)
    answer = await llm.apredict_and_call(
        [FunctionTool.from_defaults(add)],
        "What is the sum of 17 and 25?",
        react_chat_formatter=ReActChatFormatter(),
        output_parser=ReActOutputParser(),
    )
    assert answer.response == "42"
