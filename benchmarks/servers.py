"""What the measured clients talk to, each in a process of its own.

Run as a command it is that process: it prints its address and serves until its input ends.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket

from hfchat_base._protocol.constants import Generation
from hfchat_base.local import LocalServer, default_models
from hfchat_base.local.wire import wire_line
from tests.support.faults.fault_server import SEND, FaultServer
from tests.support.faults.http1 import Asked
from tests.support.faults.origins import Behind, BytesSource, Source
from tests.support.openai_endpoint import OpenAIEndpoint

BARE_PATH = "/bare"
"""Where a canned server gives its answer to whoever asks, without a conversation."""

FLOOD_MODEL = "long/flood"
"""The model that says the tokens of a `Writing` when it is asked for a flood of as many."""

_COMPLETIONS = "POST /v1/chat/completions"
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n"
    b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)
"""What a streamed answer begins with."""


@dataclass(frozen=True)
class Writing:
    """How a canned answer is cut and sent.

    Attributes:
        tokens: How many tokens it has, one a line; a status stands before them, the final answer
            and another status behind.
        lines_a_chunk: How many lines each chunk of HTTP has; chat-ui sends one (R).
        pause: Seconds between two chunks. With 0 the answer is sent as fast as it is read; with
            more, the client is woken for each chunk, as by a model that takes its time.
    """

    tokens: int
    lines_a_chunk: int = 1
    pause: float = 0.0

    @property
    def lines(self) -> int:
        """How many lines the answer has."""
        return self.tokens + 3

    def chunks(self) -> list[bytes]:
        """The answer as a client should get it, chunk by chunk."""
        words = [f"tok{number} " for number in range(self.tokens)]
        lines = [
            wire_line({"type": "status", "status": "started"}),
            *(wire_line({"type": "stream", "token": word}) for word in words),
            wire_line({"type": "finalAnswer", "text": "".join(words), "interrupted": False}),
            wire_line({"type": "status", "status": "finished"}),
        ]
        return [
            b"".join(lines[start : start + self.lines_a_chunk])
            for start in range(0, len(lines), self.lines_a_chunk)
        ]

    def meet(self, client: socket, _ask: Callable[[], Source]) -> None:
        """Send the answer, whatever was asked."""
        pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in self.chunks()]
        if not self.pause:
            client.sendall(HEAD + b"".join(pieces) + b"0\r\n\r\n")
            return
        client.sendall(HEAD)
        for piece in pieces:
            client.sendall(piece)
            time.sleep(self.pause)
        client.sendall(b"0\r\n\r\n")


class _Replaying(Behind):
    """A server behind, and models at OpenAI's paths, whose answers are kept and given again.

    So clients of either protocol get their bytes as fast as they take them.

    Args:
        base_url: The server's address.
        openai_url: That of the models.
    """

    def __init__(self, base_url: str, openai_url: str) -> None:
        super().__init__(base_url)
        self._openai = Behind(openai_url)
        self._kept: dict[bytes, bytes] = {}

    def answer(self, asked: Asked, client: socket) -> Source:
        """Pass a request on, or answer it as the last time."""
        if asked.name != _COMPLETIONS:
            return super().answer(asked, client)
        if asked.body not in self._kept:
            source = self._openai.answer(asked, client)
            self._kept[asked.body] = b"".join(iter(source.read, b""))
            source.close()
        return BytesSource(self._kept[asked.body])


@contextmanager
def local_server(generation: Generation = "current") -> Iterator[str]:
    """A `LocalServer` in another process; its base address."""
    with serving("benchmarks.servers", "local", generation) as address:
        yield address


@contextmanager
def canned_server(writing: Writing) -> Iterator[str]:
    """A server in another process that answers every message with the same bytes.

    The other requests are answered by a `LocalServer` behind it. Those to OpenAI's paths are
    answered by the same models, the same way each time, as fast as the canned ones.
    """
    numbers = writing.tokens, writing.lines_a_chunk, writing.pause
    with serving("benchmarks.servers", "canned", *map(str, numbers)) as address:
        yield address


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """A module's server in another process; its address.

    Args:
        module: One that calls `serve` when it is run.
        arguments: What it is given.
    """
    command = [sys.executable, "-m", module, *arguments]
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
        serve(server.base_url)


def _serve_canned(writing: Writing) -> None:
    with (
        LocalServer() as behind,
        OpenAIEndpoint(default_models()) as openai,
        FaultServer(_Replaying(behind.base_url, openai.url)) as server,
    ):
        server.on(SEND, writing, always=True)
        server.on(f"GET {BARE_PATH}", writing, always=True)
        serve(server.url)


def serve(address: str) -> None:
    """Tell the address, and wait until the input ends."""
    print(address, flush=True)
    sys.stdin.read()


def _main(kind: str, *arguments: str) -> None:
    if kind == "canned":
        tokens, lines_a_chunk, pause = arguments
        _serve_canned(Writing(int(tokens), int(lines_a_chunk), float(pause)))
    else:
        _serve_local("legacy" if arguments == ("legacy",) else "current")


if __name__ == "__main__":
    _main(*sys.argv[1:])
