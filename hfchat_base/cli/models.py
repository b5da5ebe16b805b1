"""``hfchat models``: the server's models as a table to choose from, and one of them as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hfchat_base import Model
from hfchat_base.cli.options import Account, BaseUrl, complete_model, connect
from hfchat_base.cli.terminal import Terminal, clean, clean_line, note
from hfchat_base.types import ModelDetails, ModelProvider

__all__ = ["models"]

_GAP: Final = 3
_SHORTEST_DESCRIPTION: Final = 16
"""With less room for them, a table has no descriptions."""
_PROVIDER_WIDTH: Final = 16
_MARGIN: Final = (0, 0, 0, 2)
_COUNTS: Final = ("context", "output")
_UNKNOWN: Final = "the server does not say"


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Show all that the server says of this model.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also show unlisted models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """List the server's models and what they can do, or show one of them."""
    with connect(base_url, account) as client:
        details = client.get_model(name) if name is not None else None
        found = client.get_models()
        default = client.default_model
        address = client.base_url
    terminal = Terminal.detect()
    if details is not None:
        if as_json:
            terminal.print_json(details.model_dump(mode="json"))
        elif terminal.is_rich:
            _print_page(terminal.out, details, is_default=details.id == default)
        else:
            for label, value in _facts(details):
                typer.echo(f"{label}\t{value}")
        return
    shown = [one for one in found if show_all or not one.unlisted]
    if as_json:
        terminal.print_json([one.model_dump(mode="json") for one in shown])
    elif terminal.is_rich:
        _print_list(terminal.out, shown, default, address)
    else:
        for one in shown:
            fields = (clean_line(one.id), ", ".join(_abilities(one)), clean_line(one.description))
            typer.echo("\t".join(fields))


def _print_list(out: Console, shown: Sequence[Model], default: str, address: str) -> None:
    rows = [
        (_name(one, default), ", ".join(_abilities(one)), clean_line(one.description))
        for one in shown
    ]
    name_width = max((name.cell_len for name, _, _ in rows), default=0)
    abilities_width = max((len(abilities) for _, abilities, _ in rows), default=0)
    left = out.width - name_width - abilities_width - 2 * _GAP
    if left < 0:
        _print_stacked(out, rows)
    else:
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
        table.add_column("  Model", no_wrap=True)
        table.add_column("Can", no_wrap=True)
        if left >= _SHORTEST_DESCRIPTION:
            table.add_column("", no_wrap=True)
        for name, abilities, description in rows:
            about = note(description)
            about.truncate(max(left, 0), overflow="ellipsis")
            cells = (name, Text(abilities, style="hfchat.link"), about)
            table.add_row(*cells[: len(table.columns)])
        out.print(table)
    out.print()
    count = "1 model" if len(shown) == 1 else f"{len(shown)} models"
    out.print(note(f"{count} at {clean_line(address)}, ● is the default"), soft_wrap=True)
    if shown:
        out.print(note("hfchat models NAME shows one, hfchat ask -m NAME asks it"))


def _print_stacked(out: Console, rows: Sequence[tuple[Text, str, str]]) -> None:
    """Print two lines for each model: its name stays whole, so that it can be copied."""
    for name, abilities, description in rows:
        out.print(name, soft_wrap=True)
        about = note(" · ".join(filter(None, (abilities, description))))
        about.truncate(out.width - _MARGIN[-1], overflow="ellipsis")
        if about:
            out.print(Padding(about, _MARGIN))


def _name(model: Model, default: str) -> Text:
    mark = ("● ", "hfchat.accent") if model.id == default else "  "
    return Text.assemble(mark, (clean_line(model.id), "hfchat.name"))


