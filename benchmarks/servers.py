"""What the measured clients talk to, each in a process of its own.

Run as a command it is that process: it prints its address and serves until its input ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hfchat_base.local import LocalServer
from hfchat_base.protocol.facts import Generation


@contextmanager
def local_server(*, generation: Generation = "current") -> Iterator[str]:
    """A `LocalServer` in another process; its base address."""
    with _process("local", generation) as address:
        yield address


@contextmanager
def _process(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.servers", *arguments]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdout is None:
            raise RuntimeError("the server's output is not piped")
        try:
            yield server.stdout.readline().strip()
        finally:
            server.communicate()


def _serve_local(generation: Generation) -> None:
    with LocalServer(generation=generation) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve_local("legacy" if sys.argv[2] == "legacy" else "current")
