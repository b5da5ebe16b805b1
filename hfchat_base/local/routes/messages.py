"""Sending a message, resuming and stopping its run, and answering a tool's question."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.answers import RunRequest
from hfchat_base.local.models import Generation
from hfchat_base.local.routes.http import (
    HTTPError,
    InternalError,
    get_session,
    is_object_id,
    json_body,
    json_response,
    json_value,
    own_conversation,
    wants_page,
)
from hfchat_base.local.routes.pages import wrong_method_page
from hfchat_base.local.runs import Run
from hfchat_base.local.store import StopMarker, StoredFile, TreeError
from hfchat_base.local.tools import ElicitationError, selected_servers
from hfchat_base.local.wire import JsonObject, json_text, now, utf16_length, whole_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.models import LocalModel
    from hfchat_base.local.state import RunLog, ServerState
    from hfchat_base.local.store import Conversation
    from hfchat_base.local.tools import ElicitationAction

RESUME_CAP_SECONDS: Final = 300.0
"""After this long a resumed stream closes without an end event (S)."""

_ACTIONS: dict[str, ElicitationAction] = {
    "accept": "accept",
    "decline": "decline",
    "cancel": "cancel",
}


class SendRoutes:
    """The paths below ``/conversation/{id}`` that have to do with a run."""

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
        """Take a message and stream the answer."""
        if wants_page(request.headers):
            return wrong_method_page(self._state)
        conversation = own_conversation(request, self._state)
        model = self._check_limits(request, conversation)
        form = await read_message_form(request, generation=self._state.generation)
        self._check_sizes(form)
        run = self._create_run(conversation.copy(), model, form)
        run.start()
        return StreamingResponse(run.lines(), headers={"content-type": "application/jsonl"})

    async def stop(self, request: Request) -> Response:
        """Stop the runs of a conversation. The body is a hint and may be anything."""
        conversation = own_conversation(request, self._state)
        try:
            point = _stop_point(await json_body(request))
        except (InternalError, HTTPError):
            point = {}
        marker = StopMarker(asyncio.get_running_loop().time(), **point)
        conversation.stop_marker = marker
        for run in list(self._state.active_runs):
            if run.conversation_id == conversation.id:
                run.stop(marker)
        return Response()

    async def elicitation(self, request: Request) -> Response:
        """Take the user's answer to what a tool asks.

        Raises:
            HTTPError: It answers nothing that is open, or in a wrong form.
        """
        if not is_object_id(request.path_params["id"]):
            raise HTTPError(404, "Conversation not found")
        conversation = own_conversation(request, self._state)
        try:
            body = await json_body(request)
            uuid.UUID(body["elicitationId"])
            action = _ACTIONS[body["action"]]
        except (InternalError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise HTTPError(400, "Invalid elicitation response") from error
        try:
            elicitation = self._state.elicitations.find(conversation.id, body["elicitationId"])
            elicitation.answer(action, body.get("content") or {})
        except ElicitationError as refused:
            raise HTTPError(refused.status, str(refused)) from refused
        return json_response({"ok": True, "resume": False})

    def _check_limits(self, request: Request, conversation: Conversation) -> LocalModel:
        """Check the limits that come before the form is read, in chat-ui's order."""
        limits = self._state.limits
        address = request.client.host if request.client else ""
        if not self._state.count_message(get_session(request).owner, address):
            raise HTTPError(429, "You are sending too many messages. Try again later.")
        most = limits.messages_per_conversation
        if most is not None and len(conversation.messages) > most:
            raise HTTPError(
                429,
                f"This conversation has more than {most} messages. Start a new one to continue",
            )
        model = self._state.model(conversation.model)
        if model is None:
            raise HTTPError(410, "Model not available anymore")
        return model

    def _check_sizes(self, form: MessageForm) -> None:
        limits = self._state.limits
        longest = limits.message_length
        if longest is not None and form.inputs and utf16_length(form.inputs) > longest:
            raise HTTPError(400, "Message too long.")
        if any(len(file.data) > limits.file_bytes for file in form.uploads):
            raise HTTPError(413, "File too large, should be <10MB")

    def _create_run(self, conversation: Conversation, model: LocalModel, form: MessageForm) -> Run:
        """Put the message into the tree and store it, with the empty answer."""
        for file in form.uploads:
            self._state.files.keep(conversation.id, file)
        try:
            message, path = _add_to_tree(conversation, form)
        except TreeError as error:
            raise InternalError(str(error)) from error
        generation_id = form.generation_id or str(uuid.uuid4())
        if self._state.generation == "current":
            message["generationId"] = generation_id
        self._state.conversations.save(conversation, conversation.messages)
        request = RunRequest(
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
            request,
            conversation,
            message,
            generation_id=generation_id,
            id_from_client=form.generation_id is not None,
        )


