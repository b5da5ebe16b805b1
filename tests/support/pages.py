"""The pages of the documentation as this folder's tests see them, and the code in them.

A fenced block belongs to the blocks of its language on the same page: they are run together, from
top to bottom, each line at its own number, so that a traceback names the line of the page. A block
that is not run has a comment above it that says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parent.parent.parent
DOCS: Final = REPOSITORY / "docs"

_FENCE: Final = re.compile(r"(?P<mark>`{3,})(?P<language>[^`]*)$")
NEEDS_A_CAPABLE_MODEL: Final = "<!-- needs a capable model -->"
"""Stands on pages whose programs want a model that follows instructions."""

_NOT_RUN: Final = re.compile(r"<!-- not run: (?P<reason>.{10,}) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: What stands behind the fence.
        first_line: Number of its first line of code, from 1.
        code: Its text.
        reason: Why it is not run, or empty.
    """

    language: str
    first_line: int
    code: str
    reason: str


def pages() -> list[Path]:
    """The README and its neighbours, and all pages that somebody has written."""
    made = {DOCS / "_build", DOCS / "_generated", DOCS / "notebooks"}
    found = [path for path in sorted(DOCS.rglob("*.md")) if not made & set(path.parents)]
    return [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *found,
    ]


def name_of(page: Path) -> str:
    """A page's path from the top of the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page that are in one of some languages."""
    blocks: list[Block] = []
    mark = language = reason = before = ""
    first_line = 0
    code: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if mark:
            if line.rstrip() != mark:
                code.append(line)
                continue
            blocks.append(Block(language, first_line, "\n".join(code), reason))
            mark = ""
        elif fence:
            mark, language = fence["mark"], fence["language"].strip()
            said = _NOT_RUN.match(before)
            reason = said["reason"] if said else ""
            first_line, code = number + 1, []
        before = line if line.strip() else before
    return [block for block in blocks if block.language in languages]


def as_program(blocks: list[Block]) -> str:
    """Put blocks together, each at the line at which it stands on the page."""
    lines: list[str] = []
    for block in blocks:
        if not block.reason:
            lines += [""] * (block.first_line - 1 - len(lines))
            lines += block.code.splitlines()
    return "\n".join(lines) + "\n"
