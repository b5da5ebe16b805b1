"""What the server has seen and sent: the requests it got, and the prompts its models got.

Both lists may be read from any thread while the server runs.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfchat_base.local.encoding.values import JsonObject

__all__ = ["RecordedRequest", "Records", "SentPrompt"]


@dataclass(frozen=True)
class RecordedRequest:
    """One request, as far as it has been answered.

    Attributes:
        method: HTTP method.
        path: Path with the base path, percent-decoded.
        query: Query string without the question mark.
        headers: Headers with lower-case names; of repeated ones the last.
        body: The whole body. Its `repr` is left out, like the headers', because of the cookies.
        status: HTTP status, or None until the answer began.
        sent_bytes: Bytes of the answer's body that were sent so far.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None = None
    sent_bytes: int = 0

    @property
    def json(self) -> Any:
        """The body as JSON, or None if it is none. Of a message's form it is the part ``data``."""
        try:
            return json.loads(self._data())
        except ValueError:
            return None

    def _data(self) -> Any:
        kind = self.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            return self.body
        head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1")
        form = BytesParser(policy=HTTP).parsebytes(head + self.body)
        for part in form.iter_parts():
            if part.get_param("name", header="content-disposition") == "data":
                return part.get_payload(decode=True)
        return b""


@dataclass(frozen=True)
class SentPrompt:
    """What a model was sent.

    Attributes:
        model: The model's id.
        messages: Chat messages in OpenAI's form.
        tools: The tools on offer, in OpenAI's form.
    """

    model: str
    messages: list[JsonObject]
    tools: list[JsonObject]


class Records:
    """The two lists."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, RecordedRequest] = {}
        self._prompts: list[SentPrompt] = []
        self._next = 0

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests, in the order of their arrival."""
        with self._lock:
            return list(self._requests.values())

    @property
    def prompts(self) -> list[SentPrompt]:
        """A copy of the prompts, in the order they were sent."""
        with self._lock:
            return list(self._prompts)

    def add_request(self, request: RecordedRequest) -> int:
        """Add a request.

        Args:
            request: As it arrived.

        Returns:
            A key to update it with.
        """
        with self._lock:
            self._next += 1
            self._requests[self._next] = request
            return self._next

    def update_request(self, key: int, request: RecordedRequest) -> None:
        """Replace a request that is still on the list.

        Args:
            key: What `add_request` returned.
            request: Its newer state.
        """
        with self._lock:
            if key in self._requests:
                self._requests[key] = request

    def add_prompt(self, prompt: SentPrompt) -> None:
        """Add a prompt.

        Args:
            prompt: What is sent.
        """
        with self._lock:
            self._prompts.append(prompt)

    def clear_requests(self) -> None:
        """Forget all requests and prompts."""
        with self._lock:
            self._requests.clear()
            self._prompts.clear()
