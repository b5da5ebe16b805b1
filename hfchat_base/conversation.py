"""A conversation on the server, as an object: `Conversation` and `AsyncConversation`.

The two have the same names and signatures (a test holds them to it). What they do is written once,
in `protocol/flows/`; here flows meet the client that made the conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hfchat_base.protocol.flow import Flow
from hfchat_base.protocol.flows import conversations, leave, turns
from hfchat_base.protocol.flows.run import Run
from hfchat_base.protocol.flows.turns import ConversationState, Options
from hfchat_base.protocol.requests import check_message_id, check_title
from hfchat_base.streams import AnswerStream, AsyncAnswerStream
from hfchat_base.types import Answer, AnswerFile, McpServer, Message, OnElicitation
from hfchat_base.uploads import FileInput, Upload

if TYPE_CHECKING:
    from hfchat_base.client import AsyncHuggingChat, HuggingChat

__all__ = ["AsyncConversation", "Conversation"]

_AnswerFlow = Callable[[Run], Flow[Answer]]


class _ConversationBase:
    """What needs no server: what is known, and which flow does what."""

    def __init__(self, state: ConversationState) -> None:
        self._state = state

    @property
    def id(self) -> str:
        """The server's id: 24 hexadecimal digits."""
        return self._state.id

    @property
    def model(self) -> str:
        """The id of its model."""
        return self._state.model

    @property
    def title(self) -> str:
        """Its title, as last heard."""
        return self._state.title

    @property
    def system_prompt(self) -> str:
        """The system prompt that it began with; empty if it has none."""
        return self._state.system_prompt

    @property
    def message_id(self) -> str | None:
        """The message that the next one follows, or None if that has to be asked."""
        return self._state.message_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, model={self.model!r}, title={self.title!r})"


def _options(
    files: FileInput | Iterable[FileInput], mcp_servers: Sequence[McpServer], *, web_search: bool
) -> Options:
    return Options(as_uploads(files), web_search, tuple(mcp_servers))


def as_uploads(files: FileInput | Iterable[FileInput]) -> tuple[Upload, ...]:
    """Make attachments of one file or of several."""
    if isinstance(files, (list, tuple)):
        return tuple(Upload.of(file) for file in files)
    return (Upload.of(files),)


