"""Sending a message, stopping its run, and answering what a tool asks."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.encoding.values import JsonObject, now, utf16_length
from hfchat_base.local.generation.run import Run
from hfchat_base.local.generation.turn import Turn
from hfchat_base.local.http.answers import Mishap, Refusal, json_answer, json_body
from hfchat_base.local.http.asker import session_of
from hfchat_base.local.http.lookup import is_object_id, own_conversation
from hfchat_base.local.http.message_form import read_message_form
from hfchat_base.local.http.negotiation import wants_page
from hfchat_base.local.http.pages import wrong_method_page
from hfchat_base.local.store.conversations import StopMarker, TreeError
from hfchat_base.local.tools import selected_servers
from hfchat_base.local.tools.elicitation import ElicitationRefused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.http.message_form import MessageForm
    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.state import ServerState
    from hfchat_base.local.store.conversations import Conversation
    from hfchat_base.local.tools.elicitation import ElicitationAction

__all__ = ["SendRoutes"]

_ACTIONS: dict[str, ElicitationAction] = {
    "accept": "accept",
    "decline": "decline",
    "cancel": "cancel",
}


class SendRoutes:
    """The paths below ``/conversation/{id}`` that have to do with a run.

    Args:
        state: The server.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            Route("/conversation/{id}", self.send, methods=["POST"]),
            Route("/conversation/{id}/stop-generating", self.stop, methods=["POST"]),
        ]
        if state.generation == "current":
            self.routes.append(
                Route("/conversation/{id}/elicitation", self.elicitation, methods=["POST"])
            )

    async def send(self, request: Request) -> Response:
        """Take a message and stream the answer.

        Args:
            request: The request.
        """
        if wants_page(request.headers):
            return wrong_method_page(self._state)
        kept = own_conversation(request, self._state)
        model = self._admit(request, kept)
        form = await read_message_form(request, generation=self._state.generation)
        self._check_sizes(form)
        run = self._begin(kept.copy(), model, form)
        run.start()
        return StreamingResponse(run.lines(), headers={"content-type": "application/jsonl"})

    async def stop(self, request: Request) -> Response:
        """Stop the runs of a conversation. The body is a hint and may be anything.

        Args:
            request: The request.
        """
        kept = own_conversation(request, self._state)
        try:
            point = _stop_point(await json_body(request))
        except (Mishap, Refusal):
            point = {}
        marker = StopMarker(asyncio.get_running_loop().time(), **point)
        kept.stop_marker = marker
        for run in list(self._state.active_runs):
            if run.conversation_id == kept.id:
                run.stop(marker)
        return Response()

    async def elicitation(self, request: Request) -> Response:
        """Take the user's answer to what a tool asks.

        Args:
            request: The request.

        Raises:
            Refusal: It answers nothing that is open, or in a wrong form.
        """
        if not is_object_id(request.path_params["id"]):
            raise Refusal(404, "Conversation not found")
        kept = own_conversation(request, self._state)
        try:
            body = await json_body(request)
            uuid.UUID(body["elicitationId"])
            action = _ACTIONS[body["action"]]
        except (Mishap, TypeError, KeyError, AttributeError, ValueError) as error:
            raise Refusal(400, "Invalid elicitation response") from error
        try:
            asked = self._state.elicitations.find(kept.id, body["elicitationId"])
            asked.answer(action, body.get("content") or {})
        except ElicitationRefused as refused:
            raise Refusal(refused.status, str(refused)) from refused
        return json_answer({"ok": True, "resume": False})

    def _admit(self, request: Request, kept: Conversation) -> LocalModel:
        """Check the limits that come before the form is read, in chat-ui's order."""
        limits = self._state.limits
        address = request.client.host if request.client else ""
        if not self._state.count_message(session_of(request).owner, address):
            raise Refusal(429, "You are sending too many messages. Try again later.")
        most = limits.messages_per_conversation
        if most is not None and len(kept.messages) > most:
            raise Refusal(
                429,
                f"This conversation has more than {most} messages. Start a new one to continue",
            )
        model = self._state.model(kept.model)
        if model is None:
            raise Refusal(410, "Model not available anymore")
        return model

    def _check_sizes(self, form: MessageForm) -> None:
        limits = self._state.limits
        longest = limits.message_length
        if longest is not None and form.inputs and utf16_length(form.inputs) > longest:
            raise Refusal(400, "Message too long.")
        if any(len(file.data) > limits.file_bytes for file in form.uploads):
            raise Refusal(413, "File too large, should be <10MB")

    def _begin(self, conversation: Conversation, model: LocalModel, form: MessageForm) -> Run:
        """Put the message into the tree and store it, with the empty answer."""
        for file in form.uploads:
            self._state.files.keep(conversation.id, file)
        try:
            message, path = _place(conversation, form)
        except TreeError as error:
            raise Mishap(str(error)) from error
        generation_id = form.generation_id or str(uuid.uuid4())
        if self._state.generation == "current":
            message["generationId"] = generation_id
        self._state.conversations.save(conversation, conversation.messages)
        turn = Turn(
            self._state,
            model,
            conversation.id,
            path,
            tool_servers=selected_servers(
                self._state.tool_servers, base_names=form.base_servers, own=form.own_servers
            ),
            web_search=form.web_search and not form.is_continue,
        )
        return Run(
            turn,
            conversation,
            message,
            generation_id=generation_id,
            chosen_by_client=form.generation_id is not None,
        )


def _place(conversation: Conversation, form: MessageForm) -> tuple[JsonObject, list[JsonObject]]:
    """Put a message into the tree.

    Returns:
        The answer that is to be written, and the path that the model is to be sent.
    """
    if form.is_continue and form.message_id:
        return _continued(conversation, form.message_id)
    if form.is_retry and form.message_id:
        redone = conversation.find(form.message_id)
        if redone is None:
            raise Refusal(404, "Message not found")
        if redone["from"] == "assistant":
            answer = conversation.add_sibling(_blank_answer(), redone)
            return answer, conversation.path_to(redone)[:-1]
        if redone["from"] != "user" or not form.inputs:
            raise Refusal(500, "Failed to create message")
        question = conversation.add_sibling(_question(form), redone)
    else:
        question = conversation.add_child(_question(form), form.message_id)
    answer = conversation.add_child(_blank_answer(), question["id"])
    return answer, conversation.path_to(question)


def _continued(conversation: Conversation, message_id: str) -> tuple[JsonObject, list[JsonObject]]:
    continued = conversation.find(message_id)
    if continued is None:
        raise Refusal(500, "Failed to create message")
    if continued["children"]:
        raise Refusal(400, "Can only continue the last message")
    return continued, [dict(message) for message in conversation.path_to(continued)]


def _question(form: MessageForm) -> JsonObject:
    files = [*(file.reference() for file in form.uploads), *form.references]
    return {
        "from": "user",
        "content": form.inputs or "",
        "files": files,
        "createdAt": now(),
        "updatedAt": now(),
    }


def _blank_answer() -> JsonObject:
    return {"from": "assistant", "content": "", "createdAt": now(), "updatedAt": now()}


def _stop_point(body: object) -> JsonObject:
    """Read what the stopping client had seen; nothing if it does not say so in full."""
    if not isinstance(body, dict):
        return {}
    generation_id, seen = body.get("generationId"), body.get("seenContentLength")
    if not isinstance(generation_id, str) or not isinstance(seen, int) or seen < 0:
        return {}
    return {"generation_id": generation_id, "seen": seen}
