"""What people build with LlamaIndex, over HTTP, with a model that reads the prompt it gets."""

from __future__ import annotations

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.extractors import KeywordExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.selectors import LLMSingleSelector

from llama_index_huggingchat import HuggingChatLLM
from tests.support.llama_index.corpus import TOWNS, town_tools

pytestmark = pytest.mark.usefixtures("reader")

BRIDGE = "How many arches has the bridge of Orvelin?"
NINE = "The bridge of Orvelin has nine arches."


def test_query_engine() -> None:
    """A query engine answers from the text that its index found."""
    engine = VectorStoreIndex.from_documents(TOWNS).as_query_engine(similarity_top_k=1)
    assert str(engine.query(BRIDGE)) == NINE


async def test_query_engine_async() -> None:
    """It does so asynchronously."""
    engine = VectorStoreIndex.from_documents(TOWNS).as_query_engine(similarity_top_k=1)
    assert str(await engine.aquery(BRIDGE)) == NINE


def test_query_engine_streaming() -> None:
    """A streaming query engine passes the pieces on."""
    index = VectorStoreIndex.from_documents(TOWNS)
    response = index.as_query_engine(streaming=True).query(BRIDGE)
    assert isinstance(response, StreamingResponse)
    pieces = [piece for piece in response.response_gen if piece]
    assert len(pieces) > 1
    assert "".join(pieces) == NINE


async def test_query_engine_async_streaming() -> None:
    """An asynchronous streaming query engine does, too."""
    index = VectorStoreIndex.from_documents(TOWNS)
    response = await index.as_query_engine(streaming=True, use_async=True).aquery(BRIDGE)
    assert isinstance(response, AsyncStreamingResponse)
    assert "".join([piece async for piece in response.async_response_gen()]) == NINE


def test_refine() -> None:
    """Texts that come one after the other refine the answer."""
    index = VectorStoreIndex.from_documents(TOWNS)
    engine = index.as_query_engine(response_mode="refine", similarity_top_k=2)
    assert str(engine.query(BRIDGE)) == NINE


def test_tree_summarize() -> None:
    """A summary index is answered from as a tree."""
    engine = SummaryIndex.from_documents(TOWNS).as_query_engine(response_mode="tree_summarize")
    assert str(engine.query("Who keeps bees?")) == "The mayor of Tamsk keeps bees."


async def test_tree_summarize_async() -> None:
    """The leaves of a tree are answered at the same time."""
    engine = SummaryIndex.from_documents(TOWNS).as_query_engine(
        response_mode="tree_summarize", use_async=True
    )
    assert str(await engine.aquery("Who keeps bees?")) == "The mayor of Tamsk keeps bees."


def test_simple_chat_engine() -> None:
    """A chat engine remembers what was said."""
    engine = SimpleChatEngine.from_defaults()
    engine.chat("My cat is called Mirabel.")
    assert str(engine.chat("What is my cat called?")) == "My cat is called Mirabel."


def test_simple_chat_engine_streaming() -> None:
    """A streamed answer is remembered as well."""
    engine = SimpleChatEngine.from_defaults()
    list(engine.stream_chat("My cat is called Mirabel.").response_gen)
    answer = engine.stream_chat("What is my cat called?")
    assert "".join(answer.response_gen) == "My cat is called Mirabel."
    assert [message.role.value for message in engine.chat_history] == ["user", "assistant"] * 2


async def test_simple_chat_engine_async_streaming() -> None:
    """An asynchronous stream is, too."""
    engine = SimpleChatEngine.from_defaults()
    await engine.achat("My cat is called Mirabel.")
    answer = await engine.astream_chat("What is my cat called?")
    pieces = [piece async for piece in answer.async_response_gen()]
    assert "".join(pieces) == "My cat is called Mirabel."


def test_context_chat_engine() -> None:
    """A context engine answers from what it found for each turn."""
    engine = VectorStoreIndex.from_documents(TOWNS).as_chat_engine(chat_mode=ChatMode.CONTEXT)
    assert str(engine.chat(BRIDGE)) == NINE
    assert str(engine.chat("Who keeps bees?")) == "The mayor of Tamsk keeps bees."


def test_condense_plus_context_chat_engine() -> None:
    """A follow-up question is made to stand alone before the index is asked."""
    engine = VectorStoreIndex.from_documents(TOWNS).as_chat_engine(
        chat_mode=ChatMode.CONDENSE_PLUS_CONTEXT, similarity_top_k=1
    )
    engine.chat("Where lies Orvelin?")
    answer = engine.chat("How many arches has the bridge of it?")
    assert str(answer) == NINE
    assert answer.source_nodes[0].node.ref_doc_id == "orvelin"


def test_condense_question_chat_engine() -> None:
    """The same with an engine that asks a query engine."""
    engine = VectorStoreIndex.from_documents(TOWNS).as_chat_engine(
        chat_mode=ChatMode.CONDENSE_QUESTION
    )
    engine.chat("Where lies Orvelin?")
    assert str(engine.chat("How many arches has the bridge of it?")) == NINE


def test_router_query_engine() -> None:
    """A router sends the question to the engine whose description fits."""
    engine = RouterQueryEngine.from_defaults(
        town_tools(), selector=LLMSingleSelector.from_defaults()
    )
    answer = engine.query(BRIDGE)
    assert str(answer) == NINE
    assert answer.metadata is not None
    assert answer.metadata["selector_result"].ind == 0


def test_sub_question_query_engine() -> None:
    """A question is split, each part answered from its own engine, and the answers put together."""
    engine = SubQuestionQueryEngine.from_defaults(
        town_tools(), question_gen=LLMQuestionGenerator.from_defaults(), verbose=False
    )
    answer = engine.query("Where lies the town?")
    parts = {node.get_content().splitlines()[-1] for node in answer.source_nodes[:2]}
    assert parts == {"Response: Orvelin lies by a lake.", "Response: Tamsk lies in the hills."}
    assert str(answer) in ("Orvelin lies by a lake.", "Tamsk lies in the hills.")


def test_ingestion_pipeline(reader: HuggingChatLLM) -> None:
    """A metadata extractor asks the model about each node."""
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), KeywordExtractor(llm=reader, keywords=3)]
    )
    nodes = pipeline.run(documents=list(TOWNS))
    assert [node.metadata["excerpt_keywords"] for node in nodes] == [
        "orvelin, lie, lake",
        "tamsk, lie, hill",
    ]
