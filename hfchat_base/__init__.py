"""HuggingChat as a first-class chat model in Python: the base client.

`HuggingChat` and `AsyncHuggingChat` talk to huggingface.co/chat and to any self-hosted chat-ui. The
wrappers for LangChain and LlamaIndex are packages of their own; `hfchat_base.local` is a server to
test against.
"""

from __future__ import annotations

from hfchat_base.client import AsyncHuggingChat, HuggingChat
from hfchat_base.conversation import AsyncConversation, Conversation
from hfchat_base.errors import *  # noqa: F403 - the whole tree, see its __all__
from hfchat_base.errors import __all__ as _errors
from hfchat_base.events import *  # noqa: F403 - every event, see its __all__
from hfchat_base.events import __all__ as _events
from hfchat_base.streams import AnswerStream, AsyncAnswerStream
from hfchat_base.types import (
    Answer,
    AnswerFile,
    ChatMessage,
    ConversationInfo,
    McpServer,
    McpServerConfig,
    Message,
    MessageFile,
    Model,
    OnElicitation,
    Timeouts,
    ToolRun,
    User,
)
from hfchat_base.uploads import Upload

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AnswerFile",
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncConversation",
    "AsyncHuggingChat",
    "ChatMessage",
    "Conversation",
    "ConversationInfo",
    "HuggingChat",
    "McpServer",
    "McpServerConfig",
    "Message",
    "MessageFile",
    "Model",
    "OnElicitation",
    "Timeouts",
    "ToolRun",
    "Upload",
    "User",
    "__version__",
]
__all__ += _errors
__all__ += _events
