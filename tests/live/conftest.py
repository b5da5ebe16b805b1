"""The servers that the live tests talk to: the one that the environment names, and the local ones.

The environment is left as it is here, because it says who to be and which models to use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _clean_environment() -> None:
    """Leave the environment as it is."""


@pytest.fixture(params=["environment", "local-current", "local-legacy"])
def live_url(request: pytest.FixtureRequest) -> str:
    """The address of a server."""
    if request.param == "environment":
        address = os.environ.get("HUGGINGCHAT_BASE_URL", "")
        if not address:
            pytest.skip("no real server: HUGGINGCHAT_BASE_URL is not set")
        return address
    name = request.param.removeprefix("local-") + "_server"
    server_url: str = request.getfixturevalue(name).base_url
    return server_url


@pytest.fixture
def live_client(live_url: str) -> Iterator[HuggingChat]:
    """A client of that server."""
    with HuggingChat(live_url) as client:
        yield client
