"""Attachments in a form that models read: images and text.

* An image stays as it is, and so does a file of a type that the model is said to accept.
* A PDF or an office document becomes a text file, read here (`documents.py`).
* A recording becomes its transcript, which the server makes.
* A text or code file stays as it is; on a server that shows models no text files, its text is put
  into the message as well.

Anything else is refused before the message is sent, because a server drops it silently. What was
read is remembered (`TextCache`), because frameworks pass their whole history at each call.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Final

from hfchat_base._flows import discovery
from hfchat_base._flows.commands import Flow, compute
from hfchat_base._flows.context import ServerInfo, send
from hfchat_base._protocol import encodings, responses
from hfchat_base._protocol.constants import AUDIO_ALIASES, AUDIO_TYPES, MAX_AUDIO_BYTES
from hfchat_base.documents import document_text
from hfchat_base.errors import (
    HuggingChatError,
    InvalidRequestError,
    MessageTooLongError,
    ProtocolError,
)
from hfchat_base.files import Upload, document, is_text_type, too_large, unreadable
from hfchat_base.types import Attachment, ChatMessage

_log = logging.getLogger("hfchat")

_NOT_CONFIGURED: Final = 503
"""The status of a server that does not transcribe (S)."""


@dataclass(frozen=True, slots=True)
class _Readable:
    """What is sent in place of an attachment: a file, a text in the message, or both."""

    file: Attachment | None = None
    text: str = ""
    is_speech: bool = False

    @property
    def size(self) -> int:
        """Bytes of text that the model reads."""
        if self.file is not None and is_text_type(self.file.mime):
            return len(self.file.data)
        return len(self.text)


Readables = Mapping[bytes, _Readable]
"""What is sent in place of each attachment, by its key."""


def prepare(
    server: ServerInfo,
    model: str,
    messages: Sequence[ChatMessage],
    *,
    provider: str | None = None,
) -> Flow[Readables]:
    """Find out what is sent in place of the attachments of a history.

    Args:
        server: The server.
        model: The id of the model that will answer.
        messages: The history.
        provider: Who runs the model, if that is chosen.

    Raises:
        InvalidRequestError: No model can read one of them, or the server does not transcribe.
        FileTooLargeError: One is too large.
        MessageTooLongError: The texts are longer than the model's context window.
        MissingRequirementsError: A document needs the extra ``documents``.
    """
    uploads = {_key(each): each for message in messages for each in message.files if _reads(each)}
    if not uploads:
        return {}
    found: dict[bytes, _Readable] = {}
    for key, upload in uploads.items():
        found[key] = yield from _readable(server, model, key, upload)
    yield from _check_length(server, model, provider, sum(each.size for each in found.values()))
    return found


def readable_messages(
    server: ServerInfo,
    model: str,
    messages: Sequence[ChatMessage],
    *,
    provider: str | None = None,
) -> Flow[list[ChatMessage]]:
    """A history with readable attachments; see `prepare`."""
    return applied((yield from prepare(server, model, messages, provider=provider)), messages)


def is_recording(upload: Attachment) -> bool:
    """Whether the transcript of an attachment is sent in its place."""
    return upload.mime.startswith("audio/")


def applied(readables: Readables, messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """A history with readable attachments."""
    return [_apply(readables, message) for message in messages]


def _apply(readables: Readables, message: ChatMessage) -> ChatMessage:
    if not readables or not message.files:
        return message
    texts = [message.content] if message.content else []
    files: list[Attachment] = []
    for upload in message.files:
        readable = readables.get(_key(upload)) if _reads(upload) else None
        if readable is None:
            files.append(upload)
            continue
        if readable.file is not None:
            files.append(readable.file)
        if readable.is_speech and not message.content:
            texts.append(readable.text)  # what somebody said instead of writing it
        elif readable.text:
            texts.append(document(upload.name, readable.text))
    return replace(message, content="\n\n".join(texts), files=tuple(files))


def _reads(upload: Attachment) -> bool:
    return not upload.is_image


def _key(upload: Attachment) -> bytes:
    digest = hashlib.blake2b(upload.data, digest_size=20)
    digest.update(f"\0{upload.mime}\0{upload.name}".encode("utf-8", "replace"))
    return digest.digest()


def _readable(server: ServerInfo, model: str, key: bytes, upload: Attachment) -> Flow[_Readable]:
    kind = Upload(upload.name, upload.data, upload.mime)
    known = server.catalog.find(model) if server.catalog else None
    accepted = known.accepted_mime_types if known else ()
    if any(fnmatchcase(upload.mime, pattern) for pattern in accepted):
        return _Readable(upload)
    if kind.is_audio:
        return _Readable(text=(yield from _speech(server, key, upload)), is_speech=True)
    if kind.is_document:
        text = server.attachment_texts.get(key)
        if text is None:
            text = yield from compute(partial(document_text, upload.name, upload.data, upload.mime))
            server.attachment_texts.keep(key, text)
        kind = Upload(upload.name, text.encode("utf-8", "replace"), "text/plain")
    if not kind.is_text:
        raise unreadable(upload.name, upload.mime)
    if (yield from discovery.dialect(server)).shows_text_files:
        return _Readable(kind)
    return _Readable(kind, kind.data.decode("utf-8", "replace"))


def _speech(server: ServerInfo, key: bytes, upload: Attachment) -> Flow[str]:
    text = server.attachment_texts.get(key)
    if text is None:
        if len(upload.data) > max_audio_bytes(server):
            raise too_large(upload.name, len(upload.data), max_audio_bytes(server))
        text = yield from transcribe(server, upload)
        server.attachment_texts.keep(key, text)
    if not text:
        raise InvalidRequestError(f"The server heard no words in {upload.name!r}.")
    return text


def _check_length(server: ServerInfo, model: str, provider: str | None, size: int) -> Flow[None]:
    """Refuse texts that are certainly longer than the context window, where the server tells it.

    What is over the limit of a request is refused when that is made.
    """
    limits = server.policy.limits
    if size <= limits.small_text or size > server.max_body_bytes:
        return
    try:
        window = (yield from discovery.model_details(server, model)).context_window(provider)
    except HuggingChatError as error:
        _log.debug("the context window of %s could not be read: %s", model, error)
        return
    if window is not None and size > window * limits.bytes_per_token:
        raise MessageTooLongError(
            f"The attached texts have {size:,} bytes, and {model} sees {window:,} tokens, with the"
            " whole conversation. Send a part of them."
        )


def max_audio_bytes(server: ServerInfo) -> int:
    """The largest recording that the server takes: it is a request's whole body."""
    return min(MAX_AUDIO_BYTES, server.max_body_bytes)


def transcribe(server: ServerInfo, audio: Attachment) -> Flow[str]:
    """Turn a recording, of `max_audio_bytes` at most, into text.

    Raises:
        InvalidRequestError: The server does not transcribe, or not this type of recording.
    """
    mime = audio.mime.partition(";")[0].strip().lower()
    mime = AUDIO_ALIASES.get(mime, mime)
    if mime not in AUDIO_TYPES:
        raise InvalidRequestError(
            f"{audio.name!r} is {mime or 'of an unknown type'}; a server transcribes"
            f" {', '.join(AUDIO_TYPES)}."
        )
    dialect = yield from discovery.dialect(server)
    request = dialect.transcribe(server.endpoint, mime, audio.data)
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
