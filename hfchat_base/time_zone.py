"""The time zone that is sent with a message, so that a model with tools knows the local time.

Servers take IANA names. With a name that it does not know, a server silently answers without tools
(R: ``timezone``), so an unknown name is refused here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["is_time_zone", "local_time_zone"]

_NAME: Final = re.compile(r"[A-Za-z][\w+-]*(?:/[\w+-]+){0,2}", re.ASCII)
_FOLDER: Final = "zoneinfo/"
_NO_NAMES: Final = re.compile(r"(?:posix|right)/|(?:localtime|posixrules|Factory)$")
"""Other files in the folder of the zones."""

_LOCAL: Final = Path("/etc/localtime")
_DEBIAN: Final = Path("/etc/timezone")


def is_time_zone(name: str) -> bool:
    """Whether there is a time zone of this name.

    Where Python has no list of them (Windows, unless `tzdata` is installed), any name of the right
    form passes.
    """
    return _is_name(name) and (_can_load(name) or not _can_load("UTC"))


def _can_load(name: str) -> bool:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most programs never need it

    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        return False
    return True


def local_time_zone() -> str | None:
    """The name of this machine's time zone, or None where it has none that is known (Windows)."""
    set_by_user = os.environ.get("TZ", "")
    if set_by_user:
        name = _below_folder(set_by_user.removeprefix(":"))
        return name if is_time_zone(name) else None
    name = _below_folder(os.path.realpath(_LOCAL))
    if not _is_name(name):
        try:
            name = _DEBIAN.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    return name if _is_name(name) else None


def _below_folder(path: str) -> str:
    return path.rpartition(_FOLDER)[2]


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _NO_NAMES.match(name)
