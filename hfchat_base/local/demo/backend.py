"""How the demo's engine is asked. Not here: what it is asked by default (`model.py`).

It is an OpenAI-compatible endpoint, yet with needs of its own: see `DemoBackend`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfchat_base.local.backends.base import ChatRequest, Piece, UpstreamError
from hfchat_base.local.backends.openai import OpenAIBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hfchat_base.local.demo.engine import DemoEngine

__all__ = ["DemoBackend"]


class DemoBackend:
    """Streams from the engine.

    It asks the engine to report on its reading of the prompt: without, the engine does not notice
    during all of that time (17 s for 3000 tokens) that nobody waits for the answer any more. And it
    never goes through a proxy.

    Args:
        engine: The engine, which must be running. It is kept alive by this object.
        system_prompt: System message for conversations that have none; if None, the model's own
            template decides.
        max_tokens: Where answers are cut off; small models like to go round in circles.
    """

    def __init__(self, engine: DemoEngine, *, system_prompt: str | None, max_tokens: int) -> None:
        self._engine = engine
        self._system_prompt = system_prompt
        self._max_tokens = max_tokens

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Ask the engine, and pass its pieces on.

        Args:
            request: What is asked. Tools are not offered to the model.

        Yields:
            Text, reasoning, and why it stopped.

        Raises:
            UpstreamError: The engine refused, or has ended.
        """
        try:
            upstream = OpenAIBackend(
                self._engine.base_url,
                request.model,
                self._engine.api_key,
                extra_body={
                    "temperature": 0 if request.temperature is None else request.temperature,
                    "max_tokens": self._max_tokens,
                    "return_progress": True,
                },
                trust_env=False,
            )
        except RuntimeError as error:
            raise UpstreamError(f"the demo engine does not answer: {error}") from error
        async for piece in upstream.stream(self._asked(request)):
            yield piece

    def _asked(self, request: ChatRequest) -> ChatRequest:
        messages = request.messages
        has_own = bool(messages) and messages[0]["role"] == "system"
        if self._system_prompt is not None and not has_own:
            messages = [{"role": "system", "content": self._system_prompt}, *messages]
        return replace(request, messages=messages, tools=[])
