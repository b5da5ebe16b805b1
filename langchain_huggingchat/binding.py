"""A chat model with arguments bound to it, of which the secrets are hidden.

Bound arguments are printed, dumped and pickled with the binding, and a binding that is bound once
more does not come by the model. So the secrets are hidden where every binding is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput, chat_models
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding

from hfchat_base.secret import hide_arguments

__all__ = ["ChatModelBinding"]

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import _ChatModelBinding as _CoreBinding
else:
    # langchain-core 1.8 and later have one of their own for chat models.
    _CoreBinding = getattr(
        chat_models, "_ChatModelBinding", RunnableBinding[LanguageModelInput, AIMessage]
    )


class ChatModelBinding(_CoreBinding):
    """Delegates to a chat model, with arguments bound to it."""

    def __init__(self, *, kwargs: Any = None, **others: Any) -> None:
        super().__init__(kwargs=hide_arguments(kwargs or {}), **others)

    @classmethod
    def lc_id(cls) -> list[str]:
        """Where a dump of it is loaded from: it is core's own class as far as that matters."""
        return RunnableBinding.lc_id()
