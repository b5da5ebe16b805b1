"""`ChatHuggingChat`, the chat model.

What goes in: LangChain's messages become the base client's (`messages.py`), tools become
instructions (`hfchat_base.tools`), and the base client finds the conversation that already holds
the history's beginning and sends what is new. What comes out: text and calls (`hfchat_base.tools`
again) and the server's other events become chunks (`chunks.py`). Here are the settings and the four
ways to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import (
    BaseChatModel,
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from hfchat_base import (
    Answer,
    ChatMessage,
    McpServer,
    Model,
    Retries,
    Timeouts,
    Upload,
    __version__,
)
from hfchat_base.client_base import BASE_URL_VARIABLE, MODEL_VARIABLE
from hfchat_base.protocol.facts import DEFAULT_BASE_URL
from hfchat_base.protocol.flows import conversations
from hfchat_base.tools import Dialog
from hfchat_base.web_files import fetch_public_file
from langchain_huggingchat.chunks import PROVIDER, ChunkMaker, metadata_of, register_blocks
from langchain_huggingchat.clients import Clients
from langchain_huggingchat.elicitation import interrupt_graph
from langchain_huggingchat.errors import model_errors
from langchain_huggingchat.messages import base_messages, has_web_files
from langchain_huggingchat.parameters import warn_ignored
from langchain_huggingchat.profiles import profile_of
from langchain_huggingchat.structured import METHODS, Method, StructuredOutput, reader_of
from langchain_huggingchat.tools import ToolSet, response_schema

__all__ = ["ChatHuggingChat"]

register_blocks()

_SILENTLY_IGNORED: Final = frozenset(
    ("ls_structured_output_format", "structured_output_format", "stream", "strict")
)
"""Call arguments of LangChain's own, or that say nothing to a model without function calling."""


