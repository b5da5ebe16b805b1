"""Tool calling by prompt, for the wrappers of any framework.

chat-ui has no function calling on the client's side: a conversation is text. So the tools that a
caller offers are told to the model in the system prompt, its calls are parsed out of what it
writes, and results go back as what the user says. Nothing here imports a framework.

* `offer.py`: what is offered and what comes back (`Tool`, `Offer`, `Call`, `BrokenCall`).
* `wording.py`: every sentence that a model gets to read.
* `parser.py`: text as it streams → text and calls, in every shape that models are known to use;
  `shapes.py` knows the shapes of the JSON in it, `scan.py` where that JSON ends.
* `dialog.py`: one request with tools on offer from beginning to end, asking again included. This is
  what a wrapper holds.
* `stops.py` and `json_answer.py`: stop sequences, and answers that have to be JSON.

How a wrapper uses it, with a client of either kind::

    dialog = Dialog(messages, Offer.of(tools, "auto"))
    while dialog.goes_on:
        with client.stream_chat(dialog.messages, as_history=dialog.as_history) as stream:
            for event in stream:
                for piece in dialog.take(event):
                    ...  # a str is text, a Call or BrokenCall is a call, the rest are events
            for piece in dialog.end(stream.answer):
                ...

The history that the framework hands over next time holds the assistant's turn as
`assistant_text(text, calls)` and each result as `result_text(name, content)`; then only what is new
is sent to the server.
"""

from __future__ import annotations

from hfchat_base.tools.dialog import Dialog, Piece
from hfchat_base.tools.json_answer import JsonAnswer, schema_instructions
from hfchat_base.tools.offer import BrokenCall, Call, Offer, Tool, ToolChoice
from hfchat_base.tools.parser import ToolCallParser
from hfchat_base.tools.stops import StopCutter
from hfchat_base.tools.wording import assistant_text, repair_request, result_text, tool_instructions

__all__ = [
    "BrokenCall",
    "Call",
    "Dialog",
    "JsonAnswer",
    "Offer",
    "Piece",
    "StopCutter",
    "Tool",
    "ToolCallParser",
    "ToolChoice",
    "assistant_text",
    "repair_request",
    "result_text",
    "schema_instructions",
    "tool_instructions",
]
