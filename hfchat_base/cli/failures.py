"""What a failed command says: one red line, and how it ends.

Not here: the errors' own words, which already say what to do (`hfchat_base/errors.py`).
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.text import Text

from hfchat_base.cli.flags import PlainGroup
from hfchat_base.cli.terminal import Terminal, clean, clean_line
from hfchat_base.errors import HuggingChatError, TransportError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["INTERRUPTED", "CommandGroup", "print_error", "write_log"]

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT."""


class CommandGroup(PlainGroup):
    """Commands whose errors are told in one line, unless ``--debug`` asks for the traceback."""

    def invoke(self, ctx: Any) -> Any:  # a Context of click, or of the copy that newer Typers hold
        """Run a command; an error of ours ends it with code 1, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except HuggingChatError as error:
            if ctx.params.get("debug"):
                # The interpreter would show what a server said as it is.
                sys.stderr.write(clean("".join(traceback.format_exception(error))))
            else:
                print_error(Terminal.detect().err, error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def print_error(console: Console, error: HuggingChatError) -> None:
    """Say in one red line what went wrong and what to do."""
    message = clean_line(str(error)) or type(error).__name__
    if isinstance(error, TransportError):
        message += " To try things out without a network: hfchat serve"
    console.print(
        Text.assemble(("Error: ", "hfchat.error"), (message, "hfchat.bad")), soft_wrap=True
    )


class _CleanFormatter(logging.Formatter):
    """Writes records without what a terminal would obey: they quote servers."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


def write_log(*, everything: bool) -> None:
    """Write the log to standard error. No secret is among it.

    Args:
        everything: Whether all that the package logs is wanted, or warnings alone.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_CleanFormatter("%(name)s: %(message)s" if everything else None))
    logging.basicConfig(level=logging.INFO if everything else logging.WARNING, handlers=[handler])
    if everything:
        logging.getLogger("hfchat").setLevel(logging.DEBUG)
