"""Requests as chat-ui wants them: one function a route.

What is known here: paths, headers and bodies of both generations, and which input the server would
refuse with a 500, so that it is refused before it is sent. The form that a message is sent in has a
file of its own (`requests.py`). When they are sent is known in `flows/`.

A message to be answered, and the form that it is sent in.

One `Turn` is everything that is sent to get one answer. The form holds it as JSON, and each
attachment as base64 text (R: ``image_upload``); what stands in the JSON differs between the
generations.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from hfchat_base._protocol import limits
from hfchat_base._protocol.constants import (
    MAX_BODY_BYTES,
    MAX_TITLE_CHARACTERS,
    SHARE_ID_CHARACTERS,
    WEB_SEARCH_SERVER,
    Generation,
)
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base._secret import reveal
from hfchat_base._validation import TEXT, check
from hfchat_base.errors import FileNotAvailableError, FileTooLargeError, InvalidRequestError
from hfchat_base.files import Upload
from hfchat_base.types import McpServer

_CONVERSATION_ID: Final = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
_SHARE_ID: Final = re.compile(rf"[\w-]{{{SHARE_ID_CHARACTERS}}}", re.ASCII)
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# A browser's own Accept begins with text/html, which is answered with a page (R: `bad_requests`).
_ACCEPT_JSON: Final = {"accept": "application/json"}
ACCEPT_ANY: Final = {"accept": "*/*"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is.

    Attributes:
        base_url: With its path and without a slash at the end, in the spelling of `WebAddress`.
        origin: Scheme, host and port, as browsers spell an origin.
        host: The host name alone.
    """

    base_url: str
    origin: str
    host: str

    @classmethod
    def parse(cls, base_url: str) -> Endpoint:
        """Take an address apart; one server has one spelling.

        Raises:
            InvalidRequestError: It is no web address.
        """
        address = WebAddress.parse(base_url, what="base_url")
        if "?" in base_url or "#" in base_url:
            msg = "base_url should hold no user name, query or fragment."
            raise InvalidRequestError(msg)
        return cls(address.url.rstrip("/"), address.origin, address.host)


def is_conversation_id(text: str) -> bool:
    """Tell whether a text has the form of an id: 24 hexadecimal digits (R)."""
    return _CONVERSATION_ID.fullmatch(text) is not None


def check_conversation_id(conversation_id: str) -> str:
    """Refuse an id that the server would answer with a 500 (R: ``bad_requests``).

    Raises:
        InvalidRequestError: It is not 24 hexadecimal digits.
    """
    if not is_conversation_id(check("conversation_id", conversation_id, TEXT)):
        msg = f"{conversation_id!r} is no conversation id: one has 24 hexadecimal digits."
        raise InvalidRequestError(msg)
    return conversation_id


def check_message_id(message_id: str) -> str:
    """Refuse an id that the server would answer with a 500 (R: ``bad_requests``).

    Raises:
        InvalidRequestError: It is no UUID.
    """
    if not _MESSAGE_ID.fullmatch(check("message_id", message_id, TEXT)):
        msg = f"{message_id!r} is no message id: one is a UUID."
        raise InvalidRequestError(msg)
    return message_id


def check_share_id(share_id: str) -> str:
    """Take a share's id, or its address, and refuse what is neither.

    Raises:
        InvalidRequestError: It is neither.
    """
    # The page adds a query that names a message.
    share_id = re.split(r"[?#]", check("share", share_id, TEXT), maxsplit=1)[0]
    share_id = share_id.rstrip("/").rpartition("/")[2]
    if not _SHARE_ID.fullmatch(share_id):
        msg = f"{share_id!r} is no share: one has {SHARE_ID_CHARACTERS} letters and digits."
        raise InvalidRequestError(msg)
    return share_id


def check_text(text: str) -> str:
    """Refuse a message that the server would answer with a 500 (R: ``bad_requests``).

    Raises:
        InvalidRequestError: It is empty.
    """
    if not text:
        msg = "A message needs some text; also one with attachments."
        raise InvalidRequestError(msg)
    return text


