"""The chat's loop: a line comes in, a turn or a command is run, and nothing but /quit ends it.

Errors are told and the loop goes on. Ctrl-C stops what is going on: a run (on the server too) or a
line that is being typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rich.text import Text

from hfchat_base.cli.failures import print_error
from hfchat_base.cli.repl.commands import COMMANDS, Quit
from hfchat_base.cli.terminal import clean_line, note
from hfchat_base.cli.turn import TurnRunner
from hfchat_base.errors import HuggingChatError
from hfchat_base.files import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfchat_base.cli.downloads import Downloads
    from hfchat_base.cli.terminal import Terminal
    from hfchat_base.client import HuggingChat
    from hfchat_base.conversation import Conversation
    from hfchat_base.streams import AnswerStream
    from hfchat_base.types import McpServer, OnElicitation

__all__ = ["Reader", "Repl", "Settings"]

PROMPT: Final = "> "


class Reader(Protocol):
    """Where lines come from (`LineReader`)."""

    def complete_with(self, words: Sequence[str]) -> None:
        """Let Tab complete these words."""
        ...

    def __call__(self, prompt: str) -> str:
        """Ask for a line."""
        ...

    def edit(self, prompt: str, text: str) -> str:
        """Ask for a line that is filled in beforehand."""
        ...


@dataclass
class Settings:
    """What the next message goes with.

    Attributes:
        model: Model of the next conversation, or None for the server's default.
        system_prompt: System prompt of the next conversation, or None.
        web_search: Whether to search the web.
        mcp_servers: Tool servers on offer.
        files: What is attached to the next message.
    """

    model: str | None = None
    system_prompt: str | None = None
    web_search: bool = False
    mcp_servers: list[McpServer] = field(default_factory=list)
    files: list[Upload] = field(default_factory=list)


class Repl:
    """An interactive chat.

    Args:
        client: The server.
        terminal: Where to show things.
        settings: What to begin with.
        read_line: Where lines come from.
        downloads: Where files of answers go.
    """

    def __init__(
        self,
        client: HuggingChat,
        terminal: Terminal,
        settings: Settings,
        read_line: Reader,
        downloads: Downloads,
    ) -> None:
        self.client = client
        self.terminal = terminal
        self.settings = settings
        self.read_line = read_line
        self.conversation: Conversation | None = None
        self.last_text = ""
        self._runner = TurnRunner(terminal, downloads, read_line)

    def take_up(self, conversation: Conversation) -> None:
        """Go on with a conversation that exists."""
        self.conversation = conversation
        self.settings.model = conversation.model

    def start_anew(self) -> None:
        """Let the next message begin a conversation."""
        self.conversation = None
        self.last_text = ""

    def run(self) -> None:
        """Read and answer lines until there are no more, or /quit."""
        self.read_line.complete_with([f"/{name}" for name in COMMANDS])
        self._greet()
        while True:
            try:
                self.leave_space()
                line = self.read_line(PROMPT).strip()
                if line:
                    self._take(line)
            except KeyboardInterrupt:
                self.leave_space()
                self.say("Ctrl-D or /quit leaves.")
            except (EOFError, Quit):
                break
        self.say("Bye.")

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Tell the user something about the chat."""
        self.terminal.notes.print(note(*parts), soft_wrap=True)

    def leave_space(self) -> None:
        """Set what follows apart, where a person reads it."""
        if self.terminal.is_rich:
            self.terminal.out.print()

    def complain(self, message: str) -> None:
        """Tell the user that something is not possible."""
        self.terminal.notes.print(Text(message, style="hfchat.bad"), soft_wrap=True)

    def send(self, text: str) -> None:
        """Say something and show the answer."""
        settings = self.settings
        files = list(settings.files)

        def stream(conversation: Conversation, on_elicitation: OnElicitation) -> AnswerStream:
            return conversation.stream(
                text,
                files,
                web_search=settings.web_search,
                mcp_servers=settings.mcp_servers,
                on_elicitation=on_elicitation,
            )

        self.last_text = text
        self._run(stream)
        settings.files.clear()

    def retry(self) -> None:
        """Have the last message answered again."""
        self._run(
            lambda conversation, on_elicitation: conversation.stream_retry(
                web_search=self.settings.web_search,
                mcp_servers=self.settings.mcp_servers,
                on_elicitation=on_elicitation,
            )
        )

    def resend(self, text: str) -> None:
        """Say something else instead of the last message."""
        self.last_text = text
        self._run(
            lambda conversation, on_elicitation: conversation.stream_edit(
                text,
                web_search=self.settings.web_search,
                mcp_servers=self.settings.mcp_servers,
                on_elicitation=on_elicitation,
            )
        )

    def attach(self, path: str) -> None:
        """Attach a file to the next message.

        Raises:
            InvalidRequestError: It cannot be read, or is too large.
        """
        upload = Upload.from_source(Path(path.strip("'\"")).expanduser())
        self.settings.files.append(upload)
        self.say(
            f"Goes with the next message: {clean_line(upload.name)} ({clean_line(upload.mime)})."
        )

    def _take(self, line: str) -> None:
        """Run a turn or a command; errors and Ctrl-C end it, not the chat."""
        try:
            if not line.startswith("/"):
                self.send(line)
                return
            name, _, argument = line[1:].partition(" ")
            command = COMMANDS.get(name)
            if command is None:
                self.complain(f"There is no command /{clean_line(name)}; /help lists them.")
                return
            command.run(self, argument.strip())
        except HuggingChatError as error:
            print_error(self.terminal.notes, error)
        except KeyboardInterrupt:
            self.say("Stopped.")

    def _run(self, stream: _StreamOf) -> None:
        self.leave_space()

        def open_stream(on_elicitation: OnElicitation) -> tuple[Conversation, AnswerStream]:
            if self.conversation is None:
                self.conversation = self.client.create_conversation(
                    self.settings.model, self.settings.system_prompt
                )
            return self.conversation, stream(self.conversation, on_elicitation)

        self._runner.run(open_stream)

    def _greet(self) -> None:
        if self.conversation is not None:
            title = clean_line(self.conversation.title, 60)
            about = f"“{title}”, {clean_line(self.conversation.model)}"
        else:
            about = clean_line(self.settings.model or self.client.default_model)
        self.terminal.notes.print(
            Text.assemble(
                ("hfchat", "hfchat.accent"),
                (f"  {about}  {clean_line(self.client.base_url)}", "hfchat.note"),
            )
        )
        self.say("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.")


class _StreamOf(Protocol):
    """Begins a run in a conversation."""

    def __call__(
        self, conversation: Conversation, on_elicitation: OnElicitation, /
    ) -> AnswerStream: ...
