"""One rich answer of the local server, taped byte by byte, to be played back thousands of times.

The tape is made anew by each test run, from a current server whose model thinks, calls a tool, and
uses characters outside of the basic plane, and whose final text therefore differs from what was
streamed. Playing bytes back is ten times faster than asking the server.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hfchat_base import HuggingChat
from hfchat_base.local import FunctionBackend, LocalModel, LocalServer, LocalTool, ToolServer
from hfchat_base.local.backends import Reasoning, Text, ToolCall, words
from tests.support.faults.fault_server import (
    CREATE,
    MODELS,
    READ,
    RESUME,
    SEND,
    TOOL_SERVERS,
    FaultServer,
)
from tests.support.faults.http1 import Asked
from tests.support.faults.origins import Taping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.local import ChatRequest
    from hfchat_base.local.backends import Piece

TOOL_SERVER: Final = "Weather"

_GENERATION_ID: Final = re.compile(rb'"generationId":\s*"([0-9a-f-]{36})"')


def _reply(request: ChatRequest) -> Iterator[Piece]:
    if request.messages[-1]["role"] != "tool":
        yield from (Reasoning(word) for word in words("Welche Stadt? 🤔 Größe𠮷. "))
        yield from (Text(word) for word in words("Let me check 🔎 …\n"))
        yield ToolCall("weather", '{"query": "Zürich 🏔️"}', "call_1")
        return
    yield from (Reasoning(word) for word in words("It said something. "))
    yield from (Text(word) for word in words("It is 21 °C 🌡️ in 𠮷Zürich.\u2028Nice \u0085😀!"))


def rich_server() -> LocalServer:
    """A current server whose one model gives the rich answer, not started."""
    tool = LocalTool("weather", lambda query: f"☀️ 21 °C in {query}")
    return LocalServer(
        models=[LocalModel("rich/answer", FunctionBackend(_reply), supports_tools=True)],
        tool_servers=[ToolServer(TOOL_SERVER, "http://weather.example/mcp", [tool], base=True)],
    )


@dataclass(frozen=True)
class Tape:
    """What a server said, whole responses with their heads.

    Attributes:
        responses: By route.
        generation_id: The run's own id, which the player replaces by the client's.
    """

    responses: dict[str, bytes]
    generation_id: bytes

    @property
    def answer(self) -> bytes:
        """The response to the message."""
        return self.responses[SEND]

    @property
    def log(self) -> bytes:
        """The response to a resume."""
        return self.responses[RESUME]


class Player:
    """Plays a tape back, as the script of a `FaultServer`.

    Args:
        tape: The tape.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._generation_id = tape.generation_id

    def __call__(self, asked: Asked) -> bytes:
        """Answer a request as the server did."""
        for route, response in self._tape.responses.items():
            if re.match(route, asked.name):
                if route == SEND and (found := _GENERATION_ID.search(asked.body)):
                    self._generation_id = found[1]
                return response.replace(self._tape.generation_id, self._generation_id)
        raise AssertionError(asked.name)


def tape() -> Tape:
    """Ask the server once, with the client, and keep every byte that it says."""
    with rich_server() as server:
        taping = Taping(server.base_url)
        with FaultServer(taping) as proxy, HuggingChat(proxy.url) as client:
            client.get_models()
            conversation = client.create_conversation("rich/answer")
            conversation.send("How is the weather?", mcp_servers=[TOOL_SERVER])
            sent = next(asked for asked, _ in taping.tape if re.match(SEND, asked.name))
            found = _GENERATION_ID.search(sent.body)
            assert found is not None
            log = f"GET {sent.target}/stream?generationId={found[1].decode()}&fromSeq=0 HTTP/1.1"
            head = f"{log}\r\nhost: localhost\r\ncookie: {sent.header('cookie')}\r\n\r\n"
            fetch(proxy.url, head.encode())
    responses = {
        route: next(data for asked, data in taping.tape if re.match(route, asked.name))
        for route in (MODELS, TOOL_SERVERS, CREATE, SEND, RESUME, READ)
    }
    return Tape(responses, found[1])


def fetch(base_url: str, request: bytes) -> bytes:
    """Send the bytes of a request and read all that comes."""
    parts = urlsplit(base_url)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.sendall(request)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return data