def check_title(title: str) -> str:
    """Refuse a title that the server does not take (R: ``manage``).

    Raises:
        InvalidRequestError: It is empty or too long.
    """
    if not 1 <= len(check("title", title, TEXT)) <= MAX_TITLE_CHARACTERS:
        msg = f"A title has 1 to {MAX_TITLE_CHARACTERS} characters, not {len(title)}."
        raise InvalidRequestError(msg)
    return title


# --- models and the account -----------------------------------------------------------------------


def models(generation: Generation) -> Request:
    """The model list as JSON; legacy answers the current route with 200 and a page (R)."""
    path = "/api/v2/models" if generation == "current" else "/api/models"
    return Request("GET", path, _ACCEPT_JSON, max_bytes=limits.MODEL_LIST_BYTES)


def home_page() -> Request:
    """The page, for its data. The only request that asks for HTML."""
    return Request("GET", "/", {"accept": "text/html"}, max_bytes=limits.PAGE_BYTES)


def home_data() -> Request:
    """The page's data in devalue form (legacy)."""
    return Request("GET", "/__data.json", ACCEPT_ANY, max_bytes=limits.PAGE_BYTES)


def user(generation: Generation) -> Request:
    """Who we are."""
    path = "/api/v2/user" if generation == "current" else "/api/user"
    return Request("GET", path, _ACCEPT_JSON)


def logout(endpoint: Endpoint) -> Request:
    """End the session; an empty form, on both generations (S)."""
    headers = {
        "accept": "text/html",
        "content-type": "application/x-www-form-urlencoded",
        "origin": endpoint.origin,
    }
    return Request("POST", "/logout", headers)


def settings() -> Request:
    """The account's settings (current)."""
    return Request("GET", "/api/v2/user/settings", _ACCEPT_JSON)


# --- conversations --------------------------------------------------------------------------------


def create_conversation(
    endpoint: Endpoint, model: str, system_prompt: str | None, *, share_id: str | None = None
) -> Request:
    """Make a conversation, empty or out of a share."""
    body: dict[str, Any] = {"model": model} if model else {}
    if system_prompt:
        body["preprompt"] = system_prompt
    if share_id:
        body["fromShare"] = share_id
    return _json("POST", "/conversation", endpoint, body)


def import_share(endpoint: Endpoint, share_id: str) -> Request:
    """Make a conversation out of a share (current)."""
    path = "/api/v2/conversations/import-share"
    return _json("POST", path, endpoint, {"shareId": share_id})


def read_conversation(generation: Generation, conversation_id: str) -> Request:
    """Read a conversation with its messages."""
    path = f"/conversation/{conversation_id}/__data.json?x-sveltekit-invalidated=01"
    accept = ACCEPT_ANY
    if generation == "current":
        path, accept = f"/api/v2/conversations/{conversation_id}", _ACCEPT_JSON
    return Request("GET", path, accept, max_bytes=limits.CONVERSATION_BYTES)


def list_conversations(generation: Generation, page: int) -> Request:
    """One page of the conversation list, counted from 0."""
    path = "/api/v2/conversations" if generation == "current" else "/api/conversations"
    path = f"{path}?{urlencode({'p': page})}"
    return Request("GET", path, _ACCEPT_JSON, max_bytes=limits.CONVERSATION_LIST_BYTES)


def update_conversation(
    generation: Generation, endpoint: Endpoint, conversation_id: str, changes: Mapping[str, str]
) -> Request:
    """Change a conversation's title or model."""
    return _json("PATCH", _conversation_path(generation, conversation_id), endpoint, changes)


def delete_conversation(
    generation: Generation, endpoint: Endpoint, conversation_id: str
) -> Request:
    """Delete a conversation."""
    return _bare("DELETE", _conversation_path(generation, conversation_id), endpoint)


