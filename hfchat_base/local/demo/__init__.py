"""A real small model on this machine, without an account: weights, engine, and the model itself.

`weights.py` finds or downloads the GGUF file, `engine.py` runs llama.cpp over it in a child process
(`llama_server.py`), and `model.py` makes a `LocalModel` of the two. Any other GGUF works the same
way.

Example:
    >>> from hfchat_base.local import LocalServer
    >>> from hfchat_base.local.demo import demo_model
    >>> with LocalServer(models=[demo_model()]) as server:
    ...     print(server.base_url)
"""

from hfchat_base.local.demo.engine import DemoEngine
from hfchat_base.local.demo.model import DemoBackend, demo_model, engine_model
from hfchat_base.local.demo.weights import Progress, find_weights

__all__ = ["DemoBackend", "DemoEngine", "Progress", "demo_model", "engine_model", "find_weights"]
