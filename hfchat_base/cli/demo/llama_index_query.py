"""The demo's second program: a LlamaIndex query engine over a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine

from hfchat_base.cli.demo.best_sentence import BestSentence
from llama_index_huggingchat import HuggingChatLLM

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]


def run(base_url: str, text: str, question: str, write: Callable[[str], None]) -> None:
    """Stream a query engine's answer.

    Args:
        base_url: Address of the server.
        text: What the answer is to be found in.
        question: The question.
        write: Gets the answer, piece by piece.
    """
    form = "Use this text to answer.\n\n{context_str}\n\n{query_str}"
    engine = RetrieverQueryEngine.from_args(
        BestSentence(text),
        llm=HuggingChatLLM(base_url=base_url),
        text_qa_template=PromptTemplate(form),
        streaming=True,
    )
    for piece in engine.query(question).response_gen:  # type: ignore[union-attr]  # it streams
        write(piece)
