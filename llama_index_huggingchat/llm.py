"""`HuggingChatLLM`: the class that LlamaIndex talks to.

Eight public methods (chat and completion, whole and streamed, sync and async) stand over four cores
without decorators, so that one call is one event. How messages go in is known in `messages.py`, how
answers come out in `responses.py`, how LlamaIndex offers tools in `function_calling.py`.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
from collections.abc import Sequence
from contextlib import aclosing
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
    TextBlock,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr, ValidationError
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM

import hfchat_base
from hfchat_base.auth.cookies import CookieInput
from hfchat_base.client import MODEL_VARIABLE
from hfchat_base.secret import hide_servers
from hfchat_base.types import McpServer, OnElicitation
from hfchat_base.validation import CALLBACK, CLIENT, check, check_servers, invalid
from llama_index_huggingchat.asks import Ask, named_servers, warn_of_dropped
from llama_index_huggingchat.function_calling import PromptCallingLLM
from llama_index_huggingchat.hiding import hides_secrets
from llama_index_huggingchat.messages import history_of
from llama_index_huggingchat.responses import completion_of

__all__ = ["HuggingChatLLM"]

_CLIENT_ARGUMENTS: Final = frozenset(inspect.signature(hfchat_base.HuggingChat).parameters)

DEFAULT_CONTEXT_WINDOW: Final = 32_768
"""Tokens. chat-ui does not tell; the models that HuggingChat offers take at least as many."""

DEFAULT_NUM_OUTPUT: Final = 4_096
"""Tokens. chat-ui does not tell."""


@hides_secrets
class HuggingChatLLM(CustomLLM, PromptCallingLLM):
    """A HuggingChat server as a LlamaIndex LLM.

    Works without any argument: the server, the session and the model then come from the environment
    (``HUGGINGCHAT_BASE_URL``, ``HUGGINGCHAT_COOKIES`` or ``HUGGINGCHAT_COOKIE_FILE``,
    ``HUGGINGCHAT_MODEL``), or are huggingface.co/chat, a guest's and the server's default.

    The whole history is handed over at every call, as LlamaIndex does it, but only what is new of
    it is sent. Calls may go on at the same time, in threads and in tasks.

    Example:
        >>> from llama_index_huggingchat import HuggingChatLLM
        >>> llm = HuggingChatLLM()
        >>> print(llm.complete("Say hello."))

    Args:
        model: Id or short name of the model.
        base_url: Address of the server, with its path.
        cookies: The session; see `hfchat_base.HuggingChat`.
        client: A client to share session, settings and history with, in place of all that.
        mcp_servers: Tool servers that the server may use: names of its own, or
            ``{"name", "url", "headers"}``.
        on_elicitation: Gets a tool server's question; returns the content to accept with, or None
            to decline. A coroutine function, such as `ask_in_workflow`, works with the asynchronous
            methods alone.
        max_retries: How often to try again what is safe to repeat; 0 sends every message once. By
            default as `hfchat_base.Retries` says.
        kwargs: The fields below; those of LlamaIndex's ``LLM`` (`system_prompt`,
            `callback_manager`, `rate_limiter`, …); the other arguments of
            `hfchat_base.HuggingChat` (`timeouts`, `proxy`, `headers`, `retries`, …). What
            HuggingChat has no setting for, such as ``temperature``, is warned about and dropped.

    Raises:
        InvalidRequestError: An argument or a variable cannot be read.

    What goes to the client, and the tool servers, may hold secrets: they are in no `repr`,
    `to_dict`, pickle, event or span, and neither are those of single calls. An object made from one
    of these finds its session as one without arguments does.
    """

    model: str | None = Field(default=None, description="Id or short name of the model.")
    base_url: str = Field(default="", frozen=True, description="Address of the server.")
    context_window: int = Field(
        default=DEFAULT_CONTEXT_WINDOW, gt=0, description="Tokens that a prompt may have."
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
        warn_of_dropped(unknown, self._warned, stacklevel=2)

    @classmethod
    def class_name(cls) -> str:
        """The name that serialized objects carry."""
        return "huggingchat_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with.

        The model's name is the server's. Its list is read once for it, unless an event loop is
        running, which would be blocked; then the name is filled in after the first answer.

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
            kwargs: ``model``, ``web_search``, ``mcp_servers``, ``on_elicitation``, in place of what
                this object was made with; ``stop``, one or more texts that end the answer;
                ``tools``, ``tool_choice``, ``allow_parallel_tool_calls``.

        Raises:
            ResponseError: The server refused the message.
            StreamError: The answer did not end well; `partial` holds what had arrived.
        """
        return self._chat(self._ask(history_of(messages), kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a chat as the answer comes; see `chat`.

        Closing the generator stops the server's run.
        """
        return self._stream_chat(self._ask(history_of(messages), kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a chat; see `chat`."""
        return await self._achat(self._ask(await _history_of(messages), kwargs))

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer a chat as the answer comes; see `stream_chat`."""
        return self._astream_chat(self._ask(await _history_of(messages), kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as if it were a user's only message; see `chat`.

        Args:
            prompt: The text.
            formatted: Whether `completion_to_prompt` has been applied to it.
            kwargs: See `chat`.
        """
        return completion_of(self._chat(self._ask_prompt(prompt, formatted, kwargs)))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt as the answer comes; see `complete` and `stream_chat`."""
        responses = self._stream_chat(self._ask_prompt(prompt, formatted, kwargs))
        return (completion_of(response) for response in responses)

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt; see `complete`."""
        return completion_of(await self._achat(self._ask_prompt(prompt, formatted, kwargs)))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt as the answer comes; see `complete` and `stream_chat`."""
        responses = self._astream_chat(self._ask_prompt(prompt, formatted, kwargs))
        return _completions_of(responses)

    # --- the cores --------------------------------------------------------------------------------

    def _chat(self, ask: Ask) -> ChatResponse:
        reply = ask.reply(streams=False)
        while reply.goes_on:
            with self._client.stream_chat(
                reply.messages, as_history=reply.as_history, **ask.options
            ) as stream:
                for event in stream:
                    reply.take(event)
                    if reply.is_stopped:
                        break
                reply.end(stream.answer)
                reply.attach(self._client.fetch_files(stream.answer))
        return reply.whole(stream.answer)

    def _stream_chat(self, ask: Ask) -> ChatResponseGen:
        reply = ask.reply(streams=True)
        while reply.goes_on:
            with self._client.stream_chat(
                reply.messages, as_history=reply.as_history, **ask.options
            ) as stream:
                for event in stream:
                    if response := reply.take(event):
                        yield response
                    if reply.is_stopped:
                        break
                if response := reply.end(stream.answer):
                    yield response
                reply.attach(self._client.fetch_files(stream.answer))
        yield reply.whole(stream.answer)

    async def _achat(self, ask: Ask) -> ChatResponse:
        reply = ask.reply(streams=False)
        while reply.goes_on:
            async with self._async_client.stream_chat(
                reply.messages, as_history=reply.as_history, **ask.options
            ) as stream:
                async for event in stream:
                    reply.take(event)
                    if reply.is_stopped:
                        break
                reply.end(stream.answer)
                reply.attach(await self._async_client.fetch_files(stream.answer))
        return reply.whole(stream.answer)

    async def _astream_chat(self, ask: Ask) -> ChatResponseAsyncGen:
        reply = ask.reply(streams=True)
        while reply.goes_on:
            async with self._async_client.stream_chat(
                reply.messages, as_history=reply.as_history, **ask.options
            ) as stream:
                async for event in stream:
                    if response := reply.take(event):
                        yield response
                    if reply.is_stopped:
                        break
                if response := reply.end(stream.answer):
                    yield response
                reply.attach(await self._async_client.fetch_files(stream.answer))
        yield reply.whole(stream.answer)

    # --- arguments --------------------------------------------------------------------------------

    def _ask_prompt(self, prompt: str, formatted: bool, kwargs: dict[str, Any]) -> Ask:
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return self._ask([hfchat_base.ChatMessage("user", prompt)], kwargs)

    def _ask(self, history: Sequence[hfchat_base.ChatMessage], kwargs: dict[str, Any]) -> Ask:
        defaults = {
            "model": self.model,
            "web_search": self.web_search,
            "mcp_servers": self._mcp_servers,
            "on_elicitation": self._on_elicitation,
        }
        if "mcp_servers" in kwargs:
            kwargs["mcp_servers"] = named_servers(kwargs["mcp_servers"], self._mcp_servers)
        ask = Ask.take(history, kwargs, defaults)
        warn_of_dropped(kwargs, self._warned, stacklevel=4)
        return ask

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


async def _history_of(messages: Sequence[ChatMessage]) -> list[hfchat_base.ChatMessage]:
    """Read the messages without blocking the event loop on files."""
    if any(not isinstance(block, TextBlock) for message in messages for block in message.blocks):
        return await asyncio.to_thread(history_of, messages)
    return history_of(messages)


async def _completions_of(responses: ChatResponseAsyncGen) -> CompletionResponseAsyncGen:
    async with aclosing(responses):
        async for response in responses:
            yield completion_of(response)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
