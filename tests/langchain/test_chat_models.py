"""A chat model among others: settings, clients, copies, callbacks, traces, caches."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage, messages_from_dict, messages_to_dict
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

import hfchat_base as ours
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.local_requests import conversations_made, messages_sent

SECRET = "secret-cookie-value"


@tool
def add_numbers(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


class Recorder(BaseCallbackHandler):
    """Writes down all that callbacks are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tokens: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Note the start."""
        self.told.append(f"{args} {kwargs}")

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:  # type: ignore[override]
        """Note a token."""
        self.tokens.append(token)
        self.told.append(str(kwargs))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Note an error."""
        self.told.append(f"{error!r} {kwargs}")


def secretive(server: LocalServer, **settings: Any) -> ChatHuggingChat:
    """A model with secrets everywhere."""
    return ChatHuggingChat(
        base_url=server.base_url,
        cookies={"hf-chat": SECRET},
        headers={"x-key": SECRET},
        mcp_servers=[{"name": "s", "url": "http://127.0.0.1:9200/mcp", "headers": {"k": SECRET}}],
        **settings,
    )


def test_secrets_are_in_no_trace(server: LocalServer) -> None:
    """Cookies and headers are in no repr, no callback, no parameters and no cache key."""
    model = secretive(server, model="echo/base")
    recorder = Recorder()
    bound = model.bind(mcp_servers=model.mcp_servers)
    bound.invoke("hi", {"callbacks": [recorder]})
    list(bound.stream("hi", {"callbacks": [recorder]}))
    for text in (
        repr(model),
        str(model),
        str(model.model_dump()),
        str(model._identifying_params),
        model._get_llm_string(mcp_servers=model.mcp_servers),
        *recorder.told,
    ):
        assert SECRET not in text
    assert recorder.told
    model.close()


def test_pickle_holds_no_secret(server: LocalServer) -> None:
    """A pickled model works, as a guest: its secrets stay behind."""
    model = secretive(server, model="echo/base")
    model.invoke("hi")
    pickled = pickle.dumps(model)
    assert SECRET.encode() not in pickled
    guest = pickle.loads(pickled)  # noqa: S301 - made two lines above
    assert guest.invoke("hi").text == "You said: hi"
    guest.close()
    model.close()


def test_fallbacks_and_chains(server: LocalServer) -> None:
    """A chain with a fallback answers when its first model fails."""
    broken = ChatHuggingChat(base_url=server.base_url, model="broken/http500")
    sound = ChatHuggingChat(base_url=server.base_url, model="echo/base")
    prompt = ChatPromptTemplate.from_messages([("system", "Be good."), ("human", "{question}")])
    chain = prompt | broken.with_fallbacks([sound]) | StrOutputParser()
    assert chain.invoke({"question": "why?"}) == "You said: why?"
    assert "".join(chain.stream({"question": "why?"})) == "You said: why?"
    broken.close()
    sound.close()


def test_configurable_fields_share_the_conversation(server: LocalServer) -> None:
    """A configurable model still knows its conversations."""
    model = ChatHuggingChat(base_url=server.base_url).configurable_fields(
        model=ConfigurableField(id="model")
    )
    config: Any = {"configurable": {"model": "obedient/two"}}
    first = model.invoke([HumanMessage("one")], config)
    assert first.response_metadata["model_name"] == "obedient/two"
    model.invoke([HumanMessage("one"), first, HumanMessage("two")], config)
    assert conversations_made(server) == 1


def test_copies_share_the_conversation(server: LocalServer, model: ChatHuggingChat) -> None:
    """A copy, shallow or deep, goes on where the original was."""
    first = model.invoke([HumanMessage("one")])
    for twin in (copy.copy(model), copy.deepcopy(model), model.model_copy()):
        twin.invoke([HumanMessage("one"), first, HumanMessage("two")])
    assert conversations_made(server) == 1


def test_another_instance_continues_the_conversation(any_server: LocalServer) -> None:
    """A history that was stored continues in another instance, as in another process."""
    settings: dict[str, Any] = {"base_url": any_server.base_url, "cookies": any_server.cookies()}
    first = ChatHuggingChat(**settings)
    asked = HumanMessage("one")
    history = json.loads(json.dumps(messages_to_dict([asked, first.invoke([asked])])))
    first.close()
    second = ChatHuggingChat(**settings)
    any_server.clear_requests()
    second.invoke([*messages_from_dict(history), HumanMessage("two")])
    assert conversations_made(any_server) == 0
    (sent,) = messages_sent(any_server)
    assert b'"one"' not in sent.body
    second.close()


