"""The distributions under the frameworks' own names: each installs hfchat with the right extra."""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from typing import TYPE_CHECKING, Final

import pytest
from packaging.metadata import Metadata

from hfchat_base import __version__
from hfchat_base.local import LocalServer
from tests.support.building import ROOT, Built, Environment, uv
from tests.support.extras import require

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS: Final = {
    "langchain-huggingchat": ROOT / "langchain_huggingchat/_distribution",
    "llama-index-llms-huggingchat": ROOT / "llama_index_huggingchat/_distribution",
}

_USES: Final = {
    "langchain-huggingchat": """
from langchain_huggingchat import ChatHuggingChat
print(ChatHuggingChat().invoke("hello").text)
""",
    "llama-index-llms-huggingchat": """
from llama_index.llms.huggingchat import HuggingChatLLM
print(HuggingChatLLM().complete("hello"))
""",
}

each_name = pytest.mark.parametrize("name", FOLDERS)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution, built from its source distribution."""
    folder = tmp_path_factory.mktemp("distributions")
    for source in FOLDERS.values():
        uv("build", "--out-dir", str(folder), str(source))
    return {name: next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in FOLDERS}


@pytest.mark.slow
@each_name
def test_one_answer(
    name: str, wheels: dict[str, Path], built: Built, python: str, tmp_path: Path
) -> None:
    """Where only the distribution was asked for, the framework's class answers."""
    folder = tmp_path / "environment"
    uv("venv", "--python", python, str(folder))
    uv(
        "pip",
        "install",
        "--python",
        str(folder),
        str(wheels[name]),
        f"hfchat @ {built.wheel.as_uri()}",
    )
    with LocalServer(require_login=True) as server:
        done = Environment(folder, name, built.wheel).run(
            ["python", "-W", "error", "-c", _USES[name]],
            {
                "HOME": str(tmp_path),
                "HUGGINGCHAT_BASE_URL": server.base_url,
                "HUGGINGCHAT_COOKIES": json.dumps(server.cookies()),
                "HUGGINGCHAT_MODEL": "echo/base",
            },
        )
    assert (done.returncode, done.stdout) == (0, "You said: hello\n"), done.stderr


@pytest.mark.slow
@each_name
def test_metadata(name: str, wheels: dict[str, Path], built: Built) -> None:
    """It has hfchat's version and Pythons, needs hfchat with an extra, and holds no code."""
    own, whole = (_metadata(wheel) for wheel in (wheels[name], built.wheel))
    assert (own.name, own.version) == (name, whole.version)
    assert own.requires_python == whole.requires_python
    assert own.license_expression == whole.license_expression
    assert own.requires_dist
    (needed,) = own.requires_dist
    assert needed.name == "hfchat"
    assert needed.specifier.contains(__version__)
    assert needed.extras <= set(whole.provides_extra or ())
    with zipfile.ZipFile(wheels[name]) as archive:
        assert all(".dist-info/" in entry for entry in archive.namelist())


@pytest.mark.slow
def test_descriptions_render(wheels: dict[str, Path], built: Built) -> None:
    """A package index can render each description."""
    files = [built.sdist, built.wheel, *wheels.values()]
    uv("tool", "run", "twine", "check", "--strict", *map(str, files))


@pytest.mark.parametrize(
    "folder", [ROOT, *FOLDERS.values()], ids=lambda path: path.relative_to(ROOT.parent).as_posix()
)
def test_descriptions_link_to_the_web(folder: Path) -> None:
    """No link or picture of a description is relative: a package index has no folders."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)|(?:src|href)=\"([^\"]+)", text)
    assert links
    assert all("".join(link).startswith("https://") for link in links)


def test_llamahub_metadata() -> None:
    """The classes that LlamaHub lists are where it looks for them."""
    require("llama-index")
    folder = FOLDERS["llama-index-llms-huggingchat"]
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    path = re.search(r'^import_path = "(.+)"$', text, re.MULTILINE)
    authors = re.search(
        r"^\[tool\.llamahub\.class_authors\]\n((?:\w+ = .+\n)+)", text, re.MULTILINE
    )
    assert path
    assert authors
    # In a clone, the package is not yet where the wheel has it.
    assert path[1] == "llama_index.llms.huggingchat"
    module = importlib.import_module("llama_index_huggingchat._namespace")
    for line in authors[1].splitlines():
        assert hasattr(module, line.partition(" = ")[0])


def _metadata(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(archive.read(name), validate=True)
