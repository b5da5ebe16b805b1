"""One turn, from the first byte to the last line on the screen: what `ask` and `chat` share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from hfchat_base.cli.form import ReadLine, fill_in
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.cli.view import view_for
from hfchat_base.cli.view.base import source_lines
from hfchat_base.events import ElicitationRequest, TextDelta
from hfchat_base.types import Answer, OnElicitation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfchat_base.cli.downloads import Downloads, SavedFile
    from hfchat_base.conversation import Conversation
    from hfchat_base.streams import AnswerStream

__all__ = ["OpenStream", "TurnRunner"]

OpenStream = Callable[[OnElicitation], "tuple[Conversation, AnswerStream]"]
"""Begins a run, with somebody to answer the questions of tools."""


@dataclass(frozen=True)
class TurnRunner:
    """Runs turns and shows them.

    Attributes:
        terminal: Where to show them.
        downloads: Where files of answers go.
        read_line: How to ask the user for a line, for the questions of tools.
    """

    terminal: Terminal
    downloads: Downloads
    read_line: ReadLine

    def run(self, open_stream: OpenStream) -> list[SavedFile]:
        """Run a turn to its end.

        Returns:
            What became of the files of the answer; missing ones have been told.

        Raises:
            HuggingChatError: It did not end well; what had arrived is on the screen.
            KeyboardInterrupt: The user stopped it; so is the server's run.
        """
        begun = time.monotonic()
        first: float | None = None
        with view_for(self.terminal) as view:

            def answer_question(request: ElicitationRequest) -> dict[str, Any] | None:
                if not self.terminal.can_ask:
                    question = clean_line(request.message)
                    self.terminal.err.print(note(f"Declined, nobody is here to answer: {question}"))
                    return None
                with view.suspended():
                    return fill_in(request, self.terminal.out, self.read_line)

            conversation, stream = open_stream(answer_question)
            with stream:
                for event in stream:
                    if first is None and isinstance(event, TextDelta):
                        first = time.monotonic() - begun
                    view.show(event)
        answer = stream.answer
        saved = self.downloads.save_all(conversation, answer)
        self._show_below(answer, saved)
        if self.terminal.is_rich:
            self._show_timing(conversation, answer, first, time.monotonic() - begun)
        return saved

    def _show_below(self, answer: Answer, saved: Sequence[SavedFile]) -> None:
        notes = self.terminal.notes
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
            parts.append(f"first word after {first:.2f} s")
        parts.append(f"{seconds:.2f} s")
        if answer.title:
            parts.append(f"“{clean_line(answer.title, 60)}”")
        self.terminal.out.print()
        self.terminal.out.print(note(" · ".join(parts)))