def _add_to_tree(
    conversation: Conversation, form: MessageForm
) -> tuple[JsonObject, list[JsonObject]]:
    """Put a message into the tree.

    Returns:
        The answer that is to be written, and the path that the model is to be sent.
    """
    if form.is_continue and form.message_id:
        return _continued(conversation, form.message_id)
    if form.is_retry and form.message_id:
        redone = conversation.find(form.message_id)
        if redone is None:
            raise HTTPError(404, "Message not found")
        if redone["from"] == "assistant":
            answer = conversation.add_sibling(_blank_answer(), redone)
            return answer, conversation.path_to(redone)[:-1]
        if redone["from"] != "user" or not form.inputs:
            raise HTTPError(500, "Failed to create message")
        question = conversation.add_sibling(_question(form), redone)
    else:
        question = conversation.add_child(_question(form), form.message_id)
    answer = conversation.add_child(_blank_answer(), question["id"])
    return answer, conversation.path_to(question)


def _continued(conversation: Conversation, message_id: str) -> tuple[JsonObject, list[JsonObject]]:
    continued = conversation.find(message_id)
    if continued is None:
        raise HTTPError(500, "Failed to create message")
    if continued["children"]:
        raise HTTPError(400, "Can only continue the last message")
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


_UNKNOWN_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")


@dataclass(frozen=True)
class MessageForm:
    """What a client wants to have answered.

    Attributes:
        inputs: The text, or None (a retry).
        message_id: The message to append to, or to redo; None if left out.
        is_retry: Whether to redo it.
        is_continue: Whether to go on with it (legacy).
        generation_id: The run's name, or None if the client leaves that to the server (current).
        base_servers: Names of the server's own tool servers that are on, or None for all.
        own_servers: Name and URL of the client's tool servers.
        web_search: Whether to search the web (legacy).
        uploads: New attachments.
        references: Attachments that are on the server already, as messages refer to them.
    """

    inputs: str | None = None
    message_id: str | None = None
    is_retry: bool = False
    is_continue: bool = False
    generation_id: str | None = None
    base_servers: tuple[str, ...] | None = None
    own_servers: tuple[tuple[str, str], ...] = ()
    web_search: bool = False
    uploads: list[StoredFile] = field(default_factory=list)
    references: list[JsonObject] = field(default_factory=list)


async def read_message_form(request: Request, *, generation: Generation) -> MessageForm:
    """Read a message.

    Args:
        request: The request.
        generation: Whose schema; each drops the other's keys in silence.

    Raises:
        InternalError: It is no such form, it is too large, or the schema takes a value amiss.
        HTTPError: The part ``data`` is missing.
    """
    body = await request.body()
    form = await _parsed_form(request, len(body))
    try:
        return await _message(form, generation)
    finally:
        await form.close()


async def _message(form: FormData, generation: Generation) -> MessageForm:
    data = form.get("data")
    if not isinstance(data, str):
        raise HTTPError(400, "Invalid request")
    fields = json_value(data)
    if not isinstance(fields, dict):
        raise InternalError("data is no object")
    message = _from_fields(fields, generation)
    for file in form.getlist("files"):
        if isinstance(file, UploadFile) and file.size:
            await _attach(message, file)
    return message


