"""A chat-ui as companies run it: behind a proxy, with certificates of their own, and a gateway.

The proxy alone knows the name `HOST`, the certificate is for that name, and the gateway lets
through who sends the header `x-team`. Behind it stands a local server.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trustme

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from typing_extensions import Self

    from hfchat_base.local import LocalServer

__all__ = ["HOST", "Company"]

HOST: Final = "chat.company.example"

_FORBIDDEN: Final = (
    b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 50\r\n"
    b"connection: close\r\n\r\n<html><h1>Gateway: which team are you?</h1></html>"
)


class Company:
    """A network of its own around a local server.

    Args:
        server: The server, which has been started.

    Attributes:
        base_url: The server's address in that network.
        authority: File with the certificate of the company's authority.
        proxy: Address of the way into the network.
    """

    def __init__(self, server: LocalServer) -> None:
        _, _, behind = server.base_url.partition("//")
        address, _, path = behind.partition("/")
        host, _, port = address.partition(":")
        self.base_url = f"https://{HOST}/{path}"
        self._behind = (host, int(port))
        self._gateway = 0
        self._folder = tempfile.TemporaryDirectory()
        self.authority = str(Path(self._folder.name, "authority.pem"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(self._tls)
        self.proxy = ""

    def start(self) -> Self:
        """Open the network."""
        ready = threading.Event()
        threading.Thread(target=asyncio.run, args=(self._serve(ready),), daemon=True).start()
        ready.wait()
        return self

    async def _serve(self, ready: threading.Event) -> None:
        gateway = await asyncio.start_server(self._guard, "127.0.0.1", 0, ssl=self._tls)
        proxy = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._gateway = gateway.sockets[0].getsockname()[1]
        self.proxy = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        ready.set()
        await asyncio.gather(gateway.serve_forever(), proxy.serve_forever())

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take a client of the proxy to the gateway."""
        with suppress(EOFError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(f"CONNECT {HOST}:443 ".encode()):
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                await _join(reader, writer, ("127.0.0.1", self._gateway))
        writer.close()

    async def _guard(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take a client of the gateway to the server, if it says whose it is."""
        with suppress(EOFError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"\r\nx-team:" in head.lower():
                await _join(reader, writer, self._behind, head)
            else:
                writer.write(_FORBIDDEN)
        writer.close()


async def _join(
    reader: StreamReader, writer: StreamWriter, address: tuple[str, int], first: bytes = b""
) -> None:
    """Pass bytes on, both ways, until both sides have ended."""
    there, back = await asyncio.open_connection(*address)
    back.write(first)
    await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(source: StreamReader, target: StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
