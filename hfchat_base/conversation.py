"""A conversation on the server, as an object: `Conversation` and `AsyncConversation`.

The two have the same names and signatures (a test holds them to it). What they do is written once,
in `_flows/`; here flows meet the runner of the client that made the conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import Unpack

from hfchat_base._display import conversation_html
from hfchat_base._flows import conversations, messages
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.index import ConversationIndex
from hfchat_base._flows.messages import ConversationState, SendOptions
from hfchat_base._flows.run import stop_run
from hfchat_base._flows.run_state import AnswerOptions, RunState
from hfchat_base._protocol.artifacts import render_messages
from hfchat_base._protocol.requests import check_message_id, check_title
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base.files import FileInput, Upload
from hfchat_base.secret import hide_servers
from hfchat_base.streams import AnswerStream, AsyncAnswerStream, AsyncRunner, SyncRunner
from hfchat_base.types import (
    Answer,
    AnswerFile,
    FetchedFile,
    McpServer,
    Message,
    MessageOptions,
    OnElicitation,
)
from hfchat_base.validation import ANSWER_OPTIONS, CALLBACK, FILE, FLAG, TEXT, check, check_servers

__all__ = ["AsyncConversation", "Conversation"]

_Opening = tuple[Callable[[RunState], Flow[Answer]], OnElicitation | None]
"""What a stream is made of: a flow, and the function that answers the questions of tools."""


class _ConversationBase:
    """What both conversations share: what is known without asking, and which flow does what."""

    def __init__(
        self,
        server: ServerInfo,
        index: ConversationIndex,
        state: ConversationState,
        defaults: AnswerOptions,
    ) -> None:
        self._server = server
        self._defaults = defaults
        self._index = index
        self._state = state

    @property
    def id(self) -> str:
        """The server's id, 24 hexadecimal digits."""
        return self._state.id

    @property
    def model(self) -> str:
        """The id of its model."""
        return self._state.model

    @property
    def title(self) -> str:
        """Its title, as the server last sent it."""
        return self._state.title

    @property
    def system_prompt(self) -> str:
        """The system prompt that it began with; empty if it has none."""
        return self._state.system_prompt

    @property
    def message_id(self) -> str | None:
        """The message that the next one follows, or None if it has to be fetched."""
        return self._state.message_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, model={self.model!r}, title={self.title!r})"

    def _shown(self, stored: StoredConversation) -> list[Message]:
        """The messages, with artifacts as answers have them."""
        is_raw = self._defaults.artifacts == "raw"
        return list(stored.messages if is_raw else render_messages(stored.messages))

    def _repr_html_(self) -> str:
        return conversation_html(self)

    def _say(
        self,
        text: str,
        files: FileInput | Iterable[FileInput],
        parent_id: str | None,
        options: MessageOptions,
    ) -> _Opening:
        check("text", text, TEXT)
        sent, on_elicitation = _split_options(files, self._defaults, **options)
        return (
            lambda run: messages.send_message(
                self._server, self._state, run, text, sent, parent_id=parent_id
            ),
            on_elicitation,
        )

    def _retry(self, message_id: str | None, options: MessageOptions) -> _Opening:
        sent, on_elicitation = _split_options((), self._defaults, **options)
        return (
            lambda run: messages.retry(self._server, self._state, run, sent, message_id=message_id),
            on_elicitation,
        )

    def _edit(self, text: str, message_id: str | None, options: MessageOptions) -> _Opening:
        check("text", text, TEXT)
        sent, on_elicitation = _split_options((), self._defaults, **options)
        return (
            lambda run: messages.edit(
                self._server, self._state, run, text, sent, message_id=message_id
            ),
            on_elicitation,
        )


def _split_options(
    files: FileInput | Iterable[FileInput],
    defaults: AnswerOptions,
    *,
    web_search: bool = False,
    mcp_servers: Sequence[McpServer] = (),
    on_elicitation: OnElicitation | None = None,
    **answer: Any,
) -> tuple[SendOptions, OnElicitation | None]:
    """Separate what is sent with a message from the function that answers questions of tools."""
    check("on_elicitation", on_elicitation, CALLBACK)
    check("web_search", web_search, FLAG)
    servers = hide_servers(check_servers(mcp_servers))
    wanted = answer_options(answer).over(defaults)
    return SendOptions(as_uploads(files), web_search, servers, wanted), on_elicitation