class ChatHuggingChat(BaseChatModel):
    """HuggingChat, or any self-hosted chat-ui, as a LangChain chat model."""

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

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
    """Tool servers for the server to use: names of its own, or ``{"name", "url", "headers"}``."""

    on_elicitation: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    """Answers the questions of such tools. By default a graph is interrupted, or they are
    declined."""

    stop: list[str] | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    """Stop sequences. Kept here: nothing behind one is returned, and the server's run is ended."""

    streaming: bool | None = None
    """Whether `invoke` streams as well, for callbacks that listen to tokens."""

    timeout: float | Timeouts | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds without progress after which to give up, or all deadlines one by one."""

    max_retries: int | None = None
    """How often to try again what is safe to repeat. By default as `Retries` says."""

    proxy: str | None = Field(default=None, exclude=True, repr=False)
    """Address of a proxy. By default what the environment says."""

    headers: Mapping[str, str] | None = Field(
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

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, values: Any) -> Any:
        """Warn about arguments that nobody will look at."""
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

    @model_validator(mode="after")
    def _share_client(self) -> Self:
        """Keep the clients where instances made of this one, with other settings, find them."""
        settings = self._client_settings()
        if not isinstance(self.client, Clients):
            self.client = Clients(settings, self.client)
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
        kept["mcp_servers"] = _without_headers(self.mcp_servers)
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
            "cookies": self.cookies.get_secret_value() if self.cookies else None,
            "ephemeral": self.ephemeral,
            "timeouts": timeouts,
            "retries": retries,
            "proxy": self.proxy,
            "headers": self.headers,
            "verify": self.verify,
        }

    # What LangChain asks about a model.

    @property
    def _llm_type(self) -> str:
        return "huggingchat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "web_search": self.web_search,
            "mcp_servers": _without_headers(self.mcp_servers),
            "stop": self.stop,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return super()._get_invocation_params(stop=stop, **_showable(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return super()._get_llm_string(stop=stop, **_showable(kwargs))

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

    # The four ways to ask.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._ask(messages, stop, kwargs, streams=False))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._aask(messages, stop, kwargs, streams=False))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return self._ask(messages, stop, kwargs, streams=True)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._aask(messages, stop, kwargs, streams=True)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _ask(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        *,
        streams: bool,
    ) -> Iterator[ChatGenerationChunk]:
        """Ask, again if need be, and yield the answer; `_aask` is the same, asynchronously."""
        with model_errors():
            client = self.client.sync
            history = base_messages(messages, self._fetch)
            dialog, options = self._dialog(history, stop, kwargs, streams=streams)
            maker = ChunkMaker()
            while dialog.goes_on:
                with client.stream_chat(dialog.messages, **options) as stream:
                    for event in stream:
                        for piece in dialog.take(event):
                            if (chunk := maker.make(piece)) is not None:
                                yield chunk
                        if dialog.is_stopped:
                            break
                    answer = stream.answer
                    yield from maker.all(dialog.end(answer))
                    for file in answer.files:
                        flow = conversations.download(
                            client.server, answer.conversation_id, file.sha
                        )
                        yield maker.file(file, client.run_flow(flow))
            yield self._last(maker, answer)

    async def _aask(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        *,
        streams: bool,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        with model_errors():
            client = self.client.asynchronous
            if has_web_files(messages):
                history = await asyncio.to_thread(base_messages, messages, self._fetch)
            else:
                history = base_messages(messages, self._fetch)
            dialog, options = self._dialog(history, stop, kwargs, streams=streams)
            maker = ChunkMaker()
            while dialog.goes_on:
                async with client.stream_chat(dialog.messages, **options) as stream:
                    async for event in stream:
                        for piece in dialog.take(event):
                            if (chunk := maker.make(piece)) is not None:
                                yield chunk
                        if dialog.is_stopped:
                            break
                    answer = stream.answer
                    for chunk in maker.all(dialog.end(answer)):
                        yield chunk
                    for file in answer.files:
                        flow = conversations.download(
                            client.server, answer.conversation_id, file.sha
                        )
                        yield maker.file(file, await client.run_flow(flow))
            yield self._last(maker, answer)

    def _dialog(
        self,
        history: Sequence[ChatMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        streams: bool,
    ) -> tuple[Dialog, dict[str, Any]]:
        """What is to be asked, and with which arguments of `stream_chat`."""
        left = {name: value for name, value in kwargs.items() if name not in _SILENTLY_IGNORED}
        tools = ToolSet.of(
            left.pop("tools", None) or (),
            left.pop("tool_choice", None),
            parallel=left.pop("parallel_tool_calls", None) is not False,
        )
        dialog = Dialog(
            history,
            tools.offer,
            stops=self.stop or () if stop is None else stop,
            response_schema=response_schema(left.pop("response_format", None)),
            streams=streams,
            max_asks=self.max_tool_asks,
        )
        servers = left.pop("mcp_servers", None)
        web_search = left.pop("web_search", None)
        options = {
            "model": left.pop("model", None) or self.model,
            "web_search": tools.web_search
            or (self.web_search if web_search is None else web_search),
            "mcp_servers": (
                *(self.mcp_servers if servers is None else servers),
                *tools.mcp_servers,
            ),
            "on_elicitation": left.pop("on_elicitation", None)
            or self.on_elicitation
            or interrupt_graph,
            "as_history": dialog.as_history,
        }
        warn_ignored(name for name, value in left.items() if value is not None)
        return dialog, options

    def _fetch(self, url: str) -> Upload:
        return (self.fetch_file or fetch_public_file)(url)

    def _last(self, maker: ChunkMaker, answer: Answer) -> ChatGenerationChunk:
        return maker.last(metadata_of(answer, self.base_url, is_kept=not self.ephemeral))

    # Tools and structured output.

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: Tools in any form that LangChain knows. ``{"type": "web_search"}`` and
                ``{"type": "mcp", "server_label": …, "server_url": …}`` are run by the server.
            tool_choice: ``"auto"`` or None leaves calls to the model, ``"none"`` forbids them,
                ``"any"``, ``"required"`` or True wants one, a name or a dict wants that one.
            parallel_tool_calls: Whether several calls at once are welcome; by default they are.
            **kwargs: Further arguments of the call.

        Raises:
            InvalidRequestError: The choice names no tool, or the server has no such tool.
        """
        converted = [convert_to_openai_tool(tool) for tool in tools]
        parallel = parallel_tool_calls is not False
        with model_errors():
            ToolSet.of(converted, tool_choice, parallel=parallel)
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return super().bind(tools=converted, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Method = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Make a model that answers with objects.

        An answer that does not fit is sent back once, with what is wrong with it.

        Args:
            schema: A pydantic class of either version, a TypedDict class, or a JSON schema. May
                only be left out with ``json_mode``.
            include_raw: Whether the output is a dict of ``raw`` (the message), ``parsed`` and
                ``parsing_error``, and errors are not raised.
            method: ``function_calling`` forces a tool call, ``json_schema`` shows the model the
                schema, ``json_mode`` does so too or asks for any JSON object.
            strict: Taken for compatibility; a prompt cannot enforce more than it does anyway.
            **kwargs: Further arguments of the call.

        Raises:
            ValueError: There is no such method, or no schema.
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, but has to be one of {', '.join(METHODS)}.")
        if schema is None and method != "json_mode":
            raise ValueError(f"The method {method} needs a schema.")
        if schema is not None:
            kwargs["ls_structured_output_format"] = {
                "kwargs": {"method": method, "strict": strict},
                "schema": schema,
            }
        model: Runnable[LanguageModelInput, AIMessage]
        if method == "function_calling":
            name = convert_to_openai_tool(schema or {})["function"]["name"]
            model = self.bind_tools([schema or {}], tool_choice=name, **kwargs)
        else:
            wanted = {"type": "json_object"} if schema is None else _json_format(schema)
            model = super().bind(response_format=wanted, **kwargs)
        return StructuredOutput(model, reader_of(schema, method), include_raw=include_raw)


def _json_format(schema: dict[str, Any] | type) -> dict[str, Any]:
    json_schema = convert_to_json_schema(schema)
    named = {"name": json_schema.get("title", "answer"), "schema": json_schema}
    return {"type": "json_schema", "json_schema": named}


def _without_headers(servers: Sequence[McpServer]) -> list[Any]:
    """Tool servers without the headers that they want, which may be secrets."""
    return [
        server
        if isinstance(server, str)
        else {name: value for name, value in server.items() if name != "headers"}
        for server in servers
    ]


def _showable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Call arguments as traces and cache keys may hold them."""
    shown = {name: value for name, value in kwargs.items() if name != "on_elicitation"}
    if shown.get("mcp_servers"):
        shown["mcp_servers"] = _without_headers(shown["mcp_servers"])
    return shown
