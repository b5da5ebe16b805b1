"""One HTTP request and its response, as plain values, and how much of a response is read.

Flows ask for them (`_flows/commands.py`), transports exchange them. Each request carries its limit
(`Request.max_bytes`), and both drivers hold to it while the body arrives, counted after
decompression: a megabyte on the wire can be a gigabyte in memory, and parsing takes many times that
again. The limits are ample for real servers, and small for the machine that reads. The limit of one
line of a stream is in `framing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_MIB: Final = 1024 * 1024

SHORT_REPLY_BYTES: Final = 1 * _MIB
"""What confirms a change, and who we are: a few hundred bytes in practice."""

MODEL_LIST_BYTES: Final = 16 * _MIB
"""The model list; 100 bytes to 4 KiB for each model in practice."""

PAGE_BYTES: Final = 16 * _MIB
"""The home page, or its data, which holds the model list and the conversation list."""

CONVERSATION_LIST_BYTES: Final = 16 * _MIB
"""A page of the conversation list; the list of legacy servers has few, long pages."""

CONVERSATION_BYTES: Final = 64 * _MIB
"""A conversation with all its branches and what its tools wrote, without its files."""

FILE_BYTES: Final = 128 * _MIB
"""A file of an answer. Attachments have 10 MiB at most, but models draw and tools write files."""

STREAM_BYTES: Final = 1024 * _MIB
"""All that one answer's stream brings, padding and signs of life included."""

ERROR_BYTES: Final = 64 * 1024
"""The body of a response that is not a success. The rest is not read: the status alone says
what happened, and pages of proxies can be long."""

HEAD_BYTES: Final = 256 * 1024
"""All header lines of a response together: interim heads, the head, and trailers."""

BURST_BYTES: Final = 32 * _MIB
"""What may arrive of a stream between two reads, once decompressed; a server that is made to wait
cannot get that far without compressing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request below the base URL. The driver adds the cookies.

    Attributes:
        method: Such as ``GET``.
        path: Below the base URL, with its query.
        headers: Names in lower case.
        body: Bytes to send.
        max_bytes: How much of a successful response is read at most, decompressed.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    max_bytes: int = SHORT_REPLY_BYTES


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whole (from `Send`) or without its body (from `Open`).

    Attributes:
        status: HTTP status code.
        headers: Names in lower case; of repeated ones the last.
        body: Decoded bytes; empty from `Open`.
        at: When it arrived, in seconds on the driver's monotonic clock.
        date: When it arrived, in seconds since 1970 on the driver's clock, or None.
        had_session: Whether the request carried a session that somebody had logged in with.
        base_url: Address of the server that it came from.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    at: float = 0.0
    date: float | None = None
    had_session: bool = False
    base_url: str = ""

    @property
    def content_type(self) -> str:
        """The MIME type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def format_size(size: int) -> str:
    """A limit as people write it, such as ``16 MiB``."""
    return f"{size // _MIB} MiB" if size >= _MIB else f"{size // 1024} KiB"
