"""Questions that tools of the server ask during an answer, as events of a workflow.

The callback `on_elicitation` answers such questions at once. `ask_in_workflow` is a callback that
asks whoever reads the workflow's events. LlamaIndex pauses a step that waits for an event, and runs
the step again from its beginning once the event has arrived. So the model is called a second time;
the first run is stopped.
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
    """A tool's question. Answer it with ``handler.ctx.send_event(event.reply(…))``."""

    question_id: str
    message: str
    fields: list[dict[str, Any]]
    server: str

    def reply(self, content: Mapping[str, Any] | None) -> HumanResponseEvent:
        """Make the event that answers: with a value for each field, or with None to decline."""
        response = None if content is None else dict(content)
        values: dict[str, Any] = {"response": response, "question_id": self.question_id}
        return HumanResponseEvent(**values)


async def ask_in_workflow(question: ElicitationRequest) -> Mapping[str, Any] | None:
    """Ask the reader of the events of the workflow in which this runs.

    Meant as `on_elicitation` of an LLM that agents or workflow steps call asynchronously:

        >>> llm = HuggingChatLLM(mcp_servers=[...], on_elicitation=ask_in_workflow)

    Args:
        question: The tool's question.

    Raises:
        WorkflowRuntimeError: It does not run in a step of a workflow.
    """
    fields = [dict(field) for field in question.fields]
    # When the step runs again the server's own id is a different one.
    content = json.dumps([question.server, question.message, fields], sort_keys=True, default=str)
    question_id = hashlib.sha256(content.encode()).hexdigest()[:24]
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
