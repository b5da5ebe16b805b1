"""HuggingChat for LangChain: `ChatHuggingChat`.

Here and nowhere else is langchain-core imported. The work is done by `hfchat_base`.
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import langchain_core as _core  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("langchain", what="ChatHuggingChat") from error

from langchain_huggingchat.chat_models import ChatHuggingChat

__all__ = ["ChatHuggingChat"]