class Conversation(_ConversationBase):
    """A conversation on the server. Made by `HuggingChat`.

    One run at a time goes on in it; a second one is refused, because the server would lose one of
    the two answers.
    """

    def __init__(self, client: HuggingChat, state: ConversationState) -> None:
        super().__init__(state)
        self._client = client

    def stream(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        parent_id: str | None = None,
    ) -> AnswerStream:
        """Send a message and read its answer as it comes.

        Args:
            text: What to say; not empty.
            files: Paths, bytes, open files, data URLs, PIL images or `Upload`s, at most 10 MiB
            each.
                With an image, a conversation whose model sees none is given one that does.
            web_search: Whether to search the web for this message.
            mcp_servers: Tool servers to offer: names of the server's own, or
                ``{"name", "url", "headers"}``. By default none.
            on_elicitation: Gets a tool's question; returns the content to accept with, or None to
                decline. By default questions are declined at once, so that no run waits for an
                hour.
            parent_id: The message to follow, to branch off; by default the last one.

        Returns:
            An iterator over events, and a context manager. Nothing is sent before the first event.
        """
        options = _options(files, mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.say(
                self._client.server, self._state, run, text, options, parent_id=parent_id
            ),
            on_elicitation,
        )

    def send(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        parent_id: str | None = None,
    ) -> Answer:
        """Send a message and wait for the whole answer; see `stream`.

        Raises:
            ResponseError: The server refused the message.
            StreamError: The run did not end well; `partial` holds what had arrived.
        """
        with self.stream(
            text,
            files,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
            parent_id=parent_id,
        ) as stream:
            return stream.result()

    def stream_retry(
        self,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> AnswerStream:
        """Have a message answered again, beside the old answer; read the new one as it comes.

        Args:
            message_id: The assistant's message to do again, by default the last one.
            web_search: See `stream`.
            mcp_servers: See `stream`.
            on_elicitation: See `stream`.
        """
        options = _options((), mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.retry(
                self._client.server, self._state, run, options, message_id=message_id
            ),
            on_elicitation,
        )

    def retry(
        self,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> Answer:
        """Have a message answered again and wait for it; see `stream_retry` and `send`."""
        with self.stream_retry(
            message_id,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
        ) as stream:
            return stream.result()

    def stream_edit(
        self,
        text: str,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> AnswerStream:
        """Say something else instead of an earlier message; read the answer as it comes.

        Args:
            text: What to say instead.
            message_id: The user's message to edit, by default the last one.
            web_search: See `stream`.
            mcp_servers: See `stream`.
            on_elicitation: See `stream`.
        """
        options = _options((), mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.edit(
                self._client.server, self._state, run, text, options, message_id=message_id
            ),
            on_elicitation,
        )

    def edit(
        self,
        text: str,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> Answer:
        """Say something else instead and wait for the answer; see `stream_edit` and `send`."""
        with self.stream_edit(
            text,
            message_id,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
        ) as stream:
            return stream.result()

    def stop(self) -> bool:
        """Stop the run that this object reads; what was written by then still comes.

        Returns:
            Whether there was a run to stop.
        """
        run = self._state.run
        return run is not None and self._client.run_flow(leave.stop(self._client.server, run))

    def messages(self) -> list[Message]:
        """Read all messages: a tree, by their `parent_id`, in the order in which they were made.

        Raises:
            ConversationNotFoundError: The conversation is gone.
        """
        stored = self._client.run_flow(conversations.read(self._client.server, self.id))
        return list(stored.messages)

    def rename(self, title: str) -> None:
        """Give it another title, of 1 to 100 characters."""
        changes = {"title": check_title(title)}
        self._client.run_flow(conversations.update(self._client.server, self.id, changes))
        self._state.title = title

    def share(self) -> str:
        """Make a public copy of what it holds by now, and return the copy's address."""
        return self._client.run_flow(conversations.share(self._client.server, self.id))

    def delete(self) -> None:
        """Delete it on the server."""
        self._client.delete_conversation(self.id)

    def delete_message(self, message_id: str) -> None:
        """Delete a message and all that follow it."""
        flow = conversations.delete_message(
            self._client.server, self.id, check_message_id(message_id)
        )
        self._client.run_flow(flow)
        self._state.message_id = None

    def download(self, file: AnswerFile | str) -> bytes:
        """Fetch a file of an answer.

        Args:
            file: The file, or its sha.

        Raises:
            FileNotAvailableError: The server does not have it.
        """
        sha = file if isinstance(file, str) else file.sha
        return self._client.run_flow(conversations.download(self._client.server, self.id, sha))

    def _stream(self, flow: _AnswerFlow, on_elicitation: OnElicitation | None) -> AnswerStream:
        return self._client.open_stream(flow, on_elicitation)


class AsyncConversation(_ConversationBase):
    """A conversation on the server. Made by `AsyncHuggingChat`; see `Conversation`."""

    def __init__(self, client: AsyncHuggingChat, state: ConversationState) -> None:
        super().__init__(state)
        self._client = client

    def stream(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        parent_id: str | None = None,
    ) -> AsyncAnswerStream:
        """Send a message and read its answer as it comes; see `Conversation.stream`."""
        options = _options(files, mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.say(
                self._client.server, self._state, run, text, options, parent_id=parent_id
            ),
            on_elicitation,
        )

    async def send(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        parent_id: str | None = None,
    ) -> Answer:
        """Send a message and wait for the whole answer; see `Conversation.send`."""
        async with self.stream(
            text,
            files,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
            parent_id=parent_id,
        ) as stream:
            return await stream.result()

    def stream_retry(
        self,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> AsyncAnswerStream:
        """Have a message answered again, as it comes; see `Conversation.stream_retry`."""
        options = _options((), mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.retry(
                self._client.server, self._state, run, options, message_id=message_id
            ),
            on_elicitation,
        )

    async def retry(
        self,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> Answer:
        """Have a message answered again and wait for it; see `Conversation.retry`."""
        async with self.stream_retry(
            message_id,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
        ) as stream:
            return await stream.result()

    def stream_edit(
        self,
        text: str,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> AsyncAnswerStream:
        """Say something else instead, as it comes; see `Conversation.stream_edit`."""
        options = _options((), mcp_servers, web_search=web_search)
        return self._stream(
            lambda run: turns.edit(
                self._client.server, self._state, run, text, options, message_id=message_id
            ),
            on_elicitation,
        )

    async def edit(
        self,
        text: str,
        message_id: str | None = None,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
    ) -> Answer:
        """Say something else instead and wait for the answer; see `Conversation.edit`."""
        async with self.stream_edit(
            text,
            message_id,
            web_search=web_search,
            mcp_servers=mcp_servers,
            on_elicitation=on_elicitation,
        ) as stream:
            return await stream.result()

    async def stop(self) -> bool:
        """Stop the run that this object reads; see `Conversation.stop`."""
        run = self._state.run
        return run is not None and await self._client.run_flow(leave.stop(self._client.server, run))

    async def messages(self) -> list[Message]:
        """Read all messages; see `Conversation.messages`."""
        stored = await self._client.run_flow(conversations.read(self._client.server, self.id))
        return list(stored.messages)

    async def rename(self, title: str) -> None:
        """Give it another title, of 1 to 100 characters."""
        changes = {"title": check_title(title)}
        await self._client.run_flow(conversations.update(self._client.server, self.id, changes))
        self._state.title = title

    async def share(self) -> str:
        """Make a public copy of what it holds by now, and return the copy's address."""
        return await self._client.run_flow(conversations.share(self._client.server, self.id))

    async def delete(self) -> None:
        """Delete it on the server."""
        await self._client.delete_conversation(self.id)

    async def delete_message(self, message_id: str) -> None:
        """Delete a message and all that follow it."""
        flow = conversations.delete_message(
            self._client.server, self.id, check_message_id(message_id)
        )
        await self._client.run_flow(flow)
        self._state.message_id = None

    async def download(self, file: AnswerFile | str) -> bytes:
        """Fetch a file of an answer; see `Conversation.download`."""
        sha = file if isinstance(file, str) else file.sha
        return await self._client.run_flow(
            conversations.download(self._client.server, self.id, sha)
        )

    def _stream(self, flow: _AnswerFlow, on_elicitation: OnElicitation | None) -> AsyncAnswerStream:
        return self._client.open_stream(flow, on_elicitation)
