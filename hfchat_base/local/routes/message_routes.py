"""Sending a message, resuming and stopping its run, and answering a tool's question."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hfchat_base.local.answers import RunRequest
from hfchat_base.local.database import StopMarker, StoredFile, TreeError
from hfchat_base.local.local_model import Generation
from hfchat_base.local.routes.common import (
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
from hfchat_base.local.routes.documents import wrong_method_page
from hfchat_base.local.runs import Run
from hfchat_base.local.tool_servers import ElicitationAction, ElicitationError, selected_servers
from hfchat_base.local.wire import JsonObject, JsString, json_text, now, utf16_length, whole_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from hfchat_base.local.database import Conversation
    from hfchat_base.local.local_model import LocalModel
    from hfchat_base.local.state import RunLog, ServerState

RESUME_CAP_SECONDS: Final = 300.0
"""After this long a resumed stream closes without an end event (S)."""


def _checked_uuid(text: str) -> str:
    uuid.UUID(text)
    return text


def _checked_text(text: str) -> str:
    if not text:
        raise ValueError("empty")
    return text.replace("\r\n", "\n")


_Uuid = Annotated[JsString, AfterValidator(_checked_uuid)]


class _Body(BaseModel):
    """What a client sends (S). Unknown keys are dropped; an absent key is not the same as null."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)


class _StopBody(_Body):
    """Where the client that stops a run stopped reading."""

    generation_id: JsString
    seen_content_length: int = Field(ge=0)


class _ElicitationBody(_Body):
    """The user's answer to a question of a tool."""

    elicitation_id: _Uuid
    action: ElicitationAction
    content: Any = None


class _McpServer(_Body):
    name: JsString
    url: JsString


class MessageForm(_Body):
    """A message, as a client sends it in a multipart form.

    Attributes:
        inputs: The text; empty if left out (to regenerate an answer).
        id: The message to append to, or to regenerate; empty if left out.
        is_retry: Whether to regenerate it.
        is_continue: Whether to continue it (legacy).
        web_search: Whether to search the web (legacy).
        generation_id: The id of the run; empty if the server is to choose it (current).
        base_servers: Names of the server's own tool servers that are on; unset stands for all
            (current).
        own_servers: The client's tool servers (current).
        timezone: Where the user is, as an IANA name (current).
        uploads: New attachments.
        references: Attachments that are on the server already, as messages refer to them.
    """

    model_config = ConfigDict(alias_generator=None)

    inputs: Annotated[JsString, AfterValidator(_checked_text)] = ""
    id: _Uuid = ""
    is_retry: bool = False
    is_continue: bool = False
    web_search: bool = False
    generation_id: _Uuid = Field(default="", alias="generationId")
    base_servers: list[JsString] = Field(default=[], alias="selectedMcpServerNames")
    own_servers: list[_McpServer] = Field(default=[], alias="selectedMcpServers")
    timezone: JsString = ""
    uploads: list[StoredFile] = []
    references: list[JsonObject] = []


_COMMON_KEYS: Final = {"inputs", "id", "is_retry"}
_KEYS: Final[dict[Generation, set[str]]] = {
    "current": {
        *_COMMON_KEYS,
        "generationId",
        "selectedMcpServerNames",
        "selectedMcpServers",
        "timezone",
    },
    "legacy": {*_COMMON_KEYS, "is_continue", "web_search"},
}
"""The keys of ``data`` in a message's form; other keys are dropped."""


