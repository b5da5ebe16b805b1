"""``hfchat conversations``: list, show, rename, delete and share them.

Saving and searching them is in `archive.py`.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hfchat_base import ConversationInfo, HuggingChat
from hfchat_base.cli.archive import export, search
from hfchat_base.cli.options import (
    Account,
    BaseUrl,
    PlainCommand,
    PlainGroup,
    WrongUsage,
    connect,
)
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.types import branch_to

__all__ = ["conversations"]


class _ListByDefault(PlainGroup):
    """Without a command, or with options alone, it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_listing = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_listing and not ctx.resilient_parsing:  # a shell completes the commands
            args = ["list", *args]
        return super().parse_args(ctx, args)


conversations = typer.Typer(cls=_ListByDefault)

_TITLE_WIDTH = 60
_Id = Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.", show_default=False)]
_Limit = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many at most.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_LIMIT = 20


@conversations.callback()
def main() -> None:
    """List, show, rename, delete, share, save and search your conversations.

    Without a command it lists them.
    """


@conversations.command("list", cls=PlainCommand)
def list_(
    limit: _Limit = _DEFAULT_LIMIT,
    as_json: _Json = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """List them, the newest first."""
    with connect(base_url, account) as client:
        found = list(islice(client.list_conversations(), limit))
        address = client.base_url
    terminal = Terminal.detect()
    if as_json:
        terminal.print_json([_info_as_json(info) for info in found])
    elif not terminal.is_rich:
        for info in found:
            identity, title, model = map(clean_line, (info.id, info.title, info.model))
            typer.echo(f"{identity}\t{_when(info.updated_at)}\t{model}\t{title}")
    elif found:
        _print_table(terminal, found)
    if not found and not as_json:
        terminal.notes.print(note(f"This session has no conversations at {clean_line(address)}."))


@conversations.command(cls=PlainCommand)
def show(
    conversation_id: _Id,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Show the messages of a conversation, on the branch that was used last."""
    from hfchat_base.cli.render import AnswerMarkdown  # noqa: PLC0415 - heavy

    with connect(base_url, account) as client:
        conversation = client.get_conversation(conversation_id)
        messages = conversation.messages()
        last = conversation.message_id
    terminal = Terminal.detect()
    out = terminal.out
    out.print(Text(clean_line(conversation.title), style="hfchat.accent"), soft_wrap=True)
    out.print(note(f"{clean_line(conversation.model)} · {conversation.id}"), soft_wrap=True)
    for message in branch_to(messages, last):
        if not message.content.strip() and not message.files:
            continue
        out.print()
        out.print(Text(message.role, style="hfchat.name"))
        if terminal.is_rich:
            out.print(Padding(AnswerMarkdown(clean(message.content)), (0, 0, 0, 2)))
        else:
            typer.echo(clean(message.content))
        for file in message.files:
            out.print(note(f"  + {clean_line(file.name)} ({clean_line(file.mime)})"))


@conversations.command(cls=PlainCommand)
def rename(
    conversation_id: _Id,
    title: Annotated[
        str, typer.Argument(metavar="TITLE", help="Of 1 to 100 characters.", show_default=False)
    ],
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Give a conversation another title."""
    with connect(base_url, account) as client:
        client.get_conversation(conversation_id).rename(title)
    _done("Renamed", f"{conversation_id} is now “{clean_line(title)}”")


@conversations.command(cls=PlainCommand)
def delete(
    conversation_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="As the list shows it.", show_default=False),
    ] = None,
    delete_all: Annotated[
        bool, typer.Option("--all", help="Delete all conversations of the account.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Delete a conversation, or all of them. They cannot be brought back."""
    if (conversation_id is None) != delete_all:
        raise WrongUsage("Give the ID of a conversation, or --all for all of them.")
    with connect(base_url, account) as client:
        if conversation_id is None:
            count = len(list(client.list_conversations()))
            if not yes:
                _confirm_by_name(client, count)
            client.delete_all_conversations()
            _done("Deleted", "1 conversation" if count == 1 else f"{count} conversations")
            return
        if not yes:
            title = clean_line(client.get_conversation(conversation_id).title, _TITLE_WIDTH)
            typer.confirm(f"Delete “{title}”?", abort=True)
        client.delete_conversation(conversation_id)
    _done("Deleted", conversation_id)


def _confirm_by_name(client: HuggingChat, count: int) -> None:
    """Have the account's name typed before all that it holds is deleted."""
    user = client.whoami()
    name = clean_line(user.username) if user else "guest"
    question = f"This deletes {count} conversations for ever. Type {name} to continue"
    if typer.prompt(question, default="", show_default=False).strip() != name:
        raise typer.Abort


@conversations.command(cls=PlainCommand)
def share(
    conversation_id: _Id,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Make a public copy of a conversation and print its address."""
    with connect(base_url, account) as client:
        address = client.get_conversation(conversation_id).share()
    typer.echo(clean_line(address))


conversations.command(cls=PlainCommand)(export)
conversations.command(cls=PlainCommand)(search)


def _done(what: str, about: str) -> None:
    out = Terminal.detect().out
    out.print(Text.assemble((f"{what}: ", "hfchat.good"), about), soft_wrap=True)


def _print_table(terminal: Terminal, found: list[ConversationInfo]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("Title", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("Model", no_wrap=True)
    table.add_column("Last used", no_wrap=True)
    table.add_column("ID", no_wrap=True)
    for info in found:
        table.add_row(
            Text(clean_line(info.title, _TITLE_WIDTH), style="hfchat.name"),
            Text(clean_line(info.model), style="hfchat.link"),
            _when(info.updated_at),
            note(clean_line(info.id)),
        )
    terminal.out.print(table)
    terminal.out.print()
    terminal.out.print(
        note("hfchat chat -c ID continues one, hfchat conversations show ID shows it")
    )


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""


def _info_as_json(info: ConversationInfo) -> dict[str, str | None]:
    return {
        "id": info.id,
        "title": info.title,
        "model": info.model,
        "updated_at": info.updated_at.isoformat() if info.updated_at else None,
    }
