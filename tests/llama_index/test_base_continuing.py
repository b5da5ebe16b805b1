"""Conversations that continue in another instance, as after a restart or in another worker."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.generic_utils import messages_to_history_str
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

from hfchat_base import HuggingChat
from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index.corpus import town_tools

BRIEF = ChatMessage("Be brief.", role="system")
FIRST = [BRIEF, ChatMessage("My cat is Mirabel.")]


def instance(server: LocalServer, cookies: dict[str, str] | None = None) -> HuggingChatLLM:
    """An LLM with a client of its own, by default of the same user."""
    return HuggingChatLLM(base_url=server.base_url, cookies=cookies or {"hf-chat": "a-user"})


def restored(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Messages as a store brings them back."""
    return [ChatMessage.model_validate_json(message.model_dump_json()) for message in messages]


def test_another_instance_continues(server: LocalServer) -> None:
    """A stored chat continues in its conversation; only what is new is sent."""
    first = instance(server).chat(FIRST)
    chat = restored([*FIRST, first.message, ChatMessage("What is her name?")])
    server.clear_requests()
    second = instance(server).chat(chat)
    assert second.additional_kwargs["conversation_id"] == first.additional_kwargs["conversation_id"]
    assert [message["content"] for message in server.prompts[-1].messages] == [
        "Be brief.",
        "My cat is Mirabel.",
        "You said: My cat is Mirabel.",
        "What is her name?",
    ]


async def test_another_instance_continues_asynchronously(server: LocalServer) -> None:
    """It does asynchronously, and with streamed answers."""
    async for response in await instance(server).astream_chat(FIRST):
        last = response
    chat = restored([*FIRST, last.message, ChatMessage("What is her name?")])
    async for response in await instance(server).astream_chat(chat):
        second = response
    assert second.additional_kwargs["conversation_id"] == last.additional_kwargs["conversation_id"]


def test_another_instance_continues_after_a_tool_call(reader_server: LocalServer) -> None:
    """It does where the answer was a call of a tool."""

    def add(a: int, b: int) -> int:
        """Give the sum of two numbers."""
        return a + b

    tools = [FunctionTool.from_defaults(add)]
    asked = [ChatMessage("What is the sum of 17 and 25?")]
    first = instance(reader_server).chat_with_tools(tools, chat_history=asked)
    (call,) = instance(reader_server).get_tool_calls_from_response(first)
    result = ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    chat = restored([*asked, first.message, result])
    second = instance(reader_server).chat_with_tools(tools, chat_history=chat)
    assert second.message.content == "42"
    assert second.additional_kwargs["conversation_id"] == first.additional_kwargs["conversation_id"]


@pytest.mark.parametrize("loss", ["deleted", "somebody else's", "edited"])
def test_a_conversation_that_cannot_be_continued(loss: str, server: LocalServer) -> None:
    """What has gone, is somebody else's or was edited is sent to a new conversation."""
    first = instance(server).chat(FIRST)
    cookies = None
    chat = restored([*FIRST, first.message, ChatMessage("What is her name?")])
    if loss == "deleted":
        with HuggingChat(server.base_url, {"hf-chat": "a-user"}) as client:
            client.delete_conversation(first.additional_kwargs["conversation_id"])
    elif loss == "edited":
        chat[1] = ChatMessage("My dog is Mirabel.")
    else:
        cookies = {"hf-chat": "another-user"}
    second = instance(server, cookies).chat(chat)
    assert second.additional_kwargs["conversation_id"] != first.additional_kwargs["conversation_id"]
    assert "is Mirabel" in str(server.prompts[-1].messages[-1]["content"])


def test_ephemeral_answers_refer_to_nothing(server: LocalServer) -> None:
    """An answer whose conversation was deleted says nothing of it to another instance."""
    llm = HuggingChatLLM(base_url=server.base_url, ephemeral=True)
    assert llm.chat(FIRST).message.additional_kwargs == {}


def test_prompts_hold_no_ids(reader: HuggingChatLLM, reader_server: LocalServer) -> None:
    """Models see no ids in the prompts that LlamaIndex makes of a chat, and all of its text."""
    first = reader.chat([ChatMessage("Where does Orvelin lie?")])
    engine = CondenseQuestionChatEngine.from_defaults(
        query_engine=town_tools()[0].query_engine,
        chat_history=[ChatMessage("Where does Orvelin lie?"), first.message],
        llm=reader,
    )
    reader_server.clear_requests()
    engine.chat("How many arches has its bridge?")
    assert first.message.additional_kwargs["conversation_id"]
    sent = str([prompt.messages for prompt in reader_server.prompts])
    assert str(first.message.content) in sent
    assert not [value for value in first.message.additional_kwargs.values() if value in sent]


def test_prompts_keep_calls(llm: HuggingChatLLM, server: LocalServer) -> None:
    """What else LlamaIndex writes of a message's keywords stays."""
    reference = llm.chat(FIRST).message.additional_kwargs
    keywords = {"tool_calls": [{"name": "add"}], **reference}
    llm.complete(messages_to_history_str([ChatMessage("hi", additional_kwargs=keywords)]))
    sent = server.prompts[-1].messages[-1]["content"]
    assert sent == "user: hi\n{'tool_calls': [{'name': 'add'}]}"
