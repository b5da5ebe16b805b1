"""How thoroughly a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What the command line says, for every table.

    Attributes:
        quick: Few rounds over little data: shows that everything runs, its figures are rough.
        profile: Say in the notes of a table where the time goes, module by module.
        peers: A Python that has hugchat and g4f; without it they are not measured.
    """

    quick: bool = False
    profile: bool = False
    peers: str | None = None

    def pick(self, full: int, quick: int) -> int:
        """One of two sizes: that of a full run or that of a quick one."""
        return quick if self.quick else full

    @property
    def rounds(self) -> int:
        """How often each subject is measured."""
        return self.pick(9, 3)
