"""Artifacts in an answer's text, extracted while it streams.

Models that were given chat-ui's artifacts prompt put longer code and documents into tags (S)::

    <artifact identifier="page" type="html" title="A page">…</artifact>
    <artifact identifier="page" type="update"><old_str>…</old_str><new_str>…</new_str></artifact>

The server passes the tags on as text. This module turns them into events and `Artifact` values, and
puts a fenced code block in their place in the text. It follows the rules of chat-ui's own page:
aliases of types, doubled brackets, missing closing tags, updates that apply to the latest version.
One rule is stricter: a tag without any attribute of an artifact counts as prose about tags.
Otherwise the rest of the answer would end up in a code block.

The result depends only on the text and on the earlier artifacts, not on how the text was cut. Each
character is looked at a fixed number of times. Thinking was removed from the text before.

Fences: a block is handed out while it is written, so its fence is chosen before its content is
known. It has three backticks, or four around Markdown, whose own fences usually have three. If a
line would end the block early, the block is closed before that line, and a second block with a
longer fence starts there. So the fence of a block is always longer than any fence inside it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, Union

from hfchat_base.events import (
    Artifact,
    ArtifactDelta,
    ArtifactEdit,
    ArtifactEnded,
    ArtifactStarted,
    ArtifactType,
    TextDelta,
)
from hfchat_base.types import Message

__all__ = [
    "NOTHING",
    "RECENT_CHARACTERS",
    "ArtifactHistory",
    "ArtifactSplitter",
    "history_of",
    "render",
    "render_messages",
]

ArtifactEvent = Union[TextDelta, ArtifactStarted, ArtifactDelta, ArtifactEnded]

_TYPES: Final[Mapping[str, ArtifactType]] = {
    "html": "html",
    "text/html": "html",
    "svg": "svg",
    "image/svg+xml": "svg",
    "code": "code",
    "application/vnd.ant.code": "code",
    "markdown": "markdown",
    "md": "markdown",
    "text/markdown": "markdown",
    "react": "react",
    "jsx": "react",
    "tsx": "react",
    "application/vnd.ant.react": "react",
    "mermaid": "mermaid",
    "application/vnd.ant.mermaid": "mermaid",
}
"""The types of artifacts by all of their names (S); any other type is code."""

_FENCE_LANGUAGES: Final[Mapping[str, str]] = {"react": "jsx", "code": ""}
"""The language of a fence if the artifact names none; for other types it is the type's name."""

_ATTRIBUTES: Final = frozenset(("identifier", "id", "type", "title", "language"))
_UNNAMED: Final = "untitled-artifact"

_NAME: Final = "artifact"
_CLOSING: Final = f"/{_NAME}>"
_MOST_BRACKETS: Final = 8
"""The most opening brackets that belong to one tag; models sometimes double them (S)."""
_MOST_TAG: Final = 2000
"""The most characters that an opening tag may have after its name."""

_BRACKETS: Final = re.compile(r"<+")
_ATTRIBUTE: Final = re.compile(r'([\w-]+)\s*=\s*"([^"]*)"', re.ASCII)
_SPECIAL: Final = re.compile(r"[<\r\n]")
_HEAD: Final = re.compile(r"(?P<blank>[ \t]{0,64})(?:(?P<ticks>`{1,64})[ \t]{0,64})?")
"""The beginning of a line. It may be a fence; before a closing tag it is dropped."""
_FENCE_LINE: Final = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)
_WRAPPED: Final = re.compile(r"(?:^|\n) {0,3}`{3,}[\w+#.-]+[ \t]*\n\s*$")
"""The text before a tag that is inside a fenced block already, although the prompt forbids that. (A
fence without a language may also end the block before.)"""
_EDIT_TAG: Final = re.compile(r"<+(/?)(old|new)_str>")
_NOT_IN_INFO: Final = re.compile(r"[^\w+#./-]")
RECENT_CHARACTERS: Final = 120
"""How many characters before an artifact decide how its block begins."""
_TICKS: Final = 3
_MOST_INDENT: Final = 3
"""How far a fence may be indented (CommonMark)."""

_TYPOGRAPHY: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)
"""Characters that updates treat as equal (S). One replaces one, so that positions stay the same."""


