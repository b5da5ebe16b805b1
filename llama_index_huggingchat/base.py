"""`HuggingChatLLM`: a HuggingChat server as a LlamaIndex LLM.

Eight public methods (chat and completion, whole and streamed, sync and async) call four cores
without decorators, so that one call is one event. How messages and tools are converted is in
`_convert.py`, how answers become responses in `_responses.py`.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

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
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import BasePydanticProgram, Model, PydanticProgramMode

import hfchat_base
from hfchat_base.auth.cookies import CookieInput
from hfchat_base.client import MODEL_VARIABLE
from hfchat_base.secret import hide_servers
from hfchat_base.tools import Offer as ToolConfig
from hfchat_base.tools import ToolChoice
from hfchat_base.types import McpServer, OnElicitation
from hfchat_base.validation import (
    CALLBACK,
    CLIENT,
    STOPS,
    TOOLS,
    check,
    check_servers,
    invalid,
)
from llama_index_huggingchat._convert import (
    to_history,
    to_history_async,
    to_tool_config,
    tool_descriptions,
    tool_selections,
)
from llama_index_huggingchat._responses import ResponseBuilder, to_completion
from llama_index_huggingchat._secrets import hides_secrets

__all__ = ["HuggingChatLLM"]

_CLIENT_ARGUMENTS: Final = frozenset(inspect.signature(hfchat_base.HuggingChat).parameters)

DEFAULT_CONTEXT_WINDOW: Final = 32_768
"""Tokens. The models on HuggingChat accept at least as many."""

DEFAULT_NUM_OUTPUT: Final = 4_096
"""Tokens."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What one call wants.

    Attributes:
        history: The messages to answer.
        config: The tools that may be called.
        stop: Stop sequences.
        options: The keyword arguments of `HuggingChat.stream_chat`.
    """

    history: Sequence[hfchat_base.ChatMessage]
    config: ToolConfig
    stop: Sequence[str]
    options: Mapping[str, Any]

    def response(self, *, streams: bool) -> ResponseBuilder:
        """Begin the response."""
        return ResponseBuilder(self.history, self.config, stop=self.stop, streams=streams)


@hides_secrets
class HuggingChatLLM(CustomLLM, FunctionCallingLLM):
    """A HuggingChat server as a LlamaIndex LLM.

    Works without any argument: server, session and model then come from the environment
    (``HUGGINGCHAT_BASE_URL``, ``HUGGINGCHAT_COOKIES`` or ``HUGGINGCHAT_COOKIE_FILE``,
    ``HUGGINGCHAT_MODEL``), or are huggingface.co/chat, a guest's and the server's default.

    What is special about HuggingChat:

    * The server stores conversations. LlamaIndex passes the whole history to every call; the client
      finds the conversation that already holds its beginning and sends only the new messages.
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
        client: A client whose session, settings and conversations are shared; it replaces all
            arguments about the connection.
        mcp_servers: Tool servers that the server may use: names of its own, or
            ``{"name", "url", "headers"}``.
        on_elicitation: Receives a tool server's question; returns the content to accept with, or
            None to decline. A coroutine function, such as `ask_in_workflow`, works only with the
            asynchronous methods.
        max_retries: How often to retry what is safe to repeat; 0 sends every message once. By
            default as in `hfchat_base.Retries`.
        kwargs: The fields below; those of LlamaIndex's ``LLM`` (`system_prompt`,
            `callback_manager`, `rate_limiter`, …); the other arguments of
            `hfchat_base.HuggingChat` (`timeouts`, `proxy`, `headers`, `retries`, …).

    Raises:
        InvalidRequestError: An argument or a variable cannot be read.

    Arguments of the client and tool servers may hold secrets. No `repr`, `to_dict`, pickle, event
    or span shows them, and neither those of single calls. A copy made from one of these finds its
    session as if it was made without arguments.
    """

    model: str | None = Field(default=None, description="ID or short name of the model.")
    base_url: str = Field(default="", frozen=True, description="Address of the server.")
    context_window: int = Field(
        default=DEFAULT_CONTEXT_WINDOW,
        gt=0,
        description="Tokens that fit into a prompt and its answer.",
    )
    num_output: int = Field(
        default=DEFAULT_NUM_OUTPUT, gt=0, description="Tokens to leave for the answer."
    )
    is_function_calling_model: bool = Field(
        default=True, description="Offer tools by prompt; without, agents reason in text (ReAct)."
    )
    web_search: bool = Field(default=False, description="Search the web for every message.")
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
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        ephemeral: bool = False,
        max_retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        settings = {name: kwargs.pop(name) for name in _CLIENT_ARGUMENTS & kwargs.keys()}
        unknown = {name: kwargs.pop(name) for name in kwargs.keys() - type(self).model_fields}
        check("client", client, CLIENT)
        if max_retries is not None and "retries" not in settings:
            settings["retries"] = hfchat_base.Retries(attempts=max_retries + 1)
        if client is None:
            client = hfchat_base.HuggingChat(
                base_url or None, cookies, ephemeral=ephemeral, **settings
            ).as_managed()
        refusal = None
        try:
            super().__init__(
                model=model or os.environ.get(MODEL_VARIABLE) or None,
                base_url=client.base_url,
                ephemeral=client.ephemeral,
                **kwargs,
            )
        except ValidationError as error:
            refusal = invalid(error)
        if refusal is not None:
            # Outside of the handler, as pydantic's error holds the values.
            raise refusal
        if not isinstance(client, hfchat_base.HuggingChat):
            client = client.to_sync().as_managed()
        self._client = client
        self._async_client = self._client.to_async().as_managed()
        self._mcp_servers = hide_servers(check_servers(mcp_servers))
        self._on_elicitation = check("on_elicitation", on_elicitation, CALLBACK)
        self._warn_ignored(unknown, stacklevel=2)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized objects."""
        return "huggingchat_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans its prompts with.

        The model's name is the server's. The model list is read once for it, unless an event loop
        is running, which would be blocked; then the name is filled in after the first answer.

        Raises:
            TransportError: The server cannot be reached.
        """
        if self._client.server.catalog is None and not _in_event_loop():
            self._client.get_models()
        return self._known_metadata()

    def to_payload(self) -> dict[str, Any]:
        """Describe this LLM in events, without secrets and without asking the server."""
        return {"class_name": self.class_name(), **self._known_metadata().model_dump()}

    def get_models(self) -> list[hfchat_base.Model]:
        """List the server's models; see `HuggingChat.get_models`."""
        return self._client.get_models()

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a chat.

        Args:
            messages: The whole history.
            kwargs: ``model``, ``web_search``, ``mcp_servers``, ``on_elicitation``, which override
                this object's own; ``stop``, one or more texts that end the answer; ``tools``,
                ``tool_choice``, ``allow_parallel_tool_calls``.

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
        return await self._achat(self._request(await to_history_async(messages), kwargs))

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer a chat and stream the answer; see `stream_chat`."""
        return self._astream_chat(self._request(await to_history_async(messages), kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as a single user message; see `chat`.

        Args:
            prompt: The text.
            formatted: Whether `completion_to_prompt` has been applied to it.
            kwargs: See `chat`.
        """
        return to_completion(self._chat(self._prompt_request(prompt, formatted, kwargs)))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt and stream the answer; see `complete` and `stream_chat`."""
        responses = self._stream_chat(self._prompt_request(prompt, formatted, kwargs))
        return (to_completion(response) for response in responses)

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt; see `complete`."""
        return to_completion(await self._achat(self._prompt_request(prompt, formatted, kwargs)))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt and stream the answer; see `complete` and `stream_chat`."""
        responses = self._astream_chat(self._prompt_request(prompt, formatted, kwargs))
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

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = self._structured_program(output_cls, prompt)
        return program.stream_call(llm_kwargs=llm_kwargs, **prompt_args)

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        program = self._structured_program(output_cls, prompt)
        return await program.astream_call(llm_kwargs=llm_kwargs, **prompt_args)

    def _structured_program(
        self, output_cls: type[Model], prompt: PromptTemplate
    ) -> BasePydanticProgram[Model]:
        """Make LlamaIndex's program, and require a call also where it streams."""
        mode = self.pydantic_program_mode
        calls = mode is PydanticProgramMode.FUNCTION or (
            mode is PydanticProgramMode.DEFAULT and self.metadata.is_function_calling_model
        )
        forced = {"tool_choice": "required"} if calls else {}
        return get_program_for_llm(output_cls, prompt, self, mode, **forced)

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

    def _prompt_request(self, prompt: str, formatted: bool, kwargs: dict[str, Any]) -> _Request:
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return self._request([hfchat_base.ChatMessage("user", prompt)], kwargs)

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
            "mcp_servers": self._mcp_servers,
            "on_elicitation": self._on_elicitation,
        }
        given = {name: kwargs.pop(name) for name in options if name in kwargs}
        if "mcp_servers" in given:
            given["mcp_servers"] = _by_name(given["mcp_servers"], self._mcp_servers)
        options.update((name, value) for name, value in given.items() if value is not None)
        self._warn_ignored(kwargs, stacklevel=4)
        return _Request(history, config, (stop,) if isinstance(stop, str) else tuple(stop), options)

    def _warn_ignored(self, arguments: Mapping[str, Any], *, stacklevel: int) -> None:
        """Warn, once for each name, about arguments that a server cannot honour."""
        names = {name for name, value in arguments.items() if value is not None} - self._warned
        if names:
            self._warned |= names
            listed = ", ".join(sorted(names))
            msg = f"HuggingChat has no setting for {listed}; the server's own values apply."
            warnings.warn(msg, UserWarning, stacklevel=stacklevel + 1)

    def _known_metadata(self) -> LLMMetadata:
        catalog = self._client.server.catalog
        known = None
        if catalog is not None:
            known = catalog.find(self.model) if self.model else catalog.default
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.num_output,
            is_chat_model=True,
            is_function_calling_model=self.is_function_calling_model
            and not (known and known.generates_images),
            model_name=known.id if known else self.model or "unknown",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The runtime parts of the fields do not pickle, and the private ones hold secrets.
        left_out = {"callback_manager", "rate_limiter"}
        fields = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return _from_fields, (type(self), fields)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> HuggingChatLLM:
        return copy.copy(self)


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


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
