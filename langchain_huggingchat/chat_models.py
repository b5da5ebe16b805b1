"""`ChatHuggingChat`: HuggingChat, or any self-hosted chat-ui, as a LangChain chat model.

How a call flows::

    LangChain's messages, tools, call arguments
        │  _convert.base_messages, _convert.tool_set
        ▼
    hfchat_base's messages, and the tools as instructions (hfchat_base.tools)
        │  client.stream_chat: finds the conversation that already holds the beginning of the
        │  history, and sends only what is new
        ▼
    the server

How an answer flows::

    the server's events
        │  hfchat_base.tools: text → text and tool calls, asked for again if one has to come
        ▼
    text, tool calls, reasoning, sources, files
        │  _convert.ChunkMaker
        ▼
    ChatGenerationChunk ──► _stream, _astream yield them
        │  generate_from_stream
        ▼
    ChatResult ──► _generate, _agenerate return it

Errors become LangChain's as well on the way out (`_errors.py`); structured output is a runnable
around the model (`_structured.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, chat_models
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.serializable import SerializedConstructor
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    PrivateAttr,
    Secret,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from hfchat_base import Answer, ChatMessage, Retries, Timeouts, Upload, __version__
from hfchat_base.client import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    MODEL_VARIABLE,
    ClientPair,
)
from hfchat_base.files import fetch_public_file
from hfchat_base.secret import fingerprint, hide_arguments, hide_servers, reveal, reveal_values
from hfchat_base.tools import MAX_IDENTICAL_CALLS, ToolSession
from hfchat_base.types import ArtifactsOption, ModelDetails, ReasoningEffort
from hfchat_base.validation import (
    ANSWER_OPTIONS,
    CLIENT,
    STOPS,
    TOOLS,
    check,
    check_client,
    check_servers,
    invalid,
)
from langchain_huggingchat._convert import (
    PROVIDER,
    ChunkMaker,
    as_openai_tool,
    base_messages,
    gathered,
    has_web_files,
    metadata_of,
    profile_of,
    register_blocks,
    response_schema,
    tool_set,
    with_errors,
)
from langchain_huggingchat._errors import (
    as_model_error,
    check_call_arguments,
    check_settings,
    model_errors,
)
from langchain_huggingchat._structured import METHODS, Method, OutputSchema, StructuredOutput
from langchain_huggingchat.elicitation import interrupt_graph

__all__ = ["ChatHuggingChat"]

register_blocks()

_SILENTLY_IGNORED: Final = frozenset(
    ("ls_structured_output_format", "structured_output_format", "stream", "strict")
)
"""Arguments of a call that LangChain adds, or that mean nothing without function calling."""

_CALL_ARGUMENTS: Final = (
    *("model", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
    *("mcp_servers", "web_search", "on_elicitation", *ANSWER_OPTIONS),
)

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import _ChatModelBinding as _CoreBinding
else:
    # langchain-core 1.8 and later have a binding for chat models.
    _CoreBinding = getattr(
        chat_models, "_ChatModelBinding", RunnableBinding[LanguageModelInput, AIMessage]
    )


class ChatModelBinding(_CoreBinding):
    """A chat model with arguments bound to it, whose secrets are hidden.

    Bound arguments are printed, dumped and pickled with the binding, and a binding that is bound
    again does not pass through the model. So secrets are hidden where every binding is made.
    """

    def __init__(self, *, kwargs: Any = None, **others: Any) -> None:
        super().__init__(kwargs=hide_arguments(kwargs or {}), **others)

    @classmethod
    def lc_id(cls) -> list[str]:
        """Where a dump of it is loaded from: core's own class."""
        return RunnableBinding.lc_id()


