"""One request with tools on offer: what is sent, what of the answer is text and what a call.

A state machine without a socket, so that the four methods of each wrapper share it. What lives here
is the order of things: stop sequences, then calls, then JSON; asking again when a call was wanted
and none came; and under which history the server's conversation is to be found next time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Union

from hfchat_base.events import Event, TextDelta
from hfchat_base.tools.json_answer import JsonAnswer, schema_instructions
from hfchat_base.tools.offer import BrokenCall, Call, Offer
from hfchat_base.tools.parser import ToolCallParser
from hfchat_base.tools.shapes import load_json
from hfchat_base.tools.stops import StopCutter
from hfchat_base.tools.wording import assistant_text, reminder, tool_instructions
from hfchat_base.types import Answer, ChatMessage

__all__ = ["Dialog", "Piece"]

_log = logging.getLogger("hfchat")

Piece = Union[str, Call, BrokenCall, Event]
"""A str is text, a `Call` or `BrokenCall` a call; everything else is an event as it came."""

DEFAULT_MAX_ASKS: Final = 3
"""How often a forced call is asked for, the first time included."""


class Dialog:
    """A request, the answer to it, and what has to be asked again.

    Args:
        messages: The history as the framework has it.
        offer: The tools that may be called.
        stops: Stop sequences; the text before the first one is the answer.
        response_schema: None if the answer is text; otherwise it has to be JSON that fits this
            schema, which may be empty.
        streams: Whether text is handed out as it comes. If not, `take` hands out none, and the
            answer's authoritative text is what counts.
        max_asks: How often a forced call is asked for in all.

    Attributes:
        messages: What has to be sent now.
        goes_on: Whether a request has to be sent (again).
        is_stopped: Whether a stop sequence has come: the rest of the answer is of no use.
        text: The text of the answer, as far as it was handed out.
        calls: The calls of the answer, likewise.
    """

    def __init__(
        self,
        messages: Sequence[ChatMessage],
        offer: Offer | None = None,
        *,
        stops: Sequence[str] = (),
        response_schema: Mapping[str, Any] | None = None,
        streams: bool = True,
        max_asks: int = DEFAULT_MAX_ASKS,
    ) -> None:
        self._offer = offer or Offer()
        self._stops = tuple(stops)
        self._wants_json = response_schema is not None
        self._streams = streams
        self._asks_left = max_asks if self._offer.is_forced else 1
        self._history = _instructed(messages, self._offer, response_schema)
        self.messages: Sequence[ChatMessage] = self._history
        self.goes_on = True
        self._begin()

    def _begin(self) -> None:
        self._parser = ToolCallParser(self._offer.tools)
        self._cutter = StopCutter(self._stops)
        self._json = JsonAnswer() if self._wants_json else None
        self._is_plain = not (self._offer or self._stops or self._wants_json) and self._streams
        self._texts: list[str] = []
        self._withheld: list[Piece] = []
        self._is_finished = False
        self.calls: list[Call | BrokenCall] = []

    @property
    def text(self) -> str:
        """The text of the answer, as far as it was handed out or withheld."""
        return "".join(self._texts)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop sequence has come."""
        return self._cutter.found is not None

    def take(self, event: Event) -> Sequence[Piece]:
        """Take an event of the answer and return what the framework gets of it."""
        if event.__class__ is not TextDelta:
            return (event,)
        if self._is_plain:
            self._texts.append(event.text)
            return (event.text,)
        if not self._streams and not self._cutter:
            return ()
        return self._released(self._parse(event.text))

    def end(self, answer: Answer) -> Sequence[Piece]:
        """Say that the answer is over and return the rest of it; see `goes_on` then.

        Args:
            answer: The answer, as the base client has it.
        """
        self._finish(answer)
        pieces, self._withheld = self._withheld, []
        if not self.goes_on:
            return pieces
        _log.info("the model was to call a tool and did not; asking again")
        self.messages = [
            *self.messages,
            ChatMessage("assistant", answer.text),
            ChatMessage("user", reminder(self._offer)),
        ]
        self._begin()
        return ()

    def as_history(self, answer: Answer) -> Sequence[ChatMessage]:
        """The history under which this answer will be continued: see `stream_chat`."""
        self._finish(answer)
        if self.goes_on:
            return [*self.messages, ChatMessage("assistant", answer.text)]
        return [*self._history, ChatMessage("assistant", assistant_text(self.text, self.calls))]

    def _finish(self, answer: Answer) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        pieces: list[Piece] = []
        if not self._is_plain:
            if not self._streams and not self._cutter:
                pieces += self._parse(answer.text)
            if not self.is_stopped:
                pieces += self._parse(self._cutter.end())
            pieces += self._sorted(self._parser.end())
            if self._json is not None and (rest := self._json.end()):
                self._texts.append(rest)
                pieces.append(rest)
        self._asks_left -= 1
        self._withheld += pieces
        has_call = any(isinstance(call, Call) for call in self.calls)
        if self._offer.is_forced and not has_call and (call := self._bare_arguments()):
            self.calls, self._texts, self._withheld = [call], [], [call]
            has_call = True
        self.goes_on = self._offer.is_forced and not has_call and self._asks_left > 0

    def _parse(self, text: str) -> list[Piece]:
        return self._sorted(self._parser.feed(self._cutter.feed(text) if self._cutter else text))

    def _sorted(self, parsed: Sequence[str | Call | BrokenCall]) -> list[Piece]:
        """Note what was found, and take the JSON out of the text if that is what was wanted."""
        pieces: list[Piece] = []
        for piece in parsed:
            if not isinstance(piece, str):
                self.calls.append(piece)
                pieces.append(piece)
            elif text := self._json.feed(piece) if self._json else piece:
                self._texts.append(text)
                pieces.append(text)
        return pieces

    def _released(self, pieces: list[Piece]) -> list[Piece]:
        """Hold back what is no answer yet where a call is wanted."""
        if not self._offer.is_forced:
            return pieces
        self._withheld += [piece for piece in pieces if not isinstance(piece, Call)]
        return [piece for piece in pieces if isinstance(piece, Call)]

    def _bare_arguments(self) -> Call | None:
        """The call of the only tool on offer whose arguments were given without its name."""
        if len(self._offer.tools) != 1:
            return None
        (tool,) = self._offer.tools
        finder = JsonAnswer()
        written = finder.feed(self.text or "".join(call.text for call in self._broken()))
        try:
            value = load_json(written)
        except ValueError:
            return None
        known = set(tool.argument_names)
        if not isinstance(value, dict) or not value or not known.issuperset(value):
            return None
        return Call(tool.name, value) if set(tool.required).issubset(value) else None

    def _broken(self) -> list[BrokenCall]:
        return [call for call in self.calls if isinstance(call, BrokenCall)]


def _instructed(
    messages: Sequence[ChatMessage], offer: Offer, response_schema: Mapping[str, Any] | None
) -> Sequence[ChatMessage]:
    """Put what the model is told about tools and JSON behind the caller's own system prompt."""
    instructions: list[ChatMessage] = []
    if offer:
        instructions.append(ChatMessage("system", tool_instructions(offer)))
    if response_schema is not None:
        text = schema_instructions(response_schema or None)
        instructions.append(ChatMessage("system", text))
    if not instructions:
        return messages
    count = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    return [*messages[:count], *instructions, *messages[count:]]
