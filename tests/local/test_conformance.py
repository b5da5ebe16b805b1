"""Every recording of the real servers, played against the local one.

What differs on purpose is in `KNOWN_DIFFERENCES`, and a test makes sure that each entry is needed.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from hfchat_base.local import (
    ChatRequest,
    FunctionBackend,
    Limits,
    LocalServer,
    default_models,
    scripted_tool_servers,
)
from tests.support.conformance import RECORDINGS, Player, load, settings_in
from tests.support.endpoint_models import calculator, endpoint_models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hfchat_base._protocol.constants import Generation

KNOWN_DIFFERENCES: Final[dict[str, tuple[str, str, str]]] = {
    "image_upload": (
        "The real server re-encodes images for the model (73 bytes became 95), this one does not.",
        r"'image/png'(.{0,60})95\)",
        r"'image/png'\g<1>73)",
    ),
    "mcp_servers": (
        "What is no tool server at all is not distinguished from one that does not exist.",
        r"HTTP transport failed: .*?expected .{0,3}text/event-stream..",
        "Cannot connect to ORIGIN/v1/models. Please verify the server is running and accessible.",
    ),
    "login_required": (
        "The identity provider is part of the server, not one of its own.",
        r"http://127\.0\.0\.1:9400/authorize",
        "ORIGIN/chat/_idp/authorize",
    ),
}
"""Scenario: the reason, what was recorded (a pattern), and what is said here in its place."""

SLOW_SCENARIOS: Final = {
    "artifacts",
    "reasoning_effort",
    "share_read",
    "timezone",
    "stop_generating",
    "disconnect_and_resume",
    "two_runs_in_one_conversation",
}
"""Those in whose logs the real server's clock decided which tokens became one event.