class ArtifactHistory:
    """The latest version of each artifact, by its identifier; the newest artifact last.

    It is immutable: `add` returns a new one, so branches of a conversation can share it.
    """

    __slots__ = ("_latest",)

    def __init__(self, latest: Mapping[str, Artifact] | None = None) -> None:
        self._latest = latest or {}

    def version(self, identifier: str) -> int:
        """How many versions of an artifact there are."""
        found = self._latest.get(identifier)
        return found.version if found else 0

    def find(self, identifier: str) -> Artifact | None:
        """Find the artifact that an update changes.

        Models sometimes change the identifier when they edit. If no artifact has this one, it is
        the only one that differs just in case and white space, or else the newest (S).
        """
        if identifier in self._latest:
            return self._latest[identifier]
        wanted = identifier.strip().lower()
        alike = [a for a in self._latest.values() if a.identifier.strip().lower() == wanted]
        if len(alike) == 1:
            return alike[0]
        return next(reversed(list(self._latest.values())), None)

    def add(self, artifact: Artifact) -> ArtifactHistory:
        """The history with one more version; an update without an artifact adds none."""
        if artifact.version == 0:
            return self
        return ArtifactHistory({**self._latest, artifact.identifier: artifact})


NOTHING: Final = ArtifactHistory()


class ArtifactSplitter:
    """Splits a growing text into text and artifacts.

    Args:
        text_before: Takes a number of characters, and returns the end of the text without these
            last ones. Text that `passes` is not fed, so the splitter does not have it.
        history: The artifacts before this text; None if it has to be requested once the text
            contains an artifact.

    Attributes:
        is_plain: Whether no artifact has started and nothing is held back.
        wants_history: Whether an artifact has started and the history is not known. Everything is
            held back until `take_history` is called.
        artifacts: The artifacts that have ended.
        first_characters: How many characters there were from the first artifact's tag on when that
            tag was complete (or was cut off); 0 before that.
    """

    def __init__(
        self, text_before: Callable[[int], str], history: ArtifactHistory | None = None
    ) -> None:
        self.is_plain = True
        self.wants_history = False
        self.artifacts: list[Artifact] = []
        self.first_characters = 0
        self.history = history
        self._text_before = text_before
        self._read: Callable[[str, int], int] = self._read_text
        self._held = ""  # text that may be the beginning of a tag
        self._waiting: list[str] = []  # what arrived while the history is missing
        self._tag: list[str] = []  # an opening tag, so far
        self._tag_characters = 0
        self._open: _Open | None = None
        self._recent = ""  # the end of the text, once there has been an artifact
        self._needs_newline = False  # the text ends with a fence
        self._events: list[ArtifactEvent] = []

    def passes(self, text: str) -> bool:
        """Whether the next piece is plain text and does not have to be fed."""
        return self.is_plain and "<" not in text

    def feed(self, text: str) -> list[ArtifactEvent]:
        """Take the next piece of text and return the events that it completes."""
        if self.wants_history:
            self._waiting.append(text)
            return []
        text = self._held + text
        self._held = ""
        position = 0
        while position < len(text):
            position = self._read(text, position)
        if self._open is not None:
            self._open.flush(self._events, self._say)
        self.is_plain = not (self._held or self._tag or self.first_characters)
        return self._take_events()

    def take_history(self, history: ArtifactHistory) -> list[ArtifactEvent]:
        """Take the earlier artifacts, and return the events that were held back."""
        self.history = history
        self.wants_history = False
        text = "".join(self._waiting)
        self._waiting.clear()
        return self.feed(text)

    def end(self) -> list[ArtifactEvent]:
        """End the text, and return the events that were held back."""
        events = self.take_history(NOTHING) if self.wants_history else []
        held, self._held = self._held, ""
        if self._tag:
            tag = "".join(self._tag)
            self._tag.clear()
            self._read = self._read_text
            # A tag that was cut off is dropped; prose about tags is kept.
            if not _names_artifact(tag):
                self._say(tag)
            elif not self.first_characters:
                self.first_characters = len(tag)
        elif self._open is None:
            self._say(held)
        else:
            self._open.end_cut_off(held)
            self._end_artifact(is_complete=False)
        self.is_plain = not self.first_characters
        return events + self._take_events()

    def all_artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts so far, including one that has not ended."""
        if self._open is None:
            return tuple(self.artifacts)
        return (*self.artifacts, self._open.artifact(is_complete=False))

    # --- the text around artifacts ----------------------------------------------------------------

    def _read_text(self, text: str, start: int) -> int:
        """Emit text up to the next opening tag; return where its attributes begin."""
        position = start
        while (brackets := _BRACKETS.search(text, position)) is not None:
            begin = max(brackets.start(), brackets.end() - _MOST_BRACKETS)
            position = brackets.end() + len(_NAME)
            name = text[brackets.end() : position].lower()
            if position >= len(text) and _NAME.startswith(name):
                self._say(text[start:begin])
                self._held = text[begin:]
                return len(text)
            if name == _NAME and not (text[position].isalnum() or text[position] == "_"):
                self._say(text[start:begin])
                self._tag = [text[begin:position]]
                self._tag_characters = 0
                self._read = self._read_tag
                return position
            position = brackets.end()
        self._say(text[start:])
        return len(text)

    def _read_tag(self, text: str, start: int) -> int:
        """Read the attributes of an opening tag; return where its content begins."""
        room = _MOST_TAG - self._tag_characters
        end = text.find(">", start, start + room) + 1
        part = text[start:end] if end else text[start : start + room]
        self._tag.append(part)
        self._tag_characters += len(part)
        if not end and self._tag_characters < _MOST_TAG:
            return len(text)
        tag = "".join(self._tag)
        self._tag.clear()
        self._read = self._read_text
        position = start + len(part)
        if not end or tag.endswith("/>") or not _names_artifact(tag):
            self._say(tag)
            return position
        if not self.first_characters:
            self.first_characters = len(tag) + len(text) - position
            self._recent = self._text_before(self.first_characters)[-RECENT_CHARACTERS:]
        if self.history is None:
            self.wants_history = True
            self._waiting = [tag, text[position:]]
            return len(text)
        self._begin_artifact({k.lower(): v for k, v in _ATTRIBUTE.findall(tag)}, self.history)
        return position

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._needs_newline:
            self._needs_newline = False
            if text[0] not in "\r\n":
                text = "\n" + text
        if self.first_characters:
            self._recent = (self._recent + text)[-RECENT_CHARACTERS:]
        self._events.append(TextDelta(text))

    def _take_events(self) -> list[ArtifactEvent]:
        events, self._events = self._events, []
        return events

    # --- one artifact -----------------------------------------------------------------------------

    def _begin_artifact(self, attributes: Mapping[str, str], history: ArtifactHistory) -> None:
        identifier = attributes.get("identifier") or attributes.get("id") or _UNNAMED
        kind = attributes.get("type", "").strip().lower()
        line = self._recent.rpartition("\n")[2]
        before = "" if not line.strip(" ") and len(line) <= _MOST_INDENT else "\n"
        if kind == "update":
            self._open = _OpenUpdate(identifier, attributes.get("title"), history, before)
        else:
            self._open = _OpenDocument(
                Artifact(
                    identifier=identifier,
                    type=_TYPES.get(kind, "code"),
                    title=attributes.get("title") or identifier,
                    language=attributes.get("language") or None,
                    version=history.version(identifier) + 1,
                    operation="rewrite" if history.version(identifier) else "create",
                ),
                before,
                has_fence=_WRAPPED.search(self._recent) is not None,
            )
        begun = self._open.artifact(is_complete=False)
        self._events.append(
            ArtifactStarted(
                begun.identifier,
                begun.type,
                begun.title,
                begun.language,
                begun.version,
                begun.operation,
            )
        )
        self._read = self._read_artifact

    def _read_artifact(self, text: str, start: int) -> int:
        assert self._open is not None  # noqa: S101 - the state of this reader
        position, step = self._open.read(text, start)
        if step == "over":
            self._end_artifact(is_complete=True)
        elif step == "held":
            self._held = text[position:]
            return len(text)
        return position

    def _end_artifact(self, *, is_complete: bool) -> None:
        assert self._open is not None  # noqa: S101 - one that was begun
        self._open.close(is_complete=is_complete)
        self._open.flush(self._events, self._say)
        artifact = self._open.artifact(is_complete=is_complete)
        self._open = None
        self._read = self._read_text
        self._needs_newline = True
        self.artifacts.append(artifact)
        self.history = (self.history or NOTHING).add(artifact)
        self._events.append(ArtifactEnded(artifact))


_Step = Literal["more", "held", "over"]
"""What becomes of the text from a position on: it is read, it has to wait, or the artifact ends."""


class _Open(ABC):
    """An artifact whose closing tag has not come."""

    @abstractmethod
    def read(self, text: str, start: int) -> tuple[int, _Step]:
        """Read content."""

    @abstractmethod
    def end_cut_off(self, held: str) -> None:
        """Take what was held back when the text ended before the closing tag."""

    @abstractmethod
    def close(self, *, is_complete: bool) -> None:
        """Say that nothing more comes."""

    @abstractmethod
    def artifact(self, *, is_complete: bool) -> Artifact:
        """The artifact as it is now."""

    @abstractmethod
    def flush(self, events: list[ArtifactEvent], say: Callable[[str], None]) -> None:
        """Hand out what is new: text by `say`, content as an event."""


class _OpenDocument(_Open):
    """A new artifact, or a rewrite of an old one.

    Args:
        artifact: What its tag says.
        before: The text that its fence needs before it.
        has_fence: Whether the tag is in a fenced block already.
    """

    def __init__(self, artifact: Artifact, before: str, *, has_fence: bool) -> None:
        self._artifact = artifact
        self._before = before
        self._has_fence = has_fence
        self._ticks = 0  # of its fence; 0 while that is not written
        self._content: list[str] = []
        self._new_content: list[str] = []
        self._new_text: list[str] = []
        self._newline = ""  # one that is dropped if the closing tag follows
        self._is_first = True
        self._at_line_start = True
        self._is_blank = True  # nothing but white space so far

    def read(self, text: str, start: int) -> tuple[int, _Step]:
        """Read content."""
        position = start
        step: _Step = "more"
        if self._is_first:
            # One line break belongs to the tag.
            position, step = self._read_newline(text, start)
            self._is_first = step == "held"
            self._newline = ""
            self._at_line_start = True
        while position < len(text) and step == "more":
            read = self._read_head if self._at_line_start else self._read_line
            position, step = read(text, position)
        return position, step

    def _read_newline(self, text: str, position: int) -> tuple[int, _Step]:
        """Read one line break, if there is one."""
        if text.startswith("\r", position) and position + 1 == len(text):
            return position, "held"
        for newline in ("\n", "\r\n"):
            if text.startswith(newline, position):
                self._newline = newline
                self._at_line_start = True
                return position + len(newline), "more"
        return position, "more"

    def _read_head(self, text: str, position: int) -> tuple[int, _Step]:
        """Read the beginning of a line, up to its text, and the line break before it."""
        head = _HEAD.match(text, position)
        assert head is not None  # noqa: S101 - it matches nothing at all, too
        end = head.end()
        if end == len(text):
            return position, "held"
        ticks = head["ticks"] or ""
        if text[end] == "<" and not ticks:
            begin, after, step = _closing(text, end)
            if step == "held" and begin == end:
                return position, "held"
            if step == "over" and begin == end:
                return after, "over"
        is_fence = len(ticks) >= _TICKS and head["blank"] == " " * len(head["blank"])
        is_fence = is_fence and len(head["blank"]) <= _MOST_INDENT
        self._write(text[position:end], len(ticks) if is_fence else 0)
        self._at_line_start = False
        return end, "more"

    def _read_line(self, text: str, position: int) -> tuple[int, _Step]:
        """Read the rest of a line up to and including the next special character."""
        special = _SPECIAL.search(text, position)
        end = special.start() if special else len(text)
        if end > position:
            self._write(text[position:end])
        if special is None:
            return end, "more"
        if special[0] != "<":
            after, step = self._read_newline(text, end)
            if step == "more" and after == end:  # a carriage return alone
                self._write("\r")
                after = end + 1
            return after, step
        begin, after, step = _closing(text, end)
        if begin > end:
            self._write(text[end:begin])
        if step == "more":
            is_doubled = after - begin > 1 and (text[after].isalpha() or text[after] in "!/")
            self._write("<" if is_doubled and self._is_blank else text[begin:after])
            return after, step
        return (begin if step == "held" else after), step

    def _write(self, text: str, fence_inside: int = 0) -> None:
        """Add to the content; `fence_inside` is the length of a fence at its start, if any."""
        content, self._newline = self._newline + text, ""
        self._is_blank = self._is_blank and not content.strip()
        if not self._has_fence and (not self._ticks or fence_inside >= self._ticks):
            if self._ticks:
                self._new_text.append(f"\n{'`' * self._ticks}\n\n")
                shown = text
            else:
                self._new_text.append(self._before)
                shown = content
            self._open_fence(fence_inside)
        else:
            shown = content
        self._content.append(content)
        self._new_content.append(content)
        self._new_text.append(shown)

    def _open_fence(self, fence_inside: int) -> None:
        usual = _TICKS + (self._artifact.type == "markdown")
        self._ticks = max(usual, fence_inside + 1 if fence_inside else 0)
        self._new_text.append(f"{'`' * self._ticks}{_info(self._artifact)}\n")

    def end_cut_off(self, held: str) -> None:
        """Keep what was held back, except the beginning of a closing tag."""
        rest = held.partition("<")[0]
        if self._newline or rest:
            self._write(rest)

    def close(self, *, is_complete: bool) -> None:  # noqa: ARG002 - see `_OpenUpdate`
        """Close the fence."""
        if self._has_fence:
            return
        if not self._ticks:
            self._new_text.append(self._before)
            self._open_fence(0)
        ends_line = not self._content or self._content[-1].endswith("\n")
        self._new_text.append(("" if ends_line else "\n") + "`" * self._ticks)

    def artifact(self, *, is_complete: bool) -> Artifact:
        """The artifact as it is now."""
        return replace(self._artifact, content="".join(self._content), is_complete=is_complete)

    def flush(self, events: list[ArtifactEvent], say: Callable[[str], None]) -> None:
        """Emit what is new."""
        say("".join(self._new_text))
        content = "".join(self._new_content)
        if content:
            events.append(ArtifactDelta(self._artifact.identifier, content))
        self._new_text.clear()
        self._new_content.clear()


class _OpenUpdate(_Open):
    """Changes to the latest version of an artifact, applied when all of them have arrived."""

    def __init__(
        self, identifier: str, title: str | None, history: ArtifactHistory, before: str
    ) -> None:
        base = history.find(identifier)
        self._base = base.content if base else None
        self._before = before
        self._inner: list[str] = []
        self._is_over = False
        self._artifact = Artifact(
            identifier=base.identifier if base else identifier,
            type=base.type if base else "code",
            title=title or (base.title if base else identifier),
            language=base.language if base else None,
            content=base.content if base else "",
            version=base.version + 1 if base else 0,
            operation="update",
        )

    def read(self, text: str, start: int) -> tuple[int, _Step]:
        """Read the changes."""
        position = start
        while (begin := text.find("<", position)) >= 0:
            bracket, after, step = _closing(text, begin)
            self._inner.append(text[position:bracket])
            if step == "more":
                self._inner.append(text[bracket:after])
            if step != "more":
                return (bracket if step == "held" else after), step
            position = after
        self._inner.append(text[position:])
        return len(text), "more"

    def end_cut_off(self, held: str) -> None:
        """Drop the beginning of a closing tag."""

    def close(self, *, is_complete: bool) -> None:
        """Apply the changes."""
        self._is_over = True
        edits = read_edits("".join(self._inner))
        content, failed = apply_edits(self._artifact.content, edits)
        if self._base is None:
            failed = len(edits)
        # A complete update without any change counts as a failed one (S).
        failed = max(failed, 1 if is_complete and not edits else 0)
        self._artifact = replace(self._artifact, content=content, edits=edits, failed_edits=failed)

    def artifact(self, *, is_complete: bool) -> Artifact:
        """The artifact as it is now."""
        return replace(self._artifact, is_complete=is_complete)

    def flush(self, events: list[ArtifactEvent], say: Callable[[str], None]) -> None:
        """Emit the new version, or the changes if none of them could be applied."""
        if not self._is_over:
            return
        artifact = self._artifact
        if len(artifact.edits) > artifact.failed_edits:
            say(self._before + _block(artifact.content, _info(artifact)))
        elif artifact.edits:
            say(self._before + _block(_difference(artifact.edits), "diff"))
        if artifact.content:
            events.append(ArtifactDelta(artifact.identifier, artifact.content))


def _closing(text: str, start: int) -> tuple[int, int, _Step]:
    """Read brackets that may begin a closing tag.

    Returns:
        Where the tag begins, where the text continues after it (after the brackets, if it is no
        closing tag), and what was found: a closing tag, no tag, or an incomplete one.
    """
    brackets = _BRACKETS.match(text, start)
    assert brackets is not None  # noqa: S101 - the caller has found one
    end = brackets.end()
    begin = max(start, end - _MOST_BRACKETS)
    after = end + len(_CLOSING)
    tail = text[end:after].lower()
    if tail == _CLOSING:
        return begin, after, "over"
    if after > len(text) and _CLOSING.startswith(tail):
        return begin, end, "held"
    return begin, end, "more"


def _names_artifact(tag: str) -> bool:
    """Whether an opening tag has any of the attributes of an artifact."""
    return any(name.lower() in _ATTRIBUTES for name, _ in _ATTRIBUTE.findall(tag))


def _info(artifact: Artifact) -> str:
    """The info string of the opening fence."""
    language = artifact.language or _FENCE_LANGUAGES.get(artifact.type, artifact.type)
    return _NOT_IN_INFO.sub("", language)


def _block(content: str, info: str) -> str:
    """A text in a fence that is longer than any fence inside it."""
    longest = max((len(ticks) for ticks in _FENCE_LINE.findall(content)), default=0)
    fence = "`" * max(_TICKS, longest + 1)
    newline = "" if not content or content.endswith("\n") else "\n"
    return f"{fence}{info}\n{content}{newline}{fence}"


def _difference(edits: Sequence[ArtifactEdit]) -> str:
    lines = [
        f"{sign}{line}"
        for edit in edits
        for sign, text in (("-", edit.old), ("+", edit.new))
        for line in text.splitlines()
    ]
    return "\n".join(lines)


def read_edits(inner: str) -> tuple[ArtifactEdit, ...]:
    """Read the changes of an update.

    Models confuse the closing tags of the two halves, so either one ends a half (S).
    """
    edits: list[ArtifactEdit] = []
    old: str | None = None
    begin = -1
    half: Literal["", "old", "new"] = ""
    tags = list(_EDIT_TAG.finditer(inner))
    for index, tag in enumerate(tags):
        is_closing = bool(tag[1])
        if not half and not is_closing and tag[2] == "old":
            half, begin = "old", tag.end()
        elif half == "old" and is_closing:
            following = tags[index + 1] if index + 1 < len(tags) else None
            # If no new text follows, this tag is part of the old text.
            if (
                following is not None
                and not following[1]
                and following[2] == "new"
                and not inner[tag.end() : following.start()].strip()
            ):
                half, old = "new", inner[begin : tag.start()]
                begin = following.end()
        elif half == "new" and is_closing:
            edits.append(ArtifactEdit(old or "", inner[begin : tag.start()]))
            half = ""
    return tuple(edits)


def apply_edits(content: str, edits: Sequence[ArtifactEdit]) -> tuple[str, int]:
    """Apply each change to the first place where it fits.

    Returns:
        The new content, and how many changes fit nowhere; these are skipped (S).
    """
    failed = 0
    for edit in edits:
        place = _find(content, edit.old) if edit.old else None
        if place is None:
            failed += 1
        else:
            content = content[: place[0]] + edit.new + content[place[1] :]
    return content, failed


def _find(content: str, wanted: str) -> tuple[int, int] | None:
    """Find a text, exactly or else with any white space in place of its white space.

    All kinds of quotes are equal, and so are all dashes, and one bracket and several (S).
    """
    content = content.translate(_TYPOGRAPHY)
    wanted = wanted.translate(_TYPOGRAPHY)
    begin = content.find(wanted)
    if begin >= 0:
        return begin, begin + len(wanted)
    words = wanted.split()
    if not words:
        return None
    patterns = (re.escape(_BRACKETS.sub("<", word)).replace("<", "<+") for word in words)
    match = re.search(r"\s+".join(patterns), content)
    return match.span() if match else None


# --- whole texts ----------------------------------------------------------------------------------


def has_tag(text: str) -> bool:
    """Whether a text may contain an artifact; a quick check."""
    return "<" in text and f"<{_NAME}" in text.lower()


def render(
    text: str, history: ArtifactHistory = NOTHING
) -> tuple[str, tuple[Artifact, ...], ArtifactHistory]:
    """Extract the artifacts of a whole text.

    Returns:
        The text with fenced blocks in their place, the artifacts, and the history including them.
    """
    if not has_tag(text):
        return text, (), history
    splitter = ArtifactSplitter(lambda count: text[: len(text) - count], history)
    events = [*splitter.feed(text), *splitter.end()]
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    return shown, tuple(splitter.artifacts), splitter.history or history


def history_of(path: Iterable[Message]) -> ArtifactHistory:
    """The artifacts of stored messages that follow each other."""
    history = NOTHING
    for message in path:
        if message.role == "assistant":
            history = render(message.content, history)[2]
    return history


def render_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Extract the artifacts of stored messages, each with the history of its own branch."""
    histories: dict[str, ArtifactHistory] = {}
    rendered: list[Message] = []
    for message in messages:
        history = histories.get(message.parent_id or "", NOTHING)
        if message.role == "assistant" and has_tag(message.content):
            text, artifacts, history = render(message.content, history)
            message = message.model_copy(update={"content": text, "artifacts": artifacts})  # noqa: PLW2901
        histories[message.id] = history
        rendered.append(message)
    return tuple(rendered)
