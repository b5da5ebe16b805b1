"""The address of a proxy, for those who do not use libcurl: the window, and the doctor."""

from __future__ import annotations

import pytest

from hfchat_base import InvalidRequestError
from hfchat_base._transport.proxy import ProxyAddress
from hfchat_base.auth.window import _proxy_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h:3128", ProxyAddress("http", "h", 3128)),
        ("h:3128", ProxyAddress("http", "h", 3128)),
        ("h", ProxyAddress("http", "h")),
        ("socks5h://[::1]:1080/", ProxyAddress("socks5h", "[::1]", 1080)),
        ("http://a%40b:p%3Ass@h:1", ProxyAddress("http", "h", 1, "a@b", "p:ss")),
    ],
)
def test_addresses(text: str, expected: ProxyAddress) -> None:
    """Without a scheme it is an HTTP proxy, and name and password are decoded, as in libcurl."""
    assert ProxyAddress.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://s3cret@h", "http://u:s3cret@[::1", "http://u:s3cret@h:port"]
)
def test_what_is_none(text: str) -> None:
    """What cannot be read is one of our errors, and is not quoted."""
    with pytest.raises(InvalidRequestError) as caught:
        ProxyAddress.parse(text)
    assert "s3cret" not in str(caught.value)


def test_repr() -> None:
    """Nobody sees the password."""
    assert "s3cret" not in repr(ProxyAddress.parse("http://user:s3cret@h"))


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
