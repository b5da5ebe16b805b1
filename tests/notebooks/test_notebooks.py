"""Each notebook runs from top to bottom, offline, and shows what is committed.

After a change to a notebook, ``pytest tests/notebooks --update-notebooks`` saves it with the
outputs of its run; ``-k`` and a part of its name choose one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from tests.support import extras

_NOTEBOOKS: Final = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
_METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_MACHINE_PATH: Final = re.compile(r"(?:/home|/root|/Users|/tmp|/work|/private|C:\\\\Users)[/\\]\w+")


@pytest.fixture(params=_NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """Each notebook in turn."""
    path: Path = request.param
    return path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_runs_as_committed(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A run without a network shows what the committed one shows, and no error or warning."""
    extras.require("notebooks")
    from tests.support import notebooks  # noqa: PLC0415 - a group of its own has what it needs

    committed = notebooks.read(path)
    fresh = notebooks.run(committed, tmp_path, _METADATA)
    shown = notebooks.texts(fresh)
    for cell in shown:
        for output in cell["outputs"]:
            assert "error" not in output, output
            assert output.get("name") != "stderr", output
    if request.config.getoption("--update-notebooks", default=False):
        notebooks.write(fresh, path)
        committed = fresh
    assert shown == notebooks.texts(committed)


def test_is_clean(path: Path) -> None:
    """A committed notebook was run once, in order, and shows nothing of the machine it ran on."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell["outputs"] for cell in cells)
    assert notebook["metadata"] == _METADATA
    assert not any(cell["metadata"] for cell in notebook["cells"])
    assert not _MACHINE_PATH.search(text)
