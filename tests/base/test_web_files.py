"""Files from the web are fetched from public addresses only."""

from __future__ import annotations

import pytest

from hfchat_base import InvalidRequestError
from hfchat_base.files import fetch_public_file
from hfchat_base.local import LocalServer


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/x.png",
        "http://127.0.0.1:80/x.png",
        "http://[::1]/x.png",
        "http://10.1.2.3/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "https://",
        "http://no-such-host.invalid/x.png",
    ],
)
def test_addresses_that_are_not_asked(address: str) -> None:
    """Private, odd and unknown addresses are refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        fetch_public_file(address)


def test_nothing_reaches_a_private_server(current_server: LocalServer) -> None:
    """A server of the private network does not hear of it."""
    with pytest.raises(InvalidRequestError, match="give its bytes"):
        fetch_public_file(f"{current_server.base_url}/favicon.png")
    assert current_server.requests == []
