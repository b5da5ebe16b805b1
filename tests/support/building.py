"""uv, as the tests of packaging use it: to build, and to install into clean environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("hfchat_base", "langchain_huggingchat", "llama_index_huggingchat")


@dataclass(frozen=True)
class Built:
    """What is published of one state of the sources.

    Attributes:
        sdist: The source distribution.
        wheel: The wheel, built from the tree.
        wheel_of_sdist: The wheel, built from the source distribution.
    """

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


def build(folder: Path) -> Built:
    """Build everything.

    Args:
        folder: Where to put it.
    """
    uv("build", "--sdist", "--wheel", "--out-dir", str(folder / "tree"), str(ROOT))
    (sdist,) = (folder / "tree").glob("*.tar.gz")
    (wheel,) = (folder / "tree").glob("*.whl")
    uv("build", "--wheel", "--out-dir", str(folder / "sdist"), str(sdist))
    (wheel_of_sdist,) = (folder / "sdist").glob("*.whl")
    return Built(sdist, wheel, wheel_of_sdist)


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the wheel, one extra, and what they need.

    Attributes:
        folder: Where it is. What is compiled of it is kept next to it, for the next one in its
            place: the frameworks take seconds to compile.
        extra: The extra, or ``""`` for none.
        wheel: The wheel.
    """

    folder: Path
    extra: str
    wheel: Path

    @classmethod
    def create(cls, folder: Path, wheel: Path, extra: str, python: str) -> Environment:
        """Make one, in place of the one before.

        Args:
            folder: Where to put it.
            wheel: What to install.
            extra: With which extra, or ``""`` for none.
            python: A version such as ``"3.12"``, or the path of an interpreter.
        """
        uv("venv", "--clear", "--python", python, str(folder))
        requirement = f"hfchat[{extra}] @ {wheel.as_uri()}"
        uv("pip", "install", "--python", str(folder), requirement)
        return cls(folder, extra, wheel)

    def install_command(self, extra: str) -> str:
        """The command that adds an extra to it, as hfchat words it.

        Args:
            extra: The extra.
        """
        requirement = f"hfchat[{extra}] @ {self.wheel.as_uri()}"
        return f'uv pip install --python {self.folder} "{requirement}"'

    def run(
        self, command: Sequence[str], variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment.

        Args:
            command: Its name, such as ``"hfchat"``, and its arguments.
            variables: Environment variables besides those of the tests.
        """
        scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")
        compiled = {"PYTHONPYCACHEPREFIX": str(self.folder.with_name("compiled"))}
        return subprocess.run(  # noqa: S603 - of the tests
            [str(scripts / command[0]), *command[1:]],
            env={**os.environ, **compiled, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def find_uv() -> str | None:
    """The uv that runs these tests, or one on the path."""
    return os.environ.get("UV") or shutil.which("uv")


def uv(*arguments: str) -> None:
    """Run uv; what it says is in the error if it fails."""
    done = subprocess.run(  # noqa: S603 - of the tests
        [find_uv() or "uv", "--quiet", *arguments],
        env=environment.CALLER,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
