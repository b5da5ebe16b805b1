"""The standard integration suite of langchain-tests, unchanged, for LangChain's own OpenAI model.

What is set here are the suite's own switches: which abilities there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from hfchat_base.local import FunctionBackend, LocalModel, LocalServer
from tests.support.api_server import KEY, ApiServer
from tests.support.obedient import obey
from tests.support.pictures import PNG


@pytest.fixture(scope="module")
def obedient_api() -> Iterator[ApiServer]:
    """The API in front of models that obey."""
    backend = FunctionBackend(obey)
    models = [LocalModel(name, backend, multimodal=True) for name in ("obedient", "obedient/two")]
    with LocalServer(models=models) as server, ApiServer(server.base_url) as api:
        yield api


@pytest.mark.filterwarnings("ignore::UserWarning")  # ChatOpenAI's own, about pydantic's classes
class TestChatOpenAI(ChatModelIntegrationTests):
    """`ChatOpenAI` on this API."""

    _params: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    async def _use_api(
        self, obedient_api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[None]:
        # Some tests get a picture from GitHub; the tests of this project need no network.
        picture = httpx.Response(200, content=PNG)
        monkeypatch.setattr(
            "langchain_tests.integration_tests.chat_models.httpx.get", lambda *_, **__: picture
        )
        # ChatOpenAI does not close connections of its own.
        with httpx.Client() as http_client:
            async with httpx.AsyncClient() as http_async_client:
                type(self)._params = {
                    "base_url": obedient_api.url,
                    "api_key": KEY,
                    "http_client": http_client,
                    "http_async_client": http_async_client,
                }
                yield
        type(self)._params = {}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """What is tested."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """How it is made."""
        return {**self._params, "model": "obedient"}

    @property
    def supports_json_mode(self) -> bool:
        """It does."""
        return True

    @property
    def supports_image_inputs(self) -> bool:
        """It does."""
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        """It does."""
        return True

    @property
    def returns_usage_metadata(self) -> bool:
        """No server reports how many tokens it has read and written."""
        return False

    @property
    def model_override_value(self) -> str:
        """Another model of the server."""
        return "obedient/two"
