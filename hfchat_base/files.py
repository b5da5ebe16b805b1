"""Attachments: whatever a caller has, as bytes with a name and a MIME type (`Upload`).

Files are read here and nowhere else. How they are sent is in `_protocol/requests.py`.

A message may give a file by its web address. `fetch_public_file` fetches it, since chat-ui takes
bytes only. The address comes from the author of the message, who need not be the one who runs this
program. So no cookie is sent, every address must be public (also that of each redirect), and no
more is read than a server takes. Names are resolved here, once for each request, and libcurl
connects to the addresses that were checked. It gets the URL in our own spelling, so that it cannot
read another host from it, and uses no proxy, because a proxy would resolve the name again.
"""

from __future__ import annotations

import base64
import binascii
import io
import ipaddress
import mimetypes
import os
import re
import socket
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Union
from urllib.parse import unquote, unquote_to_bytes

import certifi
from curl_cffi import Curl, CurlECode, CurlError, CurlInfo, CurlOpt

from hfchat_base._protocol.constants import MAX_FILE_BYTES
from hfchat_base._protocol.web_address import WebAddress
from hfchat_base.documents import DOCUMENT_TYPES, zip_type
from hfchat_base.errors import FileTooLargeError, InvalidRequestError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["FileInput", "Upload", "ending_for", "fetch_public_file"]
FileInput = Union["Upload", str, "os.PathLike[str]", bytes, bytearray, IO[bytes], Any]
"""An `Upload`, a path, bytes, an open binary file, a data URL, or a PIL image."""

