"""A message to be answered, and the form that it is sent in.

One `Turn` is everything that is sent to get one answer. The form holds it as JSON, and each
attachment as base64 text (R: ``image_upload``); what stands in the JSON differs between the
generations.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hfchat_base.errors import FileTooLargeError, InvalidRequestError
from hfchat_base.protocol.facts import MAX_BODY_BYTES, WEB_SEARCH_SERVER, Generation
from hfchat_base.protocol.flow import Request
from hfchat_base.protocol.requests import ACCEPT_ANY, Endpoint
from hfchat_base.types import McpServer
from hfchat_base.uploads import Upload


@dataclass(frozen=True, slots=True)
class Turn:
    """What is sent to get one answer.

    Attributes:
        conversation_id: Where.
        message_id: The parent; with `is_retry` the message to do again.
        text: What the user says; None when an assistant's message is done again.
        files: What is attached.
        is_retry: Answer again as a sibling, or with a user's message and a text: an edit.
        generation_id: The run's own id, fresh for every run (current).
        web_search: Whether to search the web first.
        mcp_servers: The tool servers to offer.
        resume_elicitation_id: The question whose reply lets a parked run go on (current).
    """

    conversation_id: str
    message_id: str
    text: str | None
    generation_id: str
    files: Sequence[Upload] = ()
    is_retry: bool = False
    web_search: bool = False
    mcp_servers: Sequence[McpServer] = ()
    resume_elicitation_id: str | None = None


def send_turn(
    generation: Generation, endpoint: Endpoint, turn: Turn, *, max_body_bytes: int = MAX_BODY_BYTES
) -> Request:
    """Send a message, or do one again.

    Raises:
        FileTooLargeError: The whole body, with the attachments in base64, is over the limit.
        InvalidRequestError: A tool server has no name or no address, or the server knows none.
    """
    data: dict[str, Any] = {"id": turn.message_id, "is_retry": turn.is_retry}
    if turn.text is not None:
        data = {"inputs": turn.text, **data}
    data |= _current_keys(turn) if generation == "current" else _legacy_keys(turn)
    body, content_type = _multipart(turn.files, json.dumps(data))
    if len(body) > max_body_bytes:
        msg = (
            f"The message has {len(body):,} bytes with its attachments in base64; the server takes"
            f" at most {max_body_bytes:,}. Send fewer or smaller files at once."
        )
        raise FileTooLargeError(msg)
    headers = {**ACCEPT_ANY, "origin": endpoint.origin, "content-type": content_type}
    return Request("POST", f"/conversation/{turn.conversation_id}", headers, body)


def _current_keys(turn: Turn) -> dict[str, Any]:
    named = [server for server in turn.mcp_servers if isinstance(server, str)]
    if turn.web_search and WEB_SEARCH_SERVER not in named:
        named.append(WEB_SEARCH_SERVER)
    addressed = []
    for server in turn.mcp_servers:
        if isinstance(server, str):
            continue
        if not server.get("name") or not server.get("url"):
            msg = 'A tool server is a name, or {"name": …, "url": …, "headers": {…}}.'
            raise InvalidRequestError(msg)
        headers = [{"key": k, "value": v} for k, v in (server.get("headers") or {}).items()]
        addressed.append({"name": server["name"], "url": server["url"], "headers": headers})
        # The names choose among one's own servers, too.
        named.append(server["name"])
    keys: dict[str, Any] = {
        "generationId": turn.generation_id,
        # Left out, it would switch all of the server's own MCP servers on (S).
        "selectedMcpServerNames": named,
    }
    if addressed:
        keys["selectedMcpServers"] = addressed
    if turn.resume_elicitation_id:
        keys["resumeElicitationId"] = turn.resume_elicitation_id
    return keys


def _legacy_keys(turn: Turn) -> dict[str, Any]:
    if turn.mcp_servers:
        msg = "This server speaks the protocol of mid-2025, which knows no MCP servers."
        raise InvalidRequestError(msg)
    return {"is_continue": False, "web_search": turn.web_search, "tools": []}


def _multipart(files: Sequence[Upload], data: str) -> tuple[bytes, str]:
    """Build the form: each file as base64 text named ``base64;<name>``, then the data (R)."""
    import base64  # noqa: PLC0415 - needed only with attachments

    boundary = f"----hfchat{uuid.uuid4().hex}"
    pieces: list[bytes] = []
    for upload in files:
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="base64;{_name(upload)}"\r\n'
            f"Content-Type: {_mime(upload)}\r\n\r\n"
        )
        pieces += [head.encode(), base64.b64encode(upload.data), b"\r\n"]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="data"\r\n\r\n'
    pieces += [head.encode(), data.encode(), f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def _name(upload: Upload) -> str:
    # As browsers escape names in forms (HTML standard, multipart/form-data encoding).
    name = upload.name.encode("utf-8", "replace").decode()
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _mime(upload: Upload) -> str:
    mime = re.sub(r"[^\w!#$&^.+;= /-]", "", upload.mime, flags=re.ASCII)
    return mime or "application/octet-stream"
