"""The version, in a module of its own so that the lowest layer can name it without a cycle."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
