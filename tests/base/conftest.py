"""Fixtures of the base client's tests."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import AsyncHuggingChat, HuggingChat

if TYPE_CHECKING:
    from tests.support.attempts import Operation, Try


@pytest.fixture(params=["sync", "async"])
def attempt(request: pytest.FixtureRequest) -> Try:
    """Do something with a client of either kind: steps, each given the result of the one before."""

    def synchronously(base_url: str, *steps: Operation, **settings: Any) -> Any:
        with HuggingChat(base_url, **settings) as client:
            result: Any = client
            for step in steps:
                result = step(result)
            return result

    def asynchronously(base_url: str, *steps: Operation, **settings: Any) -> Any:
        async def run() -> Any:
            async with AsyncHuggingChat(base_url, **settings) as client:
                result: Any = client
                for step in steps:
                    result = step(result)
                    if inspect.isawaitable(result):
                        result = await result
                return result

        return asyncio.run(run())

    return synchronously if request.param == "sync" else asynchronously
