"""`hfchat settings`: the account's settings, shown as they are typed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from hfchat_base.local import LocalServer

    OwnAccount = tuple[LocalServer, dict[str, str]]


def test_settings_are_shown_as_they_are_typed(
    hfchat: Callable[..., Result], server: LocalServer
) -> None:
    """In a pipe a setting is a line KEY=VALUE, on both generations; a guest is named as one."""
    result = hfchat("settings", "--base-url", server.base_url)
    assert result.exit_code == 0, result.output
    assert "share_conversations_with_model_authors=true" in result.stdout.splitlines()
    assert "a guest's settings" in result.stderr


def test_a_change_leaves_the_others(hfchat: Callable[..., Result], own_account: OwnAccount) -> None:
    """A change names one setting; those that were changed before stay."""
    del own_account
    assert hfchat("settings", "share_conversations_with_model_authors=false").exit_code == 0
    lines = hfchat("settings", "active_model=echo/vision").stdout.splitlines()
    assert "share_conversations_with_model_authors=false" in lines
    assert "active_model=echo/vision" in lines


def test_a_setting_for_each_model(hfchat: Callable[..., Result], own_account: OwnAccount) -> None:
    """KEY.MODEL=VALUE changes one model's value, by any of its names; KEY.MODEL= takes it away."""
    del own_account
    hfchat("settings", "custom_prompts.base=Be kind.", "custom_prompts.echo/vision=Look. Twice.")
    lines = hfchat("settings", "custom_prompts.echo/base=").stdout.splitlines()
    assert "custom_prompts.echo/vision=Look. Twice." in lines
    assert not any(line.startswith("custom_prompts.echo/base") for line in lines)


def test_what_is_shown_can_be_typed(hfchat: Callable[..., Result], own_account: OwnAccount) -> None:
    """A text of several lines, and one that looks like another value, are quoted and read back."""
    del own_account
    for text in ('"a\\nb\\u001b[31m"', '"true"', '"12"', "12", "{"):
        (line,) = (
            line
            for line in hfchat("settings", f"custom_prompts.echo/base={text}").stdout.splitlines()
            if line.startswith("custom_prompts.")
        )
        before = json.loads(hfchat("settings", "--json").stdout)
        hfchat("settings", line)
        assert json.loads(hfchat("settings", "--json").stdout) == before
    assert before["custom_prompts"] == {"echo/base": "{"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("direct_past=true", "Did you mean 'direct_paste'?"),
        ("direct_paste=maybe", "direct_paste should be"),
        ("custom_prompts.eko/base=x", "Did you mean echo/base"),
    ],
)
def test_a_wrong_change_is_refused(
    hfchat: Callable[..., Result],
    current_server: LocalServer,
    change: str,
    message: str,
) -> None:
    """A setting, value or model that there is not is an error, and nothing is written."""
    result = hfchat("settings", change, "--base-url", current_server.base_url)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "POST" not in {request.method for request in current_server.requests}


def test_no_change_is_wrong_usage(hfchat: Callable[..., Result]) -> None:
    """An argument without = says how to write one."""
    result = hfchat("settings", "direct_paste")
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_what_was_changed_is_marked(own_account: OwnAccount) -> None:
    """On a terminal the setting that was changed has a mark."""
    from tests.support.terminal_session import TerminalSession  # noqa: PLC0415 - Unix only

    with TerminalSession("settings", "direct_paste=true", environment=own_account[1]) as session:
        session.expect("✓ direct_paste=true")
        assert session.wait() == 0
