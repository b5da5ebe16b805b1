"""Attachments become what models read: images, text files, the text of documents, what was said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import (
    AsyncHuggingChat,
    ChatMessage,
    FileTooLargeError,
    HuggingChat,
    InvalidRequestError,
    Upload,
)
from hfchat_base.documents import document_text
from hfchat_base.errors import MessageTooLongError
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support import office
from tests.support.local_requests import conversations_made, messages_sent
from tests.support.office import DOCX

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation
    from hfchat_base.local import ChatRequest
    from tests.support.attempts import Operation, Try

MODEL = "echo/base"
READER = "hfchat_base._flows.attachments.document_text"
WAV = Upload("note.wav", b"RIFF\x04\x00\x00\x00WAVE", "audio/wav")
WEBM = b"\x1a\x45\xdf\xa3" + bytes(30) + b"webm"


def shown(server: LocalServer) -> str:
    """What the model was shown last."""
    content = server.prompts[-1].messages[-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def send(text: str, *files: Any) -> tuple[Operation, Operation]:
    """Steps that send a message with files in a new conversation."""
    return (
        lambda client: client.create_conversation(MODEL),
        lambda conversation: conversation.send(text, list(files)),
    )


def chat(content: str, *files: Any) -> Operation:
    """A step that asks with a history."""
    return lambda client: client.chat([ChatMessage("user", content, files)], model=MODEL)


# --- documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["conversation", "history"])
@pytest.mark.parametrize("name", ["report.pdf", "report.docx"])
def test_document(name: str, way: str, server: LocalServer, attempt: Try) -> None:
    """A model is shown the text of a document, on both generations."""
    data = office.pdf("Nine arches") if name.endswith("pdf") else office.word_document()
    file = Upload.from_source(data, name=name)
    steps = send("How many?", file) if way == "conversation" else (chat("How many?", file),)
    attempt(server.base_url, *steps)
    assert "How many?" in shown(server)
    assert ("Nine arches" if name.endswith("pdf") else "| Old | 9 |") in shown(server)


def test_document_is_stored_as_text(current_server: LocalServer, attempt: Try) -> None:
    """The page shows a file of the document's name, whose content is its text."""
    attempt(current_server.base_url, *send("?", office.pdf("Nine arches")))
    body = messages_sent(current_server)[-1].body
    assert b'filename="base64;attachment.pdf"\r\nContent-Type: text/plain' in body
    assert b"TmluZSBhcmNoZXM=" in body  # Nine arches


