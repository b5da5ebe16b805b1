"""What commands print: no markup of others, and errors in the words of the command line."""

from __future__ import annotations

import pytest
from rich.console import Console

from hfchat_base.cli.terminal import in_commands, note


def test_brackets_are_no_markup() -> None:
    """What looks like Rich markup is shown as it is."""
    console = Console(width=60)
    with console.capture() as captured:
        console.print(note("[bold]x[/bold] [/nonsense]"))
    assert captured.get() == "[bold]x[/bold] [/nonsense]\n"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "No model 'x'. get_models() lists them all.",
            "No model 'x'. hfchat models lists them all.",
        ),
        ("It has moved: pass base_url='http://a'.", "It has moved: use --base-url 'http://a'."),
        ("No chat-ui. Is base_url complete?", "No chat-ui. Is --base-url complete?"),
        ("It was cut off. What had arrived is in .partial.", "It was cut off."),
        ("At most 60 s (Retries.longest_retry_after).", "At most 60 s."),
        (
            "It has no reasoning_effort, provider, bill_to, or switch.",
            "It has no --reasoning-effort, --provider, --bill-to, or switch.",
        ),
        ("so provider= cannot be chosen.", "so --provider cannot be chosen."),
        ("a setting reasoning_effort_overrides", "a setting reasoning_effort_overrides"),
        ("base_urls and partial. stay", "base_urls and partial. stay"),
    ],
)
def test_errors_speak_of_commands(message: str, said: str) -> None:
    """What an error says to programs is said here in commands and options."""
    assert in_commands(message) == said
