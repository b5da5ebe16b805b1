"""Attachments: whatever a caller has, as bytes with a name and a type."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from hfchat_base import FileTooLargeError, InvalidRequestError, Upload
from hfchat_base._protocol.constants import MAX_FILE_BYTES


def picture(kind: str = "PNG") -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, kind)
    return buffer.getvalue()


PNG = picture()


@pytest.mark.parametrize(
    ("data", "name", "mime"),
    [
        (PNG, "attachment.png", "image/png"),
        (picture("JPEG"), "attachment.jpg", "image/jpeg"),
        (picture("GIF"), "attachment.gif", "image/gif"),
        (picture("WEBP"), "attachment.webp", "image/webp"),
        (b"%PDF-1.7 x", "attachment.pdf", "application/pdf"),
        ("héllo".encode(), "attachment.txt", "text/plain"),
        (b"\xff\xfe\x00\x01", "attachment.bin", "application/octet-stream"),
    ],
)
def test_bytes(data: bytes, name: str, mime: str) -> None:
    """What bytes are is found out from the bytes."""
    upload = Upload.from_source(data)
    assert (upload.data, upload.mime) == (data, mime)
    assert upload.name == name


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_bytes(kind: type) -> None:
    """Other kinds of bytes are as good."""
    assert Upload.from_source(kind(PNG)).data == PNG


@pytest.mark.parametrize("as_text", [False, True])
def test_path(tmp_path: Path, *, as_text: bool) -> None:
    """A path gives bytes and name; what a picture is, its bytes know better than its name."""
    path = tmp_path / "picture.txt"
    path.write_bytes(PNG)
    upload = Upload.from_source(str(path) if as_text else path)
    assert (upload.name, upload.data, upload.mime) == ("picture.txt", PNG, "image/png")


def test_type_of_a_text_is_in_its_name(tmp_path: Path) -> None:
    """Of texts the name says what they are."""
    path = tmp_path / "table.csv"
    path.write_text("a,b\n")
    assert Upload.from_source(path).mime == "text/csv"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"], ids=["nul", "surrogate"])
def test_name_that_no_system_has(name: str) -> None:
    """A name that no file can have is a clear error."""
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        Upload.from_source(name)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="a device of Unix")
def test_device() -> None:
    """A device, which may never end, is not read; a pipe, which may never begin, neither."""
    with pytest.raises(InvalidRequestError, match="a device or a pipe"):
        Upload.from_source("/dev/null")


def test_open_file(tmp_path: Path) -> None:
    """A file that is open in binary is read, and its name is used."""
    path = tmp_path / "note.txt"
    path.write_bytes(b"hi")
    with path.open("rb") as file:
        upload = Upload.from_source(file)
    assert (upload.name, upload.data, upload.mime) == ("note.txt", b"hi", "text/plain")
    assert Upload.from_source(io.BytesIO(b"hi")).name == "attachment.txt"


def test_file_open_as_text() -> None:
    """A file that is open as text is refused."""
    with pytest.raises(InvalidRequestError, match="mode 'rb'"):
        Upload.from_source(io.StringIO("hi"))


@pytest.mark.parametrize(
    ("url", "data", "mime"),
    [
        ("data:image/png;base64," + base64.b64encode(PNG).decode(), PNG, "image/png"),
        ("data:;base64," + base64.b64encode(PNG).decode(), PNG, "image/png"),
        ("data:text/plain;charset=utf-8,h%C3%A9llo", "héllo".encode(), "text/plain"),
        ("data:text/plain;charset=utf-8;base64,aGk%3D", b"hi", "text/plain"),
        ("data:,hi", b"hi", "text/plain"),
    ],
)
def test_data_url(url: str, data: bytes, mime: str) -> None:
    """A data URL has its type in it, or its bytes show it."""
    upload = Upload.from_source(url)
    assert (upload.data, upload.mime) == (data, mime)


def test_image_of_pil() -> None:
    """An image of PIL is sent as a PNG."""
    upload = Upload.from_source(Image.new("RGB", (2, 2)))
    assert (upload.name, upload.mime) == ("image.png", "image/png")
    assert Image.open(io.BytesIO(upload.data)).size == (2, 2)


def test_upload_is_taken_as_it_is() -> None:
    """An upload of one's own is not changed; a type that is left out is found out."""
    upload = Upload("x.bin", PNG, "application/x-own")
    assert Upload.from_source(upload) is upload
    assert Upload("x.bin", PNG).mime == "image/png"


def test_own_name_and_type() -> None:
    """Name and type can be given."""
    upload = Upload.from_source(b"hi", name="a.md", mime="text/x-own")
    assert (upload.name, upload.mime) == ("a.md", "text/x-own")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "is empty"),
        (42, "give a path, bytes, a file, or a data URL"),
        (None, "give a path"),
        ("/no/such/file", "cannot be read"),
        ("/", "cannot be read"),
        ("https://a.b/c.png", "download it"),
        ("data:image/png;base64", "malformed"),
        ("data:image/png;base64,***", "not valid base64"),
    ],
)
def test_what_is_no_attachment(source: object, words: str) -> None:
    """What cannot be attached is refused with what to do."""
    with pytest.raises(InvalidRequestError, match=words):
        Upload.from_source(source)


@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
def test_too_large(tmp_path: Path, kind: str) -> None:
    """What is over the limit is refused; of a file no more than the limit is read."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with path.open("rb") as file, pytest.raises(FileTooLargeError, match="at most 10,485,760"):
        Upload.from_source({"bytes": path.read_bytes(), "path": path, "file": file}[kind])


def test_at_the_limit() -> None:
    """A file of exactly the limit is taken."""
    assert len(Upload.from_source(b"x" * MAX_FILE_BYTES).data) == MAX_FILE_BYTES


def test_repr_shows_no_content() -> None:
    """What is attached is not shown in logs."""
    assert "secret" not in repr(Upload("a.txt", b"secret"))
