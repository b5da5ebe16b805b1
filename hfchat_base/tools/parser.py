"""Text as it streams → text and tool calls.

The pieces that come out are the same however the text was cut. Text before a call is handed on at
once; what may be the beginning of a call is held back until that is decided; a call is handed out
as soon as it is whole. Which JSON is a call is known to `shapes.py`; what lives here is where in a
text calls stand:

* in tags: ``<tool_call>{…}</tool_call>`` (Hermes, Qwen) and the like, closed or not;
* behind a mark: ``[TOOL_CALLS] [{…}]`` (Mistral), ``<|python_tag|>{…}`` (Llama 3);
* in a code block that holds nothing before it;
* bare, as an object anywhere or as a list at the beginning of a line.

Where the model has marked a call, JSON that cannot be read is a broken call, and on a line of its
own also a call of a tool that is not there is one: whoever runs the tools can tell the model so.
Elsewhere only the name of a tool on offer makes JSON a call; code and prose that merely look like
one are left alone.

The work grows with the length of the text alone, whatever the text is: a buffer is read from a
position that only moves on, and what was cut off is not looked into without end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Union

from hfchat_base.tools.offer import BrokenCall, Call, Tool
from hfchat_base.tools.scan import JsonScanner, missing_closers
from hfchat_base.tools.shapes import Names, calls_in, could_become_call, guess_name, load_json
from hfchat_base.tools.wording import CALL_CLOSE, CALL_OPEN, RESULT_OPEN

__all__ = ["ToolCallParser"]

Parsed = Union[str, Call, BrokenCall]

_MARKS: Final = {
    CALL_OPEN: CALL_CLOSE,
    "<function_call>": "</function_call>",
    "<|tool_call|>": "<|/tool_call|>",
    "<|python_tag|>": "<|eom_id|>",
    "[TOOL_CALLS]": "[/TOOL_CALLS]",
}
"""What opens a call, and what may close it."""

_FENCE: Final = "```"
_FENCE_LINE: Final = re.compile(r"```[^\n`]{0,30}\n")
_FENCE_BEGINNING: Final = re.compile(r"`{1,3}|```[^\n`]{0,30}")
_TRIGGER: Final = re.compile(r"[<\[{`]")
_SPACE: Final = re.compile(r"\s*")
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_BETWEEN_CALLS: Final = re.compile(r"[ \t\r\n,;]*")
_OPENING_CHARACTERS: Final = 512
_MARK_CHARACTERS: Final = 64  # more than any mark has

_MOST_MARKS: Final = 8
"""How many marks may stand around a call. A model that repeats one for ever means no call."""

_MOST_CUT_OFF: Final = 16
"""How deep JSON that is cut off is looked into for a call that is whole, or was begun later."""


@dataclass(slots=True)
class _Candidate:
    """Text at the start of the buffer that may turn out to be calls.

    Attributes:
        start: Where its JSON begins.
        scanner: Looks for the end of that.
        closers: What may follow and belongs to it, in order.
        is_marked: Whether the model has marked it as a call.
        takes_any_name: Whether it is a call even if there is no such tool.
        sought: How far the close of a broken one was looked for.
    """

    start: int
    scanner: JsonScanner
    closers: list[str]
    is_marked: bool
    takes_any_name: bool
    sought: int = 0


class ToolCallParser:
    """Finds the calls in one answer.

    Args:
        tools: The tools on offer. Without any, all text is text.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._names = Names(tools)
        self._is_on = bool(tools)
        self._buffer = ""
        self._at = 0  # where in the buffer begins what is not decided yet
        self._space = ""  # white space that may belong to text or to a call
        self._line_is_blank = True  # only white space since the last line break
        self._said = False  # whether there was text
        self._called = False  # whether there was a call
        self._in_code = False
        self._is_over = False  # the model has begun to make up results
        self._candidate: _Candidate | None = None
        self._cut_off_at = 0  # how far candidates were cut off, and how many before that
        self._cut_off = 0
        self._closers: list[str] = []  # what may still follow the last call
        self._parsed: list[Parsed] = []

    def feed(self, piece: str) -> list[Parsed]:
        """Take the next piece of text and return what it settles, in order."""
        if not self._is_on:
            return [piece] if piece else []
        # What nothing else holds grows in place.
        buffer, self._buffer = self._buffer, ""
        if self._candidate is None:
            buffer = buffer[self._at :]
            self._cut_off_at -= self._at
            self._at = 0
        buffer += piece
        self._buffer = buffer
        return self._settle(is_final=False)

    def end(self) -> list[Parsed]:
        """Say that the text is over, and return what was held back."""
        parsed = self._settle(is_final=True)
        if self._space and not self._called:
            parsed.append(self._space)
        self._space = ""
        return parsed

    def _settle(self, *, is_final: bool) -> list[Parsed]:
        while self._at < len(self._buffer) and self._step(is_final=is_final):
            pass
        parsed, self._parsed = self._parsed, []
        return parsed

    def _step(self, *, is_final: bool) -> bool:
        """Settle some of the buffer; False if more has to come first."""
        if self._is_over:
            self._at = len(self._buffer)
            return True
        if self._candidate is not None:
            return self._pursue(self._candidate, is_final=is_final)
        if self._closers:
            return self._leave_call(is_final=is_final)
        if self._in_code:
            return self._pass_code(is_final=is_final)
        found = _TRIGGER.search(self._buffer, self._at)
        if found is None:
            self._say(len(self._buffer))
            return True
        if found.start() > self._at:
            self._say(found.start())
        return self._look([], is_final=is_final)

    def _look(self, outer: list[str], *, is_final: bool) -> bool:
        """Decide what begins at a character that may begin a call.

        Args:
            outer: What closes a call around it.
            is_final: Whether nothing more comes.
        """
        text, at, closers, is_marked = self._buffer, self._at, [*outer], False
        while True:
            if text[at : at + 1] == "{" or (text[at : at + 1] == "[" and self._opens_list(at)):
                any_name = is_marked and self._line_is_blank and _FENCE not in closers
                scanner = JsonScanner(at)
                self._candidate = _Candidate(at, scanner, closers, is_marked, any_name)
                return True
            end = self._mark_end(at)
            if end is None or len(closers) >= _MOST_MARKS:
                break
            mark = text[at:end]
            is_marked = is_marked or mark in _MARKS
            closers.insert(0, _MARKS.get(mark, _FENCE))
            at = _end(_SPACE, text, end)
        if not is_final and self._may_become_mark(at):
            return False
        self._settle_for_text(at, closers, is_marked=is_marked)
        return True

    def _opens_list(self, at: int) -> bool:
        """Whether a square bracket may open a list of calls, and no mark."""
        is_mark = any(mark.startswith(self._buffer[at : at + len(mark)]) for mark in _MARKS)
        return not is_mark and (at > self._at or self._line_is_blank)

    def _mark_end(self, at: int) -> int | None:
        """Where the mark that stands here ends, if one does."""
        for mark in _MARKS:
            if self._buffer.startswith(mark, at):
                return at + len(mark)
        fence = _FENCE_LINE.match(self._buffer, at)
        return fence.end() if fence else None

    def _may_become_mark(self, at: int) -> bool:
        rest = self._buffer[at : at + _MARK_CHARACTERS]
        if not rest or any(mark.startswith(rest) for mark in (*_MARKS, RESULT_OPEN)):
            return True
        return _FENCE_BEGINNING.fullmatch(rest) is not None

    def _settle_for_text(self, at: int, closers: list[str], *, is_marked: bool) -> None:
        """What begins here is no JSON."""
        if self._called and self._buffer.startswith(RESULT_OPEN, self._at):
            self._is_over = True
        elif is_marked and self._line_is_blank and _FENCE not in closers:
            scanner = JsonScanner(at)
            scanner.illegal_at = at
            self._candidate = _Candidate(at, scanner, closers, is_marked=True, takes_any_name=True)
        elif _FENCE in closers:
            self._begin_code(at)
        else:
            self._say(max(at, self._at + 1))

    def _pursue(self, candidate: _Candidate, *, is_final: bool) -> bool:
        """Find out whether the candidate is a call."""
        start, scanner = candidate.start, candidate.scanner
        opening = self._buffer[start : start + _OPENING_CHARACTERS]
        if not candidate.is_marked and not could_become_call(opening, self._names):
            self._reject(candidate, start + 1)
            return True
        scanner.scan(self._buffer)
        if scanner.end is not None:
            return self._take_json(candidate, scanner.end)
        if scanner.illegal_at is None and not is_final:
            return False
        if candidate.is_marked:
            return self._take_broken(candidate, is_final=is_final)
        end = len(self._buffer) if scanner.illegal_at is None else scanner.illegal_at
        return self._take_cut_off(candidate, end)

    def _take_json(self, candidate: _Candidate, end: int) -> bool:
        written = self._buffer[candidate.start : end]
        error = "It is no call: name and arguments are missing."
        calls: list[Call | BrokenCall] = []
        try:
            value = load_json(written)
            calls = calls_in(value, self._names, any_name=candidate.takes_any_name)
        except ValueError as reason:
            error = f"It is no valid JSON: {reason}"
            candidate.takes_any_name |= guess_name(written, self._names) in self._names
        if not calls and candidate.is_marked and candidate.takes_any_name:
            calls = [BrokenCall(written, error, guess_name(written, self._names))]
        if calls:
            self._emit(calls, candidate, end)
        else:
            self._reject(candidate, end)
        return True

    def _take_broken(self, candidate: _Candidate, *, is_final: bool) -> bool:
        """Take what stands in tags and is no whole JSON."""
        close, start = candidate.closers[0], candidate.start
        end = self._buffer.find(close, max(start, candidate.sought - len(close)))
        candidate.sought = len(self._buffer)
        if end < 0:
            if not is_final:
                return False
            end = len(self._buffer)
            if not self._buffer.startswith(("{", "["), start):
                self._reject(candidate, end)
                return True
        written = self._buffer[start:end].strip()
        calls = self._mended(written)
        if not calls:
            error = "It is no valid JSON."
            calls = [BrokenCall(written, error, guess_name(written, self._names))]
        self._emit(calls, candidate, end)
        return True

    def _take_cut_off(self, candidate: _Candidate, end: int) -> bool:
        """Take what is not marked and no whole JSON."""
        written = self._buffer[candidate.start : end].strip()
        calls = self._mended(written)
        if not calls and end == len(self._buffer) and could_become_call(written, self._names):
            name = guess_name(written, self._names)
            if name in self._names and '"arguments"' in written:
                calls = [BrokenCall(written, "It is cut off in the middle.", name)]
        if calls:
            self._emit(calls, candidate, end)
            return True
        if candidate.start >= self._cut_off_at:
            self._cut_off = 0
        self._cut_off_at = max(self._cut_off_at, end)
        self._cut_off += 1
        self._reject(candidate, candidate.start + 1 if self._cut_off < _MOST_CUT_OFF else end)
        return True

    def _mended(self, written: str) -> list[Call | BrokenCall]:
        """The calls in JSON that lacks nothing but brackets at its end."""
        closers = missing_closers(written)
        if not closers:
            return []
        try:
            return calls_in(load_json(written + closers), self._names)
        except ValueError:
            return []

    def _emit(self, calls: list[Call | BrokenCall], candidate: _Candidate, end: int) -> None:
        self._parsed += calls
        self._called = True
        self._space = ""
        self._closers = candidate.closers
        self._candidate = None
        self._at = end
        self._line_is_blank = True

    def _reject(self, candidate: _Candidate, end: int) -> None:
        """Take a candidate for text after all, up to `end`."""
        self._candidate = None
        if _FENCE in candidate.closers:
            self._begin_code(candidate.start)
        else:
            self._say(end)

    def _leave_call(self, *, is_final: bool) -> bool:
        """Drop what closes the last call, or find the next one beside it."""
        self._say(_end(_BLANK, self._buffer, self._at))
        text, at = self._buffer, _end(_BETWEEN_CALLS, self._buffer, self._at)
        beginning, close = text[at : at + _MARK_CHARACTERS], self._closers[0]
        if beginning.startswith(close):
            self._closers = self._closers[1:]
            self._space = ""
            self._at = at + len(close)
            return True
        if not is_final and close.startswith(beginning):  # also if nothing is there yet
            return False
        if beginning.startswith(("{", "[")):
            self._at = at
            is_marked = close != _FENCE
            self._candidate = _Candidate(at, JsonScanner(at), self._closers, is_marked, is_marked)
            return True
        if _FENCE in self._closers:
            if not is_final and any(mark.startswith(beginning) for mark in _MARKS):
                return False
            if beginning.startswith(tuple(_MARKS)):
                self._at = at
                return self._look(self._closers, is_final=is_final)
        self._closers = []
        return True

    def _begin_code(self, at: int) -> None:
        """Take what stands before `at` for the opening of a code block that is none of ours."""
        self._say(at)
        self._in_code = True
        self._closers = []  # a block that held a call goes on as code

    def _pass_code(self, *, is_final: bool) -> bool:
        end = self._buffer.find(_FENCE, self._at)
        if end >= 0:
            self._say(end + len(_FENCE))
            self._in_code = False
            return True
        held = 0 if is_final else len(self._buffer) - len(self._buffer.rstrip("`"))
        whole = len(self._buffer) - held
        if whole <= self._at:
            return False
        self._say(whole)
        return True

    def _say(self, end: int) -> None:
        """Hand out the buffer up to `end` as text, but for white space at its end."""
        said = self._buffer[self._at : end]
        self._at = end
        _, line_break, line = said.rpartition("\n")
        self._line_is_blank = (bool(line_break) or self._line_is_blank) and not line.strip()
        bare = said.rstrip()
        if not bare:
            self._space += said
            return
        text, self._space = self._space + bare, said[len(bare) :]
        if self._called and not self._said:
            text = text.lstrip()
        self._said = True
        self._parsed.append(text)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that fits everywhere stops fitting."""
    found = pattern.match(text, at)
    return found.end() if found else at
