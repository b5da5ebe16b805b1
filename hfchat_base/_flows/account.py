"""The account: who we are to the server, and ending the session there."""

from __future__ import annotations

from typing import Any, Final

from hfchat_base._flows import commands, discovery
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.constants import AUDIO_ALIASES, AUDIO_TYPES, MAX_AUDIO_BYTES
from hfchat_base._protocol.dialects import base
from hfchat_base._protocol.http import Request
from hfchat_base._protocol.requests import ACCEPT_JSON
from hfchat_base.errors import (
    FileTooLargeError,
    InvalidRequestError,
    ProtocolError,
    SessionExpired,
)
from hfchat_base.types import Attachment, ServerFeatures, User

_DONE: Final = (200, 302, 303)
"""Current redirects home with 302, legacy with 303, or says so in JSON (S)."""


_NOT_CONFIGURED: Final = 503


def whoami(server: ServerInfo) -> Flow[User | None]:
    """Ask the server who we are: None for a guest."""
    dialect = yield from discovery.dialect(server)
    request = dialect.get_user()
    return dialect.parse_user((yield from send(server, request)), request)


def features(server: ServerInfo) -> Flow[ServerFeatures]:
    """What the server has switched on, and its public configuration.

    Raises:
        InvalidRequestError: The server does not tell.
    """
    (yield from discovery.dialect(server)).require("public configuration")
    found: list[dict[str, Any]] = []
    for path in ("/api/v2/feature-flags", "/api/v2/public-config"):
        request = Request("GET", path, ACCEPT_JSON)
        response = responses.check_json((yield from send(server, request)), request)
        raw = encodings.from_superjson(response.body, "configuration")
        found.append(raw if isinstance(raw, dict) else {})
    flags, config = found
    return ServerFeatures(
        name=_text(config.get("PUBLIC_APP_NAME")),
        version=_text(config.get("PUBLIC_VERSION")),
        login=flags.get("loginEnabled") is True,
        transcription=flags.get("transcriptionEnabled") is True,
        router_model=_text(config.get("PUBLIC_LLM_ROUTER_ALIAS_ID")),
        config=config,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def transcribe(server: ServerInfo, audio: Attachment) -> Flow[str]:
    """Turn a recording into text.

    Raises:
        FileTooLargeError: It is over 25 MiB.
        InvalidRequestError: The server takes no such recording, or none at all.
    """
    mime = audio.mime.partition(";")[0].strip().lower()
    mime = AUDIO_ALIASES.get(mime, mime)
    if mime not in AUDIO_TYPES:
        raise InvalidRequestError(
            f"{audio.name!r} is {mime or 'of an unknown type'}; a server transcribes"
            f" {', '.join(AUDIO_TYPES)}."
        )
    if len(audio.data) > MAX_AUDIO_BYTES:
        raise FileTooLargeError(
            f"{audio.name!r} has {len(audio.data):,} bytes; a server transcribes at most"
            f" {MAX_AUDIO_BYTES:,}."
        )
    (yield from discovery.dialect(server)).require(f"transcription of {audio.name!r}")
    headers = {**ACCEPT_JSON, "origin": server.endpoint.origin, "content-type": mime}
    request = Request("POST", "/api/transcribe", headers, audio.data)
    response = yield from send(server, request)
    if response.status == _NOT_CONFIGURED and b"not configured" in response.body:
        raise InvalidRequestError(
            f"This server does not transcribe, so {audio.name!r} cannot be sent to it.",
            status=_NOT_CONFIGURED,
        )
    raw = encodings.parse_json(responses.check_json(response, request).body, "transcription")
    text = raw.get("text") if isinstance(raw, dict) else None
    if not isinstance(text, str):
        raise ProtocolError("The server's transcription holds no text.")
    return text


def logout(server: ServerInfo) -> Flow[None]:
    """End the session on the server; a session that has already ended is not an error.

    Raises:
        HuggingChatError: The server refused.
    """
    request = base.logout(server.endpoint)
    try:
        response = yield from commands.send(request)
    except SessionExpired:
        # The answer deletes the session's cookie, which is how any session ends.
        return
    if response.status not in _DONE:
        raise responses.refusal(response, request)
