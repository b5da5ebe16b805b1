"""What is published: the wheel and the source distribution hold what they should, and no more."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from hfchat_base import __version__
from tests.support.building import PACKAGES, ROOT, Built

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def metadata(built: Built) -> Metadata:
    """The wheel's metadata, checked as a package index does."""
    with zipfile.ZipFile(built.wheel) as archive:
        raw = archive.read(f"hfchat-{__version__}.dist-info/METADATA")
    return Metadata.from_email(raw, validate=True)


def test_wheel_holds_the_packages(built: Built) -> None:
    """The wheel is the three packages, the one in LlamaIndex's namespace, and the metadata."""
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", "py.typed")
        for path in (ROOT / package).rglob(pattern)
    }
    moved = {
        name: name.replace("llama_index_huggingchat/_namespace", "llama_index/llms/huggingchat")
        for name in sources
    }
    about = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    with zipfile.ZipFile(built.wheel) as archive:
        assert set(archive.namelist()) == set(moved.values()) | {
            f"hfchat-{__version__}.dist-info/{name}" for name in about
        }
    assert {f"{package}/py.typed" for package in PACKAGES} < sources


def test_wheel_of_the_sdist(built: Built) -> None:
    """A wheel that is built from the source distribution is the one of the tree, byte for byte."""
    assert built.wheel_of_sdist.name == built.wheel.name
    assert built.wheel_of_sdist.read_bytes() == built.wheel.read_bytes()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a clone")
def test_sdist_is_the_repository(built: Built) -> None:
    """The source distribution is what a clone has, so that all tests run from it, except for CI."""
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    clone = {
        name
        for name in listed("--cached")
        if not name.startswith((".ci/", ".github/", ".pre-commit"))
    }
    assert clone - names == set()
    assert names - clone - listed("--others", "--exclude-standard") == {"PKG-INFO"}


def listed(*which: str) -> set[str]:
    """Files of the clone, as git sorts them."""
    done = subprocess.run(  # noqa: S603 - of the tests
        ["git", "ls-files", "-z", *which],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in done.stdout.split("\0") if (ROOT / name).is_file()}


def test_sdist_tells_nothing_of_its_machine(built: Built) -> None:
    """No file names a folder of the machine that it was made on, or an index of packages."""
    folders = "|".join(re.escape(str(folder)) for folder in (ROOT, Path.home()))
    private = re.compile(rf"(?:{folders})[/\\]\w+|https?://(?!127\.0\.0\.1)[^\s\"'<>]+/simple\b")
    found = {}
    with tarfile.open(built.sdist) as archive:
        for member in archive:
            file = archive.extractfile(member)
            text = file.read().decode(errors="replace") if file else ""
            found[member.name] = private.findall(text)
    assert {name: what for name, what in found.items() if what} == {}


def test_metadata(metadata: Metadata) -> None:
    """The metadata is valid, and has the version, the licence, the Pythons, and the README."""
    assert str(metadata.version) == __version__
    assert metadata.license_expression == "MIT"
    assert str(metadata.requires_python) == ">=3.10"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")


def test_all_is_every_extra(metadata: Metadata) -> None:
    """The extra `all` brings what the other ones bring, and nothing else."""
    brings: dict[str, set[str]] = {
        extra: {
            requirement.name
            for requirement in metadata.requires_dist or ()
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        }
        for extra in metadata.provides_extra or ()
    }
    whole = brings.pop("all")
    assert set().union(*brings.values()) == whole
    assert all(brings.values())


def test_extras_that_are_named_exist(metadata: Metadata) -> None:
    """Every extra that a document, an error or a docstring names exists."""
    named: dict[str, list[str]] = {}
    for place in (*PACKAGES, "docs", "notebooks", "README.md", "CHANGELOG.md"):
        for path in [ROOT / place, *(ROOT / place).rglob("*")]:
            if path.suffix in (".py", ".md", ".ipynb"):
                text = path.read_text(encoding="utf-8")
                lists = re.findall(r"hfchat\[([\w,\s-]+)\]", text)
                lists += re.findall(r"for_extra\(\s*\\?[\"']([\w-]+)", text)
                for extra in ",".join(lists).split(","):
                    named.setdefault(extra.strip(), []).append(path.name)
    named.pop("", None)
    extras = set(metadata.provides_extra or ())
    assert {extra: where for extra, where in named.items() if extra not in extras} == {}
    assert {"all", "cli", "langchain", "local"} <= set(named)
