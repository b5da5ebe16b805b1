"""What a streamed token costs through LangChain, in microseconds of this process.

    python benchmarks/langchain_stream.py [tokens]

The same tokens from the same local server, in the same run: through `ChatHuggingChat`, through the
base client alone, through `ChatOpenAI` (the server speaks OpenAI's protocol too, at ``/v1``), and
two floors: a chat model that yields chunks which are ready, and one that makes them. The server
runs in another process; what is measured is CPU time of this one. Needs the extras ``langchain``
and ``local``, and langchain-openai for its row.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from hfchat_base import HuggingChat, TextDelta
from langchain_huggingchat import ChatHuggingChat

ROUNDS = 5
MODEL = "long/flood"


class Floor(BaseChatModel):
    """Yields chunks that are ready; LangChain's own part is all that it costs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._chunks: list[ChatGenerationChunk] = []

    def prepare(self, tokens: int) -> None:
        """Make the chunks."""
        self._chunks = list(new_chunks(tokens))

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks


class Maker(Floor):
    """Makes the chunks as it yields them, as every real model has to."""

    tokens: int

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        return new_chunks(self.tokens)


def new_chunks(tokens: int) -> Iterator[ChatGenerationChunk]:
    """Chunks with one token each, made as LangChain's partner packages make them."""
    for number in range(tokens):
        yield ChatGenerationChunk(message=AIMessageChunk(content=f"tok{number} "))


def best(run: Callable[[], int], prepare: Callable[[], None] | None = None) -> float:
    """Microseconds of CPU time a token, in the best of some rounds."""
    costs = []
    for _ in range(ROUNDS):
        if prepare is not None:
            prepare()
        started = time.process_time()
        tokens = run()
        costs.append((time.process_time() - started) / tokens * 1e6)
    return min(costs)


def main(tokens: int) -> None:
    """Measure and print."""
    server = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    base_url = server.stdout.readline().strip() if server.stdout else ""
    question = f"flood {tokens}"
    try:
        floor, maker = Floor(), Maker(tokens=tokens)
        with HuggingChat(base_url, model=MODEL) as client:
            chat = ChatHuggingChat(base_url=base_url, model=MODEL)

            def base() -> int:
                with client.stream_chat(question) as stream:
                    return sum(isinstance(event, TextDelta) for event in stream)

            rows = {
                "floor": best(
                    lambda: sum(1 for _ in floor.stream(question)),
                    lambda: floor.prepare(tokens),
                ),
                "floor, with making": best(lambda: sum(1 for _ in maker.stream(question))),
                "base client": best(base),
                "ChatHuggingChat": best(lambda: sum(1 for _ in chat.stream(question))),
            }
            rows["ChatOpenAI"] = _openai(base_url, question)
            chat.close()
        floor_cost = rows["floor, with making"]
        for name, cost in rows.items():
            print(f"{name:18} {cost:7.1f} µs a token, {cost / floor_cost:5.2f} of the floor")
    finally:
        server.communicate()


def _openai(base_url: str, question: str) -> float:
    try:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - its row may be left out
    except ImportError:
        return float("nan")
    chat = ChatOpenAI(base_url=f"{base_url}/v1", model=MODEL, api_key="none")  # type: ignore[arg-type]
    return best(lambda: sum(1 for _ in chat.stream(question)))


_SERVER = """
import sys
from hfchat_base.local import LocalServer
with LocalServer() as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
