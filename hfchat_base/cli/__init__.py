"""The command `hfchat`.

This file is only the way in: it needs nothing that the extra ``cli`` brings, so that it can say
what is missing. The commands are put together in `app.py`, one module each in `commands/`; what is
shown while an answer comes is in `view/`, the interactive chat in `repl/`.
"""

from __future__ import annotations

import sys

from hfchat_base.errors import MissingRequirementsError

__all__ = ["main"]

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for an error, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        # Answers hold any character, and a pipe may take only some of them.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        from hfchat_base.cli.app import app  # noqa: PLC0415 - may be missing, see the docstring
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        sys.exit(str(MissingRequirementsError.for_extra("cli", what="The command hfchat")))
    app(prog_name="hfchat")
