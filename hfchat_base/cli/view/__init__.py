"""An answer on the screen: while it comes, and what is left of it when it is there."""

from __future__ import annotations

from hfchat_base.cli.terminal import Terminal
from hfchat_base.cli.view.animated import AnimatedView
from hfchat_base.cli.view.base import AnswerView
from hfchat_base.cli.view.plain import PlainView

__all__ = ["AnimatedView", "AnswerView", "PlainView", "view_for"]


def view_for(terminal: Terminal) -> AnswerView:
    """Choose how to show an answer: animated on a terminal, else as plain text as it comes."""
    return AnimatedView(terminal.out) if terminal.is_rich else PlainView(terminal)
