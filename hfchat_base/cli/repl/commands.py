"""The slash commands of the chat: a table, and a function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from hfchat_base.cli.terminal import clean_line, note

if TYPE_CHECKING:
    from hfchat_base.cli.repl.loop import Repl

__all__ = ["COMMANDS", "Command", "Quit"]


class Quit(Exception):  # noqa: N818 - no error
    """The user wants to leave."""


@dataclass(frozen=True)
class Command:
    """A command.

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
    repl.start_anew()
    repl.say(f"A new conversation, with {clean_line(wanted)}.")


def _list_models(repl: Repl) -> None:
    used = repl.settings.model or repl.client.default_model
    for model in repl.client.get_models():
        if not model.unlisted:
            mark = ("● ", "hfchat.accent") if model.id == used else "  "
            repl.terminal.out.print(Text.assemble(mark, clean_line(model.id)))
    repl.say("/model NAME begins a new conversation with another.")


def _retry(repl: Repl, _argument: str) -> None:
    if repl.conversation is None:
        repl.complain("There is nothing to answer again yet.")
        return
    repl.retry()


def _edit(repl: Repl, text: str) -> None:
    if repl.conversation is None:
        repl.complain("There is nothing to edit yet.")
        return
    text = text or repl.read_line.edit("edit > ", repl.last_text).strip()
    if text:
        repl.resend(text)


def _new(repl: Repl, _argument: str) -> None:
    repl.start_anew()
    repl.say("A new conversation.")


def _system(repl: Repl, text: str) -> None:
    if not text:
        repl.say(f"System prompt: {clean_line(repl.settings.system_prompt or 'none')}")
        return
    repl.settings.system_prompt = None if text == "-" else text
    repl.start_anew()
    repl.say("A new conversation, with this system prompt." if text != "-" else "None any more.")


def _file(repl: Repl, path: str) -> None:
    if path:
        repl.attach(path)
    elif repl.settings.files:
        names = ", ".join(clean_line(upload.name) for upload in repl.settings.files)
        repl.say(f"With the next message: {names}.")
    else:
        repl.say("Nothing is attached. /file PATH attaches a file to the next message.")


def _web(repl: Repl, _argument: str) -> None:
    repl.settings.web_search = not repl.settings.web_search
    repl.say(f"Web search is {'on' if repl.settings.web_search else 'off'}.")


def _help(repl: Repl, _argument: str) -> None:
    table = Table.grid(padding=(0, 2))
    for name, command in COMMANDS.items():
        usage = Text.assemble((f"/{name}", "hfchat.accent"), f" {command.argument}")
        table.add_row(usage, note(command.help))
    table.add_row(Text("\\", style="hfchat.accent"), note("at the end of a line: go on below"))
    repl.terminal.out.print(table)


def _quit(_repl: Repl, _argument: str) -> None:
    raise Quit


COMMANDS: Final[dict[str, Command]] = {
    "model": Command("[NAME]", "list the models, or chat with another", _model),
    "retry": Command("", "have the last message answered again", _retry),
    "edit": Command("[TEXT]", "change the last message and send it again", _edit),
    "new": Command("", "begin a new conversation", _new),
    "system": Command("[TEXT]", "begin a new one with a system prompt (- for none)", _system),
    "file": Command("[PATH]", "attach a file to the next message", _file),
    "web": Command("", "switch web search on or off", _web),
    "help": Command("", "show this", _help),
    "quit": Command("", "leave", _quit),
}
"""All commands by name, in the order of the help."""