In all others the tokens came at once, and are gathered here for as long as it takes.
"""

TOKEN_DELAY: Final = 0.03
WINDOW_SECONDS: Final = 3600.0
"""The window of the limit per minute: no machine is so slow that it passes by itself."""

_CASES: Final = [
    pytest.param(path.parent.name, path.stem, id=f"{path.parent.name}-{path.stem}")
    for path in sorted(RECORDINGS.glob("*/*.json"))
]


def _settings(generation: Generation, scenario: str, stopped: threading.Event) -> dict[str, Any]:
    """Tell how the server of a recording was set up."""
    settings: dict[str, Any] = {
        "generation": generation,
        "base_path": "/chat",
        "token_delay": TOKEN_DELAY,
        "models": default_models(generation, extra=False, token_delay=TOKEN_DELAY),
        "tool_servers": [server for server in scripted_tool_servers() if not server.base],
    }
    if scenario in _WITH_ENDPOINT[generation]:
        settings["models"] = endpoint_models(TOKEN_DELAY)
        settings["tool_servers"] = [calculator()]
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
            window_seconds=WINDOW_SECONDS,
        )
    if scenario == "stop_generating":
        tokens = 10 if generation == "legacy" else 5
        settings["models"] = [
            replace(model, backend=FunctionBackend(_PatientDrip(tokens, stopped).say))
            if model.id == "slow/drip"
            else model
            for model in settings["models"]
        ]
    if scenario == "transcribe_configured":
        settings["transcribe"] = lambda _audio, _kind: "spoken words"
    if scenario == "running_answers":
        drip = _PatientDrip(2, stopped, "drop", first=1)
        settings["models"] = [
            replace(model, backend=FunctionBackend(drip.say)) if model.id == "slow/drip" else model
            for model in settings["models"]
        ]
    if scenario == "file_too_large":
        settings["limits"] = Limits(file_bytes=100, body_bytes=900)
    return settings


_WITH_ENDPOINT: Final[dict[Generation, set[str]]] = {
    "current": {
        "artifacts",
        "delete_all",
        "mcp_servers",
        "model_details",
        "reasoning_effort",
        "running_answers",
        "settings",
        "share_read",
        "timezone",
        "transcribe",
        "transcribe_configured",
    },
    "legacy": {"delete_all", "settings"},
}
"""The scenarios of servers that had `endpoint_models` behind them."""


class _PatientDrip:
    """Drips so many tokens, and the next ones only once the stop has come.

    Args:
        tokens: How many come before.
        stopped: Is set once the stop has come.
        word: What each token begins with.
        first: The number of the first one.
    """

    def __init__(
        self, tokens: int, stopped: threading.Event, word: str = "tok", first: int = 0
    ) -> None:
        self._tokens = tokens
        self._stopped = stopped
        self._word = word
        self._first = first

    async def say(self, _request: ChatRequest) -> AsyncIterator[str]:
        """Answer a request."""
        for number in range(40):
            if number == self._tokens:
                await asyncio.to_thread(self._stopped.wait)
            yield f"{self._word}{self._first + number} "
            await asyncio.sleep(TOKEN_DELAY)


def _stop(player: Player) -> None:
    """Stop a run from a second request, as late as it was stopped when it was recorded."""
    legacy = "0.9" in player.recording["server"]
    player.play_all(end=2)
    run = player.start(3)
    run.wait_for(f"tok{9 if legacy else 4} ")
    player.play(2)
    player.stopped.set()
    run.finish()
    player.play(4)


def _stranger(player: Player) -> None:
    """Let somebody else read the share."""
    player.play_all(end=3)
    player.new_client()
    player.play_all(start=3)


def _running(player: Player) -> None:
    """Ask what is running before, during and after a run."""
    player.play_all(end=2)
    run = player.start(4)
    run.wait_for("drop2 ")
    feed = player.start(2)
    feed.wait_for("event: sync")
    feed.leave()
    feed.finish()
    player.play(3)
    player.stopped.set()
    run.finish()
    player.play(5)


def _settings_alone(player: Player) -> None:
    """Of a legacy page's data compare the settings; the rest is as the server was set up."""
    if "0.20" in player.recording["server"]:
        player.play_all()
        return
    for index, exchange in enumerate(player.exchanges):
        got = player.send(index)
        if exchange["request"]["method"] == "GET":
            exchange["response"]["text"] = settings_in(exchange["response"]["text"])
            del got.headers["content-length"]
            got = replace(got, body=settings_in(got.text).encode())
        player.compare(index, got)


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
    """Leave after five tokens, then come back to the log: to all of it, and to parts of it.

    Which tokens are in a part depends on how they were gathered. That it is the end of the whole
    log, from the number that was asked for, does not.
    """
    player.play_all(end=2)
    run = player.start(2)
    run.wait_for("tok4 ")
    run.leave()
    run.finish()
    whole = player.send(3)
    player.compare(3, whole)
    for index, number in ((4, 3), (5, 4)):
        recorded, part = player.exchanges[index]["response"], player.send(index)
        recorded_whole = "".join(text for _, text in player.exchanges[3]["response"]["chunks"])
        recorded_part = "".join(text for _, text in recorded["chunks"])
        assert recorded_part == _log_after(recorded_whole, number)
        assert part.text == _log_after(whole.text, number)
        player.compare(index, replace(part, body=recorded_part.encode()))
    player.play_all(start=6)


def _log_after(log: str, number: int) -> str:
    """The end of a log behind the event with that number."""
    frames = log.replace(": heartbeat\n\n", "")
    return frames[frames.index(f"id: {number + 1}\n") :]


def _somebody_else(player: Player) -> None:
    """Ask for the conversation from a second session."""
    player.play_all(end=2)
    player.new_client()
    player.play_all(start=2)


def _limits(player: Player) -> None:
    """Let the minute pass where it passed when it was recorded."""
    player.play_all(end=7)
    with pytest.MonkeyPatch.context() as patch:
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + WINDOW_SECONDS)
        patch.setattr("hfchat_base.local.state.time", later)
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
    """Send files of sizes that the small limits of this test reject."""
    for index, size in ((2, 400), (3, 1200)):
        part = player.exchanges[index]["request"]["multipart"][0]
        part["data"] = (part["data"] * 4)[:size]
    player.play_all()


_PLAYS: Final[dict[str, Callable[[Player], None]]] = {
    "stop_generating": _stop,
    "running_answers": _running,
    "settings": _settings_alone,
    "share_read": _stranger,
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

    slow = scenario in SLOW_SCENARIOS
    with pytest.MonkeyPatch.context() as patch:
        if not slow:
            patch.setattr("hfchat_base.local.asgi.RESUME_FLUSH_SECONDS", 1e6)
        patch.setattr("hfchat_base.local.routes.current_routes.TICK_SECONDS", 0.05)
        server = LocalServer(**_settings(generation, scenario, stopped := threading.Event()))
    with server:
        player = Player(
            load(generation, scenario),
            server.base_url,
            rewrite=rewrite,
            slow=slow,
            stopped=stopped,
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