def answer_options(options: Mapping[str, Any]) -> AnswerOptions:
    """Check how an answer is wanted.

    Raises:
        InvalidRequestError: An option is of a wrong type.
        TypeError: There is no such option.
    """
    for name, value in options.items():
        if name in ANSWER_OPTIONS:
            check(name, value, ANSWER_OPTIONS[name])
    return AnswerOptions(**options)


def as_uploads(files: FileInput | Iterable[FileInput]) -> tuple[Upload, ...]:
    """Make attachments of one file or of several."""
    if isinstance(files, (list, tuple)):
        return tuple(Upload.from_source(file) for file in files)
    return (Upload.from_source(files),)


class Conversation(_ConversationBase):
    """A conversation on the server. Made by `HuggingChat`.

    Only one answer can run at a time. A second one is refused, because the server would lose one
    of the two.
    """

    def __init__(
        self, runner: SyncRunner, index: ConversationIndex, state: ConversationState
    ) -> None:
        super().__init__(runner.server, index, state, runner.defaults)
        self._runner = runner

    def stream(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        parent_id: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> AnswerStream:
        """Send a message and stream its answer.

        Args:
            text: What to say; not empty.
            files: A path, bytes, an open file, a data URL, a PIL image or an `Upload`, or several
                of them, at most 10 MiB each. With an image, a conversation whose model has no
                vision switches to one that has.
            parent_id: The message to continue from, which starts a branch; by default the last one.
            **options: See `MessageOptions`.

        Returns:
            An iterator over events, and a context manager. Nothing is sent before the first event.
        """
        return self._runner.stream(*self._say(text, files, parent_id, options))

    def send(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        parent_id: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> Answer:
        """Send a message and wait for the whole answer; see `stream`.

        Raises:
            ResponseError: The server refused the message.
            StreamError: The run did not end well; `partial` holds what had arrived.
        """
        with self.stream(text, files, parent_id=parent_id, **options) as stream:
            return stream.result()

    def stream_retry(
        self, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> AnswerStream:
        """Generate another answer to a message, next to the old one, and stream it.

        Args:
            message_id: The assistant's message to regenerate, by default the last one.
            **options: See `MessageOptions`.
        """
        return self._runner.stream(*self._retry(message_id, options))

    def retry(self, message_id: str | None = None, **options: Unpack[MessageOptions]) -> Answer:
        """Generate another answer to a message and wait for it; see `stream_retry` and `send`."""
        with self.stream_retry(message_id, **options) as stream:
            return stream.result()

    def stream_edit(
        self, text: str, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> AnswerStream:
        """Replace an earlier message of the user's and stream the new answer.

        Args:
            text: The new text.
            message_id: The user's message to edit, by default the last one.
            **options: See `MessageOptions`.
        """
        return self._runner.stream(*self._edit(text, message_id, options))

    def edit(
        self, text: str, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> Answer:
        """Replace an earlier message and wait for the answer; see `stream_edit` and `send`."""
        with self.stream_edit(text, message_id, **options) as stream:
            return stream.result()

    def stop(self) -> bool:
        """Stop the running answer; the stream still yields what was written until then.

        Returns:
            Whether there was a run to stop.
        """
        run = self._state.run
        return run is not None and self._runner.run(stop_run(self._server, run))

    def messages(self) -> list[Message]:
        """Read all messages: a tree, by their `parent_id`, in the order in which they were made.

        Artifacts are taken out of them as out of answers, unless the client has
        ``artifacts="raw"``.

        Raises:
            ConversationNotFoundError: The conversation no longer exists.
        """
        stored = self._runner.run(conversations.read(self._server, self.id))
        return self._shown(stored)

    def rename(self, title: str) -> None:
        """Give it another title, of 1 to 100 characters."""
        changes = {"title": check_title(title)}
        self._runner.run(conversations.update(self._server, self.id, changes))
        self._state.title = title

    def share(self) -> str:
        """Make a public copy of what it holds by now, and return the copy's address."""
        return self._runner.run(conversations.share(self._server, self.id))

    def delete(self) -> None:
        """Delete it on the server."""
        self._index.forget(self.id)
        self._runner.run(conversations.delete(self._server, self.id))

    def delete_message(self, message_id: str) -> None:
        """Delete a message and all that follow it."""
        flow = conversations.delete_message(self._server, self.id, check_message_id(message_id))
        self._runner.run(flow)
        self._state.message_id = None

    def download(self, file: AnswerFile | str) -> bytes:
        """Fetch a file of an answer.

        Args:
            file: The file, or its sha.

        Raises:
            FileNotAvailableError: The server does not have it.
        """
        check("file", file, FILE)
        sha = file if isinstance(file, str) else file.sha
        return self._runner.run(conversations.download(self._server, self.id, sha))

    def fetch_files(self, answer: Answer) -> list[FetchedFile]:
        """Fetch the files of an answer; see `HuggingChat.fetch_files`."""
        return self._runner.run(conversations.fetch_files(self._server, answer))


class AsyncConversation(_ConversationBase):
    """A conversation on the server. Made by `AsyncHuggingChat`; see `Conversation`."""

    def __init__(
        self, runner: AsyncRunner, index: ConversationIndex, state: ConversationState
    ) -> None:
        super().__init__(runner.server, index, state, runner.defaults)
        self._runner = runner

    def stream(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        parent_id: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> AsyncAnswerStream:
        """Send a message and stream its answer; see `Conversation.stream`."""
        return self._runner.stream(*self._say(text, files, parent_id, options))

    async def send(
        self,
        text: str,
        files: FileInput | Sequence[FileInput] = (),
        *,
        parent_id: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> Answer:
        """Send a message and wait for the whole answer; see `Conversation.send`."""
        async with self.stream(text, files, parent_id=parent_id, **options) as stream:
            return await stream.result()

    def stream_retry(
        self, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> AsyncAnswerStream:
        """Generate another answer and stream it; see `Conversation.stream_retry`."""
        return self._runner.stream(*self._retry(message_id, options))

    async def retry(
        self, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> Answer:
        """Generate another answer to a message and wait for it; see `Conversation.retry`."""
        async with self.stream_retry(message_id, **options) as stream:
            return await stream.result()

    def stream_edit(
        self, text: str, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> AsyncAnswerStream:
        """Replace an earlier message and stream the new answer; see `Conversation.stream_edit`."""
        return self._runner.stream(*self._edit(text, message_id, options))

    async def edit(
        self, text: str, message_id: str | None = None, **options: Unpack[MessageOptions]
    ) -> Answer:
        """Replace an earlier message and wait for the answer; see `Conversation.edit`."""
        async with self.stream_edit(text, message_id, **options) as stream:
            return await stream.result()

    async def stop(self) -> bool:
        """Stop the running answer; see `Conversation.stop`."""
        run = self._state.run
        return run is not None and await self._runner.run(stop_run(self._server, run))

    async def messages(self) -> list[Message]:
        """Read all messages; see `Conversation.messages`."""
        stored = await self._runner.run(conversations.read(self._server, self.id))
        return self._shown(stored)

    async def rename(self, title: str) -> None:
        """Give it another title, of 1 to 100 characters."""
        changes = {"title": check_title(title)}
        await self._runner.run(conversations.update(self._server, self.id, changes))
        self._state.title = title

    async def share(self) -> str:
        """Make a public copy of what it holds by now, and return the copy's address."""
        return await self._runner.run(conversations.share(self._server, self.id))

    async def delete(self) -> None:
        """Delete it on the server."""
        self._index.forget(self.id)
        await self._runner.run(conversations.delete(self._server, self.id))

    async def delete_message(self, message_id: str) -> None:
        """Delete a message and all that follow it."""
        flow = conversations.delete_message(self._server, self.id, check_message_id(message_id))
        await self._runner.run(flow)
        self._state.message_id = None

    async def download(self, file: AnswerFile | str) -> bytes:
        """Fetch a file of an answer; see `Conversation.download`."""
        check("file", file, FILE)
        sha = file if isinstance(file, str) else file.sha
        return await self._runner.run(conversations.download(self._server, self.id, sha))

    async def fetch_files(self, answer: Answer) -> list[FetchedFile]:
        """Fetch the files of an answer; see `HuggingChat.fetch_files`."""
        return await self._runner.run(conversations.fetch_files(self._server, answer))
