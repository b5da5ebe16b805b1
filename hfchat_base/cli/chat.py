"""``hfchat chat``: the command, its loop, and the slash commands.

The loop reads a message or a command, runs it, and goes on until /quit. Errors are printed and do
not end it. Ctrl-C stops what is happening: an answer (on the server too) or a line that is being
typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer
from rich.table import Table
from rich.text import Text

from hfchat_base import AnswerStream, Conversation, HuggingChat, HuggingChatError, Upload
from hfchat_base.cli.answer import AnswerRunner, Downloads
from hfchat_base.cli.options import (
    DEFAULT_FOLDER,
    Account,
    Artifacts,
    BaseUrl,
    BillTo,
    FileFolder,
    Files,
    Mcp,
    ModelName,
    NoReasoning,
    Provider,
    ReasoningEffort,
    Remembered,
    RestoreSettings,
    System,
    WebSearch,
    client_options,
    connect,
    last_conversation,
    parse_mcp_servers,
    private_folder,
)
from hfchat_base.cli.prompt import Reader, make_reader
from hfchat_base.cli.terminal import Terminal, clean_line, note, print_error
from hfchat_base.types import McpServer, OnElicitation

__all__ = ["ChatSettings", "Repl", "chat"]

_PROMPT: Final = "> "
_LAST: Final = "last"


def chat(
    model: ModelName = None,
    system: System = None,
    file: Files = None,
    web_search: WebSearch = False,
    mcp: Mcp = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            "-c",
            metavar="ID",
            help="Continue this conversation (hfchat conversations lists them), or last for the"
            " last one.",
            show_default=False,
        ),
    ] = None,
    save: FileFolder = DEFAULT_FOLDER,
    no_reasoning: NoReasoning = False,
    reasoning_effort: ReasoningEffort = None,
    provider: Provider = None,
    bill_to: BillTo = None,
    artifacts: Artifacts = None,
    restore_settings: RestoreSettings = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Chat, with Markdown, reasoning, tools, sources and pictures.

    Enter sends, Alt-Enter starts a new line, and a paste of several lines is one message.

    Ctrl-C stops an answer. /help lists the commands. Press Ctrl-D or type /quit to exit.
    """
    settings = ChatSettings(
        model=model,
        system_prompt=system,
        web_search=web_search,
        mcp_servers=parse_mcp_servers(mcp or ()),
        files=[Upload.from_source(path.expanduser()) for path in file or ()],
    )
    terminal = Terminal.detect()
    runner = AnswerRunner(terminal, Downloads(save), shows_reasoning=not no_reasoning)
    options = client_options(artifacts, reasoning_effort, provider, bill_to, restore_settings)
    with connect(base_url, account, on_retry=runner.on_retry, **options) as client:
        reader = make_reader(
            terminal,
            commands=list(_COMMANDS),
            models=lambda: [one.id for one in client.get_models()],
            history=private_folder() / "chat_history",
        )
        repl = Repl(client, settings, reader, runner)
        if conversation:
            wanted = last_conversation(client) if conversation == _LAST else conversation
            repl.resume(client.get_conversation(wanted))
        repl.run()


@dataclass
class ChatSettings:
    """What applies to the next message.

    Attributes:
        model: Model of the next conversation, or None for the server's default.
        system_prompt: System prompt of the next conversation, or None.
        web_search: Whether to search the web.
        mcp_servers: MCP servers whose tools are offered.
        files: What is attached to the next message.
    """

    model: str | None = None
    system_prompt: str | None = None
    web_search: bool = False
    mcp_servers: list[McpServer] = field(default_factory=list)
    files: list[Upload] = field(default_factory=list)


class _Quit(Exception):  # noqa: N818 - no error
    """The user wants to exit."""


