"""What requests to chat-ui are built from: the server's address, checked ids, JSON and forms.

Which input the server would answer with a 500 is known here, so that it is refused before it is
sent. What is sent where is known in `dialects/`, when in `_flows/`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hfchat_base._protocol.constants import (
    MAX_TITLE_CHARACTERS,
    SHARE_ID_CHARACTERS,
)
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base.errors import InvalidRequestError
from hfchat_base.types import Attachment
from hfchat_base.validation import TEXT, check

_CONVERSATION_ID: Final = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
_SHARE_ID: Final = re.compile(rf"[\w-]{{{SHARE_ID_CHARACTERS}}}", re.ASCII)
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# A browser's own Accept begins with text/html, which is answered with a page (R: `bad_requests`).
ACCEPT_JSON: Final = {"accept": "application/json"}
ACCEPT_ANY: Final = {"accept": "*/*"}
ACCEPT_HTML: Final = {"accept": "text/html"}


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
            InvalidRequestError: It is not a web address.
        """
        address = WebAddress.parse(base_url, what="base_url")
        if "?" in base_url or "#" in base_url:
            msg = "base_url should hold no user name, query or fragment."
            raise InvalidRequestError(msg)
        return cls(address.url.rstrip("/"), address.origin, address.host)


def is_conversation_id(text: str) -> bool:
    """Return whether a text has the form of an id: 24 hexadecimal digits (R)."""
    return _CONVERSATION_ID.fullmatch(text) is not None


def check_conversation_id(conversation_id: str) -> str:
    """Refuse an id that the server would answer with a 500 (R: ``bad_requests``).

    Raises:
        InvalidRequestError: It is not 24 hexadecimal digits.
    """
    if not is_conversation_id(check("conversation_id", conversation_id, TEXT)):
        msg = f"{conversation_id!r} is not a valid conversation ID (expected 24 hex digits)."
        raise InvalidRequestError(msg)
    return conversation_id


def check_message_id(message_id: str) -> str:
    """Refuse an id that the server would answer with a 500 (R: ``bad_requests``).

    Raises:
        InvalidRequestError: It is not a UUID.
    """
    if not _MESSAGE_ID.fullmatch(check("message_id", message_id, TEXT)):
        msg = f"{message_id!r} is not a valid message ID (expected a UUID)."
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
        msg = f"{share_id!r} is not a share ID (expected {SHARE_ID_CHARACTERS} letters and digits)."
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


def json_request(method: str, path: str, endpoint: Endpoint, body: Mapping[str, Any]) -> Request:
    """A request with a JSON body."""
    headers = {
        **ACCEPT_JSON,
        "origin": endpoint.origin,
        "content-type": "application/json",
    }
    return Request(method, path, headers, json.dumps(body).encode())


def empty_request(method: str, path: str, endpoint: Endpoint) -> Request:
    """A request without a body. An empty POST counts as a form, so it needs an Origin (R)."""
    return Request(method, path, {**ACCEPT_JSON, "origin": endpoint.origin})


def message_form(files: Sequence[Attachment], data: Mapping[str, Any]) -> tuple[bytes, str]:
    """Build the form that a message is sent in; return it and its content type.

    Each file is base64 text named ``base64;<name>``, then comes the JSON (R: ``image_upload``).
    """
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
    pieces += [head.encode(), json.dumps(data).encode(), f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def _name(upload: Attachment) -> str:
    # As browsers escape names in forms (HTML standard, multipart/form-data encoding).
    name = upload.name.encode("utf-8", "replace").decode()
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _mime(upload: Attachment) -> str:
    mime = re.sub(r"[^\w!#$&^.+;= /-]", "", upload.mime, flags=re.ASCII)
    return mime or "application/octet-stream"
