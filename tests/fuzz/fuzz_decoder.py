"""A coverage-guided fuzzer of everything that turns a server's bytes into events.

    python -m tests.fuzz.fuzz_decoder tests/fuzz/corpus/decoder -max_total_time=600

Run it from the repository's root, with atheris installed. What it finds is added to the corpus,
which `test_corpus.py` goes through at every run of the tests.
"""

from __future__ import annotations

import importlib
import sys

from hfchat_base import HuggingChatError
from hfchat_base.protocol.flows.reading import LineReader, LogReader, Run
from hfchat_base.protocol.transcript import Transcript


def check(data: bytes) -> None:
    """Read bytes as an answer and as a log, at once and in two pieces; anything else is a bug.

    Args:
        data: The first byte says where to cut the others.
    """
    cut, body = (data[0], data[1:]) if data else (0, b"")
    for make in (LineReader, lambda: LogReader(Run())):
        assert _read(make(), [body]) == _read(make(), [body[:cut], body[cut:]])


def _read(reader: LineReader | LogReader, pieces: list[bytes]) -> str:
    transcript = Transcript()
    found: list[object] = []
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                found.append(event)
                transcript.take(event)
    except HuggingChatError as error:
        found.append(type(error))
    transcript.end()
    # Also what is equal to nothing, not even to itself, has to come out alike.
    return repr((found, transcript.answer()))


def main() -> None:
    """Fuzz until told to stop."""
    atheris = importlib.import_module("atheris")  # untyped, and needed for nothing else
    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
