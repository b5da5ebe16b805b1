"""The settings of a chat model, and what LangChain asks about a model before it asks the model.

What lives here: arguments with their aliases, the clients that they make, and what traces, caches,
pickles and middleware get to see, which is never a secret. Asking is in `asking.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.utils import from_env
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from hfchat_base import Model, Retries, Timeouts, Upload, __version__
from hfchat_base._protocol.constants import DEFAULT_BASE_URL
from hfchat_base.client import BASE_URL_VARIABLE, MODEL_VARIABLE
from hfchat_base.secret import fingerprint, hide_arguments, hide_servers, reveal, reveal_values
from hfchat_base.validation import CLIENT, check, check_client, check_servers, invalid
from langchain_huggingchat.chunks import PROVIDER
from langchain_huggingchat.clients import Clients
from langchain_huggingchat.errors import as_model_error
from langchain_huggingchat.parameters import warn_ignored
from langchain_huggingchat.profiles import profile_of

__all__ = ["HuggingChatSettings"]


class HuggingChatSettings(BaseChatModel):
    """A chat model that has all settings and does not answer yet."""

    model_config = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        # What is refused may be a secret.
        hide_input_in_errors=True,
    )

    model: str | None = Field(
        default_factory=from_env(MODEL_VARIABLE, default=None),
        validation_alias=AliasChoices("model", "model_name", "model_id"),
    )
    """Id or short name of the model. By default ``HUGGINGCHAT_MODEL``, or the server's own."""

    base_url: str = Field(
        default_factory=from_env(BASE_URL_VARIABLE, default=DEFAULT_BASE_URL),
        validation_alias=AliasChoices("base_url", "api_base", "server_url"),
    )
    """Address of the server. By default ``HUGGINGCHAT_BASE_URL``, or HuggingChat itself."""

    cookies: Any = Field(default=None, exclude=True, repr=False)
    """The session, in any form that `HuggingChat` takes. By default it looks for one as told
    there."""

    ephemeral: bool = False
    """Whether to delete each conversation after its answer; then every call sends the history."""

    web_search: bool = False
    """Whether to search the web for every answer."""

    mcp_servers: Sequence[Any] = Field(default=(), exclude=True, repr=False)
    """Tool servers for the server to use, names of its own or ``{"name", "url", "headers"}``."""

    on_elicitation: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    """Answers the questions of such tools. By default a graph is interrupted, or they are
    declined."""

    stop: list[str] | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    """Stop sequences. Nothing behind one is returned, and the server's run is ended; the server is
    not told of them."""

    streaming: bool | None = None
    """Whether `invoke` streams as well, for callbacks that listen to tokens."""

    timeout: float | Timeouts | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds without progress after which to give up, or all deadlines one by one."""

    max_retries: int | None = None
    """How often to try again what is safe to repeat; 0 sends every message once. By default as
    `Retries` says."""

    proxy: str | SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Address of a proxy. By default what the environment says."""

    headers: Mapping[str, str | SecretStr] | None = Field(
        default=None,
        validation_alias=AliasChoices("headers", "default_headers"),
        exclude=True,
        repr=False,
    )
    """Headers to send with every request, for servers behind a gateway."""

    verify: bool | str = True
    """Whether to check certificates, or a file with the ones to trust."""

    max_tool_asks: int = Field(default=3, ge=1)
    """How often a tool call that was forced is asked for in all, if it does not come."""

    fetch_file: Callable[[str], Upload] | None = Field(default=None, exclude=True, repr=False)
    """Gets images that messages give by their web address. By default public addresses are
    fetched, without cookies and up to the server's limit for files."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """A `HuggingChat` or `AsyncHuggingChat` to use instead of one's own."""

    if not TYPE_CHECKING:  # type checkers read the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                # pydantic's own error would be kept as the context, and hold the values.
                refusal = as_model_error(invalid(error))
            else:
                return
            raise refusal

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, values: Any) -> Any:
        """Warn about arguments that nobody will look at."""
        if not isinstance(values, dict):
            return values
        known: set[str] = set()
        for name, field in cls.model_fields.items():
            known.add(name)
            if isinstance(field.validation_alias, AliasChoices):
                known.update(map(str, field.validation_alias.choices))
        warn_ignored(
            name
            for name, value in values.items()
            # Private names are what copies of a model bring along.
            if name not in known and value is not None and not name.startswith("_")
        )
        return {name: value for name, value in values.items() if name in known}

    @field_validator("cookies", mode="before")
    @classmethod
    def _hide_cookies(cls, cookies: Any) -> Any:
        if cookies is None or isinstance(cookies, (SecretStr, Secret)):
            return cookies
        return SecretStr(cookies) if isinstance(cookies, str) else Secret(cookies)

    @field_validator("mcp_servers", mode="before")
    @classmethod
    def _hide_headers(cls, servers: Any) -> Any:
        return hide_servers(check_servers(servers))

    @model_validator(mode="after")
    def _share_client(self) -> Self:
        """Keep the clients where instances made of this one, with other settings, find them."""
        settings = self._client_settings()
        check_client(settings)
        if not isinstance(self.client, Clients):
            self.client = Clients(settings, check("client", self.client, CLIENT))
        elif not self.client.serves(settings):
            self.client = Clients(settings)
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """What a pickle holds: the settings, but no secret and no connection."""
        state = super().__getstate__()
        kept = {
            name: value
            for name, value in state["__dict__"].items()
            if name not in {"cookies", "headers", "proxy", "client"}
        }
        return {**state, "__dict__": kept}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Make a model of a pickle: as a guest, or with a session that is found anew."""
        without = {"cookies": None, "headers": None, "proxy": None, "client": None}
        super().__setstate__({**state, "__dict__": {**state["__dict__"], **without}})
        self.client = Clients(self._client_settings())

    @model_validator(mode="after")
    def _set_huggingchat_version(self) -> Self:
        if hasattr(self, "_add_version"):  # langchain-core 1.7 and later
            self._add_version("hfchat", __version__)
        return self

    def _client_settings(self) -> dict[str, Any]:
        timeouts = self.timeout
        if isinstance(timeouts, (int, float)):
            timeouts = Timeouts(first_event=timeouts, progress=timeouts)
        retries = None if self.max_retries is None else Retries(attempts=self.max_retries + 1)
        return {
            "base_url": self.base_url,
            "cookies": reveal(self.cookies),
            "ephemeral": self.ephemeral,
            "timeouts": timeouts,
            "retries": retries,
            "proxy": reveal(self.proxy),
            "headers": reveal_values(self.headers),
            "verify": self.verify,
        }

    @property
    def _llm_type(self) -> str:
        return "huggingchat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "web_search": self.web_search,
            "mcp_servers": list(self.mcp_servers),
            "stop": self.stop,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return super()._get_invocation_params(stop=stop, **_showable(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # What servers of tools answer may depend on who asks, so calls are told apart by that.
        shown = _showable(kwargs)
        return super()._get_llm_string(stop=stop, **shown) + fingerprint(self.mcp_servers, shown)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER,
            ls_model_type="chat",
            ls_model_name=kwargs.get("model") or self.model or "default",
        )
        if stop := stop or self.stop:
            params["ls_stop"] = stop
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self._known_model())

    def _known_model(self) -> Model | None:
        """The model as the server lists it, if the list has been read already."""
        client = self.client.any if isinstance(self.client, Clients) else None
        catalog = client.server.catalog if client else None
        if catalog is None:
            return None
        return catalog.resolve(self.model) if self.model else catalog.default

    def get_num_tokens(self, text: str) -> int:
        """Estimate how many tokens a text has; chat-ui does not tell which tokenizer is used."""
        return count_tokens_approximately([HumanMessage(text)], extra_tokens_per_message=0)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate how many tokens a history has, and the tools that are offered with it."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)

    def close(self) -> None:
        """Close the connections of the synchronous client; a later call opens new ones."""
        self.client.close()

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        await self.client.aclose()


def _showable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Call arguments as traces and cache keys may hold them."""
    return hide_arguments(
        {name: value for name, value in kwargs.items() if name != "on_elicitation"}
    )
