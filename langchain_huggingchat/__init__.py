"""HuggingChat for LangChain: `ChatHuggingChat`.

Only this package imports langchain-core. `hfchat_base` does the work.
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import langchain_core as _core  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("langchain", what="ChatHuggingChat") from error

from langchain_huggingchat._errors import IgnoredParameterWarning
from langchain_huggingchat.chat_models import ChatHuggingChat

__all__ = ["ChatHuggingChat", "IgnoredParameterWarning"]
