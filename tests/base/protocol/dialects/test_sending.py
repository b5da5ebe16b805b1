"""The form of a message, as the recorded servers took it."""

from __future__ import annotations

import base64
import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import FileTooLargeError, InvalidRequestError, Upload
from hfchat_base._protocol.constants import MAX_BODY_BYTES
from hfchat_base._protocol.dialects import OutgoingMessage, dialect_named
from hfchat_base._protocol.requests import Endpoint
from tests.support.recordings import load

if TYPE_CHECKING:
    from hfchat_base._protocol.constants import Generation
    from hfchat_base._protocol.http import Request

ENDPOINT = Endpoint.parse("http://h/chat")
CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"
RUN = "11111111-1111-4111-8111-111111111111"


def parts_of(request: Request) -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, type and body of each part of a form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            cast("bytes", part.get_payload(decode=True)),
        )
        for part in form.iter_parts()
    ]


def sent(
    generation: Generation,
    endpoint: Endpoint,
    message: OutgoingMessage,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Request:
    """A message as one generation sends it."""
    return dialect_named(generation).send_message(endpoint, message, max_body_bytes=max_body_bytes)


def data_of(request: Request) -> dict[str, Any]:
    """The JSON of a form."""
    data: dict[str, Any] = next(
        json.loads(body) for name, *_, body in parts_of(request) if name == "data"
    )
    return data


@pytest.mark.parametrize(
    "scenario", ["plain_answer", "retry_and_edit", "image_upload", "text_file_upload"]
)
def test_recorded_forms(generation: Generation, scenario: str) -> None:
    """The form has the parts and the keys that the recorded servers were sent."""
    for exchange in load(generation, scenario).streams:
        *files, last = exchange["request"]["multipart"]
        recorded = dict(last["data"])
        message = OutgoingMessage(
            exchange["request"]["path"].rpartition("/")[2],
            recorded["id"],
            recorded.get("inputs"),
            recorded.get("generationId", RUN),
            files=[
                Upload(
                    file["filename"].removeprefix("base64;"),
                    base64.b64decode(file["data"].removesuffix("…")),
                    file["content_type"],
                )
                for file in files
            ],
            is_retry=recorded["is_retry"],
        )
        request = sent(generation, ENDPOINT, message)
        assert request.path == exchange["request"]["path"]
        data = data_of(request)
        recorded.pop("generationId", None)
        assert {key: data.get(key) for key in recorded} == recorded
        assert [part[:3] for part in parts_of(request) if part[0] == "files"] == [
            ("files", file["filename"], file["content_type"]) for file in files
        ]


def test_attachment_is_base64() -> None:
    """An attachment is sent as base64 text whose file name says so."""
    message = OutgoingMessage(
        CONVERSATION, MESSAGE, "hi", RUN, files=[Upload("a.bin", b"\0\xff", "x/y")]
    )
    (file, _) = parts_of(sent("current", ENDPOINT, message))
    assert file == ("files", "base64;a.bin", "x/y", base64.b64encode(b"\0\xff"))


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ('a"; filename="evil', "text/plain"),
        ("a\r\nX-Evil: 1", "text/plain\r\nX-Evil: 1"),
        ("\ud800", "text/plain"),
        ("é世.txt", ""),
    ],
)
def test_names_cannot_break_the_form(name: str, mime: str) -> None:
    """Whatever a file is called, the form has its two parts and nothing else."""
    message = OutgoingMessage(CONVERSATION, MESSAGE, "hi", RUN, files=[Upload(name, b"x", mime)])
    request = sent("current", ENDPOINT, message)
    assert [part[0] for part in parts_of(request)] == ["files", "data"]
    assert b"\r\nX-Evil" not in request.body


@given(st.text(min_size=1), st.sampled_from(["current", "legacy"]))
def test_any_text_arrives(text: str, generation: Generation) -> None:
    """Whatever is said is said, lone surrogates and boundaries included."""
    request = sent(generation, ENDPOINT, OutgoingMessage(CONVERSATION, MESSAGE, text, RUN))
    assert data_of(request)["inputs"] == text


def test_retry_has_no_text() -> None:
    """An answer that is done again has no text of its own."""
    request = sent(
        "current", ENDPOINT, OutgoingMessage(CONVERSATION, MESSAGE, None, RUN, is_retry=True)
    )
    data = data_of(request)
    assert "inputs" not in data
    assert data["is_retry"] is True


def test_body_over_the_limit() -> None:
    """A body over the limit, base64 included, is refused before it is sent."""
    message = OutgoingMessage(
        CONVERSATION, MESSAGE, "hi", RUN, files=[Upload("a", b"x" * 900, "x/y")]
    )
    with pytest.raises(FileTooLargeError, match="at most 1,200"):
        sent("current", ENDPOINT, message, max_body_bytes=1200)
    assert len(sent("current", ENDPOINT, message, max_body_bytes=2000).body) > 1200


def test_keys_of_each_generation() -> None:
    """Each generation is sent what it knows, and nothing that it would drop silently."""
    message = OutgoingMessage(CONVERSATION, MESSAGE, "hi", RUN, web_search=True)
    assert set(data_of(sent("current", ENDPOINT, message))) == {
        "inputs", "id", "is_retry", "generationId", "selectedMcpServerNames",
    }  # fmt: skip
    assert data_of(sent("legacy", ENDPOINT, message)) == {
        "inputs": "hi", "id": MESSAGE, "is_retry": False,
        "is_continue": False, "web_search": True, "tools": [],
    }  # fmt: skip


def test_legacy_knows_no_tool_servers() -> None:
    """Tool servers that a legacy server would drop silently are refused before sending."""
    message = OutgoingMessage(CONVERSATION, MESSAGE, "hi", RUN, mcp_servers=("search",))
    with pytest.raises(InvalidRequestError, match="no MCP servers"):
        sent("legacy", ENDPOINT, message)
