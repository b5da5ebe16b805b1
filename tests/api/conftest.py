"""The API in front of a local server of the current generation, and clients of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import openai
import pytest

from tests.support.api_server import KEY, ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfchat_base.local import LocalServer


@pytest.fixture(scope="session")
def _api(_current_server: LocalServer) -> Iterator[ApiServer]:
    with ApiServer(_current_server.base_url) as api:
        yield api


@pytest.fixture
def api(_api: ApiServer, current_server: LocalServer) -> ApiServer:  # noqa: ARG001 - cleared
    """The API, whose server has forgotten earlier requests."""
    return _api


@pytest.fixture
def client(api: ApiServer) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, which tries nothing again."""
    with openai.OpenAI(base_url=api.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def http(api: ApiServer) -> Iterator[httpx.Client]:
    """A plain HTTP client with the key."""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=api.address, headers=headers, timeout=60) as http:
        yield http