class Repl:
    """An interactive chat.

    Args:
        client: The server.
        settings: What to start with.
        read: Asks the user for a text.
        runner: Shows answers.
    """

    def __init__(
        self, client: HuggingChat, settings: ChatSettings, read: Reader, runner: AnswerRunner
    ) -> None:
        self.client = client
        self.terminal = runner.terminal
        self.settings = settings
        self.read = read
        self.conversation: Conversation | None = None
        self.last_text = ""
        self._runner = runner

    def resume(self, conversation: Conversation) -> None:
        """Continue a conversation that exists."""
        self.conversation = conversation
        self.settings.model = conversation.model

    def start_new(self) -> None:
        """Let the next message start a conversation."""
        self.conversation = None
        self.last_text = ""

    def run(self) -> None:
        """Read and answer until there is no more input, or /quit."""
        self._greet()
        while True:
            try:
                self.leave_space()
                text = self.read(_PROMPT).strip()
                if text:
                    self._take(text)
            except KeyboardInterrupt:
                self.leave_space()
                self.say("Press Ctrl-D or type /quit to exit.")
            except (EOFError, _Quit):
                break
        self._say_goodbye()

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Print a note about the chat."""
        self.terminal.notes.print(note(*parts), soft_wrap=not self.terminal.is_rich)

    def leave_space(self) -> None:
        """Print an empty line, where a person reads it."""
        if self.terminal.is_rich:
            self.terminal.out.print()

    def complain(self, message: str) -> None:
        """Print that something is not possible."""
        self.terminal.notes.print(Text(message, style="hfchat.bad"), soft_wrap=True)

    def send(self, text: str) -> None:
        """Send a message and show the answer."""
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
        """Regenerate the last answer."""
        self._run(
            lambda conversation, on_elicitation: conversation.stream_retry(
                web_search=self.settings.web_search,
                mcp_servers=self.settings.mcp_servers,
                on_elicitation=on_elicitation,
            )
        )

    def resend(self, text: str) -> None:
        """Send another text in place of the last message."""
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
            f"Attached to the next message: {clean_line(upload.name)} ({clean_line(upload.mime)})."
        )

    def _take(self, text: str) -> None:
        """Send a message or run a command; errors and Ctrl-C end it, not the chat."""
        try:
            if text.lower() in _EXITS:
                raise _Quit
            if not text.startswith("/"):
                self.send(text)
                return
            name, _, argument = text[1:].partition(" ")
            command = _COMMANDS.get(name)
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
        self.say("/help lists the commands, Ctrl-C stops an answer, Ctrl-D exits.")

    def _say_goodbye(self) -> None:
        self.say("Bye.")
        if self.conversation is None:
            return
        if self.client.session.is_guest:
            command = self.client.login_command
            self.say(f"A guest's conversation ends with the chat. To keep yours: {command}")
        else:
            Remembered.keep_conversation(self.client, self.conversation.id)
            self.say(f"To continue: hfchat chat -c {self.conversation.id}")


class _StreamOf(Protocol):
    """Starts an answer in a conversation."""

    def __call__(
        self, conversation: Conversation, on_elicitation: OnElicitation, /
    ) -> AnswerStream: ...


@dataclass(frozen=True)
class _Command:
    """A slash command.

    Attributes:
        argument: What may follow it, for the help.
        help: What it does, for the help.
        run: Does it; gets the chat and what followed the name.
    """

    argument: str
    help: str
    run: Callable[[Repl, str], None]


def _model(repl: Repl, name: str) -> None:
    if not name:
        _list_models(repl)
        return
    wanted = repl.client.model_aliases.get(name.lower(), name)
    if wanted not in [model.id for model in repl.client.get_models()]:
        repl.complain(f"There is no model {clean_line(name)}; /model lists them.")
        return
    repl.settings.model = wanted
    repl.start_new()
    repl.say(f"A new conversation, with {clean_line(wanted)}.")


def _list_models(repl: Repl) -> None:
    used = repl.settings.model or repl.client.default_model
    for model in repl.client.get_models():
        if not model.unlisted:
            mark = ("● ", "hfchat.accent") if model.id == used else "  "
            repl.terminal.out.print(Text.assemble(mark, clean_line(model.id)))
    repl.say("/model NAME starts a new conversation with another model.")


def _retry(repl: Repl, _argument: str) -> None:
    if repl.conversation is None:
        repl.complain("There is no answer to regenerate yet.")
        return
    repl.retry()


def _edit(repl: Repl, text: str) -> None:
    if repl.conversation is None:
        repl.complain("There is nothing to edit yet.")
        return
    text = text or repl.read("edit > ", repl.last_text).strip()
    if text:
        repl.resend(text)


def _new(repl: Repl, _argument: str) -> None:
    repl.start_new()
    repl.say("A new conversation.")


def _system(repl: Repl, text: str) -> None:
    if not text:
        repl.say(f"System prompt: {clean_line(repl.settings.system_prompt or 'none')}")
        return
    repl.settings.system_prompt = None if text == "-" else text
    repl.start_new()
    with_or_without = "without a" if text == "-" else "with this"
    repl.say(f"A new conversation, {with_or_without} system prompt.")


def _file(repl: Repl, path: str) -> None:
    if path:
        repl.attach(path)
    elif repl.settings.files:
        names = ", ".join(clean_line(upload.name) for upload in repl.settings.files)
        repl.say(f"Attached to the next message: {names}.")
    else:
        repl.say("Nothing is attached. /file PATH attaches a file to the next message.")


def _web(repl: Repl, _argument: str) -> None:
    repl.settings.web_search = not repl.settings.web_search
    repl.say(f"Web search is {'on' if repl.settings.web_search else 'off'}.")


def _help(repl: Repl, _argument: str) -> None:
    table = Table.grid(padding=(0, 2))
    for name, command in _COMMANDS.items():
        usage = Text.assemble((f"/{name}", "hfchat.accent"), f" {command.argument}")
        table.add_row(usage, note(command.help))
    for key, meaning in _KEYS.items():
        table.add_row(Text(key, style="hfchat.accent"), note(meaning))
    repl.terminal.out.print(table)


def _quit(_repl: Repl, _argument: str) -> None:
    raise _Quit


_COMMANDS: Final[dict[str, _Command]] = {
    "model": _Command("[NAME]", "list the models, or switch to another", _model),
    "retry": _Command("", "regenerate the last answer", _retry),
    "edit": _Command("[TEXT]", "change the last message and send it again", _edit),
    "new": _Command("", "start a new conversation", _new),
    "system": _Command("[TEXT]", "start a new one with a system prompt (- for none)", _system),
    "file": _Command("[PATH]", "attach a file to the next message", _file),
    "web": _Command("", "switch web search on or off", _web),
    "help": _Command("", "show this", _help),
    "quit": _Command("", "exit", _quit),
}
"""All commands by name, in the order of the help."""

_KEYS: Final = {
    "Alt-Enter": "begin a new line (also Ctrl-J, or \\ at the end of a line)",
    "Ctrl-X Ctrl-E": "write the message in your editor ($EDITOR); closing it sends it",
    "Tab": "complete a command, a model or a file name",
    "Ctrl-C": "stop an answer",
    "Ctrl-D": "exit",
}
_EXITS: Final = ("exit", "quit")
