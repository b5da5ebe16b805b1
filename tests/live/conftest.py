"""The servers that the live tests talk to: the one that the environment names, and the local ones.

The environment here is that of whoever runs the tests: it says who to be and which models to use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfchat_base import HuggingChat
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    """Have the environment of whoever runs the tests."""
    with environment.of_caller():
        yield


@pytest.fixture(
    params=[
        pytest.param("environment", marks=pytest.mark.live),
        "local-current",
        "local-legacy",
    ]
)
def live_url(request: pytest.FixtureRequest) -> str:
    """The address of a server."""
    if request.param == "environment":
        address = environment.CALLER.get("HUGGINGCHAT_BASE_URL", "")
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
