"""A real terminal around the command, for what only shows on one: animation, Ctrl-C, questions."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

SECONDS = 60.0
_SURE = 10  # looks in a row, because others hold Python's lock for a moment
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\r|\x01|\x02")
# The terminal has to be the session's own for Ctrl-C to arrive as a signal.
_COMMAND = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from hfchat_base.cli import main
main()
"""
# On Python 3.12 and 3.13 LlamaIndex asks for an event loop where there is none.
_WARNINGS = (
    "error,ignore:There is no current event loop:DeprecationWarning:llama_index.core.async_utils"
)


_TERMINAL = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
"""A terminal that is not asked where its cursor is, because nobody would answer."""


class TerminalSession:
    """The command in a pseudo-terminal of 100 columns and 40 lines.

    Args:
        arguments: What follows `hfchat`.
        environment: Variables on top of this process's own.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        variables = {**_TERMINAL, "PYTHONWARNINGS": _WARNINGS, **(environment or {})}
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-c", _COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Everything so far without escape sequences, redrawn frames included."""
        return _SEQUENCE.sub("", self.raw)

    def expect(self, wanted: str, seconds: float = SECONDS) -> str:
        """Wait until a text appears after what was expected before; return what came until it.

        Raises:
            AssertionError: It does not appear in time.
        """
        until = time.monotonic() + seconds
        while (found := self.text.find(wanted, self._seen)) < 0:
            if not self._read(until):
                raise AssertionError(f"{wanted!r} did not appear; there was:\n{self.text}")
        before, self._seen = self.text[self._seen : found], found + len(wanted)
        return before

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def line(self, text: str) -> None:
        """Type a line."""
        self.send(f"{text}\r")

    def paste(self, text: str) -> None:
        """Paste something, as terminals do for programs that ask for it (bracketed paste)."""
        self.send(f"\x1b[200~{text}\x1b[201~")

    def ctrl_c(self) -> None:
        """Press Ctrl-C."""
        self.send("\x03")

    def ctrl_d(self) -> None:
        """Press Ctrl-D."""
        self.send("\x04")

    def wait_until_reading(self) -> None:
        """Wait until the program waits for a key: its prompt comes a moment earlier.

        In between Python notes a Ctrl-C and waits for a key all the same.

        Raises:
            AssertionError: It does not in time.
        """
        until = time.monotonic() + SECONDS
        waiting = 0
        while waiting < _SURE:
            assert time.monotonic() < until, "no line is read"
            time.sleep(0.02)
            waiting = waiting + 1 if self._sleeps() else 0

    def _sleeps(self) -> bool:
        """Whether the main thread waits for something; where that is unknown, it is assumed."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except FileNotFoundError:
            return True
        return stat.rpartition(")")[2].split()[0] == "S"

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal, by default SIGINT, to the process alone."""
        self._process.send_signal(number)

    def is_restored(self) -> bool:
        """Whether what is typed is shown again, and the cursor too."""
        is_echoing = bool(termios.tcgetattr(self._master)[3] & termios.ECHO)
        return is_echoing and self.raw.rpartition("\x1b[?25")[2][:1] in ("h", "")

    def wait(self, seconds: float = SECONDS) -> int:
        """Wait for the end of the process and return its exit code."""
        until = time.monotonic() + seconds
        while self._read(until):
            pass
        return self._process.wait(max(0.1, until - time.monotonic()))

    def _read(self, until: float) -> bool:
        """Take in what has come; False at the end or after the deadline."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self._master], [], [], left)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux reports that the other side has closed
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)
