"""Tool calling by prompt, for the wrappers of any framework.

chat-ui has no function calling on the client's side: a conversation is text. So the tools that a
caller offers are described to the model before the user's first words, its calls are parsed out of
what it writes, and results go back as what the user says. Nothing here imports a framework.

* `types.py`: what may be called and what comes back (`Tool`, `ToolConfig`, `FunctionCall`,
  `InvalidToolCall`).
* `prompts.py`: every sentence that a model reads.
* `parser.py`: text as it streams → text and calls, and where in an answer a call may be;
  `forms/` knows how the families of models write calls, one module per family of forms;
  `source.py` is the growing text that they read from.
* `json_schema.py`: what checks a JSON answer.
* `openai_form.py`: tools and response formats as OpenAI's API has them.
* `tool_session.py`: one request with tools on offer from beginning to end, asking again included,
  with stop sequences and JSON answers. This is what a wrapper holds.

How a wrapper uses it, with a client of either kind::

    session = ToolSession(messages, ToolConfig.from_choice(tools, "auto"))
    while session.goes_on:
        with client.stream_chat(session.messages, as_history=session.as_history) as stream:
            for event in stream:
                for piece in session.take(event):
                    ...  # a str is text, a FunctionCall or InvalidToolCall a call, the rest events
            for piece in session.end(stream.answer):
                ...

The history that the framework passes next time holds the assistant's message as
`assistant_text(text, calls)` and each result as `result_text(name, content)`; then only what is new
is sent to the server.
"""

from __future__ import annotations

from hfchat_base.tools.forms.values import read_json
from hfchat_base.tools.parser import ToolCallParser
from hfchat_base.tools.prompts import (
    CALL_OPEN,
    assistant_text,
    call_text,
    repair_request,
    result_text,
    schema_instructions,
    tool_instructions,
)
from hfchat_base.tools.tool_session import (
    MAX_IDENTICAL_CALLS,
    JsonAnswer,
    Piece,
    StopCutter,
    ToolSession,
)
from hfchat_base.tools.types import (
    FunctionCall,
    InvalidToolCall,
    Tool,
    ToolChoice,
    ToolConfig,
)

__all__ = [
    "CALL_OPEN",
    "MAX_IDENTICAL_CALLS",
    "FunctionCall",
    "InvalidToolCall",
    "JsonAnswer",
    "Piece",
    "StopCutter",
    "Tool",
    "ToolCallParser",
    "ToolChoice",
    "ToolConfig",
    "ToolSession",
    "assistant_text",
    "call_text",
    "read_json",
    "repair_request",
    "result_text",
    "schema_instructions",
    "tool_instructions",
]
