"""A real small model on this machine, without an account: weights, engine, and the model itself.

`weights.py` finds or fetches the GGUF, `engine.py` runs llama.cpp over it in a child process
(`serve.py` is that child), `backend.py` streams from it, and `model.py` puts the three together.
Any other GGUF goes the same way. Not here: the HuggingChat server in front of it (`local/`).

Example:
    >>> from hfchat_base.local import LocalServer
    >>> from hfchat_base.local.demo import demo_model
    >>> with LocalServer(models=[demo_model()]) as server:
    ...     print(server.base_url)
"""

from hfchat_base.local.demo.backend import DemoBackend
from hfchat_base.local.demo.engine import DemoEngine
from hfchat_base.local.demo.model import demo_model, engine_model
from hfchat_base.local.demo.weights import Progress, find_weights

__all__ = ["DemoBackend", "DemoEngine", "Progress", "demo_model", "engine_model", "find_weights"]
