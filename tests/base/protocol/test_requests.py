"""Addresses and ids: what is understood, and what is refused before it is sent."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfchat_base import InvalidRequestError
from hfchat_base._protocol import requests
from hfchat_base._protocol.requests import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable


ENDPOINT = Endpoint.parse("https://chat.example:8443/chat/")
CONVERSATION = "0" * 24
MESSAGE = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("address", "base_url", "origin", "host"),
    [
        ("https://h/chat/", "https://h/chat", "https://h", "h"),
        ("https://h:443/chat", "https://h/chat", "https://h", "h"),
        ("http://h:80", "http://h", "http://h", "h"),
        ("http://h:8080/", "http://h:8080", "http://h:8080", "h"),
        ("http://[::1]:3000", "http://[::1]:3000", "http://[::1]:3000", "::1"),
        (
            "HTTPS://HuggingFace.co./Chat",
            "https://huggingface.co/Chat",
            "https://huggingface.co",
            "huggingface.co",
        ),
        ("  https://h  ", "https://h", "https://h", "h"),
        (
            "https://fa\u00df.example/\u00e9",
            "https://xn--fa-hia.example/%C3%A9",
            "https://xn--fa-hia.example",
            "xn--fa-hia.example",
        ),
    ],
)
def test_addresses(address: str, base_url: str, origin: str, host: str) -> None:
    """An address gives the base of all paths and the origin, each in one spelling."""
    endpoint = Endpoint.parse(address)
    assert (endpoint.base_url, endpoint.origin, endpoint.host) == (base_url, origin, host)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "h",
        "ftp://h",
        "https://",
        "https://user@h",
        "https://h?q",
        "https://h/#f",
        "https://h\\@other",
        "https://h/a b",
        "https://h\n.example",
        "https://%68",
        "https://127.1",
        "https://h:0",
        "https://h:x",
        "https://[::1",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    """What could be read in more than one way is refused, as one of our errors."""
    with pytest.raises(InvalidRequestError, match="base_url"):
        Endpoint.parse(address)


@given(st.text())
def test_any_address(address: str) -> None:
    """Whatever is given as an address is one, or is refused."""
    with suppress(InvalidRequestError):
        assert Endpoint.parse(address).origin.startswith("http")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            requests.check_conversation_id,
            ["0" * 24, "6b028DE43d0be4961fc8670a"],
            ["", "0" * 23, "0" * 25, "g" * 24, "0" * 24 + "\n", "../" * 8],
        ),
        (requests.check_message_id, [MESSAGE], ["", MESSAGE[:-1], MESSAGE + "0", "x" * 36]),
        (requests.check_text, ["x", " "], [""]),
        (requests.check_title, ["x", "x" * 100], ["", "x" * 101]),
        (
            requests.check_share_id,
            ["AbC-_12", "https://h/chat/r/AbCdEfG", "https://h/r/AbCdEfG/"],
            ["", "https://h/r/?AbCdEfG", "AbCdEf", "AbCdEfGh", "é" * 7, "https://h/r/"],
        ),
    ],
)
def test_checks(check: Callable[[str], str], good: list[str], bad: list[str]) -> None:
    """What the server would answer with a 500 is refused here."""
    for value in good:
        assert check(value) == value.rstrip("/").rpartition("/r/")[2] or check(value) == value
    for value in bad:
        with pytest.raises(InvalidRequestError):
            check(value)


def test_share_by_the_address_of_a_message() -> None:
    """The page's own address of a share names a message too, which is left out."""
    assert requests.check_share_id("https://h/chat/r/AbCdEfG?leafId=0/abcdefg#x") == "AbCdEfG"
