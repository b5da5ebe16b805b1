"""Bytes as they arrive → whole lines, and server-sent-event frames made of such lines.

The buffer has to do three things: take chunks cut anywhere (inside UTF-8, inside an escape), hand
out each line once it is whole, and refuse a line that never ends, all in linear time and with
memory bounded by one line. Lines end with the byte 0x0A and nothing else: the JSON of chat-ui may
hold U+2028 and U+0085 unescaped (R), which `str.splitlines` would cut at.

What a line means is not known here (`decoder.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hfchat_base.errors import ProtocolError

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
"""The longest line that is taken, in bytes: twice the largest body that HuggingChat accepts."""


class LineBuffer:
    """Cuts a stream of bytes into lines.

    Args:
        max_line_bytes: The longest line that is taken, in bytes.

    Attributes:
        lines_seen: How many whole lines were returned so far.
    """

    __slots__ = ("_held", "_held_bytes", "_max_line_bytes", "lines_seen")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.lines_seen = 0
        self._max_line_bytes = max_line_bytes

    @property
    def rest(self) -> bytes:
        """What has arrived of a line whose end has not."""
        return b"".join(self._held)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the lines that they complete, without their newlines.

        Raises:
            ProtocolError: A line is longer than the limit.
        """
        may_be_too_long = self._held_bytes + len(chunk) > self._max_line_bytes
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            if self._held:
                self._held.append(lines[0])
                lines[0] = b"".join(self._held)
                self._held.clear()
                self._held_bytes = 0
            self.lines_seen += len(lines)
        if rest:
            self._held.append(rest)
            self._held_bytes += len(rest)
        if may_be_too_long:
            self._check(lines)
        return lines

    def _check(self, lines: list[bytes]) -> None:
        longest = max((len(line) for line in lines), default=0)
        if max(longest, self._held_bytes) > self._max_line_bytes:
            msg = f"The server sent a line of more than {self._max_line_bytes} bytes."
            raise ProtocolError(msg, line_number=self.lines_seen + 1)


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One frame of a ``text/event-stream``.

    Attributes:
        event: Its name, ``message`` if it has none.
        data: Its data, lines joined with newlines.
        id: Its id, or None.
    """

    event: str
    data: str
    id: str | None = None


class ServerSentEvents:
    """Cuts a stream of bytes into server-sent events, as the HTML standard describes them.

    Of the standard it leaves out ``retry`` and lone carriage returns: chat-ui sends neither (R).
    """

    __slots__ = ("_data", "_event", "_id", "_lines")

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._reset()

    def _reset(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take the next bytes and yield the frames that they complete, those before an error too.

        Raises:
            ProtocolError: A line is too long or is not UTF-8.
        """
        lines = self._lines.feed(chunk)
        number = self._lines.lines_seen - len(lines)
        for raw in lines:
            number += 1
            try:
                line = raw.removesuffix(b"\r").decode()
            except UnicodeDecodeError as error:
                msg = "A server-sent event is not UTF-8."
                raise ProtocolError(msg, line_number=number) from error
            if not line:
                if self._data:
                    data = "\n".join(self._data)
                    yield ServerSentEvent(self._event or "message", data, self._id)
                self._reset()
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value
