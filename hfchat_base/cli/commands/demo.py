"""``hfchat demo``."""

from __future__ import annotations


def demo() -> None:
    """See it work, with a real model on this machine; no account needed."""
