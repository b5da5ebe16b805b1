"""Text as it streams → text and tool calls.

What comes out is the same however the text was cut. Text that cannot belong to a call is handed out
at once; what may be the beginning of one is held back until that is decided; a call is handed out
as soon as it is whole. How calls are written is known to the modules in `forms`; what lives here is
where in an answer a call may stand, and what is only quoted:

**Marked calls** follow a mark of their family (`forms/marks.py`), or are elements such as
``<invoke name="…">``. They count anywhere in the text. If one cannot be read, or names a tool that
is not on offer, it is an invalid call where it begins a line, and text in the middle of one.

**Bare calls** are JSON, a Python list at the beginning of a line, a tool's name with JSON on the
next line, or ``Action:`` with its input. They count only if they name a tool on offer, and if
nothing but white space follows on their last line. Python calls without a list count if they are
the whole answer.

**Quoted calls are text:**

1. in inline code, in quotation marks, or in a quoted line (``>``);
2. in a code block, if any text follows the block, if the block holds anything but calls, or if an
   earlier block of the answer held a quoted call;
3. in a code block, or bare, if the line above calls it an example and ends with a colon.

So a code block that is the whole answer, or ends it, is a call: small models write their calls so.
A block of Python is one only if it is the whole answer. Calls in a block are therefore held back
until the answer goes on or ends.

The work is linear in the length of the text, whatever the text is: the position in it only moves
forward, and the search in JSON that is cut off is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeGuard, Union

from hfchat_base.tools.forms import BACKTICKS, FENCE, LONGEST_INFO, MOST_TICKS, read_content
from hfchat_base.tools.forms.json_forms import (
    calls_in,
    could_become_call,
    guess_name,
    repaired_calls,
)
from hfchat_base.tools.forms.marks import CLOSING, ENDING, INNER, OPENING, RESULTS
from hfchat_base.tools.forms.named_forms import ACTIONS, read_action, read_harmony, read_named
from hfchat_base.tools.forms.python_forms import (
    LONGEST_NAME,
    read_python_call,
    read_python_list,
)
from hfchat_base.tools.forms.values import AnyCall, Context, Found, ToolIndex, load_loose
from hfchat_base.tools.forms.xml_forms import ELEMENTS
from hfchat_base.tools.source import JsonScanner, Marks, Reading, SourceText
from hfchat_base.tools.types import FunctionCall, InvalidToolCall, Tool

__all__ = ["ToolCallParser"]

Parsed = Union[str, FunctionCall, InvalidToolCall]

_TRIGGER: Final = re.compile(r"[<\[{`~\n]")
_TILDES: Final = re.compile("~*")
_FENCE_INFO: Final = re.compile(r"[^\n`~]*")
_SPAN_END: Final = re.compile(r"[`\n]")
_SEPARATORS: Final = re.compile(r"[,;}\]]*")
_BARE_SEPARATORS: Final = re.compile(r"[,; \t\r\n]*")
_NAME: Final = re.compile(r"[\w.\-]*")
_QUOTES: Final = frozenset("\"'`(\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2039\u203a")
_EXAMPLE: Final = re.compile(
    r"\b(?:examples?|e\.g\.|instance|looks? like|would|could|illustrat\w+|sample|demonstrat\w+)"
    r"\b.*[:,][\s*_]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_PYTHON_BLOCKS: Final = frozenset(("python", "py", "python3"))
_CALL_BLOCKS: Final = frozenset(("tool_code", "tool_call", "tool_calls", "function_call"))

_THOUGHTS: Final = {
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
}
"""Thinking that the base client does not split off; nothing in it is a call."""

_HEADS: Final = Marks("<|channel|>", "<|start|>assistant", "<|start|>")
_LAST_OF_THOUGHT: Final = Marks("</think>", "</thinking>", "[/THINK]", "</seed:think>")
_NOISE: Final = Marks("<|START_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
_THOUGHT_MARKS: Final = Marks(*_THOUGHTS)
_MARKS: Final = (
    OPENING | ELEMENTS | CLOSING | RESULTS | _HEADS | _LAST_OF_THOUGHT | _THOUGHT_MARKS | _NOISE
)
_BETWEEN: Final = OPENING | CLOSING | INNER
_RECIPIENT: Final = ">>>"
_LINE_MARKS: Final = (
    "functools[",  # Phi
    "functools [",
    "function call<|role_sep|>",  # GigaChat
    "-> tool/function_call",  # HyperCLOVA
)
_OBSERVATION: Final = "Observation:"

_OPENING_CHARACTERS: Final = 512
_MOST_CUT_OFF: Final = 16
"""How deep JSON that is cut off is looked into for a call that is whole, or was begun later."""

_LINE_CHARACTERS: Final = 300
"""How much of a line is kept to see whether it announces an example."""

_MOST_LINE_CHARACTERS: Final = 2 * _LINE_CHARACTERS


class ToolCallParser:
    """Finds the calls in one answer.

    Args:
        tools: The tools on offer. Without any, all text is text.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = ToolIndex(tools)
        self._is_on = bool(tools)
        self._line_starts = Marks(
            *ACTIONS.strings, *_LINE_MARKS, _RECIPIENT, _OBSERVATION, *self._tools.names
        )
        self._source = SourceText()
        self._at = 0  # where in the source begins what is not decided yet
        self._can_trim = False
        self._space = ""  # white space that may belong to text or to a call
        self._line = ""  # what was said since the last line break
        self._line_above = ""  # the last line before it that is not blank
        self._line_is_blank = True  # nothing but calls and white space since the last line break
        self._said = False  # whether there was text
        self._has_quoted = False  # whether a code block with calls was text
        self._called = False  # whether there was a call
        self._is_after_call = False  # only white space since a call
        self._is_over = False  # the model has begun to make up results
        self._has_heads = False  # whether the answer has heads of messages (harmony)
        self._cut_off_at = 0  # how far candidates were cut off, and how many before that
        self._cut_off = 0
        self._parsed: list[Parsed] = []
        self._reading = self._read()

    def feed(self, piece: str) -> list[Parsed]:
        """Take the next piece of text and return what it settles, in order."""
        if not self._is_on:
            return [piece] if piece else []
        source = self._source
        if self._passes(piece):
            source.text = piece
            self._at = self._cut_off_at = 0
            self._say(len(piece))
            parsed, self._parsed = self._parsed, []
            return parsed
        # What nothing else holds grows in place.
        text, source.text = source.text, ""
        if self._can_trim and self._at:
            text = text[self._at :]
            self._cut_off_at -= self._at
            self._at = 0
        text += piece
        source.text = text
        return self._settled()

    def _passes(self, piece: str) -> bool:
        """Whether a piece is text as it stands, as most are."""
        return (
            self._can_trim
            and not self._line_is_blank
            and not self._is_over
            and self._at == len(self._source.text)
            and _TRIGGER.search(piece) is None
        )

    def end(self) -> list[Parsed]:
        """Say that the text is over, and return what was held back."""
        self._source.is_final = True
        parsed = self._settled()
        if self._space and not self._called:
            parsed.append(self._space)
        self._space = ""
        return parsed

    def _settled(self) -> list[Parsed]:
        next(self._reading, None)
        parsed, self._parsed = self._parsed, []
        return parsed

    # The answer as a whole.

    def _read(self) -> Reading[None]:
        source = self._source
        while True:
            if self._at >= len(source.text):
                self._can_trim = True
                goes_on = yield from source.wait()
                self._can_trim = False
                if not goes_on:
                    return
            elif self._is_over:
                self._at = len(source.text)
            elif not (self._line_is_blank and (yield from self._read_line_start())):
                yield from self._read_on()

    def _read_on(self) -> Reading[None]:
        """Hand out text up to what may begin a call, and read that."""
        source = self._source
        found = _TRIGGER.search(source.text, self._at)
        if found is None:
            self._say(len(source.text))
            return
        if found.start() > self._at:
            self._say(found.start())
        if found[0] == "\n":
            self._say(self._at + 1)
        elif found[0] in "`~":
            yield from self._read_ticks(found[0])
        elif found[0] == "{" or not (yield from self._read_mark()):
            yield from self._read_bare(found[0])

    def _read_line_start(self) -> Reading[bool]:
        """Read what counts only at the beginning of a line; False if nothing does."""
        source = self._source
        start = yield from source.skip(self._at)
        if start > self._at:
            self._say(start)
            return True  # the position may be trimmed now
        if source.text[start] in "<[{`~":
            return False
        marks = self._line_starts
        end = yield from source.one_of(marks, start)
        mark = source.text[start:end]
        if mark == _OBSERVATION:
            self._is_over = self._called
            return self._is_over
        if mark in ACTIONS.strings:
            context = Context(self._tools, is_marked=False)
            return self._takes((yield from read_action(source, end, context)))
        if mark in _LINE_MARKS:
            at = yield from source.skip(end - mark.endswith("["))
            return self._takes((yield from read_content(source, at, Context(self._tools))))
        if mark:
            return (yield from self._read_name(end if mark == _RECIPIENT else start))
        if source.text[start] == ">":
            yield from self._pass_line()
            return True
        return False

    def _takes(self, found: Found | None) -> bool:
        """Take calls that name tools on offer."""
        if found is None or not any(map(_is_valid, found.calls)):
            return False
        self._emit(found.calls, found.end)
        return True

    def _read_name(self, start: int) -> Reading[bool]:
        """Read a call that begins a line with the name of a tool."""
        source = self._source
        name = yield from source.take(_NAME, start, LONGEST_NAME)
        if name not in self._tools:
            return False
        end = start + len(name)
        if start == self._at and (yield from source.starts_with("(", end)):
            return not self._said and (yield from self._read_python_lines(start))
        end = yield from source.skip(end, lines=False)
        if not (yield from source.starts_with("\n", end)):
            return False
        end = yield from source.skip(end)
        if not (yield from source.starts_with("{", end)):
            return False
        found = yield from read_named(source, start, Context(self._tools, is_marked=False))
        if found is None or not (yield from self._ends_line(found.end)):
            return False
        lacks = [self._tools.lacks(c.name, c.arguments) for c in found.calls if _is_valid(c)]
        return not any(lacks) and self._takes(found)

    def _read_python_lines(self, start: int) -> Reading[bool]:
        """Read Python calls that are the whole answer."""
        source, at = self._source, start
        calls: list[AnyCall] = []
        while at < len(source.text):
            context = Context(self._tools, is_marked=False)
            found = yield from read_python_call(source, at, context)
            if found is None or not found.calls:
                return False
            calls += found.calls
            at, _ = yield from self._skip_between(found.end)
        self._emit(calls, at)
        return True

    # Marked calls.

    def _read_mark(self) -> Reading[bool]:
        """Read what begins with a mark; False if there is none."""
        source, start = self._source, self._at
        end = yield from source.one_of(_MARKS, start)
        if end == start:
            return self._drop_cut_off_mark()
        mark = source.text[start:end]
        if self._is_quoted():
            yield from self._pass_paragraph()
        elif mark in OPENING.strings:
            yield from self._read_marked(end, is_certain=self._line_is_blank)
        elif mark in ELEMENTS.strings:
            yield from self._read_marked(start, is_certain=False)
        elif mark in RESULTS.strings and self._called:
            self._is_over = True
        elif mark in _HEADS.strings:
            yield from self._read_head(end)
        elif mark in _THOUGHTS and not self._said:
            yield from self._pass_thought(mark)
        elif self._is_noise(mark):
            self._at = end
        else:
            self._say(end)
            self._line_is_blank |= mark in _LAST_OF_THOUGHT.strings
        return True

    def _drop_cut_off_mark(self) -> bool:
        """Drop the beginning of a closing mark after a call, if the answer ends with it."""
        rest = self._source.text[self._at :]
        is_mark = len(rest) > 1 and self._source.is_final and rest in CLOSING.beginnings
        if is_mark and self._is_after_call:
            self._at = len(self._source.text)
            return True
        return False

    def _is_noise(self, mark: str) -> bool:
        """Whether a mark says nothing where it stands."""
        if mark in _NOISE.strings:
            return True
        return mark in CLOSING.strings and (
            self._called or (self._has_heads and mark in ENDING.strings)
        )

    def _read_marked(self, at: int, *, is_certain: bool) -> Reading[None]:
        """Read the calls after a mark, or decide that the mark is text."""
        source, start = self._source, self._at
        context = Context(self._tools, is_certain=is_certain)
        at, _ = yield from self._skip_between(at)
        found = yield from read_content(source, at, context)
        if found is None or not found.calls:
            self._say(max(found.end if found else at, start + 1))
            return
        while found is not None and found.calls:
            self._emit(found.calls, found.end)
            at, after = yield from self._skip_between(found.end)
            found = yield from read_content(source, at, context)
            self._at = after

    def _read_head(self, end: int) -> Reading[None]:
        """Read the head of a message, and the call that it may begin."""
        context = Context(self._tools, is_certain=True)
        found = yield from read_harmony(self._source, end, context)
        if found is None:
            self._say(end)
            return
        self._has_heads = True
        self._at = found.end
        if found.calls:
            self._emit(found.calls, found.end)

    def _skip_between(self, at: int) -> Reading[tuple[int, int]]:
        """Skip what stands before, between and after marked calls.

        Returns:
            Where something else begins, and where the last mark before it ends.
        """
        source, after = self._source, at
        while True:
            at = yield from source.skip(at)
            end = yield from source.one_of(_BETWEEN, at)
            if end > at:
                at = after = end
                continue
            separators = yield from source.take(_SEPARATORS, at, 8)
            if not separators:
                return at, after
            at += len(separators)

    # Bare calls.

    def _read_bare(self, character: str) -> Reading[None]:
        """Read JSON, or a list of Python calls, that nothing marks."""
        start = self._at
        if self._is_quoted() or self._announces_example():
            self._say(start + 1)
            return
        if character != "{" and not (character == "[" and self._line_is_blank):
            self._say(start + 1)
            return
        found = yield from self._read_unmarked(start)
        while found is not None and found.calls and (yield from self._ends_line(found.end)):
            self._emit(found.calls, found.end)
            at = yield from self._source.take(_BARE_SEPARATORS, self._at, 64)
            start = self._at + len(at)
            if self._source.text[start : start + 1] not in {"{", "["}:
                return
            found = yield from self._read_unmarked(start)
        self._say(found.end if found else start + 1)

    def _ends_line(self, at: int) -> Reading[bool]:
        """Whether nothing but calls and their marks follows on this line."""
        source = self._source
        while True:
            at = yield from source.skip(at, lines=False)
            separators = yield from source.take(_SEPARATORS, at, 8)
            at += len(separators)
            if not separators:
                break
        if source.text[at : at + 1] in {"", "\n", "\r", "{", "["}:
            return True
        marks = _MARKS
        return (yield from source.one_of(marks, at)) > at

    def _read_unmarked(self, start: int) -> Reading[Found | None]:
        """Read one object, or one list, that may be a call, or calls."""
        source = self._source
        context = Context(self._tools, is_marked=False)
        if source.text[start] == "[":
            first = yield from source.skip(start + 1)
            if source.text[first : first + 1] not in {"{", "["}:
                return (yield from read_python_list(source, start, context))
        scanner = JsonScanner(start, "loose")
        while True:
            opening = source.text[start : start + _OPENING_CHARACTERS]
            if not could_become_call(opening, self._tools):
                return None
            scanner.scan(source.text)
            if scanner.end is not None:
                break
            if scanner.illegal_at is not None or not (yield from source.wait()):
                return self._cut_off_calls(start, scanner.illegal_at, context)
        try:
            calls = calls_in(load_loose(source.text[start : scanner.end]), context)
        except ValueError:
            calls = []
        return Found(scanner.end, calls)

    def _cut_off_calls(self, start: int, illegal_at: int | None, context: Context) -> Found:
        """Take what is not complete JSON."""
        text = self._source.text
        end = len(text) if illegal_at is None else illegal_at
        written = text[start:end].strip()
        calls = repaired_calls(written, context, is_cut=illegal_at is None)
        if not calls and illegal_at is None:
            name = guess_name(written, self._tools)
            if name in self._tools and ('"arguments"' in written or '"parameters"' in written):
                calls = [InvalidToolCall(written, "It is cut off in the middle.", name)]
        if calls:
            return Found(end, calls)
        if start >= self._cut_off_at:
            self._cut_off = 0
        self._cut_off_at = max(self._cut_off_at, end)
        self._cut_off += 1
        return Found(start + 1 if self._cut_off < _MOST_CUT_OFF else end)

    # Code, quotations and thoughts.

    def _read_ticks(self, tick: str) -> Reading[None]:
        """Read what begins with backticks or tildes."""
        source, start = self._source, self._at
        ticks = yield from source.take(BACKTICKS if tick == "`" else _TILDES, start, MOST_TICKS)
        end = start + len(ticks)
        if len(ticks) >= FENCE:
            info = yield from source.take(_FENCE_INFO, end, LONGEST_INFO)
            line_end = end + len(info)
            if (yield from source.starts_with("\n", line_end)):
                yield from self._read_block(line_end + 1, ticks, info)
                return
            if line_end == len(source.text) == end and self._is_after_call:
                self._at = end  # a closing fence that nothing has opened
                return
        is_call = source.text[end : end + 1] in {"<", "[", "{"}
        self._say(end)
        if tick == "`":
            yield from self._pass_span(ticks, is_call=is_call)

    def _read_block(self, start: int, fence: str, info: str) -> Reading[None]:
        """Read a code block, and decide whether the calls in it are meant as such."""
        source = self._source
        language = info.strip().lower()
        is_code = self._has_quoted or (language in _PYTHON_BLOCKS and self._said)
        if is_code or self._announces_example() or self._line.lstrip().startswith(">"):
            yield from self._pass_code(start, fence)
            return
        calls: list[AnyCall] = []
        at = start
        while True:
            content, after = yield from self._skip_between(at)
            if content == len(source.text):
                break
            if (yield from source.starts_with(fence, content)):
                at, _ = yield from self._skip_between(content + len(fence))
                if (again := (yield from self._next_block(at))) is not None:
                    at = again
                    continue
                if (yield from self._ends_answer(at)):
                    content = at
                    break
                self._has_quoted = bool(calls)
                self._say(content + len(fence))
                return
            is_marked = after > at
            found = yield from self._read_in_block(content, language, is_marked=is_marked)
            if found is None or not found.calls:
                yield from self._pass_code(start, fence)
                return
            calls += found.calls
            at = found.end
        if calls:
            self._emit(calls, content)
        elif self._is_after_call:
            self._at = content  # a closing fence that nothing has opened
        else:
            self._say(content)

    def _ends_answer(self, at: int) -> Reading[bool]:
        """Whether nothing follows, or only what the model has made up."""
        end = yield from self._source.one_of(RESULTS, at)
        return end > at or at == len(self._source.text)

    def _next_block(self, at: int) -> Reading[int | None]:
        """Where the content of a code block that begins here begins, if one does."""
        source = self._source
        ticks = yield from source.take(BACKTICKS, at, MOST_TICKS)
        if len(ticks) < FENCE:
            return None
        at += len(ticks)
        at += len((yield from source.take(_FENCE_INFO, at, LONGEST_INFO)))
        return at + 1 if (yield from source.starts_with("\n", at)) else None

    def _read_in_block(self, at: int, language: str, *, is_marked: bool) -> Reading[Found | None]:
        source = self._source
        context = Context(self._tools, is_marked=is_marked)
        if is_marked or source.text[at] == "<":
            return (yield from read_content(source, at, context))
        if source.text[at] in "{[":
            return (yield from self._read_unmarked(at))
        if language in _CALL_BLOCKS or not self._said:
            return (yield from read_python_call(source, at, context))
        return None

    def _pass_code(self, start: int, fence: str) -> Reading[None]:
        """Hand out a code block, up to the fence that closes it."""
        source = self._source
        self._say(start)
        while True:
            at = yield from source.skip(self._at, lines=False)
            if (yield from source.starts_with(fence, at)):
                self._say(at + len(fence))
                return
            if not (yield from self._pass_line()):
                return

    def _pass_line(self) -> Reading[bool]:
        """Hand out text up to the end of the line; False if the text ends before."""
        source = self._source
        while True:
            end = source.text.find("\n", self._at)
            if end >= 0:
                self._say(end + 1)
                return True
            self._say(len(source.text))
            if not (yield from source.wait()):
                return False

    def _pass_paragraph(self) -> Reading[None]:
        """Hand out text up to the next blank line."""
        source = self._source
        while (yield from self._pass_line()):
            at = yield from source.skip(self._at, lines=False)
            if source.text[at : at + 1] in {"\n", ""}:
                return

    def _pass_span(self, ticks: str, *, is_call: bool) -> Reading[None]:
        """Hand out inline code.

        Args:
            ticks: What has opened it.
            is_call: Whether what may be a call begins it; then it may continue on the next line.
        """
        source = self._source
        while True:
            found = _SPAN_END.search(source.text, self._at)
            if found is None:
                self._say(len(source.text))
                if not (yield from source.wait()):
                    return
            elif found[0] == "\n":
                self._say(found.start())
                if not is_call:
                    return
                self._say(found.end())
                at = yield from source.skip(self._at, lines=False)
                if source.text[at : at + 1] in {"\n", ""}:
                    return
            else:
                run = yield from source.take(BACKTICKS, found.start(), MOST_TICKS)
                self._say(found.start() + len(run))
                if run == ticks:
                    return

    def _pass_thought(self, mark: str) -> Reading[None]:
        """Hand out thinking; tokens around it are dropped, tags are not."""
        source, closer = self._source, _THOUGHTS[mark]
        is_token = mark.startswith("<|")
        if is_token:
            self._at += len(mark)
        else:
            self._say(self._at + len(mark))
        while True:
            end = source.text.find(closer, self._at)
            if end >= 0:
                self._say(end)
                if is_token:
                    self._at += len(closer)
                else:
                    self._say(self._at + len(closer))
                self._line_is_blank = True
                return
            whole = max(self._at, len(source.text) - len(closer) + 1)
            self._say(whole)
            if not (yield from source.wait()):
                self._say(len(source.text))
                return

    def _is_quoted(self) -> bool:
        """Whether a quotation mark, or the sign of a quoted line, is before the position."""
        return not self._space and self._line[-1:] in _QUOTES and bool(self._line)

    def _announces_example(self) -> bool:
        """Whether the text just before the position calls what follows an example."""
        line = self._line if self._line.strip() else self._line_above
        return _EXAMPLE.search(line) is not None

    # What comes out.

    def _emit(self, calls: Sequence[AnyCall], end: int) -> None:
        self._parsed += calls
        self._called = self._is_after_call = True
        self._space = ""
        self._line = self._line_above = ""
        self._line_is_blank = True
        self._at = end

    def _say(self, end: int) -> None:
        """Hand out the text up to `end`, but for white space at its end."""
        said = self._source.text[self._at : end]
        self._at = end
        if not said:
            return
        if "\n" in said:
            before, _, line = said.rpartition("\n")
            above = (self._line + before).rstrip().rpartition("\n")[2]
            self._line_above = above[-_LINE_CHARACTERS:] or self._line_above
            self._line = line
            self._line_is_blank = not line.strip()
        else:
            self._line += said
            self._line_is_blank = self._line_is_blank and said.isspace()
        if len(self._line) > _MOST_LINE_CHARACTERS:
            self._line = self._line[-_LINE_CHARACTERS:]
        bare = said.rstrip()
        if not bare:
            self._space += said
            return
        text, self._space = self._space + bare, said[len(bare) :]
        if self._called and not self._said:
            text = text.lstrip()
        self._said = True
        self._is_after_call = False
        self._parsed.append(text)


def _is_valid(call: AnyCall) -> TypeGuard[FunctionCall]:
    return isinstance(call, FunctionCall)
