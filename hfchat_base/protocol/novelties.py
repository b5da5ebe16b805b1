"""What a newer server says that this package does not know: told once, and never in the way.

Here stand the names of types, subtypes, statuses and fields that both generations use, and the one
WARNING a process for each set of names that is not among them. Names alone are logged, never what
stands behind them. Reading events is `decode.py`'s, which takes `Unknown` for what it cannot name.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any, Final

_log = logging.getLogger("hfchat")

_FIELDS: Final = {
    "stream": {"token", "len"},
    "status": {"status", "message", "statusCode"},
    "finalAnswer": {"text", "interrupted", "webSources"},
    "title": {"title"},
    "reasoning": {"token", "status"},
    "tool": {
        *("uuid", "call", "reasoning", "content", "originalId", "argumentsRaw"),
        *("result", "message", "eta", "progress", "total"),
    },
    "elicitation": {
        *("request", "expiresAt", "toolUuid"),
        *("elicitationId", "action", "resolution", "content"),
    },
    "routerMetadata": {"route", "model", "provider"},
    "file": {"name", "sha", "mime"},
    "webSearch": {"messageType", "message", "args", "sources"},
}
"""The fields of each type beside ``type`` and ``subtype`` (S: ``MessageUpdate`` of 0.9.5 and
0.20)."""

_STATUSES: Final = {"started", "keepAlive", "finished", "error"}

_EVERYWHERE: Final = {"type", "subtype"}
_KNOWN: Final = {kind: frozenset(fields | _EVERYWHERE) for kind, fields in _FIELDS.items()}

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
"""What a name may look like to be logged: a server may put anything in its place."""

_MOST_TOLD: Final = 50
"""How many sets of names are told; a server that makes names up floods neither log nor memory."""

_told: set[tuple[str, ...]] = set()
_lock = threading.Lock()


def look(raw: dict[str, Any], *, is_known: bool) -> None:
    """Look for names that are new in an event, and tell of them once.

    Args:
        raw: The event, as it was parsed; its ``type`` is a text.
        is_known: Whether there is a class for its type and subtype.
    """
    kind = raw["type"]
    known = _KNOWN.get(kind)
    if known is None:
        _tell((f"type {_shown(kind)}",))
        return
    is_new = kind == "status" and raw.get("status") not in _STATUSES
    if is_known and not is_new and raw.keys() <= known:
        return
    names = [f"in {kind}"]
    if is_new:
        names.append(f"status {_shown(raw.get('status'))}")
    elif not is_known:
        names.append(f"subtype {_shown(raw.get('subtype'))}")
    names += sorted({f"field {_shown(name)}" for name in raw.keys() - known})
    _tell(tuple(names))


def _tell(names: tuple[str, ...]) -> None:
    with _lock:
        if names in _told or len(_told) >= _MOST_TOLD:
            return
        _told.add(names)
    _log.warning(
        "the server says what this version of hfchat does not know (%s); answers go on as before",
        ", ".join(names),
    )


def _shown(name: object) -> str:
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return repr(name)
    return "without a plain name"
