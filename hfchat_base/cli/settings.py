"""``hfchat settings``: show and change the account's settings.

They are printed as they are typed: ``KEY=VALUE``, or ``KEY.MODEL=VALUE`` where each model has its
own value. A change names one of them and leaves all others as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

import typer
from rich.text import Text

from hfchat_base import HuggingChat
from hfchat_base.cli.options import Account, BaseUrl, WrongUsage, connect
from hfchat_base.cli.terminal import Terminal, clean_line, json_text, note
from hfchat_base.types import Settings, SettingsChanges

__all__ = ["settings"]


def _complete(begun: str) -> list[str]:
    return [f"{name}=" for name in Settings.model_fields if name.startswith(begun)]


def settings(
    change: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Change a setting: KEY=VALUE, or KEY.MODEL=VALUE where each model has its own;"
            " nothing after the = takes a value away.",
            show_default=False,
            autocompletion=_complete,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    base_url: BaseUrl = None,
    account: Account = None,
) -> None:
    """Show the account's settings, or change some of them.

    The page in your browser has the same settings.
    """
    changes = _changes(change or ())
    with connect(base_url, account) as client:
        if changes:
            known = {name: _by_model_ids(client, value) for name, value in changes.items()}
            found = client.update_settings(**cast("SettingsChanges", known))
        else:
            found = client.settings()
        is_guest = client.session.is_guest
    terminal = Terminal.detect()
    if as_json:
        terminal.print_json(found.model_dump(mode="json"))
        return
    for name, value in _lines(found):
        changed = name.partition(".")[0] in changes
        if terminal.is_rich:
            mark = ("✓ ", "hfchat.good") if changed else "  "
            line = Text.assemble(mark, (f"{name}=", "hfchat.name"), value)
            terminal.out.print(line, soft_wrap=True)
        else:
            typer.echo(f"{name}={value}")
    if is_guest:
        advice = "These are a guest's settings, which end with the session. To keep them, log in."
        terminal.notes.print(note(advice), soft_wrap=True)


def _changes(arguments: Sequence[str]) -> dict[str, Any]:
    """Read the changes as they are typed.

    Raises:
        WrongUsage: One of them has no ``=``.
    """
    changes: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise WrongUsage(f"{clean_line(argument)} is not a change: write KEY=VALUE.")
        key, _, model = name.partition(".")
        if model and isinstance(changes.setdefault(key, {}), dict):
            changes[key][model] = _value(text)
        else:
            changes[name] = _value(text)
    return changes


def _by_model_ids(client: HuggingChat, value: Any) -> Any:
    """The value of a change, with the ids of models in place of their short names.

    Raises:
        ModelNotFoundError: A value is set for a model that the server does not have.
    """
    if not isinstance(value, dict):
        return value
    known = {model.id for model in client.get_models()}
    by_id = {}
    for name, each in value.items():
        model = name if name in known else client.model_aliases.get(name.lower(), name)
        # A value of a model that has gone can be taken away.
        by_id[model if each is None or model in known else client.get_model(name).id] = each
    return by_id


def _value(text: str) -> Any:
    """Read a value: true, false, null, objects and quoted texts as JSON, all else as text."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, (bool, dict, str)) else text


def _lines(found: Settings) -> Iterator[tuple[str, str]]:
    for name, value in found.model_dump(mode="json").items():
        if isinstance(value, Mapping):
            for model, each in value.items():
                yield f"{name}.{clean_line(model)}", _shown(each)
        elif value is not None:
            yield name, _shown(value)


def _shown(value: Any) -> str:
    """A value so that it can be typed again: a text that would be read as another one is quoted."""
    is_plain = isinstance(value, str) and value == clean_line(value) and _value(value) == value
    return value if is_plain else json_text(value, shown=True)