class MessageRoutes:
    """The paths of ``/conversation/{id}`` that start or affect a run."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self.routes: list[BaseRoute] = [
            Route("/conversation/{id}", self.send, methods=["POST"]),
            Route("/conversation/{id}/stop-generating", self.stop, methods=["POST"]),
        ]
        if state.generation == "current":
            self.routes += [
                Route("/conversation/{id}/stream", self.resume),
                Route("/conversation/{id}/elicitation", self.elicitation, methods=["POST"]),
            ]

    async def send(self, request: Request) -> Response:
        """Store a message and stream the answer."""
        if wants_page(request.headers):
            return wrong_method_page(self._state)
        conversation = own_conversation(request, self._state)
        model = self._check_limits(request, conversation)
        form = await read_message_form(request, generation=self._state.generation)
        self._check_sizes(form)
        settings = self._state.settings.read(get_session(request).owner)
        run = self._create_run(conversation.copy(), model, form, settings)
        run.start()
        return StreamingResponse(run.lines(), headers={"content-type": "application/jsonl"})

    async def resume(self, request: Request) -> Response:
        """Stream the log of a run as server-sent events, after those that the client has."""
        conversation = own_conversation(request, self._state)
        generation_id = request.query_params.get("generationId")
        if generation_id is None:
            newest_first = (key for key, _ in reversed(self._state.logs.items()))
            generation_id = next(
                (run for owner, run in newest_first if owner == conversation.id), ""
            )
        log = self._state.logs.get((conversation.id, generation_id))
        position = request.headers.get("last-event-id") or request.query_params.get("fromSeq")
        return StreamingResponse(
            _log_frames(log, _parse_int(position), self._state.flush_seconds),
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-cache, no-transform",
            },
        )

    async def stop(self, request: Request) -> Response:
        """Stop the runs of a conversation. The body is a hint and may be anything."""
        conversation = own_conversation(request, self._state)
        moment = asyncio.get_running_loop().time()
        try:
            body = _StopBody.model_validate(await json_body(request))
        except (InternalError, HTTPError, ValidationError):
            marker = StopMarker(moment)
        else:
            marker = StopMarker(moment, body.generation_id, body.seen_content_length)
        conversation.stop_marker = marker
        for run in list(self._state.active_runs):
            if run.conversation_id == conversation.id:
                run.stop(marker)
        return Response()

    async def elicitation(self, request: Request) -> Response:
        """Pass the user's answer to the tool that asked for it.

        Raises:
            HTTPError: There is no such open question, or the answer does not fit it.
        """
        if not is_object_id(request.path_params["id"]):
            raise HTTPError(404, "Conversation not found")
        conversation = own_conversation(request, self._state)
        try:
            body = _ElicitationBody.model_validate(await json_body(request))
        except (InternalError, ValidationError) as error:
            raise HTTPError(400, "Invalid elicitation response") from error
        try:
            elicitation = self._state.elicitations.find(conversation.id, body.elicitation_id)
            elicitation.answer(body.action, body.content or {})
        except ElicitationError as error:
            raise HTTPError(error.status, str(error)) from error
        return json_response({"ok": True, "resume": False})

    def _check_limits(self, request: Request, conversation: Conversation) -> LocalModel:
        """Check the limits that come before the form is read, in chat-ui's order."""
        limits = self._state.limits
        address = request.client.host if request.client else ""
        if not self._state.count_message(get_session(request).owner, address):
            raise HTTPError(429, "You are sending too many messages. Try again later.")
        limit = limits.messages_per_conversation
        if limit is not None and len(conversation.messages) > limit:
            raise HTTPError(
                429,
                f"This conversation has more than {limit} messages. Start a new one to continue",
            )
        model = self._state.model(conversation.model)
        if model is None:
            raise HTTPError(410, "Model not available anymore")
        return model

    def _check_sizes(self, form: MessageForm) -> None:
        limits = self._state.limits
        longest = limits.message_length
        if longest is not None and utf16_length(form.inputs) > longest:
            raise HTTPError(400, "Message too long.")
        if any(len(file.data) > limits.file_bytes for file in form.uploads):
            raise HTTPError(413, "File too large, should be <10MB")

    def _create_run(
        self, conversation: Conversation, model: LocalModel, form: MessageForm, settings: JsonObject
    ) -> Run:
        """Store the message and the empty answer, and return the run that is to fill it.

        The user's settings count as they are now (S).
        """
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
                self._state.tool_servers,
                base_names=form.base_servers if "base_servers" in form.model_fields_set else None,
                own=[(server.name, server.url) for server in form.own_servers],
            ),
            web_search=form.web_search and not form.is_continue,
            timezone=form.timezone,
        )
        if self._state.generation == "current":
            _apply_settings(request, settings)
        return Run(
            request,
            conversation,
            message,
            generation_id=generation_id,
            id_from_client=bool(form.generation_id),
        )


