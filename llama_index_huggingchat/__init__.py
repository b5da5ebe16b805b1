"""HuggingChat for LlamaIndex: `HuggingChatLLM`.

    from llama_index.core import Settings
    from llama_index_huggingchat import HuggingChatLLM

    Settings.llm = HuggingChatLLM()

In: LlamaIndex's messages and tools (`_convert.py`) become a history and tools for `hfchat_base`,
which finds the conversation that already holds the history's beginning and sends what is new. Out:
the events of the answer become responses (`_responses.py`): text, thinking, calls, citations and
files as blocks of the message, the rest in the response's `additional_kwargs`.

No other package of hfchat imports llama-index-core.
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import llama_index.core as _core  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("llama-index", what="HuggingChatLLM") from error

from llama_index_huggingchat.base import HuggingChatLLM
from llama_index_huggingchat.elicitation import ElicitationEvent, ask_in_workflow

__all__ = ["ElicitationEvent", "HuggingChatLLM", "ask_in_workflow"]
