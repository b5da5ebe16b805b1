"""A server whose tokens say when they were written, by the machine's monotonic clock in seconds.

Run as a command it is that server. Everything but the answers comes from a `LocalServer` behind it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket

from benchmarks.servers import HEAD, serve, serving
from hfchat_base.local import LocalServer
from hfchat_base.local.wire import wire_line
from tests.support.faults.fault_server import SEND, FaultServer
from tests.support.faults.http1 import chunked
from tests.support.faults.origins import Source

BASE_PATH = "/chat"


@dataclass(frozen=True)
class Stamping:
    """How the tokens of an answer are written.

    Attributes:
        tokens: How many there are, one a line.
        tokens_a_write: How many are written at once, with the same stamp.
        pause: Seconds from one writing to the next.
    """

    tokens: int
    tokens_a_write: int = 1
    pause: float = 0.0

    def meet(self, client: socket, _ask: Callable[[], Source]) -> None:
        """Write an answer, whatever was asked."""
        client.sendall(HEAD + _chunk(wire_line({"type": "status", "status": "started"})))
        began = time.monotonic()
        stamps: list[str] = []
        while len(stamps) < self.tokens:
            count = min(self.tokens_a_write, self.tokens - len(stamps))
            stamp = f"{time.monotonic():.6f} "
            client.sendall(_chunk(wire_line({"type": "stream", "token": stamp}) * count))
            stamps += [stamp] * count
            if self.pause:
                due = began + len(stamps) / self.tokens_a_write * self.pause
                time.sleep(max(due - time.monotonic(), 0))
        final = {"type": "finalAnswer", "text": "".join(stamps), "interrupted": False}
        end = wire_line(final) + wire_line({"type": "status", "status": "finished"})
        client.sendall(chunked(end, len(end)))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def stamped_server(stamping: Stamping) -> Iterator[str]:
    """A server in another process that stamps its tokens; its address, without `BASE_PATH`."""
    numbers = stamping.tokens, stamping.tokens_a_write, stamping.pause
    with serving("benchmarks.stamped", *map(str, numbers)) as address:
        yield address


def _main(tokens: str, tokens_a_write: str, pause: str) -> None:
    stamping = Stamping(int(tokens), int(tokens_a_write), float(pause))
    with LocalServer(base_path=BASE_PATH) as behind, FaultServer(behind.base_url) as server:
        server.on(SEND, stamping, always=True)
        serve(server.url)


if __name__ == "__main__":
    _main(*sys.argv[1:])
