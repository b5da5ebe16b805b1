"""What a model says of itself: what it can do, how much it reads, and when that is known."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import ModelProfile
from langchain_core.messages import AIMessage, HumanMessage

import hfchat_base as ours
from hfchat_base.local import LocalServer
from hfchat_base.types import ASSUMED_CONTEXT_WINDOW, ModelDetails
from langchain_huggingchat import ChatHuggingChat
from langchain_huggingchat._convert import profile_of
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead


def test_profile_without_network(server: LocalServer) -> None:
    """The profile is there without asking anybody, and knows more once the list was read."""
    model = ChatHuggingChat(base_url=server.base_url)
    assert model.profile is not None
    assert model.profile["tool_calling"]
    assert "structured_output" not in model.profile
    assert server.requests == []
    model.invoke("hi")
    assert model.profile["name"] == "obedient/one"
    assert model.profile["image_inputs"]
    later = ChatHuggingChat(**model.__dict__ | {"profile": None})
    assert later.profile is not None
    assert later.profile["image_inputs"]
    assert ChatHuggingChat(profile={"max_input_tokens": 9}).profile == {"max_input_tokens": 9}
    model.close()


def test_profile_of_a_given_client(server: LocalServer) -> None:
    """What a given client knows of its model is in the profile at once."""
    with ours.HuggingChat(server.base_url, model="echo/base") as client:
        client.get_models()
        server.clear_requests()
        own = ChatHuggingChat(client=client).profile
        named = ChatHuggingChat(client=client, model="obedient/two").profile
    assert own is not None
    assert named is not None
    assert (own["name"], own["image_inputs"]) == ("echo/base", False)
    assert (named["name"], named["image_inputs"]) == ("obedient/two", True)
    assert server.requests == []


def test_profile_after_the_first_answer(described: LocalServer) -> None:
    """The first answer brings what the server says of the model: sizes, and what it can do."""
    model = ChatHuggingChat(base_url=described.base_url)
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == ASSUMED_CONTEXT_WINDOW
    assert "max_output_tokens" not in model.profile
    assert described.requests == []
    model.invoke("hi")
    assert model.profile["max_input_tokens"] == 6000
    assert model.profile["max_output_tokens"] == 500
    assert model.profile["reasoning_effort_levels"] == ["low", "medium", "high"]
    assert model.profile["reasoning_output"]
    model.invoke("hi again")
    paths = [request.path for request in described.requests]
    assert paths.count("/api/v2/models/big/reasoner") == 1
    model.close()


async def test_profile_of_a_provider(described: LocalServer) -> None:
    """If the provider is chosen, its window counts; of several providers the smallest does."""
    model = ChatHuggingChat(base_url=described.base_url, provider="large")
    async for _ in model.astream("hi"):
        pass
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 90_000
    await model.aclose()


def test_profile_of_ones_own(described: LocalServer) -> None:
    """A profile that somebody has given stays."""
    model = ChatHuggingChat(base_url=described.base_url, profile={"max_input_tokens": 9})
    model.invoke("hi")
    assert model.profile == {"max_input_tokens": 9}
    model.close()


def test_profile_by_a_short_name(described: LocalServer) -> None:
    """A short name has its model's profile, also through a client of one's own."""
    with ours.HuggingChat(described.base_url) as client:
        model = ChatHuggingChat(client=client, model="reasoner")
        model.invoke("hi")
        assert model.profile is not None
        assert model.profile["max_input_tokens"] == 6000


def test_profile_without_details(any_server: LocalServer) -> None:
    """A server that says no more than its list leaves the assumed window, on both generations."""
    model = ChatHuggingChat(base_url=any_server.base_url)
    assert model.invoke("hi").text
    assert model.profile is not None
    assert model.profile["name"] == "obedient/one"
    assert model.profile["max_input_tokens"] == ASSUMED_CONTEXT_WINDOW
    model.close()


def test_profile_that_cannot_be_read(described: LocalServer) -> None:
    """An answer is as good without the details, and the next one asks for them again."""
    with FaultServer(described.base_url) as proxy:
        proxy.on("GET /api/v2/models/big/reasoner", Instead(response(b"no", status="500 Oh no")))
        model = ChatHuggingChat(base_url=proxy.url)
        assert model.invoke("hi").text == "Hello, you said: hi."
        assert model.profile is not None
        assert model.profile["max_input_tokens"] == ASSUMED_CONTEXT_WINDOW
        model.invoke("hi")
        assert model.profile["max_input_tokens"] == 6000
        model.close()


def test_profile_in_an_old_core() -> None:
    """A profile holds no name that langchain-core does not know, which it would warn of."""
    known = ModelDetails(
        id="a/b", supports_reasoning=True, reasoning_efforts=("low",), max_output_tokens=5
    )
    assert set(profile_of(known)) <= set(ModelProfile.__annotations__)


def test_summarization_by_fraction(described: LocalServer) -> None:
    """A trigger by fraction works from the first turn, and by the server's window from then on."""
    model = ChatHuggingChat(base_url=described.base_url)
    summarize = SummarizationMiddleware(
        model=model, trigger=("fraction", 0.5), keep=("messages", 1)
    )
    agent = create_agent(model, middleware=[summarize])
    assert described.requests == []
    history = agent.invoke({"messages": [HumanMessage("hi")]})["messages"]
    assert len(history) == 2
    # 4,000 tokens: less than half of the assumed window, more than half of the server's.
    long = HumanMessage("word " * 3200)
    history = agent.invoke({"messages": [*history, long]})["messages"]
    assert "summary of the conversation" in history[0].text
    assert isinstance(history[-1], AIMessage)
    model.close()


def test_agents_are_made_without_a_server() -> None:
    """An agent with a trigger by fraction can be made while the server is down."""
    model = ChatHuggingChat(base_url="http://127.0.0.1:9")
    create_agent(model, middleware=[SummarizationMiddleware(model, trigger=("fraction", 0.8))])