def _apply_settings(request: RunRequest, settings: JsonObject) -> None:
    """Apply what the user has set for the model (R: ``settings``, ``reasoning_effort``)."""
    model = request.model
    request.model = replace(
        model,
        multimodal=settings["multimodalOverrides"].get(model.id) or model.multimodal,
        supports_tools=settings["toolsOverrides"].get(model.id) or model.supports_tools,
    )
    request.artifacts = settings["artifactsOverrides"].get(model.id, model.supports_artifacts)
    if settings["reasoningOverrides"].get(model.id, model.supports_reasoning):
        request.reasoning_effort = settings["reasoningEffortOverrides"].get(model.id)


def _add_to_tree(
    conversation: Conversation, form: MessageForm
) -> tuple[JsonObject, list[JsonObject]]:
    """Add a message to the tree.

    Returns:
        The empty answer, and the path of messages that the model is to be sent.
    """
    if form.is_continue and form.id:
        return _continued(conversation, form.id)
    if form.is_retry and form.id:
        regenerated = conversation.find(form.id)
        if regenerated is None:
            raise HTTPError(404, "Message not found")
        if regenerated["from"] == "assistant":
            answer = conversation.add_sibling(_blank_answer(), regenerated)
            return answer, conversation.path_to(regenerated)[:-1]
        if regenerated["from"] != "user" or not form.inputs:
            raise HTTPError(500, "Failed to create message")
        question = conversation.add_sibling(_question(form), regenerated)
    else:
        question = conversation.add_child(_question(form), form.id)
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
        "content": form.inputs,
        "files": files,
        "createdAt": now(),
        "updatedAt": now(),
    }


def _blank_answer() -> JsonObject:
    return {"from": "assistant", "content": "", "createdAt": now(), "updatedAt": now()}


_UNKNOWN_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")


async def read_message_form(request: Request, *, generation: Generation) -> MessageForm:
    """Read the form of a message.

    Args:
        request: The request.
        generation: Which schema to use; each silently drops the other's keys.

    Raises:
        InternalError: It is not such a form, is too large, or does not fit the schema.
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
    if isinstance(fields, dict):
        fields = {key: value for key, value in fields.items() if key in _KEYS[generation]}
    try:
        message = MessageForm.model_validate(fields)
    except ValidationError as error:
        raise InternalError("the message does not fit the schema") from error
    for file in form.getlist("files"):
        if isinstance(file, UploadFile) and file.size:
            await _attach(message, file)
    return message


async def _parsed_form(request: Request, size: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InternalError("not a multipart form")
    try:
        parser = MultiPartParser(request.headers, request.stream(), max_part_size=size + 1)
        # Never spool to disk: the body is in memory already.
        parser.spool_max_size = size + 1
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InternalError("a broken multipart form") from error


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


async def _log_frames(log: RunLog | None, position: int, interval: float) -> AsyncIterator[str]:
    """Yield the events of a log as they come, until the run ends or the time limit is reached."""
    if log is None:
        yield _end_frame("gone")
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
            yield _end_frame(status)
            return
        if slept and not events:
            yield ": heartbeat\n\n"
        await asyncio.sleep(interval)
        slept = True


def _end_frame(status: str) -> str:
    return f"event: end\ndata: {json_text({'status': status})}\n\n"


def _parse_int(text: str | None) -> int:
    """Read a number as ``parseInt`` does; anything else, or a negative number, counts as 0."""
    digits = re.match(r"\s*\+?([0-9]+)", text or "")
    return whole_number(digits[1]) if digits else 0
