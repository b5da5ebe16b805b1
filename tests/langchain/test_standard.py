"""The standard suites of langchain-tests, unchanged, over HTTP.

What is set here are the suites' own switches: which abilities there are. Off are those that a
HuggingChat server has not: audio, PDF and token counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from hfchat_base import Upload
from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.pictures import PNG


def _fetch_png(url: str) -> Upload:
    return Upload.from_source(PNG, name=url.rpartition("/")[2])


@pytest.mark.filterwarnings("ignore::langchain_huggingchat.IgnoredParameterWarning")
class TestUnit(ChatModelUnitTests):
    """The suite without a server."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """What is tested."""
        return ChatHuggingChat

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """Variables of the environment, and the settings that come of them."""
        environment = {
            "HUGGINGCHAT_MODEL": "some/model",
            "HUGGINGCHAT_BASE_URL": "https://chat.example.com",
        }
        settings = {"model": "some/model", "base_url": "https://chat.example.com"}
        return environment, {}, settings


@pytest.mark.filterwarnings("ignore::langchain_huggingchat.IgnoredParameterWarning")
class TestIntegration(ChatModelIntegrationTests):
    """The suite against a server whose model obeys."""

    _base_url = ""

    @pytest.fixture(autouse=True)
    def _use_server(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        # Some tests get a picture from GitHub; the tests of this project need no network.
        picture = httpx.Response(200, content=PNG)
        monkeypatch.setattr(
            "langchain_tests.integration_tests.chat_models.httpx.get", lambda *_, **__: picture
        )
        type(self)._base_url = server.base_url
        yield
        type(self)._base_url = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """What is tested."""
        return ChatHuggingChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """How it is made."""
        return {"base_url": self._base_url, "fetch_file": _fetch_png}

    @property
    def supports_json_mode(self) -> bool:
        """It does."""
        return True

    @property
    def supports_image_inputs(self) -> bool:
        """It does."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """It does."""
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        """It does."""
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
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
