"""`HuggingChatLLM`: a HuggingChat server as a LlamaIndex LLM.

Eight public methods (chat and completion, whole and streamed, sync and async) call four cores
without decorators, so that one call is one event. How messages and tools are converted is in
`_convert.py`, how answers become responses in `_responses.py`.
"""

from __future__ import annotations

import copy
import functools
import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr, ValidationError
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import (
    CompletionToPromptType,
    MessagesToPromptType,
    ToolSelection,
)
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import (
    BaseOutputParser,
    Model,
    PydanticProgramMode,
)
from llama_index_instrumentation import get_dispatcher

import hfchat_base
from hfchat_base.auth.cookies import CookieInput
from hfchat_base.client import MODEL_VARIABLE
from hfchat_base.errors import InvalidRequestError
from hfchat_base.secret import hide_arguments, hide_servers
from hfchat_base.tools import MAX_IDENTICAL_CALLS, ToolChoice, ToolConfig
from hfchat_base.types import (
    ASSUMED_CONTEXT_WINDOW,
    ArtifactsOption,
    McpServer,
    ModelDetails,
    OnElicitation,
    ReasoningEffort,
)
from hfchat_base.validation import (
    ANSWER_OPTIONS,
    CALLBACK,
    CLIENT,
    STOPS,
    TOOLS,
    check,
    check_servers,
    invalid,
    without_effect,
)
from llama_index_huggingchat._convert import (
    to_history,
    to_history_async,
    to_tool_config,
    tool_descriptions,
    tool_selections,
    without_references,
)
from llama_index_huggingchat._responses import ResponseBuilder, to_completion
from llama_index_huggingchat._structured import StructuredProgram

__all__ = ["HuggingChatLLM"]

_dispatcher: Final = get_dispatcher(__name__)

_CLIENT_DEFAULTS: Final = {
    name: parameter.default
    for name, parameter in inspect.signature(hfchat_base.HuggingChat).parameters.items()
}

_CALL_OPTIONS: Final = frozenset(
    (
        *("model", "web_search", "mcp_servers", "on_elicitation", "switch_to_vision_model"),
        *ANSWER_OPTIONS,
        *("stop", "tools", "tool_choice", "allow_parallel_tool_calls"),
    )
)
"""The keyword arguments of a call of `HuggingChatLLM.chat`."""

DEFAULT_NUM_OUTPUT: Final = 4_096
"""Tokens, where nothing better is known."""

_MOST_OUTPUT: Final = 4
"""LlamaIndex reserves at most this part of a window for the answer, or no prompt would fit."""

_Class = TypeVar("_Class", bound=type[Any])

_CALL_METHODS: Final = (
    *("chat", "stream_chat", "achat", "astream_chat"),
    *("complete", "stream_complete", "acomplete", "astream_complete"),
    *("chat_with_tools", "stream_chat_with_tools"),
    *("achat_with_tools", "astream_chat_with_tools"),
    *("predict_and_call", "apredict_and_call"),
)
"""Methods whose extra keyword arguments are options of the call."""

_STRUCTURED_METHODS: Final = (
    *("structured_predict", "astructured_predict"),
    *("stream_structured_predict", "astream_structured_predict"),
)
"""Methods whose extra keyword arguments fill the prompt; ``llm_kwargs`` holds the options."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What one call wants.

    Attributes:
        history: The messages to answer.
        config: The tools that may be called.
        stop: Stop sequences.
        max_identical_calls: See `HuggingChatLLM`.
        options: The keyword arguments of `HuggingChat.stream_chat`.
    """

    history: Sequence[hfchat_base.ChatMessage]
    config: ToolConfig
    stop: Sequence[str]
    max_identical_calls: int | None
    options: Mapping[str, Any]

    def response(self, *, streams: bool) -> ResponseBuilder:
        """Begin the response."""
        return ResponseBuilder(
            self.history,
            self.config,
            stop=self.stop,
            max_identical_calls=self.max_identical_calls,
            streams=streams,
        )


