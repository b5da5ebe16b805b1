"""A small world to ask about, and an embedding that needs no model."""

from __future__ import annotations

import math
import re
import zlib
from typing import Final

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.tools import QueryEngineTool

TOWNS: Final = (
    Document(text="Orvelin lies by a lake. The bridge of Orvelin has nine arches.", id_="orvelin"),
    Document(text="Tamsk lies in the hills. The mayor of Tamsk keeps bees.", id_="tamsk"),
)

_DIMENSIONS: Final = 256


class WordEmbedding(BaseEmbedding):
    """Bags of words as vectors: texts are near each other when they share words."""

    def _get_text_embedding(self, text: str) -> list[float]:
        vector = [0.0] * _DIMENSIONS
        for word in re.findall(r"[a-z]{3,}", text.lower()):
            vector[zlib.crc32(word.encode()) % _DIMENSIONS] += 1.0
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def town_tools() -> list[QueryEngineTool]:
    """One query engine for each town, with the default LLM and embedding."""
    return [
        QueryEngineTool.from_defaults(
            VectorStoreIndex.from_documents([town]).as_query_engine(),
            name=town.id_,
            description=f"Tells about {town.id_.capitalize()}.",
        )
        for town in TOWNS
    ]
