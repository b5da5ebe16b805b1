"""One request with tools on offer: what is sent, what of the answer is text and what a call.

A state machine without a socket, so that the four methods of each wrapper share it. What lives here
is the order of things: stop sequences, which chat-ui's API does not take, then calls, then JSON,
which it cannot be asked for; asking again when a call had to come and did not, or came and cannot
be used; reminding a model, and stopping an agent, that makes the same calls over and over; and
under which history the server's conversation is to be found next time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Union

from hfchat_base.errors import InvalidRequestError, RepeatedToolCallError
from hfchat_base.events import Event, TextDelta
from hfchat_base.tools.forms.values import load_json, read_json
from hfchat_base.tools.parser import ToolCallParser
from hfchat_base.tools.prompts import (
    assistant_text,
    before_the_query,
    call_reminder,
    calls_in,
    invalid_call_request,
    is_result,
    repair_request,
    repetition_reminder,
    schema_instructions,
    tool_instructions,
)
from hfchat_base.tools.source import JsonScanner
from hfchat_base.tools.types import FunctionCall, InvalidToolCall, ToolConfig
from hfchat_base.types import Answer, Attachment, ChatMessage

__all__ = [
    "MAX_IDENTICAL_CALLS",
    "JsonAnswer",
    "Piece",
    "StopCutter",
    "ToolSession",
]

_log = logging.getLogger("hfchat")

Piece = Union[str, FunctionCall, InvalidToolCall, Event]
"""A str is text, a `FunctionCall` or `InvalidToolCall` a call; the rest are events as they came."""

DEFAULT_MAX_ASKS: Final = 3
"""How often a forced call is asked for, the first time included."""

MAX_IDENTICAL_CALLS: Final = 5
"""How often in a row an agent's model may make the same calls with the same results."""


