r"""A coverage-guided fuzzer of everything that turns a server's bytes into events.

Run it from the repository's root; what it finds is written to the first folder:

    uv run --group fuzz python -m tests.fuzz.fuzz_decoder new tests/fuzz/corpus/decoder \
        -max_total_time=600 -timeout=5

An input that takes longer than the timeout, in seconds, is a bug like any other. Afterwards the
smallest inputs that cover as much become the corpus, which `test_corpus.py` goes through at every
run of the tests:

    uv run --group fuzz python -m tests.fuzz.fuzz_decoder -merge=1 smallest new \
        tests/fuzz/corpus/decoder
"""

from __future__ import annotations

from hfchat_base import HuggingChatError
from hfchat_base._flows.run_state import RunState
from hfchat_base._flows.stream_reader import LineReader, LogReader
from hfchat_base._protocol.accumulator import Accumulator
from tests.fuzz.fuzzing import fuzz


def check(data: bytes) -> None:
    """Read bytes as an answer and as a log, at once and in two pieces; anything else is a bug.

    Args:
        data: The first byte says where to cut the others.
    """
    cut, body = (data[0], data[1:]) if data else (0, b"")
    for make in (LineReader, lambda: LogReader(RunState())):
        assert _read(make(), [body]) == _read(make(), [body[:cut], body[cut:]])


def _read(reader: LineReader | LogReader, pieces: list[bytes]) -> str:
    transcript = Accumulator()
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


if __name__ == "__main__":
    fuzz(check, "tests.fuzz.fuzz_decoder", "hfchat_base._protocol")