class ChatHuggingChat(BaseChatModel):
    """HuggingChat, or any self-hosted chat-ui, as a LangChain chat model.

    Setup:
        ```bash
        pip install "hfchat[langchain]"
        ```

        HuggingChat answers only if you have logged in: run ``hfchat login`` once, or set
        ``HUGGINGCHAT_COOKIES``. Other servers may allow guests.

    Key init args for answers:
        model: Id or short name; by default the server's default model.
        web_search: Whether the server searches the web for every answer.
        reasoning_effort: How long the model may think: ``low``, ``medium`` or ``high``.
        provider: Who runs the model.
        bill_to: Which organisation pays.
        artifacts: What to do about documents that the model writes in tags of their own.
        mcp_servers: Tool servers for it to use, by name or as ``{"name", "url", "headers"}``.
        stop: Stop sequences.

    Key init args for the client:
        base_url: Address of a self-hosted server.
        cookies: The session.
        ephemeral: Whether to delete every conversation after its answer.
        timeout: Seconds without progress after which to give up.
        max_retries: How often to repeat what is safe to repeat.

    Servers cannot honour ``temperature``, ``max_tokens`` and the like: they are accepted with a
    warning.

    Instantiate:
        ```python
        from langchain_huggingchat import ChatHuggingChat

        llm = ChatHuggingChat()
        ```

    Invoke:
        ```python
        messages = [
            ("system", "You are a helpful translator. Translate to French."),
            ("human", "I love programming."),
        ]
        answer = llm.invoke(messages)
        print(answer.text)
        ```

        If the server already has the beginning of a history, the call continues that conversation
        and sends only what is new. An answer's metadata says where the server keeps it, so that
        another instance, or another process, continues there as well.

        ```python
        llm.invoke([*messages, answer, ("human", "And in Italian?")])
        ```

    Stream:
        ```python
        for chunk in llm.stream(messages):
            print(chunk.text, end="")
        ```

        Thinking streams as well, as reasoning blocks; see `chunk.content_blocks`.

    Async:
        ```python
        import asyncio


        async def ask():
            async for chunk in llm.astream(messages):
                print(chunk.text, end="")
            await llm.aclose()


        asyncio.run(ask())
        ```

    Tool calling:
        Tools of your own are offered by prompt, so any model that follows its prompt can call them.

        ```python
        from pydantic import BaseModel, Field


        class GetWeather(BaseModel):
            '''Get the current weather in a given location.'''

            location: str = Field(description="The city, such as Paris")


        llm_with_tools = llm.bind_tools([GetWeather], tool_choice="any")
        llm_with_tools.invoke("What is the weather in 'Paris'?").tool_calls
        ```

        They can be combined with tools that the server runs; the answer's content blocks show what
        those did.

        ```python
        searching = llm.bind_tools([GetWeather, {"type": "web_search"}])
        ```

    Structured output:
        ```python
        from typing import Optional


        class Joke(BaseModel):
            '''Joke to tell user.'''

            setup: str = Field(description="The setup of the joke")
            punchline: str = Field(description="The punchline to the joke")
            rating: Optional[int] = Field(default=None, description="From 1 to 10")


        structured_llm = llm.with_structured_output(Joke)
        structured_llm.invoke("Tell me a joke about cats")
        ```

    Image input:
        ```python
        import base64
        from pathlib import Path

        from langchain_core.messages import HumanMessage

        image = base64.b64encode(Path("image.png").read_bytes()).decode()
        message = HumanMessage(
            content=[
                {"type": "text", "text": "Describe the weather in this image."},
                {"type": "image", "base64": image, "mime_type": "image/png"},
            ]
        )
        llm.invoke([message])
        ```

    Response metadata:
        ```python
        answer.response_metadata["model_name"]
        answer.response_metadata["conversation_url"]  # opens it in a browser
        ```

        The base client can continue the conversation itself.

        ```python
        conversation_id = answer.response_metadata["conversation_id"]
        llm.client.sync.get_conversation(conversation_id).send("Thank you!").text
        ```

        Servers send no token counts, so `usage_metadata` is None, and
        ``get_usage_metadata_callback`` adds up nothing.

    Profile:
        `profile` says what the model can do and how much it reads, so middleware that works with a
        fraction of the context window works. Nothing is sent for it: before the first answer it
        holds what every model has and an assumed window of 32,768 tokens, and after it what the
        server says of the model. A profile of your own is left as it is.

        ```python
        llm.profile["max_input_tokens"]
        ```
    """

    model_config = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        # An invalid value may be a secret.
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
    """The session, in any form that `HuggingChat` takes. By default the model looks for one as
    described there."""

    ephemeral: bool = False
    """Whether to delete each conversation after its answer; then every call sends the history."""

    web_search: bool = False
    """Whether to search the web for every answer."""

    reasoning_effort: ReasoningEffort | None = None
    """How long a model that reasons may think; by default as the account's settings say. Servers of
    mid-2025 have no such setting, and refuse it."""

    provider: str | None = None
    """Who runs the model: ``auto``, ``fastest``, ``cheapest`` or a provider's name. Only
    HuggingChat has providers."""

    bill_to: str | None = None
    """The organisation that pays for answers. Only HuggingChat bills."""

    artifacts: ArtifactsOption | None = None
    """What to do about documents that the model writes in tags of their own: ``text``, the default,
    puts code blocks in their place, ``raw`` leaves the tags. True and False also switch whether the
    model is told to write them."""

    restores_settings: bool | None = None
    """Whether the account gets its settings back once an answer has begun. `reasoning_effort`,
    `provider`, `bill_to` and a switch for artifacts are settings of the account, and by default
    stay as a call has set them."""

    mcp_servers: Sequence[Any] = Field(default=(), exclude=True, repr=False)
    """Tool servers for the server to use, names of its own or ``{"name", "url", "headers"}``."""

    on_elicitation: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    """Answers the questions of such tools. By default a graph is interrupted, or they are
    declined."""

    stop: list[str] | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    """Stop sequences. The answer ends before the first one, and the server's run is stopped. They
    are applied here; the server does not know them."""

    streaming: bool | None = None
    """Whether `invoke` also streams, for callbacks that listen to tokens."""

    timeout: float | Timeouts | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds without progress after which to give up, or all deadlines in detail."""

    max_retries: int | None = None
    """How often to repeat what is safe to repeat; 0 sends every message once. By default as
    `Retries` says."""

    timezone: str | Literal[False] | None = None
    """The time zone that is sent with every message, as an IANA name, or False for none. By
    default this machine's."""

    proxy: str | SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Address of a proxy. By default the one that the environment names."""

    headers: Mapping[str, str | SecretStr] | None = Field(
        default=None,
        validation_alias=AliasChoices("headers", "default_headers"),
        exclude=True,
        repr=False,
    )
    """Headers to send with every request, for servers behind a gateway."""

    verify: bool | str = True
    """Whether to check certificates, or a file with the ones to trust."""

    switch_to_vision_model: bool = False
    """Whether another model may answer messages with images if the named model does not accept
    them. By default that is an error."""

    max_tool_asks: int = Field(default=3, ge=1)
    """How many requests to make for a forced tool call at most."""

    max_identical_calls: int | None = Field(default=MAX_IDENTICAL_CALLS, ge=1)
    """How often in a row the model may make the same tool call with the same result before
    `~hfchat_base.errors.RepeatedToolCallError` is raised; None for no limit. An agent's
    ``recursion_limit`` bounds all other loops."""

    fetch_file: Callable[[str], Upload] | None = Field(default=None, exclude=True, repr=False)
    """Fetches images that messages give as web addresses. By default from public addresses only,
    without cookies and up to the server's limit for files."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """A `HuggingChat` or `AsyncHuggingChat` to use instead of a new client."""

    _own_profile: ModelProfile | None = PrivateAttr(default=None)

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
    def _check_names(cls, values: Any) -> Any:
        """Refuse mistyped arguments, and warn about those without effect."""
        if not isinstance(values, dict):
            return values
        known: set[str] = set()
        for name, field in cls.model_fields.items():
            known.add(name)
            if isinstance(field.validation_alias, AliasChoices):
                known.update(map(str, field.validation_alias.choices))
        # A copy of a model is made with its private names, too.
        public = {name: value for name, value in values.items() if not name.startswith("_")}
        check_settings(public, known)
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

    @field_validator(*ANSWER_OPTIONS, mode="before")
    @classmethod
    def _check_options(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic would take "yes" for True.
        return check(str(info.field_name), value, ANSWER_OPTIONS[str(info.field_name)])

    @model_validator(mode="after")
    def _share_client(self) -> Self:
        """Make the clients, or share those of the model that this one is a copy of."""
        settings = self._client_settings()
        check_client(settings)
        if not isinstance(self.client, ClientPair):
            given = check("client", self.client, CLIENT)
            if given is not None:
                self.base_url, self.ephemeral = given.base_url, given.ephemeral
            self.client = ClientPair(settings, given)
        elif not self.client.serves(settings):
            self.client = ClientPair(settings)
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """The settings for a pickle, without secrets and connections."""
        state = super().__getstate__()
        kept = {
            name: value
            for name, value in state["__dict__"].items()
            if name not in {"cookies", "headers", "proxy", "client"}
        }
        return {**state, "__dict__": kept}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore a model from a pickle; it looks for a session again, or chats as a guest."""
        without = {"cookies": None, "headers": None, "proxy": None, "client": None}
        super().__setstate__({**state, "__dict__": {**state["__dict__"], **without}})
        self.client = ClientPair(self._client_settings())

    def to_json(self) -> SerializedConstructor:
        """Dump the settings, without secrets, so that LangChain's `load` makes a model of them.

        Of `mcp_servers` those are left out that hold a secret. `load` needs the class:
        ``load(dumped, allowed_objects=[ChatHuggingChat], valid_namespaces=[…])``. It refuses
        classes of packages that it does not list to everybody else, which is why
        `is_lc_serializable` is False.
        """
        fields = type(self).model_fields
        names = {"model", "base_url", *self.model_fields_set}
        kwargs = {name: getattr(self, name) for name in sorted(names) if not fields[name].exclude}
        if isinstance(self.timeout, Timeouts):
            kwargs["timeout"] = asdict(self.timeout)
        if servers := [server for server in self.mcp_servers if not fingerprint(server)]:
            kwargs["mcp_servers"] = servers
        return SerializedConstructor(
            lc=1,
            type="constructor",
            id=self.lc_id(),
            kwargs=kwargs,
            name=self.get_name(),
            graph=None,
        )

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

    def close(self) -> None:
        """Close the connections of the synchronous client; a later call opens new ones."""
        self.client.close()

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        await self.client.aclose()

    def bind(self, **kwargs: Any) -> ChatModelBinding:
        """Bind arguments to calls of this model; secrets among them stay hidden.

        Args:
            **kwargs: Arguments of a call: ``mcp_servers``, ``web_search``, ``model``, ``stop``, ….
        """
        return ChatModelBinding(bound=self, kwargs=kwargs)

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
                ``{"type": "mcp", "server_label": …, "server_url": …}`` are run by the server, with
                ``headers`` and ``authorization`` (a bearer token) as in OpenAI's form.
            tool_choice: ``"auto"`` or None lets the model decide, ``"none"`` forbids calls,
                ``"any"``, ``"required"`` or True forces one, a name or a dict forces that tool.
            parallel_tool_calls: Whether several calls at once are allowed; by default they are.
            **kwargs: Further arguments of the call.

        Raises:
            InvalidRequestError: The choice names an unknown tool, or the server has no such tool.
        """
        parallel = parallel_tool_calls is not False
        with model_errors():
            converted = [as_openai_tool(tool) for tool in check("tools", tools, TOOLS)]
            tool_set(converted, tool_choice, parallel=parallel)
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=converted, **kwargs)

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

        An answer is read as strict JSON and validated, whatever kind the schema is of. If it does
        not fit, the model is asked once more, with the reason. Tolerated are a code fence, text
        around the JSON, a comma before a closing bracket and raw line breaks in strings. With
        ``json_schema`` and ``json_mode``, `stream` yields the object while it is being written.

        Args:
            schema: A pydantic class of either version, a TypedDict class, or a JSON schema. May
                only be left out with ``json_mode``.
            include_raw: Whether the output is a dict of ``raw`` (the message), ``parsed`` and
                ``parsing_error``, and errors are not raised.
            method: ``function_calling`` forces a tool call, ``json_schema`` shows the model the
                schema, ``json_mode`` does so too or asks for any JSON object.
            strict: Accepted for compatibility; answers are always validated.
            **kwargs: Further arguments of the call.

        Raises:
            ValueError: There is no such method, no schema, or the JSON schema is invalid.
            MissingRequirementsError: A JSON schema needs the extra ``langchain``.
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, but has to be one of {', '.join(METHODS)}.")
        if schema is None and method != "json_mode":
            raise ValueError(f"The method {method} needs a schema.")
        wanted = None if schema is None else OutputSchema(schema)
        if wanted is not None:
            kwargs["ls_structured_output_format"] = {
                "kwargs": {"method": method, "strict": strict},
                "schema": wanted.traced,
            }
        model: Runnable[LanguageModelInput, AIMessage]
        if wanted is None:
            model = self.bind(response_format={"type": "json_object"}, **kwargs)
        elif method == "function_calling":
            model = self.bind_tools([wanted.tool], tool_choice=wanted.tool_name, **kwargs)
        else:
            named = {"name": wanted.name, "schema": wanted.json_schema}
            response_format = {"type": "json_schema", "json_schema": named}
            model = self.bind(response_format=response_format, **kwargs)
        return StructuredOutput(model, wanted, method, include_raw=include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> ChatResult:
        chunks = self._ask(messages, stop, kwargs, streams=False)
        return with_errors(generate_from_stream(gathered(chunks)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - core passes it
        **kwargs: Any,
    ) -> ChatResult:
        chunks = [chunk async for chunk in self._aask(messages, stop, kwargs, streams=False)]
        return with_errors(await run_in_executor(None, generate_from_stream, gathered(chunks)))

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
        """Yield the answer, asking again if a tool call has to come; `_aask` is its async twin."""
        with model_errors():
            client = self.client.sync
            history = base_messages(messages, self._fetch)
            session, options = self._session(history, stop, kwargs, streams=streams)
            maker = ChunkMaker()
            while session.goes_on:
                with client.stream_chat(session.messages, **options) as stream:
                    for event in stream:
                        for piece in session.take(event):
                            if (chunk := maker.make(piece)) is not None:
                                yield chunk
                        if session.is_stopped:
                            break
                    answer = stream.answer
                    yield from maker.all(session.end(answer))
                    yield from maker.files(client.fetch_files(answer))
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
            session, options = self._session(history, stop, kwargs, streams=streams)
            maker = ChunkMaker()
            while session.goes_on:
                async with client.stream_chat(session.messages, **options) as stream:
                    async for event in stream:
                        for piece in session.take(event):
                            if (chunk := maker.make(piece)) is not None:
                                yield chunk
                        if session.is_stopped:
                            break
                    answer = stream.answer
                    for chunk in maker.all(session.end(answer)):
                        yield chunk
                    for chunk in maker.files(await client.fetch_files(answer)):
                        yield chunk
            yield self._last(maker, answer)

    def _session(
        self,
        history: Sequence[ChatMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        streams: bool,
    ) -> tuple[ToolSession, dict[str, Any]]:
        """The session of a call, and the arguments for `stream_chat`."""
        others = {name: value for name, value in kwargs.items() if name not in _SILENTLY_IGNORED}
        tools = tool_set(
            check("tools", others.pop("tools", None), TOOLS) or (),
            others.pop("tool_choice", None),
            parallel=others.pop("parallel_tool_calls", None) is not False,
        )
        check("stop", stop, STOPS)
        session = ToolSession(
            history,
            tools.config,
            stops=self.stop or () if stop is None else stop,
            response_schema=response_schema(others.pop("response_format", None)),
            streams=streams,
            max_asks=self.max_tool_asks,
            max_identical_calls=self.max_identical_calls,
        )
        servers = others.pop("mcp_servers", None)
        web_search = others.pop("web_search", None)
        options = {
            "model": others.pop("model", None) or self.model,
            "web_search": tools.web_search
            or (self.web_search if web_search is None else web_search),
            "mcp_servers": (
                *(self.mcp_servers if servers is None else check_servers(servers)),
                *tools.mcp_servers,
            ),
            "on_elicitation": others.pop("on_elicitation", None)
            or self.on_elicitation
            or interrupt_graph,
            "as_history": session.as_history,
            "switch_to_vision_model": self.switch_to_vision_model,
        }
        for name in ANSWER_OPTIONS:
            given = others.pop(name, None)
            options[name] = getattr(self, name) if given is None else given
        unused = (name for name, value in others.items() if value is not None)
        check_call_arguments(unused, _CALL_ARGUMENTS)
        return session, options

    def _fetch(self, url: str) -> Upload:
        return (self.fetch_file or fetch_public_file)(url)

    def _last(self, maker: ChunkMaker, answer: Answer) -> ChatGenerationChunk:
        if self.profile in (self._own_profile, profile_of(None)):
            # Nobody else has set it, and now more may be known of the model than before.
            self.profile = self._resolve_model_profile()
        return maker.last(metadata_of(answer, self.base_url, is_kept=not self.ephemeral))

    @property
    def _llm_type(self) -> str:
        return "huggingchat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "web_search": self.web_search,
            **{name: getattr(self, name) for name in ANSWER_OPTIONS},
            "mcp_servers": list(self.mcp_servers),
            "stop": self.stop,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return super()._get_invocation_params(stop=stop, **_without_secrets(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The answer of a tool server may depend on who asks, so secrets belong to the key.
        shown = _without_secrets(kwargs)
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
        self._own_profile = profile_of(self._known_model(), self.provider)
        return self._own_profile

    def _known_model(self) -> ModelDetails | None:
        """The model as far as it is known. Nothing is sent."""
        # While a model is made, its client may still be the one that was given.
        client = self.client.any if isinstance(self.client, ClientPair) else self.client
        return client.known_model(self.model) if client else None

    def get_num_tokens(self, text: str) -> int:
        """Estimate the tokens of a text; chat-ui does not say which tokenizer a model has."""
        return count_tokens_approximately([HumanMessage(text)], extra_tokens_per_message=0)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate the tokens of a history and of the tools that go with it."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)


def _without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a call as traces and cache keys may hold them."""
    return hide_arguments(
        {name: value for name, value in arguments.items() if name != "on_elicitation"}
    )