class ToolSession:
    """A request, the answer to it, and what has to be asked again.

    A forced call that does not come is asked for again, and so is, once, an answer whose only calls
    cannot be used. Text that was handed out by then stays part of the answer.

    Args:
        messages: The history as the framework has it.
        config: The tools that may be called.
        stops: Stop sequences; the text before the first one is the answer.
        response_schema: None if the answer is text; otherwise it has to be JSON that fits this
            schema, which may be empty.
        check_json: Raises ValueError if the value of a JSON answer does not fit. Such an answer is
            asked for again, once, if nothing of it was handed out. By default nothing is checked.
        streams: Whether text is handed out as it comes. If not, `take` hands out none, and the
            answer's authoritative text is what counts.
        max_asks: How often a forced call is asked for in all.
        max_identical_calls: How often in a row the model may have made the same calls with the same
            results; None for no limit.

    Raises:
        RepeatedToolCallError: It made them that often.

    Attributes:
        messages: What has to be sent now.
        goes_on: Whether a request has to be sent (again).
        is_stopped: Whether a stop sequence has come: the rest of the answer is of no use.
        text: The text of the answer, as far as it was handed out.
        calls: The calls of the answer, likewise.
        json_problem: What is wrong with the JSON of the answer that counts, or None.
    """

    def __init__(
        self,
        messages: Sequence[ChatMessage],
        config: ToolConfig | None = None,
        *,
        stops: Sequence[str] = (),
        response_schema: Mapping[str, Any] | None = None,
        check_json: Callable[[Any], None] | None = None,
        streams: bool = True,
        max_asks: int = DEFAULT_MAX_ASKS,
        max_identical_calls: int | None = None,
    ) -> None:
        rounds = _rounds(messages)
        _check_repetitions(rounds, max_identical_calls)
        self._config = config or ToolConfig()
        self._stops = tuple(stops)
        self._wants_json = response_schema is not None
        self._check_json = check_json
        self._schema_error: InvalidRequestError | None = None
        self.json_problem: str | None = None
        self._streams = streams
        self._asks_left = max_asks if self._config.is_forced else 1
        self._history = _instructed(messages, self._config, response_schema)
        self.messages: Sequence[ChatMessage] = self._history
        if (reminder := _reminder(messages, rounds)) is not None:
            self.messages = [*self._history, reminder]
        self.goes_on = True
        self._may_correct = True
        self._texts: list[str] = []
        self._is_separated = True
        self._begin()

    def _begin(self) -> None:
        self._parser = ToolCallParser(self._config.tools)
        self._cutter = StopCutter(self._stops)
        self._json = JsonAnswer() if self._wants_json else None
        self._is_plain = not (self._config or self._stops or self._wants_json) and self._streams
        self._withheld: list[Piece] = []
        self._is_finished = False
        self.calls: list[FunctionCall | InvalidToolCall] = []

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

        Raises:
            InvalidRequestError: It cannot be checked against its schema.
        """
        self._finish(answer)
        if self._schema_error is not None:
            raise self._schema_error
        pieces, self._withheld = self._withheld, []
        if not self.goes_on:
            return pieces
        if invalid := self._invalid_calls():
            _log.info("the model's call cannot be used; asking again")
            request = invalid_call_request(invalid, self._config)
        elif self.json_problem:
            _log.info("the answer is not the JSON that was wanted; asking again")
            request = repair_request(self.json_problem)
        else:
            _log.info("the model had to call a tool and did not; asking again")
            request = call_reminder(self._config)
        self.messages = [
            *self.messages,
            ChatMessage("assistant", answer.text),
            ChatMessage("user", request),
        ]
        withheld = sum(isinstance(piece, str) for piece in pieces)
        del self._texts[len(self._texts) - withheld :]
        self._is_separated = not self._texts
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
        has_call = self._has_call()
        if self._config.is_forced and not has_call and (call := self._bare_arguments()):
            self.calls, self._texts, self._withheld = [call], [], [call]
            has_call = True
        invalid = self._invalid_calls()
        self.goes_on = not has_call and (
            (self._config.is_forced and self._asks_left > 0)
            or (bool(invalid) and self._may_correct and not self.is_stopped)
        )
        if invalid and not has_call:
            self._may_correct = False
            if not self.goes_on and not self.text.strip():
                # Whoever shows only text, as agents do at their end, shows at least this.
                written = "\n".join(call.text for call in invalid)
                self._texts.append(written)
                self._withheld.insert(0, written)
        if self._check_json is not None and not (self.goes_on or self.calls or self.is_stopped):
            self._check_answer(self._check_json)

    def _check_answer(self, check_json: Callable[[Any], None]) -> None:
        is_unseen = not self._streams and not self._cutter
        self.json_problem = None
        try:
            value = read_json(self.text)
            check_json(value)
            if not _is_standard_json(self.text):
                if not is_unseen:
                    raise ValueError("It is not valid JSON.")  # noqa: TRY301 - one of the problems
                written = json.dumps(value, ensure_ascii=False)
                self._texts, self._withheld = [written], [written]
        except InvalidRequestError as error:
            self._schema_error = error
        except ValueError as error:
            self.json_problem = str(error)
            self.goes_on = is_unseen and self._may_correct
            self._may_correct = False

    def _parse(self, text: str) -> list[Piece]:
        return self._sorted(self._parser.feed(self._cutter.feed(text) if self._cutter else text))

    def _sorted(self, parsed: Sequence[str | FunctionCall | InvalidToolCall]) -> list[Piece]:
        """Note what was found, and take the JSON out of the text if that is what was wanted."""
        pieces: list[Piece] = []
        for piece in parsed:
            if not isinstance(piece, str):
                if self._config.is_parallel or not self._has_call():
                    self.calls.append(piece)
                    pieces.append(piece)
            elif text := self._json.feed(piece) if self._json else piece:
                if not self._is_separated:
                    text, self._is_separated = f"\n\n{text.lstrip()}", True
                self._texts.append(text)
                pieces.append(text)
        return pieces

    def _released(self, pieces: list[Piece]) -> list[Piece]:
        """Hold back what is not an answer yet: text where a call has to come, and invalid calls."""
        held = (str, InvalidToolCall) if self._config.is_forced else InvalidToolCall
        self._withheld += [piece for piece in pieces if isinstance(piece, held)]
        return [piece for piece in pieces if not isinstance(piece, held)]

    def _has_call(self) -> bool:
        return any(isinstance(call, FunctionCall) for call in self.calls)

    def _invalid_calls(self) -> list[InvalidToolCall]:
        return [call for call in self.calls if isinstance(call, InvalidToolCall)]

    def _bare_arguments(self) -> FunctionCall | None:
        """The call of the only tool on offer whose arguments were given without its name."""
        if len(self._config.tools) != 1:
            return None
        (tool,) = self._config.tools
        finder = JsonAnswer()
        written = finder.feed(self.text or "".join(call.text for call in self._invalid_calls()))
        try:
            value = load_json(written)
        except ValueError:
            return None
        known = set(tool.argument_names)
        if not isinstance(value, dict) or not value or not known.issuperset(value):
            return None
        return FunctionCall(tool.name, value) if set(tool.required).issubset(value) else None


class StopCutter:
    """Cuts growing text off before the first stop sequence in it.

    What comes out is the same however the text was cut into pieces.

    Args:
        sequences: The stop sequences; empty ones are ignored.

    Attributes:
        found: The sequence that ended the text, or None.
    """

    __slots__ = ("_held", "_longest", "_sequences", "found")

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = [sequence for sequence in sequences if sequence]
        self._longest = max(map(len, self._sequences), default=0)
        self._held = ""
        self.found: str | None = None

    def __bool__(self) -> bool:
        return bool(self._sequences)

    def feed(self, piece: str) -> str:
        """Take the next piece and return the text that is certain to come before any stop."""
        if self.found is not None:
            return ""
        text = self._held + piece
        hits = [(at, s) for s in self._sequences if (at := text.find(s)) >= 0]
        if hits:
            at, self.found = min(hits)
            self._held = ""
            return text[:at]
        keep = self._beginning_at_end(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """Say that the text is over, and return what was held back."""
        held, self._held = self._held, ""
        return held

    def _beginning_at_end(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop sequence."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(len(s) > size and s.startswith(tail) for s in self._sequences):
                return size
        return 0


class JsonAnswer:
    """Lets through the first JSON object or array of a growing text, or all of it if it has none.

    What comes out is the same however the text was cut into pieces.
    """

    def __init__(self) -> None:
        self._held = ""
        self._scanner: JsonScanner | None = None
        self._passed = 0
        self._is_over = False

    def feed(self, piece: str) -> str:
        """Take the next piece of text and return what is JSON."""
        if self._is_over:
            return ""
        self._held += piece
        if self._scanner is None:
            new = len(self._held) - len(piece)
            starts = [at for opener in "{[" if (at := self._held.find(opener, new)) >= 0]
            if not starts:
                return ""
            self._held = self._held[min(starts) :]
            self._scanner = JsonScanner(0)
        self._scanner.scan(self._held)
        end = self._scanner.end or self._scanner.illegal_at
        self._is_over = end is not None
        passed, self._passed = self._passed, len(self._held) if end is None else end
        return self._held[passed : self._passed]

    def end(self) -> str:
        """Say that the text is over: without any JSON, all of it comes now."""
        return self._held if self._scanner is None else ""


def _is_standard_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _instructed(
    messages: Sequence[ChatMessage], config: ToolConfig, response_schema: Mapping[str, Any] | None
) -> Sequence[ChatMessage]:
    """Add what the model is told about tools and JSON, before what the user says first.

    It is no part of the system prompt, because current servers send that to the model twice.
    """
    texts: list[str] = []
    if config:
        texts.append(tool_instructions(config))
    if response_schema is not None:
        texts.append(schema_instructions(response_schema or None))
    count = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    if not texts or count == len(messages):
        return messages
    instructions = ChatMessage("user", before_the_query(*texts), is_preamble=True)
    return [*messages[:count], instructions, *messages[count:]]


class _Round(NamedTuple):
    """The calls of one answer, and the results that followed."""

    calls: list[Any]
    results: list[tuple[str, Sequence[Attachment]]]


def _rounds(messages: Sequence[ChatMessage]) -> list[_Round]:
    """The rounds of calls since the user's last message, the newest first."""
    rounds: list[_Round] = []
    results: list[tuple[str, Sequence[Attachment]]] = []
    for message in reversed(messages):
        if message.role == "user" and is_result(message.content):
            results.append((message.content, message.files))
        elif message.role == "assistant" and results and (calls := calls_in(message.content)):
            rounds.append(_Round(calls, results))
            results = []
        else:
            break
    return rounds


def _check_repetitions(rounds: Sequence[_Round], limit: int | None) -> None:
    """Stop an agent whose model makes the same calls, with the same results, over and over.

    Calls whose results change, as of a tool that waits for something, are progress.
    """
    if limit is None or len(rounds) < limit or any(r != rounds[0] for r in rounds[:limit]):
        return
    called = (call.get("name") if isinstance(call, dict) else None for call in rounds[0].calls)
    names = " and ".join(dict.fromkeys(str(name or "something unreadable") for name in called))
    raise RepeatedToolCallError(
        f"The model called {names} {limit} times in a row with the same arguments and the"
        " same result. Improve the tool's description or result, use another model, or"
        " raise max_identical_calls."
    )


def _reminder(messages: Sequence[ChatMessage], rounds: Sequence[_Round]) -> ChatMessage | None:
    """What a model is told that has made its last calls before, with the same results."""
    if not rounds or rounds[0] not in rounds[1:]:
        return None
    for message in reversed(messages):
        if message.role == "user" and not is_result(message.content):
            return ChatMessage("user", repetition_reminder(message.content))
    return None
