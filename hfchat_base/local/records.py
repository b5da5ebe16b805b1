"""What the server has seen and sent: the requests it got, and the prompts its models got.

Both lists may be read from any thread while the server runs.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from hfchat_base.local.encoding.values import text_size
from hfchat_base.local.store.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfchat_base.local.encoding.values import JsonObject
    from hfchat_base.local.limits import Retention

__all__ = ["RecordedRequest", "Records", "SentPrompt"]


@dataclass(frozen=True)
class RecordedRequest:
    """One request, as far as it has been answered.

    Attributes:
        method: HTTP method.
        path: Path with the base path, percent-decoded.
        query: Query string without the question mark.
        headers: Headers with lower-case names; of repeated ones the last.
        body: The whole body, or the beginning of one that was too large or cut short. Its `repr`
            is left out, like the headers', because of the cookies.
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
        except (ValueError, RecursionError):
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
    """The two lists.

    Args:
        retention: How much of them is kept.
    """

    def __init__(self, retention: Retention) -> None:
        most_bytes = retention.total_bytes
        self._requests: Recent[int, RecordedRequest] = Recent(
            retention.requests, most_bytes, size=lambda request: len(request.body)
        )
        self._prompts: Recent[int, SentPrompt] = Recent(
            retention.prompts, most_bytes, size=lambda prompt: text_size(prompt.messages)
        )
        self._number = itertools.count()

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests, in the order of their arrival."""
        return self._requests.values()

    @property
    def prompts(self) -> list[SentPrompt]:
        """A copy of the prompts, in the order they were sent."""
        return self._prompts.values()

    def add_request(self, request: RecordedRequest) -> int:
        """Add a request.

        Args:
            request: As it arrived.

        Returns:
            A key to update it with.
        """
        key = next(self._number)
        self._requests[key] = request
        return key

    def update_request(self, key: int, request: RecordedRequest) -> None:
        """Replace a request that is still on the list.

        Args:
            key: What `add_request` returned.
            request: Its newer state.
        """
        self._requests.update(key, request)

    def add_prompt(self, prompt: SentPrompt) -> None:
        """Add a prompt.

        Args:
            prompt: What is sent.
        """
        self._prompts[next(self._number)] = prompt

    def clear_requests(self) -> None:
        """Forget all requests and prompts."""
        self._requests.clear()
        self._prompts.clear()
