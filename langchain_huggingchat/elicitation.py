"""Questions that tools of the server ask in the middle of an answer.

The chat model's callback answers them. Without one, a model that runs inside a LangGraph graph with
a checkpointer interrupts the graph; the value that the graph is resumed with is the reply.
Elsewhere they are declined at once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from langchain_core.runnables.config import var_child_runnable_config

from hfchat_base import ElicitationRequest

__all__ = ["interrupt_graph"]

_CHECKPOINTER: Final = "__pregel_checkpointer"
"""Where LangGraph notes in a node's configuration that it can be interrupted."""


def interrupt_graph(question: ElicitationRequest) -> Mapping[str, Any] | None:
    """Interrupt the graph that the model runs in, if there is one.

    The interrupt's value is the question as a dict. Resume with the content to accept with, or with
    None to decline. As LangGraph runs the node again when it is resumed, the model is asked again.
    """
    config = var_child_runnable_config.get() or {}
    if not (config.get("configurable") or {}).get(_CHECKPOINTER):
        return None
    interrupt = sys.modules["langgraph.types"].interrupt
    reply = interrupt(
        {"type": "elicitation", **asdict(question), "fields": [dict(f) for f in question.fields]}
    )
    return reply if isinstance(reply, Mapping) else None
