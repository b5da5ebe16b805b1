"""One answer, from the request to the last line on the screen: what `ask` and `chat` share.

Files of an answer are saved under names that are made up here. The server's name for a file is
never used as a path; the extension comes from a short list of media types.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from hfchat_base import (
    Answer,
    AnswerFile,
    AnswerStream,
    Conversation,
    ElicitationRequest,
    Event,
    InvalidRequestError,
    ReasoningDelta,
    TextDelta,
)
from hfchat_base.cli.form import fill_in
from hfchat_base.cli.render import (
    SHORTEST_WAIT,
    AnswerView,
    source_lines,
    view_for,
    wait_text,
)
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.events import ReasoningStatus
from hfchat_base.files import ending_for
from hfchat_base.types import OnElicitation, Retry

__all__ = ["AnswerRunner", "Downloads", "OpenStream", "SavedFile", "note_end"]

_MAX_ATTEMPTS: Final = 1000

_log = logging.getLogger("hfchat")


@dataclass(frozen=True)
class SavedFile:
    """What became of a file of an answer.

    Attributes:
        file: Which one.
        path: Where it was saved, or None.
        problem: Why it could not be saved; empty if it was.
    """

    file: AnswerFile
    path: Path | None = None
    problem: str = ""


class Downloads:
    """A folder for files of answers; it is created when the first one is saved.

    Args:
        folder: Its path; a leading ``~`` is the home folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()

    def save_all(self, conversation: Conversation, answer: Answer) -> list[SavedFile]:
        """Fetch the files of an answer and save them.

        A file that cannot be fetched or saved is logged as a warning; the answer does not fail.

        Args:
            conversation: The answer's conversation.
            answer: The answer.

        Returns:
            What became of each file.
        """
        saved = []
        for one in conversation.fetch_files(answer):
            if one.data is None:
                saved.append(SavedFile(one.file, problem=one.problem))
                continue
            try:
                saved.append(SavedFile(one.file, self._save(one.file, one.data)))
            except InvalidRequestError as error:
                _log.warning(
                    "the file %r of an answer could not be saved: %s", one.file.name, error
                )
                saved.append(SavedFile(one.file, problem=str(error)))
        return saved

    def _save(self, file: AnswerFile, data: bytes) -> Path:
        """Write a file; an existing one is never overwritten.

        Raises:
            InvalidRequestError: The folder cannot be written to.
        """
        ending = ending_for(file.mime)
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub('[^0-9a-f]', '', file.sha.lower())[:8]}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._write(stem, ending, data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidRequestError(
                f"The file cannot be saved in {str(self._folder)!r}: {reason}. Choose another"
                " folder with --save."
            ) from error

    def _write(self, stem: str, ending: str, data: bytes) -> Path:
        for number in range(1, _MAX_ATTEMPTS):
            path = self._folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
            try:
                with path.open("xb") as target:
                    target.write(data)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(f"all names beginning with {stem} are taken")


def note_end(console: Console, answer: Answer) -> None:
    """Say so if the server sent no end of an answer."""
    if answer.finish_reason == "incomplete":
        text = "This answer may be cut off: the server sent no end of it (often a content filter)."
        console.print(note(text), soft_wrap=True)


OpenStream = Callable[[OnElicitation], tuple[Conversation, AnswerStream]]
"""Starts an answer, given who answers the questions of tools."""


class AnswerRunner:
    """Runs answers and shows them.

    Args:
        terminal: Where to show them.
        downloads: Where files of answers go.
        shows_reasoning: Whether to show what the model thinks before it answers.
    """

    def __init__(
        self, terminal: Terminal, downloads: Downloads, *, shows_reasoning: bool = True
    ) -> None:
        self.terminal = terminal
        self.downloads = downloads
        self._shows_reasoning = shows_reasoning
        self._view: AnswerView | None = None

    def on_retry(self, retry: Retry) -> None:
        """Show what the client waits for; this is the client's ``on_retry``."""
        if self._view is not None:
            self._view.wait(retry)
        elif retry.wait >= SHORTEST_WAIT:
            self.terminal.err.print(note(wait_text(retry.reason, retry.wait)), soft_wrap=True)

    def run(self, open_stream: OpenStream) -> list[SavedFile]:
        """Run an answer to its end.

        Returns:
            What became of the answer's files.

        Raises:
            HuggingChatError: It did not end well; what arrived is on the screen.
            KeyboardInterrupt: The user stopped it; the server's run is stopped too.
        """
        started = time.monotonic()
        first: float | None = None
        with view_for(self.terminal) as view:
            self._view = view
            try:
                conversation, stream = open_stream(self._answer_question)
                with stream:
                    for event in stream:
                        if first is None and isinstance(event, TextDelta):
                            first = time.monotonic() - started
                        view.show(self._visible(event))
            finally:
                self._view = None
        answer = stream.answer
        saved = self.downloads.save_all(conversation, answer)
        self._show_below(answer, saved)
        if self.terminal.is_rich:
            self._show_timing(conversation, answer, first, time.monotonic() - started)
        return saved

    def _visible(self, event: Event) -> Event:
        if isinstance(event, ReasoningDelta) and not self._shows_reasoning:
            return ReasoningStatus("thinking")
        return event

    def _answer_question(self, request: ElicitationRequest) -> dict[str, Any] | None:
        """Put a tool's question to the user; decline it if there is nobody to ask."""
        if not self.terminal.can_ask or self._view is None:
            question = clean_line(request.message)
            self.terminal.err.print(note(f"Declined, nobody is here to answer: {question}"))
            return None
        with self._view.suspended():
            return fill_in(request, self.terminal.out, input)

    def _show_below(self, answer: Answer, saved: Sequence[SavedFile]) -> None:
        notes = self.terminal.notes
        note_end(notes, answer)
        if answer.sources:
            notes.print()
            notes.print(Text("Sources", style="hfchat.name"))
            for line in source_lines(answer):
                notes.print(line, soft_wrap=True)
        for one in saved:
            if one.path is None:
                continue
            notes.print()
            name = clean_line(one.file.name) or "file"
            kind = clean_line(one.file.mime)
            path = clean(str(one.path))
            notes.print(
                Text.assemble(
                    ("✓ ", "hfchat.good"), f"{name} ({kind}) saved: ", (path, "hfchat.link")
                ),
                soft_wrap=True,
            )

    def _show_timing(
        self, conversation: Conversation, answer: Answer, first: float | None, seconds: float
    ) -> None:
        who = clean_line(conversation.model or answer.model)
        routed = clean_line(answer.router.get("model", ""))
        parts = [f"{who} → {routed}" if routed and routed != who else who]
        if first is not None:
            parts.append(f"first token in {first:.2f} s")
        parts.append(f"{seconds:.2f} s")
        if answer.title:
            parts.append(f"“{clean_line(answer.title, 60)}”")
        self.terminal.out.print()
        self.terminal.out.print(note(" · ".join(parts)))
