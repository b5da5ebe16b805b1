"""Structured output: objects of the right class, whole and as they grow."""

from __future__ import annotations

from typing import Literal

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index.corpus import town_tools

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own


class Bridge(BaseModel):
    """A bridge."""

    town: str
    arches: int
    material: Literal["stone", "wood"]


class Trip(BaseModel):
    """A trip, with an object and a list in it."""

    first: Bridge
    towns: list[str]


PROMPT = PromptTemplate("There is a {material} bridge in Orvelin with 9 arches.")
BRIDGE = Bridge(town="Orvelin", arches=9, material="stone")


def test_structured_predict(reader: HuggingChatLLM) -> None:
    """An object is read out of a text."""
    assert reader.structured_predict(Bridge, PROMPT, material="stone") == BRIDGE


async def test_astructured_predict(reader: HuggingChatLLM) -> None:
    """It is asynchronously."""
    assert await reader.astructured_predict(Bridge, PROMPT, material="stone") == BRIDGE


def test_nested_object(reader: HuggingChatLLM) -> None:
    """Objects and lists within the object are filled in as well."""
    prompt = PromptTemplate("From Orvelin, with a wood bridge of 9 arches, we went on to Tamsk.")
    trip = reader.structured_predict(Trip, prompt)
    assert trip.first.material == "wood"
    assert trip.towns == ["Tamsk"]


def test_stream_structured_predict(reader: HuggingChatLLM) -> None:
    """Objects grow field by field, and the last is whole and of the right class."""
    grown = list(reader.stream_structured_predict(Bridge, PROMPT, material="stone"))
    assert grown[-1] == BRIDGE
    fields = [object_.model_dump(exclude_none=True) for object_ in grown]
    assert {"town": "Orvelin"} in fields
    assert fields == sorted(fields, key=len)


async def test_astream_structured_predict(reader: HuggingChatLLM) -> None:
    """They do asynchronously."""
    stream = await reader.astream_structured_predict(Bridge, PROMPT, material="stone")
    grown = [object_ async for object_ in stream]
    assert grown[-1] == BRIDGE
    assert len(grown) > 1


def test_as_structured_llm(reader: HuggingChatLLM) -> None:
    """A structured LLM's answers are objects."""
    response = reader.as_structured_llm(Bridge).chat([ChatMessage(PROMPT.format(material="stone"))])
    assert response.raw == BRIDGE


def test_as_structured_llm_streaming(reader: HuggingChatLLM) -> None:
    """Streamed, they grow as well."""
    messages = [ChatMessage(PROMPT.format(material="stone"))]
    responses = list(reader.as_structured_llm(Bridge).stream_chat(messages))
    assert responses[-1].raw == BRIDGE


async def test_as_structured_llm_async(reader: HuggingChatLLM) -> None:
    """A structured LLM completes prompts asynchronously."""
    llm = reader.as_structured_llm(Bridge)
    assert (await llm.acomplete(PROMPT.format(material="stone"))).raw == BRIDGE


def test_text_program(reader_server: LocalServer) -> None:
    """Without function calling the schema goes into the prompt, and the text is parsed."""
    llm = HuggingChatLLM(
        base_url=reader_server.base_url, pydantic_program_mode=PydanticProgramMode.LLM
    )
    assert llm.structured_predict(Bridge, PROMPT, material="stone") == BRIDGE
    assert "<tools>" not in str(reader_server.prompts[-1].messages)


def test_router_with_function_calling(reader: HuggingChatLLM) -> None:
    """A router lets a function-calling model pick by an object."""
    engine = RouterQueryEngine.from_defaults(town_tools(), llm=reader)
    answer = engine.query("How many arches has the bridge of Orvelin?")
    assert answer.metadata is not None
    assert answer.metadata["selector_result"].selections
