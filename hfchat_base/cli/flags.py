"""Commands whose help shows a flag as what it is: a name that takes no value.

Typer's own writes ``<bool>`` beside it, as if something were to be typed after it.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["PlainCommand", "PlainGroup"]


class _PlainFlags:
    def get_params(self, ctx: Any) -> list[Any]:  # a Context of click, or of Typer's own copy
        """The parameters; flags have no type to show."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class PlainCommand(_PlainFlags, TyperCommand):
    """A command."""


class PlainGroup(_PlainFlags, TyperGroup):
    """Commands under one name."""
