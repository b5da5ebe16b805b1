"""The command `hfchat`.

This file needs nothing of the extra ``cli``, so that it can say what is missing. `app.py` holds the
Typer app; each command has a module of its own.
"""

from __future__ import annotations

import sys

from hfchat_base.errors import MissingRequirementsError
from hfchat_base.installation import add_for_uvx

__all__ = ["main"]

_NEEDED = ("jsonschema", "prompt_toolkit", "rich", "typer")
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for an error, 2 for wrong usage.

    Ctrl-C ends the process by SIGINT, for which shells report 130, so that it ends a shell's loop.
    """
    for stream in (sys.stdout, sys.stderr):
        # Answers hold any character, and a pipe may take only some of them.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        _run()
    except KeyboardInterrupt:
        # Python cleans up and ends by the signal if this exception reaches it.
        sys.excepthook = lambda *_: None
        raise


def _run() -> None:
    try:
        from hfchat_base.cli.app import app  # noqa: PLC0415 - may be missing, see the module

        app(prog_name="hfchat")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        # The demo needs so much more that it is added in one go.
        add_for_uvx("demo" if sys.argv[1:2] == ["demo"] else "cli")
        sys.exit(str(MissingRequirementsError.for_extra("cli", what="The command hfchat")))
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