_DATA_URL: Final = re.compile(r"data:(?P<mime>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.ASCII)
_UNKNOWN_MIME: Final = "application/octet-stream"
_ARCHIVE: Final = "application/zip"
_TEXT_MIMES: Final = ("application/json", "application/xml", "application/csv")
"""What servers take for text, besides ``text/*`` (S)."""
_ENDINGS: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "video/mp4": ".mp4",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """An attachment.

    Attributes:
        name: What the server stores it as.
        data: Its bytes.
        mime: Its MIME type; found out from the bytes and the name if it is left empty.
    """

    name: str
    data: bytes = field(repr=False)
    mime: str = ""

    def __post_init__(self) -> None:
        kinds = {"name": str, "data": bytes, "mime": str}
        for attribute, kind in kinds.items():
            given = getattr(self, attribute)
            if not isinstance(given, kind):
                msg = (
                    f"{attribute} of an Upload should be {kind.__name__}, not"
                    f" {type(given).__name__}."
                )
                raise InvalidRequestError(msg)
        if not self.mime:
            object.__setattr__(self, "mime", _detect(self.data, self.name))

    @classmethod
    def from_source(
        cls,
        source: FileInput,
        *,
        name: str | None = None,
        mime: str | None = None,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> Upload:
        """Make an attachment out of what a caller has.

        Args:
            source: An `Upload`, a path, bytes, an open binary file, a data URL, or a PIL image.
            name: Its name, if the source has no better one.
            mime: Its MIME type, if it is not to be found out.
            max_bytes: How large it may be; by default what a server takes as an attachment.

        Raises:
            FileTooLargeError: It is larger.
            InvalidRequestError: The source is none of these, or cannot be read.
        """
        if isinstance(source, Upload):
            upload = source
        elif isinstance(source, (bytes, bytearray, memoryview)):
            upload = _named(bytes(source), name, mime)
        elif isinstance(source, str) and source.startswith("data:"):
            upload = _from_data_url(source, name, mime)
        elif isinstance(source, (str, os.PathLike)):
            upload = _from_path(source, name, mime, max_bytes)
        elif _is_pil_image(source):
            upload = _from_image(source, name)
        elif hasattr(source, "read"):
            upload = _from_file(source, name, mime, max_bytes)
        else:
            kind = type(source).__name__
            msg = f"A file cannot be made of {kind}: give a path, bytes, a file, or a data URL."
            raise InvalidRequestError(msg)
        if not upload.data:
            msg = f"The file {upload.name!r} is empty; the server would drop it silently."
            raise InvalidRequestError(msg)
        if len(upload.data) > max_bytes:
            raise too_large(upload.name, len(upload.data), max_bytes)
        return upload

    @property
    def is_image(self) -> bool:
        """Whether only a model that sees images can take it."""
        return self.mime.startswith("image/")

    @property
    def is_audio(self) -> bool:
        """Whether it is a recording, which is sent as what is said in it."""
        return self.mime.startswith("audio/")

    @property
    def is_text(self) -> bool:
        """Whether it is a text or code file, which every model can read."""
        return is_text_type(self.mime)

    @property
    def is_document(self) -> bool:
        """Whether it is a PDF or an office document, which is sent as the text in it."""
        return self.mime in DOCUMENT_TYPES

    def as_audio(self) -> Upload:
        """The same file as a recording, whatever its container was taken for."""
        if self.is_audio:
            return self
        return Upload(self.name, self.data, f"audio/{self.mime.rpartition('/')[2]}")

    def as_document(self) -> str:
        """Write a text file as a part of a message, since legacy servers do not show it otherwise.

        Raises:
            InvalidRequestError: It is not text.
        """
        if not self.is_text:
            raise unreadable(self.name, self.mime)
        return document(self.name, self.data.decode("utf-8", "replace"))


def ending_for(mime: str) -> str:
    """The ending of a file name for a MIME type, from a short list, and ``.bin`` for all others.

    Names come from servers and are never used in a path, and neither are their endings.
    """
    return _ENDINGS.get(mime.partition(";")[0].strip().lower(), ".bin")


def document(name: str, text: str) -> str:
    """Mark a text as a document within a message, as current servers do (R: `text_file_upload`)."""
    return f'<document name="{name}">\n{text}\n</document>'


def is_text_type(mime: str) -> bool:
    """Whether servers take files of a MIME type for text."""
    return mime.startswith("text/") or mime.partition(";")[0] in _TEXT_MIMES


def unreadable(name: str, mime: str) -> InvalidRequestError:
    """Say that no model can read a file."""
    return InvalidRequestError(
        "HuggingChat models can read only images, recordings, documents and text files, not"
        f" {mime}: extract the text of {name!r} first."
    )


def too_large(name: str, size: int, max_bytes: int = MAX_FILE_BYTES) -> FileTooLargeError:
    """Say that a file is over the limit; sizes in bytes."""
    return FileTooLargeError(
        f"The file {name!r} has {size:,} bytes; the server takes at most {max_bytes:,}."
    )


def _named(data: bytes, name: str | None, mime: str | None) -> Upload:
    if mime in (None, "", _ARCHIVE, _UNKNOWN_MIME):
        mime = _detect(data, name)
    if not name:
        name = "attachment" + (mimetypes.guess_extension(mime) or "")
    return Upload(name, data, mime)


def _detect(data: bytes, name: str | None) -> str:
    import filetype  # noqa: PLC0415 - needed only with attachments

    # The bytes know better than the name what a picture is; of text they know nothing.
    found = filetype.guess_mime(data[:8192])
    if found == _ARCHIVE:
        return zip_type(data) or _ARCHIVE
    if isinstance(found, str):
        return found
    guessed = mimetypes.guess_type(name)[0] if name else None
    if guessed and (guessed.startswith("image/") or is_text_type(guessed)):
        return guessed
    # Code has many types of its own, or none, and servers show a model what they take for text.
    is_text = b"\0" not in data and _is_utf8(data)
    return "text/plain" if is_text and guessed not in DOCUMENT_TYPES else guessed or _UNKNOWN_MIME


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _from_path(
    source: str | os.PathLike[str], name: str | None, mime: str | None, max_bytes: int
) -> Upload:
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        msg = "A file cannot be a web address: download it, and give its bytes."
        raise InvalidRequestError(msg)
    path = Path(source)
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise _no_file(path)
        if found.st_size > max_bytes:
            raise too_large(path.name, found.st_size, max_bytes)
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)  # it may have grown, and some tell no size
    except InvalidRequestError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no system has such a name
        reason = getattr(error, "strerror", None) or error
        msg = f"The file {str(path)!r} cannot be read: {reason}."
        raise InvalidRequestError(msg) from error
    return _named(data, name or path.name, mime)


def _no_file(path: Path) -> InvalidRequestError:
    return InvalidRequestError(f"{str(path)!r} is not a file, but a device or a pipe.")


def _from_data_url(source: str, name: str | None, mime: str | None) -> Upload:
    match = _DATA_URL.match(source)
    if match is None:
        msg = "The data URL is malformed: it should begin as data:image/png;base64,"
        raise InvalidRequestError(msg)
    payload = source[match.end() :]
    parameters = match["parameters"].lower().split(";")
    try:
        if "base64" in parameters:
            data = base64.b64decode(unquote_to_bytes(payload), validate=True)
        else:
            data = unquote_to_bytes(payload)
    except binascii.Error as error:
        msg = "The data URL is not valid base64."
        raise InvalidRequestError(msg) from error
    return _named(data, name, mime or match["mime"] or None)


def _from_file(source: IO[bytes], name: str | None, mime: str | None, max_bytes: int) -> Upload:
    # One byte more than the limit shows that it is too large without reading all of it.
    data: object = source.read(max_bytes + 1)
    if not isinstance(data, bytes):
        msg = "The file is open as text: open it with mode 'rb'."
        raise InvalidRequestError(msg)
    own_name = getattr(source, "name", None)
    if name is None and isinstance(own_name, str):
        name = Path(own_name).name
    return _named(data, name, mime)


def _is_pil_image(source: object) -> TypeIs[Any]:
    # Whoever holds a PIL image has imported PIL.
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def _from_image(image: Any, name: str | None) -> Upload:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return Upload(name or "image.png", buffer.getvalue(), "image/png")


# --- files on the web -----------------------------------------------------------------------------

_MAX_REDIRECTS: Final = 5
_TIMEOUT_SECONDS: Final = 30.0
"""For everything together: all redirects, and the file."""

_OK: Final = 200
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_ABORT: Final = 0xFFFFFFFF  # CURL_WRITEFUNC_ERROR, as libcurl documents it
_WHAT: Final = "The file's address"

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All of version 6 that is given to networks. Outside of it are, among others, the addresses that
hold one of version 4: NAT64 (64:ff9b::/96, 64:ff9b:1::/48), mapped and compatible ones."""

_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # of the protocols
        "192.88.99.0/24",  # relays of 6to4
        "224.0.0.0/4",  # multicast
        "2001::/23",  # of the protocols, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
"""What `ipaddress` takes for public, in one Python version or another, and is not."""


def fetch_public_file(url: str) -> Upload:
    """Fetch a file from a public web address.

    At most 30 seconds are spent on it, and no proxy is used.

    Args:
        url: Its address, ``http`` or ``https``.

    Raises:
        InvalidRequestError: The address is not public, or there is no file.
        FileTooLargeError: It is larger than a server takes, decompressed.
    """
    until = time.monotonic() + _TIMEOUT_SECONDS
    for _ in range(_MAX_REDIRECTS + 1):
        address = WebAddress.parse(url, what=_WHAT)
        found = _fetch(address, until)
        if isinstance(found, Upload):
            return found
        url = found
    raise InvalidRequestError(f"The file's address redirects more than {_MAX_REDIRECTS} times.")


def is_public(address: str) -> bool:
    """Return whether an IP address is public, and maps to no other address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and (
        parsed.scope_id is not None or parsed not in _GLOBAL_UNICAST
    ):
        return False
    return parsed.is_global and not any(parsed in network for network in _NOT_PUBLIC)


def _fetch(address: WebAddress, until: float) -> Upload | str:
    """Fetch once: the file, or the address that it redirects to."""
    pinned = _public_addresses(address)
    left = until - time.monotonic()
    body = _Body(address.host)
    curl = Curl()
    try:
        curl.setopt(CurlOpt.URL, address.url)
        # The addresses that were checked are asked, whatever the name says by then.
        curl.setopt(CurlOpt.RESOLVE, [f"{address.host}:{address.port}:{','.join(pinned)}"])
        curl.setopt(CurlOpt.PROXY, "")
        curl.setopt(CurlOpt.NOPROXY, "*")
        curl.setopt(CurlOpt.PROTOCOLS_STR, "http,https")
        curl.setopt(CurlOpt.FOLLOWLOCATION, 0)
        curl.setopt(CurlOpt.NOSIGNAL, 1)
        curl.setopt(CurlOpt.TIMEOUT_MS, max(1, round(left * 1000)))
        curl.setopt(CurlOpt.ACCEPT_ENCODING, "gzip, deflate, br, zstd")
        curl.setopt(CurlOpt.CAINFO, certifi.where())
        curl.setopt(CurlOpt.WRITEFUNCTION, body.take)
        curl.perform()
        status: Any = curl.getinfo(CurlInfo.RESPONSE_CODE)
        location: Any = curl.getinfo(CurlInfo.REDIRECT_URL)
    except CurlError as error:
        if body.error is not None:
            raise body.error from None
        why = " in time" if error.code == CurlECode.OPERATION_TIMEDOUT else ""
        msg = f"The file cannot be fetched from {address.host}{why}."
        raise InvalidRequestError(msg) from error
    finally:
        curl.close()
    if status in _REDIRECTS and location:
        return bytes(location).decode("utf-8", "replace")
    if status != _OK:
        raise InvalidRequestError(f"The file's address answers with status {status}.")
    name = unquote(address.path).rpartition("/")[2] or None
    return Upload.from_source(body.data(), name=name)


class _Body:
    """What has arrived of a body, decompressed; more than a server takes is not read."""

    def __init__(self, host: str) -> None:
        self.error: BaseException | None = None
        self._host = host
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, piece: bytes) -> int:
        """Take what libcurl has read, or make it stop."""
        try:
            self._size += len(piece)
            self._pieces.append(piece)
            if self._size <= MAX_FILE_BYTES:
                return len(piece)
            self.error = too_large(f"from {self._host}", self._size)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C among them: libcurl passes none on
            self.error = error
        return _ABORT

    def data(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


def _public_addresses(address: WebAddress) -> Sequence[str]:
    """Look a host up, and make sure that all its addresses are public."""
    try:
        # As bytes, or Python would encode the name once more.
        found = socket.getaddrinfo(address.host.encode(), address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidRequestError(f"The file's host {address.host} is not known.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(map(is_public, addresses)):
        raise InvalidRequestError(
            f"The file's host {address.host} is not public. Fetch the file yourself and give its"
            " bytes."
        )
    return [f"[{one}]" if ":" in one else one for one in addresses]
