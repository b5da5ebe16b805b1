"""Notebooks: running one in a fresh kernel without a network, and what is kept of it.

What is kept are cells and outputs; when and where they were run is not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib.font_manager  # noqa: F401 - makes its list of fonts, which takes long once
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parents[2] / "notebooks"

_CELL_SECONDS: Final = 60
_DEAD_PROXY: Final = "http://127.0.0.1:9"
"""Nothing listens there, so that whatever leaves the machine fails at once."""


class _KernelOfThisPython(AsyncKernelManager):
    """A kernel in this interpreter, whatever kernels are installed on the machine."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook."""
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def run(notebook: NotebookNode, home: Path, metadata: Mapping[str, Any]) -> NotebookNode:
    """Run a copy of a notebook from top to bottom.

    Args:
        notebook: The notebook.
        home: An empty folder, for what kernels and libraries like to keep.
        metadata: What the copy says of itself, in place of what it said before.

    Returns:
        The copy, with its outputs. An error is an output too.
    """
    fresh: NotebookNode = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        fresh,
        kernel_manager_class=_KernelOfThisPython,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        timeout=_CELL_SECONDS,
        allow_errors=True,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute(env=_environment(home))
    fresh.metadata = nbformat.from_dict(metadata)  # type: ignore[no-untyped-call]
    return fresh


def _environment(home: Path) -> dict[str, str]:
    proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return {
        **os.environ,
        **dict.fromkeys(proxies, _DEAD_PROXY),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "HUGGINGCHAT_LOCAL": "1",
        "IPYTHONDIR": str(home),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # What tqdm says in a notebook where ipywidgets is not installed.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }


def texts(notebook: NotebookNode) -> list[dict[str, Any]]:
    """What each cell printed or showed, in a form that is the same on every machine.

    Of pictures only their kind is kept: fonts differ by a pixel.
    """
    return [
        {"cell": cell.id, "outputs": [_text(output) for output in cell.outputs]}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _text(output: NotebookNode) -> dict[str, Any]:
    if output.output_type == "stream":
        return {"name": output.name, "text": output.text}
    if output.output_type == "error":
        return {"error": output.ename, "text": output.evalue}
    return {
        kind: "a picture" if kind.startswith("image/") else data
        for kind, data in output.data.items()
    }
