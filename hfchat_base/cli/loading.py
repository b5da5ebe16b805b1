"""Getting the demo's model ready, with bars for what takes long: its first download, and loading.

Not here: where the weights come from and what runs them (`hfchat_base/local/demo/`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from hfchat_base.cli.terminal import Terminal, note

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from hfchat_base.local import LocalModel

__all__ = ["load_model"]


_DOWNLOADING: Final = "Downloading the model, only once"
_LOADING: Final = "Loading the model into memory"


class _WhileDownloading(ProgressColumn):
    """A column about bytes, empty where none are counted. It stays as wide as it is."""

    def __init__(self, column: ProgressColumn, width: int) -> None:
        super().__init__(Column(width=width, justify="right"))
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """Show the column if the number of bytes is known."""
        return self._column.render(task) if task.total else ""


def load_model(terminal: Terminal, gguf: Path | None = None) -> LocalModel:
    """Download the model if need be, start it, and say how long that took.

    Args:
        terminal: Where to show the progress.
        gguf: Another model file, or None for the demo's own.

    Raises:
        MissingRequirementsError: The extra ``demo`` is not installed.
        HuggingChatError: The model cannot be had.
    """
    from hfchat_base.local.demo import demo_model  # noqa: PLC0415 - only where a model is wanted

    console = terminal.notes
    begun = time.monotonic()
    downloaded = 0
    progress = Progress(
        SpinnerColumn(style="hfchat.accent"),
        TextColumn("{task.description}", table_column=Column(width=len(_DOWNLOADING))),
        BarColumn(bar_width=20),
        _WhileDownloading(DownloadColumn(), len("93.0/93.0 MB")),
        _WhileDownloading(TimeRemainingColumn(), len("0:00:00")),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )
    with progress:
        download = progress.add_task(_DOWNLOADING, visible=False)
        loading = progress.add_task(_LOADING, total=None, visible=False)

        def report(done: int, total: int) -> None:
            nonlocal downloaded
            if not console.is_interactive and not downloaded:
                console.print(f"Downloading the model, {total / 1e6:.0f} MB, only once …")
            downloaded = done
            is_whole = done >= total
            progress.update(download, completed=done, total=total, visible=not is_whole)
            progress.update(loading, visible=is_whole)

        progress.update(loading, visible=True)
        model = demo_model(gguf, report)
    seconds = time.monotonic() - begun
    how = f"downloaded ({downloaded / 1e6:.0f} MB) and loaded" if downloaded else "loaded"
    name = model.id.rpartition("/")[2]
    console.print(Text.assemble(("✓ ", "hfchat.good"), name, note(f"  {how} in {seconds:.1f} s")))
    return model
