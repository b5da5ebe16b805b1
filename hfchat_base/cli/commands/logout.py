"""``hfchat logout``: end a saved session, on the server too."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from hfchat_base.auth.session import Found, Session
from hfchat_base.auth.sources import resolve_endpoint
from hfchat_base.auth.store import SessionStore
from hfchat_base.cli.commands.options import BaseUrl
from hfchat_base.cli.terminal import Terminal, clean_line, note
from hfchat_base.client import HuggingChat
from hfchat_base.errors import TransportError

__all__ = ["logout"]


def logout(
    base_url: BaseUrl = None,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Whose session, if several are saved.", show_default=False
        ),
    ] = None,
) -> None:
    """Log out: end the saved session on the server, and delete it here."""
    terminal = Terminal.detect()
    address = resolve_endpoint(base_url).base_url
    saved = SessionStore().find(address, account)
    if saved is None:
        terminal.notes.print(
            note(f"No session is saved for {clean_line(address)}."), soft_wrap=True
        )
        raise typer.Exit(1)
    found = Found("saved", saved.cookies, account=saved.account, saved=saved)
    whose = clean_line(saved.account)
    with HuggingChat(address, Session(found, address)) as client:
        try:
            client.logout()
        except TransportError as error:
            reason = clean_line(str(error))
            terminal.err.print(note(f"The server could not be told: {reason}"), soft_wrap=True)
            deleted = Text(f"The session of {whose} is deleted here.")
            terminal.notes.print(deleted, soft_wrap=True)
            raise typer.Exit(1) from None
    terminal.notes.print(
        Text.assemble(
            ("✓ ", "hfchat.good"), f"Logged out {whose}", note(f"  {clean_line(address)}")
        ),
        soft_wrap=True,
    )
