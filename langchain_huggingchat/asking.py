"""How the chat model asks: LangChain's four ways, over one that yields chunks.

What goes in: LangChain's messages become the base client's (`messages.py`), tools become
instructions (`hfchat_base.tools`), and the base client finds the conversation that already holds
the history's beginning and sends what is new. What comes out: text and calls (`hfchat_base.tools`
again) and the server's other events become chunks (`chunks.py`). What a caller binds to a model is
in `chat_models.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import run_in_executor

from hfchat_base import Answer, ChatMessage, Upload
from hfchat_base.files import fetch_public_file
from hfchat_base.tools import ToolSession
from hfchat_base.validation import STOPS, TOOLS, check, check_servers
from langchain_huggingchat.chunks import (
    ChunkMaker,
    gathered,
    metadata_of,
    register_blocks,
    with_errors,
)
from langchain_huggingchat.elicitation import interrupt_graph
from langchain_huggingchat.errors import model_errors
from langchain_huggingchat.messages import base_messages, has_web_files
from langchain_huggingchat.parameters import warn_ignored
from langchain_huggingchat.settings import HuggingChatSettings
from langchain_huggingchat.tools import ToolSet, response_schema

__all__ = ["AskingChatModel"]

register_blocks()

_SILENTLY_IGNORED: Final = frozenset(
    ("ls_structured_output_format", "structured_output_format", "stream", "strict")
)
"""Call arguments of LangChain's own, or that say nothing to a model without function calling."""


class AskingChatModel(HuggingChatSettings):
    """Asks the server, whole or streamed, sync or async."""

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
        coming = self._aask(messages, stop, kwargs, streams=False)
        chunks = [chunk async for chunk in coming]
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
                    for chunk in maker.files(await client.fetch_files(answer)):
                        yield chunk
            yield self._last(maker, answer)

    def _dialog(
        self,
        history: Sequence[ChatMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        streams: bool,
    ) -> tuple[ToolSession, dict[str, Any]]:
        """What is to be asked, and with which arguments of `stream_chat`."""
        left = {name: value for name, value in kwargs.items() if name not in _SILENTLY_IGNORED}
        tools = ToolSet.of(
            check("tools", left.pop("tools", None), TOOLS) or (),
            left.pop("tool_choice", None),
            parallel=left.pop("parallel_tool_calls", None) is not False,
        )
        check("stop", stop, STOPS)
        dialog = ToolSession(
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
                *(self.mcp_servers if servers is None else check_servers(servers)),
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
