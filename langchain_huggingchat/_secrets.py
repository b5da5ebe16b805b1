"""What LangChain gets to see of a call's arguments: everything but the secrets.

Bound arguments are printed, dumped and pickled with the binding, and a binding that is bound again
does not pass through the model. So secrets are hidden where every binding is made. Arguments of a
call are shown to traces and caches, which get them without the secrets as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput, chat_models
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding

from hfchat_base.secret import hide_arguments

__all__ = ["ChatModelBinding", "showable"]

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import _ChatModelBinding as _CoreBinding
else:
    # langchain-core 1.8 and later have a binding for chat models.
    _CoreBinding = getattr(
        chat_models, "_ChatModelBinding", RunnableBinding[LanguageModelInput, AIMessage]
    )


class ChatModelBinding(_CoreBinding):
    """A chat model with arguments bound to it, whose secrets are hidden."""

    def __init__(self, *, kwargs: Any = None, **others: Any) -> None:
        super().__init__(kwargs=hide_arguments(kwargs or {}), **others)

    @classmethod
    def lc_id(cls) -> list[str]:
        """Where a dump of it is loaded from: core's own class."""
        return RunnableBinding.lc_id()


def showable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a call as traces and cache keys may hold them."""
    return hide_arguments(
        {name: value for name, value in arguments.items() if name != "on_elicitation"}
    )
