"""A HuggingChat server to run on your own machine: in memory, offline, on loopback.

It acts as chat-ui 0.20 (``current``) or 0.9.5 (``legacy``), exactly like the real servers in
``tests/recordings``, so that chains can be tested without an account or a network. It shares no
code and no constant with the client that it judges; throughout, (R) marks what was seen in a
recording of a real server, and (S) what was read in the source of chat-ui.

Known differences from the real servers: it answers to its own hosts only (`LocalServer`, ``hosts``)
and rejects requests from pages of other origins, so that no web page can use it; a system prompt
reaches the model once (chat-ui sends it twice); images are passed on unchanged (chat-ui encodes
them again); a failing model is not retried for seconds; the prompt about tools has another wording;
the legacy generation has no tools; a tool call that waits for an answer cannot be resumed with
``resumeElicitationId``.

Example:
    >>> from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
    >>> parrot = LocalModel("my/parrot", FunctionBackend(lambda request: request.last_user_text))
    >>> with LocalServer(models=[parrot]) as server:
    ...     print(server.base_url)
"""

from hfchat_base.errors import MissingRequirementsError

try:
    import httpx as _httpx  # noqa: F401 - the OpenAI backend needs it
    import python_multipart as _multipart  # noqa: F401 - starlette needs it for forms
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise MissingRequirementsError.for_extra("local", what="The local server") from error

from hfchat_base.local.asgi import create_app
from hfchat_base.local.backends import (
    ChatRequest,
    FunctionBackend,
    ModelBackend,
    OpenAIBackend,
    UpstreamError,
)
from hfchat_base.local.local_model import LocalModel, openai_models
from hfchat_base.local.scripted import default_models, scripted_tool_servers
from hfchat_base.local.server import LocalServer
from hfchat_base.local.state import Limits, RecordedRequest, Retention, SentPrompt
from hfchat_base.local.tool_servers import (
    ElicitationAnswer,
    ElicitationField,
    LocalTool,
    ToolContext,
    ToolServer,
)

__all__ = [
    "ChatRequest",
    "ElicitationAnswer",
    "ElicitationField",
    "FunctionBackend",
    "Limits",
    "LocalModel",
    "LocalServer",
    "LocalTool",
    "ModelBackend",
    "OpenAIBackend",
    "RecordedRequest",
    "Retention",
    "SentPrompt",
    "ToolContext",
    "ToolServer",
    "UpstreamError",
    "create_app",
    "default_models",
    "openai_models",
    "scripted_tool_servers",
]
