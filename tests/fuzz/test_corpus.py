"""What the fuzzers have found and kept goes through the same checks at every run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz_decoder, fuzz_tool_parser

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("fuzzer", [fuzz_decoder, fuzz_tool_parser])
def test_corpus(fuzzer: object) -> None:
    """Every input of the corpus passes its fuzzer's check."""
    folder = CORPUS / str(fuzzer.__name__).rpartition("fuzz_")[2]  # type: ignore[attr-defined]
    inputs = sorted(folder.iterdir())
    assert inputs
    for path in inputs:
        fuzzer.check(path.read_bytes())  # type: ignore[attr-defined]