async def _parsed_form(request: Request, size: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InternalError("no multipart form")
    try:
        parser = MultiPartParser(request.headers, request.stream(), max_part_size=size + 1)
        # Never spool to disk: the body is in memory already.
        parser.spool_max_size = size + 1
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InternalError("a broken multipart form") from error


def _from_fields(fields: JsonObject, generation: Generation) -> MessageForm:
    inputs = _optional(fields, "inputs", str)
    if inputs == "":
        raise InternalError("inputs are empty")
    common: JsonObject = {
        "inputs": None if inputs is None else inputs.replace("\r\n", "\n"),
        "message_id": _optional_uuid(fields, "id"),
        "is_retry": _optional(fields, "is_retry", bool) or False,
    }
    if generation == "legacy":
        return MessageForm(
            **common,
            is_continue=_optional(fields, "is_continue", bool) or False,
            web_search=_optional(fields, "web_search", bool) or False,
        )
    names = _optional(fields, "selectedMcpServerNames", list)
    return MessageForm(
        **common,
        generation_id=_optional_uuid(fields, "generationId"),
        base_servers=None if names is None else tuple(_all_text(names)),
        own_servers=tuple(
            (server["name"], server["url"])
            for server in _optional(fields, "selectedMcpServers", list) or []
            if _is_server(server)
        ),
    )


def _optional(fields: JsonObject, key: str, kind: type) -> Any:
    """Return a value of a type, or None if the key is left out; null is not the same."""
    if key not in fields:
        return None
    if not isinstance(fields[key], kind):
        raise InternalError(f"{key} has the wrong type")
    return fields[key]


def _optional_uuid(fields: JsonObject, key: str) -> str | None:
    text: str | None = _optional(fields, key, str)
    if text is not None:
        try:
            uuid.UUID(text)
        except ValueError as error:
            raise InternalError(f"{key} is no UUID") from error
    return text


def _all_text(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise InternalError("not only texts")
    return values


def _is_server(server: object) -> bool:
    if isinstance(server, dict):
        _all_text([server.get("name"), server.get("url")])
        return True
    raise InternalError("a tool server is no object")


async def _attach(message: MessageForm, file: UploadFile) -> None:
    kind, _, name = (file.filename or "").partition(";")
    mime = (file.content_type or "").lower()
    data = await file.read()
    if kind == "base64":
        message.uploads.append(StoredFile(name, mime, _decoded(data)))
    elif kind == "hash":
        reference = {"type": "hash", "value": data.decode("utf-8", "replace"), "mime": mime}
        message.references.append({**reference, "name": name})
    else:
        raise InternalError("an attachment of an unknown kind")


def _decoded(data: bytes) -> bytes:
    """Decode base64 as leniently as Node's ``Buffer.from``."""
    data = data.replace(b"-", b"+").replace(b"_", b"/").partition(b"=")[0]
    data = _UNKNOWN_BASE64.sub(b"", data)
    data = data[: len(data) - 1] if len(data) % 4 == 1 else data
    return base64.b64decode(data + b"=" * (-len(data) % 4))


class ResumeRoutes:
    """GET ``/conversation/{id}/stream``."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [Route("/conversation/{id}/stream", self.resume)]

    async def resume(self, request: Request) -> Response:
        """Stream a run's log from wherever the client left off."""
        conversation = own_conversation(request, self._state)
        name = request.query_params.get("generationId")
        if name is None:
            runs = (key for key, _ in reversed(self._state.logs.items()))
            name = next((run for owner, run in runs if owner == conversation.id), "")
        log = self._state.logs.get((conversation.id, name))
        position = request.headers.get("last-event-id") or request.query_params.get("fromSeq")
        return StreamingResponse(
            _frames(log, _number(position), self._state.flush_seconds),
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache, no-transform",
            },
        )


async def _frames(log: RunLog | None, position: int, interval: float) -> AsyncIterator[str]:
    """Yield what the log has, then what it gets, until the run or the connection's time is over."""
    if log is None:
        yield _end("gone")
        return
    deadline = time.monotonic() + RESUME_CAP_SECONDS
    slept = False
    while time.monotonic() < deadline:
        status = log.status
        events = log.after(position)
        for number, event in events:
            yield f"id: {number}\nevent: update\ndata: {json_text(event)}\n\n"
        position += len(events)
        if status != "running":
            yield _end(status)
            return
        if slept and not events:
            yield ": heartbeat\n\n"
        await asyncio.sleep(interval)
        slept = True


def _end(status: str) -> str:
    return f"event: end\ndata: {json_text({'status': status})}\n\n"


def _number(text: str | None) -> int:
    """Read a number as ``parseInt`` does; whatever is none, or negative, counts as 0."""
    digits = re.match(r"\s*\+?([0-9]+)", text or "")
    return whole_number(digits[1]) if digits else 0
