"""Reading what the user types in the chat: an editor on a terminal, plain lines otherwise.

On a terminal a paste of several lines is one text (bracketed paste). Enter sends; Alt-Enter,
Ctrl-J, or a backslash at the end of a line begins a new line. Lines that were typed while an answer
was drawn arrive as Ctrl-J, so they can be edited and are not sent by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hfchat_base import HuggingChatError
from hfchat_base.auth.store import make_private
from hfchat_base.cli.terminal import Terminal

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["PlainReader", "Reader", "make_reader"]

_PRIVATE_FILE = 0o600


class Reader(Protocol):
    """Asks the user for a text."""

    def __call__(self, prompt: str, default: str = "") -> str:
        """Ask for a text.

        Args:
            prompt: The text before the input.
            default: What it holds at first, where it can be edited.

        Raises:
            EOFError: There is no more.
            KeyboardInterrupt: The user wants to stop.
        """
        ...


class PlainReader:
    """Reads lines from a pipe or a file; one that ends with a backslash continues in the next."""

    def __call__(self, prompt: str, default: str = "") -> str:
        """Read a line; see `Reader`."""
        del prompt, default
        lines = [input()]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input())
        return "\n".join(lines)


def make_reader(
    terminal: Terminal,
    *,
    commands: Sequence[str] = (),
    models: Callable[[], Iterable[str]] = tuple,
    history: Path | None = None,
) -> Reader:
    """Choose how to read: with an editor if there is a terminal, otherwise plain lines.

    Args:
        terminal: Where the prompt is shown.
        commands: What Tab completes after a slash.
        models: The names that Tab completes after ``/model``; called when Tab is pressed.
        history: The file that keeps what was typed, or None to keep it in memory only.
    """
    if not (terminal.is_rich and sys.stdin.isatty()):
        return PlainReader()
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - heavy
    from prompt_toolkit.output import ColorDepth  # noqa: PLC0415 - likewise

    session: PromptSession[str] = PromptSession(
        multiline=True,
        key_bindings=_key_bindings(),
        completer=_completer(commands, models),
        complete_while_typing=False,
        enable_open_in_editor=True,
        history=_history(history),
        # The rest of a line that is too long is none of its own.
        prompt_continuation=lambda _width, _line, wraps: "  " if wraps else "… ",
        color_depth=None if terminal.is_coloured else ColorDepth.DEPTH_1_BIT,
    )

    def read(prompt: str, default: str = "") -> str:
        return session.prompt([("bold fg:ansiyellow", prompt)], default=default)

    return read


def _key_bindings() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415 - see `make_reader`

    bindings = KeyBindings()

    @bindings.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    @bindings.add("c-j")
    def _begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def _completer(commands: Sequence[str], models: Callable[[], Iterable[str]]) -> Completer:
    from prompt_toolkit.completion import (  # noqa: PLC0415 - see `make_reader`
        Completer,
        Completion,
        PathCompleter,
    )
    from prompt_toolkit.document import Document  # noqa: PLC0415 - likewise

    paths = PathCompleter(expanduser=True)

    class ChatCompleter(Completer):
        """Completes commands, the models of /model and the paths of /file."""

        def get_completions(
            self, document: Document, complete_event: CompleteEvent
        ) -> Iterable[Completion]:
            name, space, argument = document.text_before_cursor.partition(" ")
            if not name.startswith("/"):
                return
            if not space:
                words, begun = [f"/{command}" for command in commands], name
            elif name == "/model":
                words, begun = _known(models), argument
            elif name == "/file":
                yield from paths.get_completions(Document(argument), complete_event)
                return
            else:
                return
            for word in words:
                if word.startswith(begun):
                    yield Completion(word, start_position=-len(begun))

    return ChatCompleter()


def _known(models: Callable[[], Iterable[str]]) -> list[str]:
    with suppress(HuggingChatError):
        return list(models())
    return []


def _history(path: Path | None) -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415 - heavy

    if path is not None:
        with suppress(OSError, HuggingChatError):
            make_private(path.parent)
            path.touch(_PRIVATE_FILE)
            path.chmod(_PRIVATE_FILE)
            return FileHistory(str(path))
    return InMemoryHistory()
