"""``hfchat whoami``: who the server thinks we are."""

from __future__ import annotations

import typer

from hfchat_base.cli.commands.options import BaseUrl, connect
from hfchat_base.cli.terminal import Terminal, clean_line, note

__all__ = ["whoami"]


def whoami(base_url: BaseUrl = None) -> None:
    """Show who the server thinks you are."""
    with connect(base_url) as client:
        user = client.whoami()
        address = client.base_url
    terminal = Terminal.detect()
    if user is None:
        terminal.notes.print(note(f"A guest at {clean_line(address)}."), soft_wrap=True)
        raise typer.Exit(1)
    email = f" <{clean_line(user.email)}>" if user.email else ""
    typer.echo(f"{clean_line(user.username)}{email}")
