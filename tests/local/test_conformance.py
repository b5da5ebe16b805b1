"""Every recording of the real servers, played against the local one.

What differs on purpose is in `KNOWN_DIFFERENCES`, and a test makes sure that each entry is needed.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from hfchat_base.local import Limits, LocalServer, default_models, scripted_tool_servers
from tests.local.replay import RECORDINGS, Player, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfchat_base._protocol.constants import Generation

KNOWN_DIFFERENCES: Final[dict[str, tuple[str, str, str]]] = {
    "image_upload": (
        "The real server re-encodes images for the model (73 bytes became 95), this one does not.",
        r"'image/png'(.{0,60})95\)",
        r"'image/png'\g<1>73)",
    ),
    "login_required": (
        "The identity provider is part of the server, not one of its own.",
        r"http://127\.0\.0\.1:9400/authorize",
        "ORIGIN/chat/_idp/authorize",
    ),
}
"""Scenario: the reason, what was recorded (a pattern), and what is said here in its place."""

SLOW_SCENARIOS: Final = {
    "stop_generating",
    "disconnect_and_resume",
    "two_runs_in_one_conversation",
}
TOKEN_DELAY: Final = 0.03

_CASES: Final = [
    pytest.param(path.parent.name, path.stem, id=f"{path.parent.name}-{path.stem}")
    for path in sorted(RECORDINGS.glob("*/*.json"))
]


def _settings(generation: Generation, scenario: str) -> dict[str, Any]:
    """Tell how the server of a recording was set up."""
    settings: dict[str, Any] = {
        "generation": generation,
        "base_path": "/chat",
        "token_delay": TOKEN_DELAY,
        "models": default_models(generation, extra=False, token_delay=TOKEN_DELAY),
        "tool_servers": [server for server in scripted_tool_servers() if not server.base],
    }
    if scenario in {"login_required", "reasoning_events"}:
        models = {model.id: model for model in default_models(generation)}
        settings["models"][3:3] = [models["think/tags"]]
    if scenario == "login_required":
        settings["require_login"] = True
    if scenario == "usage_limits":
        settings["limits"] = Limits(
            messages_per_minute=3,
            messages_per_conversation=4,
            conversations=2,
            message_length=50,
            window_seconds=2,
        )
    if scenario == "file_too_large":
        settings["limits"] = Limits(file_bytes=100, body_bytes=900)
    return settings


def _stop(player: Player) -> None:
    """Stop a run from a second request, as late as it was stopped when it was recorded."""
    legacy = "0.9" in player.recording["server"]
    player.play_all(end=2)
    run = player.start(3)
    run.wait_for(f"tok{9 if legacy else 4} ")
    player.play(2)
    run.finish()
    player.play(4)


def _elicit(player: Player) -> None:
    """Answer a tool's question from a second request."""
    player.play_all(end=2)
    run = player.start(3)
    asked = run.wait_for(r'elicitationId":"([\w-]+)"')
    recorded = player.exchanges[2]["request"]["json"]["elicitationId"]
    player.ids[recorded] = asked[1]
    player.play(2)
    run.finish()
    player.play(4)


def _two_runs(player: Player) -> None:
    """Start a second run while the first is under way."""
    player.play_all(end=2)
    first = player.start(2)
    first.wait_for("tok1 ")
    second = player.start(3)
    first.finish()
    second.finish()
    player.play_all(start=4)


def _disconnect(player: Player) -> None:
    """Leave after five tokens, then come back to the log."""
    player.play_all(end=2)
    run = player.start(2)
    run.wait_for("tok4 ")
    run.leave()
    run.finish()
    player.play_all(start=3)


def _somebody_else(player: Player) -> None:
    """Ask for the conversation from a second session."""
    player.play_all(end=2)
    player.new_client()
    player.play_all(start=2)


def _limits(player: Player) -> None:
    """Let the minute pass where it passed when it was recorded."""
    player.play_all(end=7)
    time.sleep(2)
    player.play_all(start=7)


def _log_in(player: Player) -> None:
    """Go through the identity provider between the redirect and the callback."""
    player.play_all(end=9)
    redirect = player.send(9)
    player.compare(9, redirect)
    page = httpx.URL(redirect.headers["location"])
    form = {key: page.params[key] for key in ("redirect_uri", "state")}
    back = player.client.post(
        page, data={**form, "username": "alice"}, headers={"origin": player.origin}
    )
    callback = httpx.URL(back.headers["location"])
    path = callback.raw_path.decode().removeprefix("/chat")
    player.exchanges[10]["request"]["path"] = path
    player.exchanges[18]["response"]["text"] += "…"  # it was cut without a mark
    player.play_all(start=10)


def _home(player: Player) -> None:
    """Compare only the scripts of the page, to which the recording was cut down."""
    legacy = "0.9" in player.recording["server"]
    got = player.send(0)
    recorded = player.exchanges[0]["response"]
    marks = r"\t\tdata: \[.*\],\n" if legacy else r"<script type=.*</script>\n"
    recorded["text"] = "".join(re.findall(marks, recorded["text"]))
    scripts = "".join(re.findall(marks, got.text))
    got.headers.pop("content-length")
    player.compare(0, type(got)(got.status, got.headers, scripts.encode()))


def _too_large(player: Player) -> None:
    """Send files of the sizes that the small limits of this test refuse."""
    for index, size in ((2, 400), (3, 1200)):
        part = player.exchanges[index]["request"]["multipart"][0]
        part["data"] = (part["data"] * 4)[:size]
    player.play_all()


_PLAYS: Final[dict[str, Callable[[Player], None]]] = {
    "stop_generating": _stop,
    "elicitation_accepted": _elicit,
    "elicitation_declined": _elicit,
    "two_runs_in_one_conversation": _two_runs,
    "disconnect_and_resume": _disconnect,
    "someone_elses_conversation": _somebody_else,
    "usage_limits": _limits,
    "login_required": _log_in,
    "home_page_html": _home,
    "file_too_large": _too_large,
}


def _differences(generation: Generation, scenario: str, *, allow_known: bool) -> list[str]:
    """Play a scenario and list what differs."""
    rewrite: Callable[[str], str] = str
    if allow_known and scenario in KNOWN_DIFFERENCES:
        _, pattern, ours = KNOWN_DIFFERENCES[scenario]

        def rewrite(text: str) -> str:
            return re.sub(pattern, ours, text, flags=re.DOTALL)

    with LocalServer(**_settings(generation, scenario)) as server:
        player = Player(
            load(generation, scenario),
            server.base_url,
            rewrite=rewrite,
            slow=scenario in SLOW_SCENARIOS,
        )
        try:
            _PLAYS.get(scenario, Player.play_all)(player)
        finally:
            player.client.close()
    return player.differences


@pytest.mark.parametrize(("generation", "scenario"), _CASES)
def test_recording_is_answered_alike(generation: Generation, scenario: str) -> None:
    """The local server answers every request of a recording as the real one did."""
    differences = _differences(generation, scenario, allow_known=True)
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("scenario", sorted(KNOWN_DIFFERENCES))
def test_known_difference_is_still_needed(scenario: str) -> None:
    """Each known difference names a recording that would not be answered alike without it."""
    assert _differences("current", scenario, allow_known=False)
