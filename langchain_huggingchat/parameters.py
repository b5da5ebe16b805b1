"""Arguments that other chat models have and a HuggingChat server cannot honour.

Such as ``temperature`` and ``max_tokens``: chat-ui samples as its own settings say (S). They are
taken, so that code written for another model runs, and each is warned about once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Final

__all__ = ["IgnoredParameterWarning", "warn_ignored"]

_warned: Final[set[str]] = set()


class IgnoredParameterWarning(UserWarning):
    """An argument has no effect, because the server offers no way to set it."""


def warn_ignored(names: Iterable[str]) -> None:
    """Warn about arguments that have no effect, about each once in the life of the process.

    Args:
        names: Their names. Values are not shown: one may be a secret.
    """
    new = [name for name in names if name not in _warned]
    if not new:
        return
    _warned.update(new)
    warnings.warn(
        f"A HuggingChat server offers no way to set {', '.join(new)}: without effect.",
        IgnoredParameterWarning,
        stacklevel=3,
    )
