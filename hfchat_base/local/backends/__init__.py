"""The models behind the local server: scripted ones, functions, and any OpenAI-compatible URL."""

from hfchat_base.local.backends.base import (
    ChatRequest,
    Finish,
    ModelBackend,
    OutputFile,
    Piece,
    Reasoning,
    Routed,
    Text,
    ToolCall,
    UpstreamError,
)
from hfchat_base.local.backends.function import FunctionBackend
from hfchat_base.local.backends.openai import OpenAIBackend, openai_models

__all__ = [
    "ChatRequest",
    "Finish",
    "FunctionBackend",
    "ModelBackend",
    "OpenAIBackend",
    "OutputFile",
    "Piece",
    "Reasoning",
    "Routed",
    "Text",
    "ToolCall",
    "UpstreamError",
    "openai_models",
]
