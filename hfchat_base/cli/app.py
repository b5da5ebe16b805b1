"""The Typer app: its commands, its global options, and how errors end a command.

A new command is a module of its own and one line at the end of this file.
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from itertools import takewhile
from typing import Annotated, Any, Final, TextIO

import typer

from hfchat_base import HuggingChatError, MissingRequirementsError, __version__
from hfchat_base.cli.account import login, logout, whoami
from hfchat_base.cli.api import api
from hfchat_base.cli.ask import ask
from hfchat_base.cli.chat import chat
from hfchat_base.cli.conversations import conversations
from hfchat_base.cli.demo import demo
from hfchat_base.cli.doctor import doctor
from hfchat_base.cli.models import models
from hfchat_base.cli.options import PlainCommand, PlainGroup, WrongUsage
from hfchat_base.cli.serve import serve
from hfchat_base.cli.settings import settings
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note, print_error
from hfchat_base.installation import add_for_uvx

__all__ = ["INTERRUPTED", "app", "show_warning"]

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT."""


def _option_names(command: Any) -> set[str]:
    """All spellings of a command's options."""
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


class _CommandGroup(PlainGroup):
    """Commands that print an error as one line, or its traceback with ``--debug``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options; an option of a command is refused with where it belongs.

        Raises:
            WrongUsage: An option of a command comes before the command.
        """
        known = _option_names(self)
        for option in takewhile(lambda arg: arg.startswith("-"), args):
            name = option.partition("=")[0]
            owners = [o for o, command in self.commands.items() if name in _option_names(command)]
            if owners and name not in known:
                raise WrongUsage(
                    f"{name} comes after the command, as in: hfchat {owners[0]} {name}", ctx=ctx
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # a Context of click, or of the copy that newer Typers hold
        """Run a command; one of our errors ends it with code 1, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except HuggingChatError as error:
            if isinstance(error, MissingRequirementsError) and error.extra:
                add_for_uvx(error.extra)
            if ctx.params.get("debug"):
                # The interpreter would print what a server said without cleaning it.
                sys.stderr.write(clean("".join(traceback.format_exception(error))))
            else:
                print_error(Terminal.detect().err, error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


class _CleanFormatter(logging.Formatter):
    """Removes what a terminal would obey from log records, because they quote servers."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


def _set_up_log(*, everything: bool) -> None:
    """Write the log to standard error. It holds no secret.

    Args:
        everything: Whether to write all that the package logs, or warnings only.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_CleanFormatter("%(name)s: %(message)s" if everything else None))
    logging.basicConfig(level=logging.INFO if everything else logging.WARNING, handlers=[handler])
    if everything:
        logging.getLogger("hfchat").setLevel(logging.DEBUG)
        return
    # What event loops log about tasks that Ctrl-C ended does not concern the person who pressed it.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    # The view says what a command waits for, with a countdown.
    handler.addFilter(lambda record: not record.getMessage().startswith("waiting "))
    if not sys.warnoptions:
        warnings.showwarning = show_warning


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning of ours as a line without a path, and none of a library."""
    del filename, lineno, file, line
    if category is UserWarning:
        Terminal.detect().err.print(note(f"Warning: {clean_line(str(message))}"), soft_wrap=True)


app = typer.Typer(
    name="hfchat",
    cls=_CommandGroup,
    no_args_is_help=True,
    # A pretty traceback may show local variables, and a session is one of them.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hfchat {__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the log, and tracebacks of errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - the callback does it
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """HuggingChat in the terminal, and a HuggingChat server of your own.

    Try hfchat demo first: it needs no account.
    """
    _set_up_log(everything=debug)


for _command in (demo, ask, chat, models):
    app.command(cls=PlainCommand)(_command)
app.add_typer(conversations, name="conversations")
for _command in (settings, login, logout, whoami, doctor, serve, api):
    app.command(cls=PlainCommand)(_command)
