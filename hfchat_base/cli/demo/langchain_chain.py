"""The demo's first program: a LangChain chain over the local server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_huggingchat import ChatHuggingChat

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]


def run(base_url: str, topic: str, write: Callable[[str], None]) -> None:
    """Stream a chain's answer.

    Args:
        base_url: Address of the server.
        topic: What the prompt asks about.
        write: Gets the answer, piece by piece.
    """
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "Answer in two short sentences."),
            ("human", "What is {topic}?"),
        ]
    )
    chain = prompt | ChatHuggingChat(base_url=base_url) | StrOutputParser()
    for piece in chain.stream({"topic": topic}):
        write(piece)
