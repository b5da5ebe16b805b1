"""The multipart form that sends a message: reading it, and refusing it as chat-ui's schema does."""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from hfchat_base.local.http.answers import Mishap, Refusal, json_value
from hfchat_base.local.store.files import StoredFile

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["MessageForm", "read_message_form"]

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
        Mishap: It is no such form, it is too large, or the schema takes a value amiss.
        Refusal: The part ``data`` is missing.
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
        raise Refusal(400, "Invalid request")
    fields = json_value(data)
    if not isinstance(fields, dict):
        raise Mishap("data is no object")
    message = _from_fields(fields, generation)
    for file in form.getlist("files"):
        if isinstance(file, UploadFile) and file.size:
            await _attach(message, file)
    return message


async def _parsed_form(request: Request, size: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Mishap("no multipart form")
    try:
        parser = MultiPartParser(request.headers, request.stream(), max_part_size=size + 1)
        # Never spool to disk: the body is in memory already.
        parser.spool_max_size = size + 1
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise Mishap("a broken multipart form") from error


def _from_fields(fields: JsonObject, generation: Generation) -> MessageForm:
    inputs = _optional(fields, "inputs", str)
    if inputs == "":
        raise Mishap("inputs are empty")
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
        raise Mishap(f"{key} has the wrong type")
    return fields[key]


def _optional_uuid(fields: JsonObject, key: str) -> str | None:
    text: str | None = _optional(fields, key, str)
    if text is not None:
        try:
            uuid.UUID(text)
        except ValueError as error:
            raise Mishap(f"{key} is no UUID") from error
    return text


def _all_text(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise Mishap("not only texts")
    return values


def _is_server(server: object) -> bool:
    if isinstance(server, dict):
        _all_text([server.get("name"), server.get("url")])
        return True
    raise Mishap("a tool server is no object")


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
        raise Mishap("an attachment of an unknown kind")


def _decoded(data: bytes) -> bytes:
    """Decode base64 as leniently as Node's ``Buffer.from``."""
    data = data.replace(b"-", b"+").replace(b"_", b"/").partition(b"=")[0]
    data = _UNKNOWN_BASE64.sub(b"", data)
    data = data[: len(data) - 1] if len(data) % 4 == 1 else data
    return base64.b64decode(data + b"=" * (-len(data) % 4))
