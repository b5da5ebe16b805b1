"""Fixtures for the LlamaIndex wrapper."""

from __future__ import annotations

import pytest

from hfchat_base.local import LocalServer
from llama_index_huggingchat import HuggingChatLLM


@pytest.fixture
def llm(server: LocalServer) -> HuggingChatLLM:
    """A guest of a server of each generation in turn."""
    return HuggingChatLLM(base_url=server.base_url)