def _print_page(out: Console, model: ModelDetails, *, is_default: bool) -> None:
    mark = note("  the default") if is_default else ""
    title = Text.assemble((clean_line(model.id), "hfchat.accent"), mark)
    out.print(title, soft_wrap=True)
    if model.description:
        out.print(Padding(Text(clean_line(model.description)), _MARGIN))
    out.print()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _summary(model):
        shown = (_tokens(value) or _UNKNOWN) if label in _COUNTS else value
        table.add_row(note(label), shown)
    out.print(Padding(table, _MARGIN))
    if model.providers:
        _print_providers(out, model.providers)
    for example in model.prompt_examples:
        if example is model.prompt_examples[0]:
            out.print()
            out.print(Text("Prompt examples", style="hfchat.name"))
        out.print(Padding(Text(clean_line(example.title), style="hfchat.link"), _MARGIN))
        out.print(Padding(note(clean(example.prompt).strip()), (0, 0, 0, 4)))
    if model.preprompt:
        out.print()
        out.print(Text("System prompt of the server", style="hfchat.name"))
        out.print(Padding(note(clean(model.preprompt).strip()), _MARGIN))
    out.print()
    out.print(note(f"hfchat ask -m {clean_line(model.id)} QUESTION"), soft_wrap=True)


def _print_providers(out: Console, providers: Sequence[ModelProvider]) -> None:
    out.print()
    out.print(
        Text.assemble(("Providers", "hfchat.name"), note("  dollars for a million tokens in, out"))
    )
    table = Table.grid(padding=(0, 2))
    longest = max(len(provider.name) for provider in providers)
    table.add_column(overflow="fold", min_width=min(longest, _PROVIDER_WIDTH))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for provider in providers:
        prices = (provider.input_price, provider.output_price)
        known = " / ".join("?" if price is None else f"{price:.2f}" for price in prices)
        table.add_row(
            Text(clean_line(provider.name), style="hfchat.link"),
            "" if prices == (None, None) else f"${known}",
            _tokens(provider.context_length, short=True),
            note(", ".join(_offers(provider))),
        )
    out.print(Padding(table, _MARGIN))


def _facts(model: ModelDetails) -> Iterator[tuple[str, str]]:
    """A model's details, a line each, for programs."""
    yield "id", clean_line(model.id)
    yield "description", clean_line(model.description)
    for label, value in _summary(model):
        yield label, str(value or "")
    for provider in model.providers:
        prices = (provider.input_price, provider.output_price)
        yield (
            "provider",
            "\t".join(
                (
                    clean_line(provider.name),
                    *("" if price is None else str(price) for price in prices),
                    str(provider.context_length or ""),
                    ", ".join(_offers(provider)),
                )
            ),
        )
    for example in model.prompt_examples:
        yield "example", f"{clean_line(example.title)}\t{clean_line(example.prompt)}"


def _summary(model: ModelDetails) -> Iterator[tuple[str, Any]]:
    """Labels and values: numbers, or None if the server does not say; all else is text."""
    if model.name != model.id:
        yield "name", clean_line(model.name)
    yield "can", ", ".join(_abilities(model)) or "text"
    if model.accepted_mime_types:
        yield "sees", clean_line(", ".join(model.accepted_mime_types))
    yield "context", model.context_length
    yield "output", model.max_output_tokens
    if model.stop_sequences:
        yield "stops at", clean_line(", ".join(map(repr, model.stop_sequences)))
    if model.website_url:
        yield "website", clean_line(model.website_url)
    if model.logo_url:
        yield "logo", clean_line(model.logo_url)


def _tokens(count: int | None, *, short: bool = False) -> str:
    if count is None:
        return ""
    return f"{count // 1000}k" if short and count >= 1000 else f"{count:,} tokens"  # noqa: PLR2004


def _offers(provider: ModelProvider) -> list[str]:
    known = {
        "tools": provider.supports_tools,
        "JSON schema": provider.supports_structured_output,
        clean_line(provider.status): provider.status not in ("", "live"),
    }
    return [word for word, can in known.items() if can]


def _abilities(model: Model) -> list[str]:
    """What it can do beyond text, one word each."""
    known = {
        "images": model.accepts_images,
        "tools": model.supports_tools,
        "thinking": model.supports_reasoning,
        "drawing": model.generates_images,
        "routing": model.is_router,
        "artifacts": isinstance(model, ModelDetails) and model.supports_artifacts,
    }
    return [word for word, can in known.items() if can]
