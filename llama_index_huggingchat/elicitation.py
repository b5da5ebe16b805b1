"""Questions that tools of the server ask in the middle of an answer, as events of a workflow.

A callback answers such questions at once (`on_elicitation`). What lives here is a ready-made one
that asks whoever reads the workflow's events. LlamaIndex pauses a step that waits for an event and
runs it again from its beginning once the event is there, so the model is asked a second time; the
first run is stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent

from hfchat_base.events import ElicitationRequest

__all__ = ["ElicitationEvent", "ask_in_workflow"]


class ElicitationEvent(InputRequiredEvent):
    """A tool asks the user something. Answer with ``handler.ctx.send_event(event.reply(…))``."""

    question_id: str
    message: str
    fields: list[dict[str, Any]]
    server: str

    def reply(self, content: Mapping[str, Any] | None) -> HumanResponseEvent:
        """Make the event that answers: with a value for each field, or with None to decline."""
        response = None if content is None else dict(content)
        told: dict[str, Any] = {"response": response, "question_id": self.question_id}
        return HumanResponseEvent(**told)


async def ask_in_workflow(question: ElicitationRequest) -> Mapping[str, Any] | None:
    """Put a tool's question to whoever reads the events of the workflow that this runs in.

    Meant as `on_elicitation` of an LLM that agents or steps of a workflow call asynchronously:

        >>> llm = HuggingChatLLM(mcp_servers=[...], on_elicitation=ask_in_workflow)

    Args:
        question: What the tool asks.

    Raises:
        WorkflowRuntimeError: It does not run in a step of a workflow.
    """
    fields = [dict(field) for field in question.fields]
    # The server's own id is another one when the step runs again.
    told = json.dumps([question.server, question.message, fields], sort_keys=True, default=str)
    question_id = hashlib.sha256(told.encode()).hexdigest()[:24]
    answer = await Context.get_step_context().wait_for_event(
        HumanResponseEvent,
        waiter_event=ElicitationEvent(
            question_id=question_id,
            message=question.message,
            fields=fields,
            server=question.server,
        ),
        waiter_id=question_id,
        requirements={"question_id": question_id},
    )
    return answer.response if isinstance(answer.response, Mapping) else None
