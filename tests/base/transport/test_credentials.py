"""What a transport needs of a session: it knows no cookie and reads no file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hfchat_base._protocol.requests import Endpoint
from hfchat_base._transport.aio import AsyncTransport
from hfchat_base._transport.curl import Connection
from hfchat_base._transport.sync import SyncTransport
from tests.support.replay import RawServer, says, whole
from tests.support.transports import GET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfchat_base._protocol.http import Request


@dataclass
class Badge:
    """Credentials that have nothing to do with cookies, and note what happens to them."""

    is_resolved: bool = False
    is_guest: bool = False
    epoch: int = 7
    absorbed: list[tuple[list[str], str, int, int]] = field(default_factory=list)

    def resolve(self) -> None:
        """Find them."""
        self.is_resolved = True

    def headers(self, request: Request) -> dict[str, str]:
        """Carry them in a header of their own."""
        return {"x-badge": request.path}

    def absorb(
        self,
        set_cookies: Iterable[str],
        request: Request,
        status: int,
        epoch: int,
        *,
        date: str = "",  # noqa: ARG002 - nothing expires
    ) -> None:
        """Note what a response says."""
        self.absorbed.append((list(set_cookies), request.path, status, epoch))


def send(connection: Connection, badge: Badge) -> bool:
    """Send a request synchronously; return whether the response is to an account."""
    transport = SyncTransport(connection, badge, response_timeout=60, head_timeout=60)
    try:
        return transport.send(GET).had_session
    finally:
        transport.close()


def send_async(connection: Connection, badge: Badge) -> bool:
    """Send a request asynchronously; return whether the response is to an account."""

    async def run() -> bool:
        transport = AsyncTransport(connection, badge, response_timeout=60, head_timeout=60)
        try:
            return (await transport.send(GET)).had_session
        finally:
            await transport.close()

    had_session = asyncio.run(run())
    assert badge.is_resolved  # in a thread, before the event loop was needed
    return had_session


@pytest.mark.parametrize("ask", [send, send_async])
def test_any_credentials_will_do(ask: Callable[[Connection, Badge], bool]) -> None:
    """Their headers are sent, and they are given every Set-Cookie with its status and epoch."""
    badge = Badge()
    response = whole("{}", status=404, headers={"set-cookie": "a=b; Path=/"})
    with RawServer(says(response)) as server:
        assert ask(Connection(Endpoint.parse(server.base_url)), badge)
    (request,) = server.requests
    assert request.headers["x-badge"] == GET.path
    assert "cookie" not in request.headers
    assert badge.absorbed == [(["a=b; Path=/"], GET.path, 404, 7)]