def delete_message(
    generation: Generation, endpoint: Endpoint, conversation_id: str, message_id: str
) -> Request:
    """Delete a message and all that follow it."""
    # On legacy only this route of a conversation's stands under /api (S).
    prefix = "/api/v2/conversations" if generation == "current" else "/api/conversation"
    path = f"{prefix}/{conversation_id}/message/{message_id}"
    return _bare("DELETE", path, endpoint)


def share_conversation(endpoint: Endpoint, conversation_id: str) -> Request:
    """Make a public copy of a conversation."""
    return _bare("POST", f"/conversation/{conversation_id}/share", endpoint)


def output_file(conversation_id: str, sha: str) -> Request:
    """Fetch a file of a conversation.

    Raises:
        FileNotAvailableError: No address can be made of what the server calls it.
    """
    try:
        name = quote(sha, safe="")
    except UnicodeEncodeError:  # a lone surrogate
        name = ""
    if name in ("", ".", ".."):  # the latter two are steps in a path
        msg = "The server has no file of this name: no address can be made of it."
        raise FileNotAvailableError(msg)
    path = f"/conversation/{conversation_id}/output/{name}"
    return Request("GET", path, ACCEPT_ANY, max_bytes=limits.FILE_BYTES)


def stop_generating(
    generation: Generation,
    endpoint: Endpoint,
    conversation_id: str,
    generation_id: str | None,
    seen_units: int,
) -> Request:
    """Stop a run. `seen_units` are the UTF-16 units of text that have arrived (S)."""
    path = f"/conversation/{conversation_id}/stop-generating"
    if generation == "legacy" or generation_id is None:
        return _bare("POST", path, endpoint)
    body = {"generationId": generation_id, "seenContentLength": seen_units}
    return _json("POST", path, endpoint, body)


def resume(conversation_id: str, generation_id: str) -> Request:
    """The log of a run, from its start (current)."""
    query = urlencode({"generationId": generation_id, "fromSeq": 0})
    path = f"/conversation/{conversation_id}/stream?{query}"
    accept = {"accept": "text/event-stream"}
    return Request("GET", path, accept, max_bytes=limits.STREAM_BYTES)


def answer_elicitation(
    endpoint: Endpoint,
    conversation_id: str,
    elicitation_id: str,
    content: Mapping[str, Any] | None,
) -> Request:
    """Answer a tool's question: accept with a content, or decline."""
    body: dict[str, Any] = {
        "elicitationId": elicitation_id,
        "action": "decline" if content is None else "accept",
    }
    if content is not None:
        body["content"] = dict(content)
    return _json("POST", f"/conversation/{conversation_id}/elicitation", endpoint, body)


def _conversation_path(generation: Generation, conversation_id: str) -> str:
    prefix = "/api/v2/conversations" if generation == "current" else "/conversation"
    return f"{prefix}/{conversation_id}"


def _json(method: str, path: str, endpoint: Endpoint, body: Mapping[str, Any]) -> Request:
    headers = {
        **_ACCEPT_JSON,
        "origin": endpoint.origin,
        "content-type": "application/json",
    }
    return Request(method, path, headers, json.dumps(body).encode())


def _bare(method: str, path: str, endpoint: Endpoint) -> Request:
    """A request without a body. An empty POST counts as a form, so it needs an Origin (R)."""
    return Request(method, path, {**_ACCEPT_JSON, "origin": endpoint.origin})


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
    path = f"/conversation/{turn.conversation_id}"
    return Request("POST", path, headers, body, max_bytes=limits.STREAM_BYTES)


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
        url = reveal(server["url"])
        if url is None:
            msg = f"The address of the tool server {server['name']!r} held a secret, which a pickle"
            raise InvalidRequestError(f"{msg} leaves behind: give it again.")
        values = {name: reveal(value) for name, value in (server.get("headers") or {}).items()}
        headers = [{"key": k, "value": v} for k, v in values.items() if v is not None]
        addressed.append({"name": server["name"], "url": url, "headers": headers})
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
