"""One HTTP request and its response, as plain values.

Flows ask for them (`_flows/commands.py`), transports exchange them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hfchat_base._protocol import limits


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request below the base URL. The driver adds the cookies.

    Attributes:
        method: Such as ``GET``.
        path: Below the base URL, with its query.
        headers: Names in lower case.
        body: Bytes to send.
        max_bytes: How much of a successful response is read at most, decompressed; see `limits`.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    max_bytes: int = limits.SHORT_REPLY_BYTES


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
