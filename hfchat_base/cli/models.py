"""``hfchat models``: the models of the server."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hfchat_base import Model
from hfchat_base.cli.options import Account, BaseUrl, connect
from hfchat_base.cli.terminal import Terminal, clean_line, note

__all__ = ["models"]

_DESCRIPTION_WIDTH = 80


def models(
    show_all: Annotated[bool, typer.Option("--all", help="Also show unlisted models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """List the server's models and what they can do."""
    with connect(base_url, account) as client:
        shown = [one for one in client.get_models() if show_all or not one.unlisted]
        default = client.default_model
        address = client.base_url
    terminal = Terminal.detect()
    if as_json:
        terminal.print_json([one.model_dump(mode="json") for one in shown])
        return
    if not terminal.is_rich:
        for one in shown:
            fields = (clean_line(one.id), ", ".join(_abilities(one)), clean_line(one.description))
            typer.echo("\t".join(fields))
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("Model", no_wrap=True)
    table.add_column("Can", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for one in shown:
        mark = ("● ", "hfchat.accent") if one.id == default else "  "
        table.add_row(
            Text.assemble(mark, (clean_line(one.id), "hfchat.name")),
            Text(", ".join(_abilities(one)), style="hfchat.link"),
            note(clean_line(one.description, _DESCRIPTION_WIDTH)),
        )
    terminal.out.print(table)
    terminal.out.print()
    count = "1 model" if len(shown) == 1 else f"{len(shown)} models"
    terminal.out.print(note(f"{count} at {clean_line(address)}, ● is the default"), soft_wrap=True)


def _abilities(model: Model) -> list[str]:
    """What it can do beyond text, one word each."""
    known = {
        "images": model.accepts_images,
        "tools": model.supports_tools,
        "thinking": model.supports_reasoning,
        "drawing": model.generates_images,
        "routing": model.is_router,
    }
    return [word for word, can in known.items() if can]