def test_agent_continues_in_another_instance(server: LocalServer) -> None:
    """Tool calls and their results belong to the history that another instance continues."""
    settings: dict[str, Any] = {"base_url": server.base_url, "cookies": server.cookies()}
    saver = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    for question in ("Please add 1 and 2.", "Now add 3 and 4."):
        model = ChatHuggingChat(**settings)
        agent = create_agent(model, [add_numbers], system_prompt="Be good.", checkpointer=saver)
        state = agent.invoke({"messages": [HumanMessage(question)]}, config)
        model.close()
    assert state["messages"][-1].text == "The tools say: 7"
    assert conversations_made(server) == 1
    assert len(messages_sent(server)) == 4


def test_edited_history_starts_anew(server: LocalServer) -> None:
    """What an edited history refers to is not continued."""
    settings: dict[str, Any] = {"base_url": server.base_url, "cookies": server.cookies()}
    first, second = ChatHuggingChat(**settings), ChatHuggingChat(**settings)
    answer = first.invoke([HumanMessage("one")])
    second.invoke([HumanMessage("ONE"), answer, HumanMessage("two")])
    assert conversations_made(server) == 2
    first.close()
    second.close()


def test_another_server_gets_another_client(server: LocalServer) -> None:
    """A copy with other settings does not use the client of the original."""
    model = ChatHuggingChat(base_url=server.base_url)
    other = ChatHuggingChat(**{**model.__dict__, "ephemeral": True})
    assert other.client is not model.client
    assert other.client.sync.ephemeral


def test_given_client(server: LocalServer) -> None:
    """A client of one's own is used, and left open."""
    with ours.HuggingChat(server.base_url, model="echo/base") as client:
        model = ChatHuggingChat(client=client)
        assert model.invoke("hi").text == "You said: hi"
        assert model.client.sync is client
        assert model.base_url == server.base_url
        url = model.invoke("hi").response_metadata["conversation_url"]
        assert url.startswith(server.base_url)
        model.close()
        assert client.whoami() is None


async def test_close_and_go_on(server: LocalServer, model: ChatHuggingChat) -> None:
    """A model that was closed goes on in the same conversation when it is asked again."""
    first = model.invoke([HumanMessage("one")])
    await model.aclose()
    model.invoke([HumanMessage("one"), first, HumanMessage("two")])
    assert conversations_made(server) == 1


def test_cache(server: LocalServer) -> None:
    """A cached answer sends nothing."""
    model = ChatHuggingChat(base_url=server.base_url, cache=InMemoryCache())
    assert model.invoke("hi").text == model.invoke("hi").text
    assert len(messages_sent(server)) == 1
    model.close()


def test_rate_limiter(server: LocalServer) -> None:
    """A rate limiter is asked before each call."""
    limiter = InMemoryRateLimiter(requests_per_second=1000, check_every_n_seconds=0.001)
    model = ChatHuggingChat(base_url=server.base_url, rate_limiter=limiter)
    assert model.invoke("hi").text
    model.close()


@pytest.mark.parametrize("switch", [{"disable_streaming": True}, {"streaming": False}])
def test_streaming_can_be_disabled(server: LocalServer, switch: dict[str, Any]) -> None:
    """Without streaming, `stream` yields one whole message."""
    model = ChatHuggingChat(base_url=server.base_url, **switch)
    (message,) = model.stream("hi")
    assert message.text == "Hello, you said: hi."
    model.close()


def test_callbacks_get_each_token_once(model: ChatHuggingChat) -> None:
    """Callbacks get what is streamed, token by token."""
    recorder = Recorder()
    texts = [chunk.text for chunk in model.stream("hi", {"callbacks": [recorder]})]
    assert recorder.tokens == texts


def test_token_estimates(model: ChatHuggingChat) -> None:
    """Tokens are estimated without a tokenizer or the network."""
    assert 4 <= model.get_num_tokens("four words are here") <= 7
    assert model.get_num_tokens_from_messages([HumanMessage("four words are here")]) > 5


def test_missing_extra() -> None:
    """Without langchain-core, the import names the extra."""
    program = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from hfchat_base import MissingRequirementsError\n"
        "try:\n    import langchain_huggingchat\n"
        "except MissingRequirementsError as error:\n    print(error)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith('[langchain]"\n')
