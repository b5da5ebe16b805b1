"""The window to log in with: which browser it is, and a real Firefox."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from hfchat_base import InvalidRequestError
from hfchat_base._protocol.requests import Endpoint
from hfchat_base.auth.browser_window import _proxy_settings, find_browser, new_window
from tests.support.replay import RawRequest, RawServer, Wire, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site() -> Iterator[str]:
    """A site that sets a session's cookie, and says so with a page."""

    def answer(_: RawRequest, wire: Wire) -> None:
        cookie = "hf-chat=seen; Path=/; Max-Age=86400; HttpOnly"
        wire.send(whole("<p>hello</p>", content_type="text/html", headers={"set-cookie": cookie}))

    with RawServer(answer) as server:
        yield server.base_url


@pytest.mark.timeout(400)
async def test_cookies_of_a_real_firefox(firefox: str, tmp_path: Path, site: str) -> None:
    """The cookies of a running Firefox are read, and closing it leaves no process behind."""
    endpoint = Endpoint.parse(site)
    window = new_window(
        find_browser(firefox), endpoint, tmp_path / "p", headless=True, proxy=None, arguments=()
    )
    await window.open(site)
    try:
        until = time.monotonic() + 60
        while not (cookies := await window.cookies()) and time.monotonic() < until:
            assert not window.is_closed
            await asyncio.sleep(0.2)
    finally:
        await window.close()
    assert window.is_closed
    assert [(cookie.name, cookie.value) for cookie in cookies] == [("hf-chat", "seen")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h:3128", {"server": "http://h:3128"}),
        ("socks5h://[::1]:1080", {"server": "socks5://[::1]:1080"}),
        (
            "http://a%40b:p%3Ass@h:1",
            {"server": "http://h:1", "username": "a@b", "password": "p:ss"},
        ),
    ],
)
def test_settings_of_the_window(text: str, expected: dict[str, str]) -> None:
    """The window's browser is given the same proxy as libcurl, in its own words."""
    assert _proxy_settings(text) == expected


def test_browser_that_is_not_supported() -> None:
    """A name that is neither a supported browser nor a program is refused."""
    with pytest.raises(InvalidRequestError, match="'netscape' is not a supported browser"):
        find_browser("netscape")
