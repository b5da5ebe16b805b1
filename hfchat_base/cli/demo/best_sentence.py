"""A retriever that needs no embeddings: the sentence that shares the most words with a question.

Enough for a demonstration without a download. For real texts use a real retriever.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

if TYPE_CHECKING:
    from llama_index.core.schema import QueryBundle

__all__ = ["BestSentence"]


class BestSentence(BaseRetriever):
    """Finds one sentence of a text.

    Words count for more the fewer sentences they occur in.

    Args:
        text: Sentences, each ending in a full stop.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._sentences = re.split(r"(?<=\.)\s+", text.strip())
        self._spread = Counter(word for one in self._sentences for word in _words(one))

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Find the best sentence for a question."""
        asked = _words(query_bundle.query_str)
        scored = [
            (sum(1 / self._spread[word] for word in asked & _words(one)), one)
            for one in self._sentences
        ]
        score, best = max(scored)
        return [NodeWithScore(node=TextNode(text=best), score=score)]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
