"""The Typer app: the commands put together, and what all of them have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from hfchat_base import __version__
from hfchat_base.cli.commands.ask import ask
from hfchat_base.cli.commands.chat import chat
from hfchat_base.cli.commands.conversations import conversations
from hfchat_base.cli.commands.demo import demo
from hfchat_base.cli.commands.doctor import doctor
from hfchat_base.cli.commands.login import login
from hfchat_base.cli.commands.logout import logout
from hfchat_base.cli.commands.models import models
from hfchat_base.cli.commands.serve import serve
from hfchat_base.cli.commands.whoami import whoami
from hfchat_base.cli.failures import CommandGroup, write_log
from hfchat_base.cli.flags import PlainCommand

__all__ = ["app"]

app = typer.Typer(
    name="hfchat",
    cls=CommandGroup,
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
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """HuggingChat in the terminal, and a HuggingChat server of your own.

    Try hfchat demo first: it needs no account.
    """
    write_log(everything=debug)


for _command in (demo, ask, chat, models):
    app.command(cls=PlainCommand)(_command)
app.add_typer(conversations, name="conversations")
for _command in (login, logout, whoami, doctor, serve):
    app.command(cls=PlainCommand)(_command)
