"""Addresses: whatever the text, there is one reading of it, or none."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import InvalidRequestError
from hfchat_base._protocol.web_address import ProxyAddress, WebAddress

NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")

PIECES: list[str] = [
    *(
        "http://",
        "https://",
        "//",
        "/",
        "\\",
        "@",
        ":",
        "[",
        "]",
        "?",
        "#",
        "%",
        ".",
        "..",
        "-",
        "_",
    ),
    *(
        "0x7f",
        "127",
        "1",
        "80",
        "::1",
        "::ffff:",
        "%25",
        "%2e",
        "xn--",
        "example",
        "localhost",
        "A",
    ),
    *("\u00df", "\u3002", "\uff11", "\u200d", "\u00ad", "\ud800", "\t", "\n", "\0", " "),
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@given(st.sampled_from(["", "http://", "https://"]), TEXTS)
def test_any_text_has_one_reading(scheme: str, text: str) -> None:
    """An address reads the same after it was written, to others too, or is refused."""
    with suppress(InvalidRequestError):
        address = WebAddress.parse(scheme + text, what="It")
        assert WebAddress.parse(address.url, what="It") == address
        assert all("!" <= c <= "~" for c in address.url)
        parts = urlsplit(address.url)
        assert parts.hostname == address.host
        assert parts.port in (None, address.port)
        assert parts.username is None
        try:
            assert str(ipaddress.ip_address(address.host)) == address.host
        except ValueError:
            assert NAME.fullmatch(address.host)
            assert not re.search(r"(^|\.)(0x[0-9a-f]*|[0-9]+)$", address.host)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h", "http://h"),
        ("HTTP://H:80/A?B#C", "http://h/A?B"),
        ("https://h:80/", "https://h:80/"),
        ("http://[2001:DB8:0::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://8.8.8.8./", "http://8.8.8.8/"),
        ("http://b\u00fccher.example/\u00e9?\u00e9", "http://xn--bcher-kva.example/%C3%A9?%C3%A9"),
        ("http://a_b.example/%2e%2e/'\"<>[]", "http://a_b.example/%2e%2e/'\"<>[]"),
        ("http://h:/", "http://h/"),
    ],
)
def test_the_one_spelling(text: str, url: str) -> None:
    """Hosts are ASCII in lower case, a scheme's own port is left out, paths stay as they are."""
    assert WebAddress.parse(text, what="It").url == url


@pytest.mark.parametrize(
    "text", ["http://user:s3cret@h", "http://h:s3cret", "s3cret", "http://[s3cret"]
)
def test_errors_do_not_quote(text: str) -> None:
    """An address may hold a password, so an error does not repeat it."""
    with pytest.raises(InvalidRequestError, match=r"^It ") as caught:
        WebAddress.parse(text, what="It")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


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
def test_proxy_addresses(text: str, expected: ProxyAddress) -> None:
    """Without a scheme it is an HTTP proxy, and name and password are decoded, as in libcurl."""
    assert ProxyAddress.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://s3cret@h", "http://u:s3cret@[::1", "http://u:s3cret@h:port"]
)
def test_proxy_address_that_cannot_be_read(text: str) -> None:
    """What cannot be read is one of our errors, and is not quoted."""
    with pytest.raises(InvalidRequestError) as caught:
        ProxyAddress.parse(text)
    assert "s3cret" not in str(caught.value)


def test_password_of_a_proxy_is_not_shown() -> None:
    """Nobody sees the password."""
    assert "s3cret" not in repr(ProxyAddress.parse("http://user:s3cret@h"))