def _hides_secrets(cls: _Class) -> _Class:
    """Hide the secrets among the arguments of calls before LlamaIndex sees them.

    LlamaIndex wraps the methods of an LLM class in spans and events, which hold all arguments, when
    the class is created. So secrets have to be hidden outside of that wrapping, by a decorator.

    Args:
        cls: The class; it is changed in place.
    """
    for name in _CALL_METHODS:
        setattr(cls, name, _hiding(getattr(cls, name), hide_arguments))
    for name in _STRUCTURED_METHODS:
        setattr(cls, name, _hiding(getattr(cls, name), _hide_llm_kwargs))
    return cls


def _hide_llm_kwargs(arguments: dict[str, Any]) -> dict[str, Any]:
    given = {name: arguments[name] for name in ("llm_kwargs",) if name in arguments}
    return {**arguments, **hide_arguments(given)}


def _hiding(
    method: Callable[..., Any], hide: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def hidden_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await method(self, *args, **hide(kwargs))

        return hidden_async

    @functools.wraps(method)
    def hidden(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **hide(kwargs))

    return hidden


@_hides_secrets
class HuggingChatLLM(CustomLLM, FunctionCallingLLM):
    """A HuggingChat server as a LlamaIndex LLM.

    Works without any argument: server, session and model then come from the environment
    (``HUGGINGCHAT_BASE_URL``, ``HUGGINGCHAT_COOKIES`` or ``HUGGINGCHAT_COOKIE_FILE``,
    ``HUGGINGCHAT_MODEL``), or are huggingface.co/chat, a guest's and the server's default.

    What is special about HuggingChat:

    * The server stores conversations. LlamaIndex passes the whole history to every call; the client
      finds the conversation that already holds its beginning and sends only the new messages. An
      answer's message says where the server keeps it (``additional_kwargs``), so that a stored chat
      continues there in any process.
      Calls may run at the same time, in threads and in tasks; each gets its own conversation then.
    * There is no function calling. Tools are described in the system prompt, and calls are parsed
      from the model's text (`hfchat_base.tools`). A required call that does not come is requested
      again. Agents, `structured_predict` and `predict_and_call` work as with any other LLM.
    * There are no sampling settings and no stop sequences. Stop sequences are applied here, and
      the run is stopped; ``temperature`` and the like are warned about and ignored.
    * Tools, web search and questions of tool servers run on the server; see `mcp_servers`,
      `web_search` and `on_elicitation`.

    Example:
        >>> from llama_index_huggingchat import HuggingChatLLM
        >>> llm = HuggingChatLLM()
        >>> print(llm.complete("Say hello."))

    Args:
        model: ID or short name of the model.
        base_url: Address of the server, with its path.
        cookies: The session; see `hfchat_base.HuggingChat`.
        client: A client whose session, settings and conversations are shared, in place of
            arguments about the connection.
        context_window: Tokens that fit into a prompt and its answer; LlamaIndex packs its prompts
            by it. By default what the server says of the model, once the first answer has begun or
            `get_model` was called; before, and where the server does not say, 32,768.
        num_output: Tokens that LlamaIndex reserves for the answer. By default the server's limit
            for the model, or 4,096, and at most a quarter of the window.
        is_function_calling_model: Whether tools are offered by prompt. If not, LlamaIndex's agents
            reason in text (ReAct) and structured output is requested as text.
        web_search: Whether the server searches the web for every message.
        reasoning_effort: How long a model that reasons may think: ``low``, ``medium`` or ``high``.
            By default as the account's settings say. Servers of mid-2025 refuse it.
        provider: Who runs the model: ``auto``, ``fastest``, ``cheapest`` or a provider's name (only
            HuggingChat has providers).
        bill_to: The organisation that pays for answers (only HuggingChat bills).
        artifacts: What to do about documents that the model writes in tags of their own: ``text``,
            the default, puts code blocks in their place, ``raw`` leaves the tags; True and False
            also switch whether the model is told to write them.
        restores_settings: Whether the account gets its settings back once an answer has begun.
            `reasoning_effort`, `provider`, `bill_to` and a switch for artifacts are settings of the
            account, and by default stay as a call has set them.
        mcp_servers: Tool servers that the server may use: names of its own, or
            ``{"name", "url", "headers"}``.
        on_elicitation: Receives a tool server's question; returns the content to accept with, or
            None to decline. A coroutine function, such as `ask_in_workflow`, works only with the
            asynchronous methods.
        switch_to_vision_model: Whether another model may answer a message with images that the
            named `model` cannot see. By default that is an error. Where no model is named, one
            that sees images is always chosen.
        max_identical_calls: How often in a row a model may make the same tool calls with the same
            results before a call fails with an error; None for no limit. Agents would otherwise
            repeat them until their own limit of iterations, at the expense of the account.
        ephemeral: Whether each conversation is deleted right after its answer.
        timeout: Seconds without progress after which a call fails; `timeouts` sets each deadline.
        max_retries: How often to retry what is safe to repeat; 0 sends every message once.
            `retries` sets more.
        system_prompt: Put before the messages of LlamaIndex's engines and programs.
        kwargs: Settings that other LLMs have and a HuggingChat server does not, such as
            ``temperature``, are ignored with a warning.

    All other arguments are those of `hfchat_base.HuggingChat` and of LlamaIndex's ``LLM``.

    Raises:
        InvalidRequestError: An argument or a variable cannot be read, or there is no such argument.

    Arguments of the client and of calls, and tool servers, may hold secrets. No `repr`, `to_dict`,
    pickle, event or span shows them. An object made from a pickle or a dict finds its session by
    `base_url` and `account` alone.
    """

    model: str | None = Field(default=None, description="ID or short name of the model.")
    base_url: str = Field(default="", frozen=True, description="Address of the server.")
    account: str | None = Field(
        default=None, frozen=True, description="Which saved session is used, by its account."
    )
    context_window: int | None = Field(
        default=None, gt=0, description="Tokens that fit into a prompt and its answer."
    )
    num_output: int | None = Field(
        default=None, gt=0, description="Tokens to reserve for the answer."
    )
    is_function_calling_model: bool = Field(
        default=True, description="Offer tools by prompt; without, agents reason in text (ReAct)."
    )
    web_search: bool = Field(default=False, description="Search the web for every message.")
    reasoning_effort: ReasoningEffort | None = Field(
        default=None, description="How long a model that reasons may think."
    )
    provider: str | None = Field(default=None, description="Who runs the model.")
    bill_to: str | None = Field(default=None, description="The organisation that pays.")
    artifacts: ArtifactsOption | None = Field(
        default=None, description="What to do about documents in tags of their own."
    )
    restores_settings: bool | None = Field(
        default=None, description="Give the account its settings back once an answer has begun."
    )
    timezone: str | Literal[False] | None = Field(
        default=None, description="Time zone sent with messages; False for none."
    )
    switch_to_vision_model: bool = Field(
        default=False,
        description="Let another model answer messages with images that `model` cannot see.",
    )
    max_identical_calls: int | None = Field(
        default=MAX_IDENTICAL_CALLS,
        ge=1,
        description="How often in a row the same tool calls may have the same results.",
    )
    ephemeral: bool = Field(
        default=False, frozen=True, description="Delete each conversation right after its answer."
    )

    _client: hfchat_base.HuggingChat = PrivateAttr()
    _async_client: hfchat_base.AsyncHuggingChat = PrivateAttr()
    _mcp_servers: Sequence[McpServer] = PrivateAttr(default=())
    _on_elicitation: OnElicitation | None = PrivateAttr(default=None)
    _warned: set[str] = PrivateAttr(default_factory=set)

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        cookies: CookieInput | None = None,
        client: hfchat_base.HuggingChat | hfchat_base.AsyncHuggingChat | None = None,
        context_window: int | None = None,
        num_output: int | None = None,
        is_function_calling_model: bool = True,
        web_search: bool = False,
        reasoning_effort: ReasoningEffort | None = None,
        provider: str | None = None,
        bill_to: str | None = None,
        artifacts: ArtifactsOption | None = None,
        restores_settings: bool | None = None,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        switch_to_vision_model: bool = False,
        max_identical_calls: int | None = MAX_IDENTICAL_CALLS,
        ephemeral: bool = False,
        account: str | None = None,
        timeout: float | None = None,
        timeouts: hfchat_base.Timeouts | None = None,
        max_retries: int | None = None,
        retries: hfchat_base.Retries | None = None,
        on_retry: Callable[[hfchat_base.types.Retry], None] | None = None,
        messages_per_minute: int | None = None,
        timezone: str | Literal[False] | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        impersonate: str | None = "chrome",
        max_body_bytes: int | None = None,
        stops_on_leave: bool = True,
        system_prompt: str | None = None,
        messages_to_prompt: MessagesToPromptType | None = None,
        completion_to_prompt: CompletionToPromptType | None = None,
        pydantic_program_mode: PydanticProgramMode = PydanticProgramMode.DEFAULT,
        output_parser: BaseOutputParser | None = None,
        callback_manager: CallbackManager | None = None,
        rate_limiter: Any = None,
        **kwargs: Any,
    ) -> None:
        if timeouts is None and timeout is not None:
            timeouts = hfchat_base.Timeouts(first_event=timeout, progress=timeout)
        if retries is None and max_retries is not None:
            retries = hfchat_base.Retries(attempts=max_retries + 1)
        connection = {
            "base_url": base_url or None,
            "cookies": cookies,
            "account": account,
            "ephemeral": ephemeral,
            "stops_on_leave": stops_on_leave,
            "timeouts": timeouts,
            "proxy": proxy,
            "headers": headers,
            "verify": verify,
            "impersonate": impersonate,
            "max_body_bytes": max_body_bytes,
            "retries": retries,
            "on_retry": on_retry,
            "messages_per_minute": messages_per_minute,
        }
        answer = {
            "reasoning_effort": reasoning_effort,
            "provider": provider,
            "bill_to": bill_to,
            "artifacts": artifacts,
            "restores_settings": restores_settings,
            "timezone": timezone,
        }
        for name, value in answer.items():
            check(name, value, ANSWER_OPTIONS[name])
        # What other LLMs have, or fields of a subclass.
        fields = {name: kwargs.pop(name) for name in kwargs.keys() & type(self).model_fields}
        ignored = without_effect(type(self).__name__, kwargs, _parameters(type(self)))
        client = _make_client(check("client", client, CLIENT), connection)
        refusal = None
        try:
            super().__init__(
                model=model or os.environ.get(MODEL_VARIABLE) or None,
                base_url=client.base_url,
                account=account,
                context_window=context_window,
                num_output=num_output,
                is_function_calling_model=is_function_calling_model,
                web_search=web_search,
                **answer,
                switch_to_vision_model=switch_to_vision_model,
                max_identical_calls=max_identical_calls,
                ephemeral=client.ephemeral,
                system_prompt=system_prompt,
                messages_to_prompt=messages_to_prompt,
                completion_to_prompt=completion_to_prompt,
                pydantic_program_mode=pydantic_program_mode,
                output_parser=output_parser,
                callback_manager=callback_manager or CallbackManager([]),
                rate_limiter=rate_limiter,
                **fields,
            )
        except ValidationError as error:
            refusal = invalid(error)
        if refusal is not None:
            # Outside of the handler, as pydantic's error holds the values.
            raise refusal
        self._client = client
        client.server.wants_details = True  # `metadata` holds them
        self._async_client = self._client.to_async().as_managed()
        self._mcp_servers = hide_servers(check_servers(mcp_servers))
        self._on_elicitation = check("on_elicitation", on_elicitation, CALLBACK)
        self._warn_ignored(ignored, stacklevel=2)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized objects."""
        return "huggingchat_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans its prompts with, as far as it is known without asking the server.

        Sizes and the model's full name are known once the first answer has begun, or after
        `get_model`.
        """
        known = self._known_model()
        told = known.context_window(self.provider) if known else None
        window = self.context_window or told or ASSUMED_CONTEXT_WINDOW
        limit = (known and known.max_output_tokens) or DEFAULT_NUM_OUTPUT
        return LLMMetadata(
            context_window=window,
            num_output=self.num_output or min(limit, max(1, window // _MOST_OUTPUT)),
            is_chat_model=True,
            is_function_calling_model=self.is_function_calling_model
            and not (known and known.generates_images),
            model_name=known.id if known else self.model or "unknown",
        )

    def to_payload(self) -> dict[str, Any]:
        """Describe this LLM in events, without secrets."""
        return {"class_name": self.class_name(), **self.metadata.model_dump()}

    def get_models(self) -> list[hfchat_base.Model]:
        """List the server's models; see `HuggingChat.get_models`."""
        return self._client.get_models()

    def get_model(self, name: str | None = None) -> ModelDetails:
        """Read what the server says of a model; see `HuggingChat.get_model`.

        Args:
            name: Its ID or short name; by default the model that is used.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        return self._client.get_model(name or self.model or self._client.default_model)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a chat.

        Args:
            messages: The whole history.
            kwargs: ``model``, ``web_search``, ``mcp_servers``, ``on_elicitation``,
                ``switch_to_vision_model``, ``reasoning_effort``, ``provider``, ``bill_to``,
                ``artifacts``, ``restores_settings``, ``timezone``, which override this object's
                own; ``stop``, one or more texts that end the answer; ``tools``, ``tool_choice``,
                ``allow_parallel_tool_calls``.

        Raises:
            ResponseError: The server refused the message.
            StreamError: The answer broke off; `partial` holds what had arrived.
        """
        return self._chat(self._request(to_history(messages), kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a chat and stream the answer; see `chat`.

        Closing the generator stops the server's run.
        """
        return self._stream_chat(self._request(to_history(messages), kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a chat; see `chat`."""
        history = await to_history_async(messages)
        return await self._achat(self._request(history, kwargs))

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer a chat and stream the answer; see `stream_chat`."""
        history = await to_history_async(messages)
        return self._astream_chat(self._request(history, kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as a single user message; see `chat`.

        Args:
            prompt: The text.
            formatted: Whether `completion_to_prompt` has been applied to it.
            kwargs: See `chat`.
        """
        return to_completion(self._chat(self._request(self._prompt(prompt, formatted), kwargs)))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt and stream the answer; see `complete` and `stream_chat`."""
        responses = self._stream_chat(self._request(self._prompt(prompt, formatted), kwargs))
        return (to_completion(response) for response in responses)

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt; see `complete`."""
        return to_completion(
            await self._achat(self._request(self._prompt(prompt, formatted), kwargs))
        )

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt and stream the answer; see `complete` and `stream_chat`."""
        responses = self._astream_chat(self._request(self._prompt(prompt, formatted), kwargs))
        return _completions_of(responses)

    # --- tools and structured output --------------------------------------------------------------

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **_: Any
    ) -> list[ToolSelection]:
        """List the calls of a response.

        Args:
            response: From `chat_with_tools` or one of its siblings.
            error_on_no_tool_call: Whether a response without calls is an error.

        Raises:
            ValueError: There is no call, and `error_on_no_tool_call` is set.
        """
        selections = tool_selections(response)
        if error_on_no_tool_call and not selections:
            msg = f"The model called no tool. It answered: {response.message.content!r}"
            raise ValueError(msg)
        return selections

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - LlamaIndex's signature
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: ToolChoice = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        return {
            "messages": messages,
            "tools": tool_descriptions(tools),
            "tool_choice": tool_choice or ("required" if tool_required else None),
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object; an answer that is not valid is sent back once.

        Args:
            output_cls: A pydantic class.
            prompt: The prompt.
            llm_kwargs: Options of the call; see `chat`.
            prompt_args: Variables of the prompt.

        Raises:
            ValueError: The answer was not valid, and not when it was requested again either.
        """
        start = LLMStructuredPredictStartEvent(
            output_cls=output_cls, template=prompt, template_args=prompt_args
        )
        _dispatcher.event(start)
        result = self._program(output_cls, prompt)(llm_kwargs=llm_kwargs, **prompt_args)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object; see `structured_predict`."""
        start = LLMStructuredPredictStartEvent(
            output_cls=output_cls, template=prompt, template_args=prompt_args
        )
        _dispatcher.event(start)
        program = self._program(output_cls, prompt)
        result = await program.acall(llm_kwargs=llm_kwargs, **prompt_args)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        return self._program(output_cls, prompt).stream_call(llm_kwargs=llm_kwargs, **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = self._program(output_cls, prompt)
        return await program.astream_call(llm_kwargs=llm_kwargs, **prompt_args)

    def _program(
        self, output_cls: type[Model], prompt: BasePromptTemplate
    ) -> StructuredProgram[Model]:
        mode = self.pydantic_program_mode
        if mode is PydanticProgramMode.DEFAULT:
            by_call = self.metadata.is_function_calling_model
        elif mode in (PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM):
            by_call = mode is PydanticProgramMode.FUNCTION
        else:
            raise InvalidRequestError(f"pydantic_program_mode cannot be {mode.value!r} here.")
        return StructuredProgram(self, output_cls, prompt, by_call=by_call)

    # --- the cores --------------------------------------------------------------------------------

    def _chat(self, request: _Request) -> ChatResponse:
        response = request.response(streams=False)
        while response.needs_request:
            with self._client.stream_chat(
                response.messages, as_history=response.as_history, **request.options
            ) as stream:
                for event in stream:
                    response.add(event)
                    if response.is_stopped:
                        break
                response.finish(stream.answer)
                response.attach(self._client.fetch_files(stream.answer))
        return response.complete(stream.answer)

    def _stream_chat(self, request: _Request) -> ChatResponseGen:
        response = request.response(streams=True)
        while response.needs_request:
            with self._client.stream_chat(
                response.messages, as_history=response.as_history, **request.options
            ) as stream:
                for event in stream:
                    if part := response.add(event):
                        yield part
                    if response.is_stopped:
                        break
                if part := response.finish(stream.answer):
                    yield part
                response.attach(self._client.fetch_files(stream.answer))
        yield response.complete(stream.answer)

    async def _achat(self, request: _Request) -> ChatResponse:
        response = request.response(streams=False)
        while response.needs_request:
            async with self._async_client.stream_chat(
                response.messages, as_history=response.as_history, **request.options
            ) as stream:
                async for event in stream:
                    response.add(event)
                    if response.is_stopped:
                        break
                response.finish(stream.answer)
                response.attach(await self._async_client.fetch_files(stream.answer))
        return response.complete(stream.answer)

    async def _astream_chat(self, request: _Request) -> ChatResponseAsyncGen:
        response = request.response(streams=True)
        while response.needs_request:
            async with self._async_client.stream_chat(
                response.messages, as_history=response.as_history, **request.options
            ) as stream:
                async for event in stream:
                    if part := response.add(event):
                        yield part
                    if response.is_stopped:
                        break
                if part := response.finish(stream.answer):
                    yield part
                response.attach(await self._async_client.fetch_files(stream.answer))
        yield response.complete(stream.answer)

    # --- arguments --------------------------------------------------------------------------------

    def _prompt(self, prompt: str, formatted: bool) -> list[hfchat_base.ChatMessage]:
        """A prompt as a history."""
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return [hfchat_base.ChatMessage("user", without_references(prompt))]

    def _request(
        self, history: Sequence[hfchat_base.ChatMessage], kwargs: dict[str, Any]
    ) -> _Request:
        """Read the keyword arguments of a call, and warn about those that have no effect."""
        stop = check("stop", kwargs.pop("stop", None), STOPS) or ()
        config = to_tool_config(
            check("tools", kwargs.pop("tools", None), TOOLS),
            kwargs.pop("tool_choice", None),
            parallel=kwargs.pop("allow_parallel_tool_calls", True),
        )
        options: dict[str, Any] = {
            "model": self.model,
            "web_search": self.web_search,
            **{name: getattr(self, name) for name in ANSWER_OPTIONS},
            "mcp_servers": self._mcp_servers,
            "on_elicitation": self._on_elicitation,
            "switch_to_vision_model": self.switch_to_vision_model,
        }
        given = {name: kwargs.pop(name) for name in options if name in kwargs}
        if "mcp_servers" in given:
            given["mcp_servers"] = _by_name(given["mcp_servers"], self._mcp_servers)
        options.update((name, value) for name, value in given.items() if value is not None)
        # Arguments of the constructor have no effect here, but frameworks pass them as well.
        known = _CALL_OPTIONS | _parameters(type(self))
        ignored = without_effect(f"{type(self).__name__}.chat", kwargs, known)
        self._warn_ignored(ignored, stacklevel=3)
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        return _Request(history, config, stops, self.max_identical_calls, options)

    def _warn_ignored(self, names: AbstractSet[str], *, stacklevel: int) -> None:
        """Warn, once for each name, about arguments that a server cannot honour."""
        new = names - self._warned
        if new:
            self._warned |= new
            listed = ", ".join(sorted(new))
            msg = f"HuggingChat has no setting for {listed}; the server's own values apply."
            warnings.warn(msg, UserWarning, stacklevel=stacklevel + 1)

    def _known_model(self) -> ModelDetails | None:
        """The model as far as it is known. Nothing is sent."""
        return self._client.known_model(self.model)

    def __reduce__(self) -> tuple[Any, ...]:
        # The runtime parts of the fields do not pickle, and the private ones hold secrets.
        left_out = {"callback_manager", "rate_limiter"}
        fields = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return _from_fields, (type(self), fields)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> HuggingChatLLM:
        return copy.copy(self)


def _make_client(
    client: hfchat_base.HuggingChat | hfchat_base.AsyncHuggingChat | None,
    connection: Mapping[str, Any],
) -> hfchat_base.HuggingChat:
    """Make the client, or share the one that was given.

    Raises:
        InvalidRequestError: There is a client, and arguments that would have no effect on it.
    """
    settings = {
        name: value
        for name, value in connection.items()
        if value is not None and value != _CLIENT_DEFAULTS[name]
    }
    if connection["impersonate"] is None:
        settings["impersonate"] = None
    if client is None:
        return hfchat_base.HuggingChat(**settings).as_managed()
    if settings:
        names = ", ".join(sorted(settings))
        raise InvalidRequestError(f"client has settings of its own; leave out {names}.")
    return client if isinstance(client, hfchat_base.HuggingChat) else client.to_sync().as_managed()


@functools.cache
def _parameters(cls: type[HuggingChatLLM]) -> frozenset[str]:
    return frozenset(inspect.signature(cls).parameters) - {"kwargs"}


def _from_fields(kind: type[HuggingChatLLM], fields: dict[str, Any]) -> HuggingChatLLM:
    return kind(**fields)


def _by_name(servers: Sequence[McpServer] | None, known: Sequence[McpServer]) -> list[McpServer]:
    """Replace names of tool servers by those that the LLM was made with, where one matches."""
    by_name = {server["name"]: server for server in known if not isinstance(server, str)}
    return [
        by_name.get(server, server) if isinstance(server, str) else server
        for server in check_servers(servers)
    ]


async def _completions_of(responses: ChatResponseAsyncGen) -> CompletionResponseAsyncGen:
    async with aclosing(responses):
        async for response in responses:
            yield to_completion(response)
