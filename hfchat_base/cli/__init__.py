"""The command `hfchat`.

This file needs nothing of the extra ``cli``, so that it can say what is missing. `app.py` holds the
Typer app; each command has a module of its own.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import NoReturn

from hfchat_base.errors import MissingRequirementsError
from hfchat_base.installation import add_for_uvx

__all__ = ["main"]

_NEEDED = ("jsonschema", "prompt_toolkit", "rich", "typer")
_INTERRUPTED = 130
_SIGNALLED = 128
"""What shells add to a signal's number for the exit code."""


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for an error, 2 for wrong usage.

    Ctrl-C ends the process by SIGINT, for which shells report 130, so that it ends a shell's loop.
    SIGTERM, and the end of the terminal, end it with the code that shells report for them, once the
    server's run is stopped and the terminal is as it was.
    """
    for stream in (sys.stdout, sys.stderr):
        # Answers hold any character, and a pipe may take only some of them.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    for name in ("SIGTERM", "SIGHUP"):  # Windows has one of them
        number = getattr(signal, name, None)
        # `nohup` for one ignores them; only the main thread can handle signals.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL and _is_main_thread():
            signal.signal(number, _exit)
    try:
        _run()
    except KeyboardInterrupt:
        # Python cleans up and ends by the signal if this exception reaches it.
        sys.excepthook = lambda *_: None
        raise


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _exit(number: int, _: object) -> NoReturn:
    """End by an exception, so that whatever is open is closed; a second signal ends at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(_SIGNALLED + number)


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
