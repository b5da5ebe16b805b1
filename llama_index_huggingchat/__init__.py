"""HuggingChat for LlamaIndex: `HuggingChatLLM`.

Here and nowhere else is llama-index-core imported. The work is done by `hfchat_base`.
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import llama_index.core as _core  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("llama-index", what="HuggingChatLLM") from error

from llama_index_huggingchat.elicitation import ElicitationEvent, ask_in_workflow
from llama_index_huggingchat.llm import HuggingChatLLM

__all__ = ["ElicitationEvent", "HuggingChatLLM", "ask_in_workflow"]
