"""`HuggingChatLLM` where LlamaIndex's other LLMs are: ``llama_index.llms.huggingchat``.

The wheel has this folder as ``llama_index/llms/huggingchat`` (see pyproject.toml). Like the
packages of other LLMs it brings no ``__init__.py`` for the folders above, which are namespace
packages that llama-index-core shares.
"""

from llama_index_huggingchat import ElicitationEvent, HuggingChatLLM, ask_in_workflow

__all__ = ["ElicitationEvent", "HuggingChatLLM", "ask_in_workflow"]