def test_document_is_read_once(
    current_server: LocalServer, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that comes again is not read again, and continues its conversation."""
    read: list[str] = []

    def count(name: str, data: bytes, mime: str) -> str:
        read.append(name)
        return document_text(name, data, mime)

    monkeypatch.setattr(READER, count)
    first = [ChatMessage("user", "?", [Upload.from_source(office.pdf("x"), name="a.pdf")])]

    def both(client: Any) -> Any:
        if isinstance(client, HuggingChat):
            answer = client.chat(first, model=MODEL)
            return client.chat(_continued(first, answer.text), model=MODEL)

        async def ask() -> Any:
            answer = await client.chat(first, model=MODEL)
            return await client.chat(_continued(first, answer.text), model=MODEL)

        return ask()

    attempt(current_server.base_url, both)
    assert read == ["a.pdf"]
    assert conversations_made(current_server) == 1
    assert shown(current_server) == "And?"


def _continued(first: list[ChatMessage], answer: str) -> list[ChatMessage]:
    return [*first, ChatMessage("assistant", answer), ChatMessage("user", "And?")]


async def test_reading_a_document_leaves_the_event_loop_free(
    current_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a document is read, other tasks run."""
    has_begun, other_has_run = threading.Event(), threading.Event()

    def wait(*_: Any) -> str:
        has_begun.set()
        assert other_has_run.wait(30)
        return "text"

    monkeypatch.setattr(READER, wait)
    file = Upload("a.pdf", b"%PDF-1.7", "application/pdf")
    async with AsyncHuggingChat(current_server.base_url) as client:
        asked = asyncio.create_task(client.chat([ChatMessage("user", "?", [file])], model=MODEL))
        assert await asyncio.to_thread(has_begun.wait, 30)
        other_has_run.set()
        await asked


@pytest.mark.parametrize("way", ["conversation", "history"])
def test_broken_document(way: str, server: LocalServer, attempt: Try) -> None:
    """A document that cannot be read is refused, and no message is sent."""
    file = Upload("bad.docx", b"PK\x03\x04", DOCX)
    with pytest.raises(InvalidRequestError, match=r"'bad\.docx' cannot be read"):
        attempt(
            server.base_url, *(send("?", file) if way == "conversation" else (chat("?", file),))
        )
    assert messages_sent(server) == []


def test_document_longer_than_the_context_window(attempt: Try) -> None:
    """Where the server tells the window, a text that cannot fit is refused with both lengths."""
    model = LocalModel(
        MODEL, FunctionBackend(lambda _: "read"), providers=[{"provider": "p", "context_length": 1}]
    )
    text = Upload("long.txt", b"word " * 8000)
    with LocalServer(models=[model]) as server:
        for steps in (send("?", text), (chat("?", text),)):
            with pytest.raises(MessageTooLongError, match=r"40,000 bytes.* sees 1 tokens"):
                attempt(server.base_url, *steps)
        assert messages_sent(server) == []


def test_long_text_where_nobody_tells_the_window(server: LocalServer, attempt: Try) -> None:
    """Where the server does not tell, it decides itself."""
    attempt(server.base_url, *send("?", Upload("long.txt", b"word " * 8000)))
    assert "word word" in shown(server)


# --- text, code and other files -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes.txt", "main.rs", "data.json", "a.yaml"])
def test_text_and_code(name: str, server: LocalServer, attempt: Try) -> None:
    """A text or code file is attached as it is, and shown to the model on both generations."""
    attempt(server.base_url, *send("Look.", Upload(name, b"one: two")))
    assert "one: two" in shown(server)
    assert "Look." in shown(server)
    assert f'filename="base64;{name}"'.encode() in messages_sent(server)[-1].body


@pytest.mark.parametrize("way", ["conversation", "history"])
def test_file_that_no_model_reads(way: str, server: LocalServer, attempt: Try) -> None:
    """A file that the server would drop silently is refused, and no message is sent."""
    file = Upload("a.zip", office.archive(a_txt=b"hi"), "application/zip")
    with pytest.raises(InvalidRequestError, match=r"application/zip: extract the text of 'a\.zip'"):
        attempt(
            server.base_url, *(send("?", file) if way == "conversation" else (chat("?", file),))
        )
    assert messages_sent(server) == []


# --- recordings -----------------------------------------------------------------------------------


@pytest.fixture
def listening() -> Iterator[tuple[LocalServer, list[tuple[bytes, str]]]]:
    """A server that transcribes, and what it has heard."""
    heard: list[tuple[bytes, str]] = []

    def listen(recording: bytes, mime: str) -> str:
        heard.append((recording, mime))
        return "" if b"silence" in recording else "Turn on the light."

    def echo(request: ChatRequest) -> str:
        return f"You said: {request.last_user_text}"

    model = LocalModel(MODEL, FunctionBackend(echo))
    with LocalServer(models=[model], transcribe=listen) as server:
        yield server, heard


Listening = tuple[LocalServer, list[tuple[bytes, str]]]


@pytest.mark.parametrize("way", ["conversation", "history"])
def test_recording_instead_of_text(way: str, listening: Listening, attempt: Try) -> None:
    """A recording alone is what somebody says instead of writing it."""
    server, heard = listening
    attempt(server.base_url, *(send("", WAV) if way == "conversation" else (chat("", WAV),)))
    assert shown(server) == "Turn on the light."
    assert heard == [(WAV.data, "audio/wav")]
    assert b"filename" not in messages_sent(server)[-1].body


def test_recording_beside_text(listening: Listening, attempt: Try) -> None:
    """Beside a text it is a document of its name."""
    server, _ = listening
    attempt(server.base_url, *send("What is wanted?", WAV))
    assert shown(server) == (
        'What is wanted?\n\n<document name="note.wav">\nTurn on the light.\n</document>'
    )


@pytest.mark.parametrize(
    ("file", "mime"),
    [
        (Upload("a.webm", WEBM, "video/webm").as_audio(), "audio/webm"),
        (Upload("a.mp3", b"x", "audio/mp3"), "audio/mpeg"),
        (Upload("a.m4a", b"x", "audio/m4a"), "audio/mp4"),
        (Upload("a.wav", b"x", "audio/wave; codecs=1"), "audio/wav"),
    ],
    ids=["webm", "mp3", "m4a", "wav"],
)
def test_names_of_recordings(file: Upload, mime: str, listening: Listening, attempt: Try) -> None:
    """Other names for a type of recording are sent as the name that the server knows."""
    server, heard = listening
    attempt(server.base_url, *send("", file))
    assert heard == [(file.data, mime)]


def test_recording_is_sent_once(listening: Listening) -> None:
    """A history that comes again costs no second transcription, and continues its conversation."""
    server, heard = listening
    with HuggingChat(server.base_url) as client:
        first = [ChatMessage("user", "", [WAV])]
        answer = client.chat(first)
        client.chat(_continued(first, answer.text))
    assert len(heard) == 1
    assert conversations_made(server) == 1


def test_silence(listening: Listening, attempt: Try) -> None:
    """A recording without a word is not a message."""
    server, _ = listening
    with pytest.raises(InvalidRequestError, match=r"no words in 'note\.wav'"):
        attempt(server.base_url, *send("", Upload("note.wav", b"silence", "audio/wav")))
    assert messages_sent(server) == []


def test_recording_where_nobody_listens(
    server: LocalServer, generation: Generation, attempt: Try
) -> None:
    """A server that does not transcribe is said not to, and no message is sent."""
    reason = "does not transcribe" if generation == "current" else "mid-2025.*transcription"
    for steps in (send("", WAV), (chat("", WAV),)):
        with pytest.raises(InvalidRequestError, match=reason):
            attempt(server.base_url, *steps)
    assert messages_sent(server) == []


def test_recording_that_is_too_long(listening: Listening, attempt: Try) -> None:
    """A recording over the server's limit is refused before it is sent."""
    server, heard = listening
    long = Upload("long.wav", bytes(15 * 1024 * 1024 + 1), "audio/wav")
    with pytest.raises(FileTooLargeError, match=r"long\.wav"):
        attempt(server.base_url, chat("", long))
    assert heard == []
